"""What Airflow does after a failure, and what the task's log says."""

from __future__ import annotations

import datetime as dt
import traceback
from typing import Any

import pytest
import structlog
from airflow.sdk.definitions.retry_policy import RetryAction

from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    SignInAgain,
    StaleRecord,
    StopFlow,
    Throttled,
)
from iw_operators.retry import ERROR_KEY, RetryByClass, told

POLICY = RetryByClass(retries=5, delay=dt.timedelta(seconds=10), longest=dt.timedelta(seconds=60))


class Ti:
    """The one thing that `told` needs of a task instance."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is pushed."""
        self.pushed[key] = value


@pytest.mark.feature("R15")
@pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 60), (5, 60)])
def test_a_connection_failure_is_retried_ever_later(attempt: int, seconds: int) -> None:
    """The wait doubles with each try up to the longest one."""
    decision = POLICY.evaluate(ConnectionFailure("nobody answers"), attempt, 5)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == dt.timedelta(seconds=seconds)


@pytest.mark.feature("R15")
def test_a_cleared_task_starts_counting_anew() -> None:
    """After a task was cleared on its 7th try, with 5 more allowed, the first wait is the short one again."""
    decision = POLICY.evaluate(ConnectionFailure("nobody answers"), 8, 12)
    assert decision.retry_delay == dt.timedelta(seconds=10)


@pytest.mark.feature("R15")
@pytest.mark.parametrize(("asked", "seconds"), [(120.0, 120), (2.0, 10)])
def test_throttling_waits_as_long_as_the_other_side_asks(asked: float, seconds: int) -> None:
    """A throttled task comes back not before the time it was told, and not before its own wait."""
    decision = POLICY.evaluate(Throttled("too many requests", retry_after=asked), 1, 5)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == dt.timedelta(seconds=seconds)


@pytest.mark.feature("R15")
def test_signing_in_again_is_tried_once() -> None:
    """A session that has ended costs one more try; a second refusal is a wrong password."""
    assert POLICY.evaluate(SignInAgain("the session has ended"), 1, 5).action is RetryAction.RETRY
    assert POLICY.evaluate(SignInAgain("the session has ended"), 2, 5).action is RetryAction.FAIL


@pytest.mark.feature("R15")
@pytest.mark.parametrize("error", [FixRecord, StaleRecord, FixConfiguration, StopFlow, InterWeaveError])
def test_what_a_person_has_to_correct_is_not_retried(error: type[InterWeaveError]) -> None:
    """Errors in data, configuration and safety fail at once, with their class as the reason."""
    decision = POLICY.evaluate(error("no"), 1, 5)
    assert decision.action is RetryAction.FAIL
    assert error.__name__ in (decision.reason or "")


@pytest.mark.feature("R15")
@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(1), MemoryError()])
def test_anything_else_follows_the_tasks_own_settings(error: BaseException) -> None:
    """An unexpected error is left to Airflow's retries."""
    assert POLICY.evaluate(error, 1, 5).action is RetryAction.DEFAULT


def _fails() -> None:
    msg = "The password was refused."
    raise FixConfiguration(msg, code="401", advice="Correct the connection acme_crm.")


@pytest.mark.feature("R15", "E2")
def test_the_log_says_what_happened_and_what_to_do() -> None:
    """One event holds message, code, class and advice, and `report` finds the same as an XCom."""
    ti = Ti()
    with (
        structlog.testing.capture_logs() as events,
        pytest.raises(FixConfiguration),
        told({"ti": ti}),  # type: ignore[typeddict-item]  # the one key that is looked at
    ):
        _fails()
    (event,) = [event for event in events if event["log_level"] == "error"]
    assert event == {
        "event": "The password was refused.",
        "error": "FixConfiguration",
        "code": "401",
        "advice": "Correct the connection acme_crm.",
        "log_level": "error",
    }
    assert ti.pushed[ERROR_KEY]["message"] == "The password was refused."


def test_the_traceback_ends_where_the_task_begins() -> None:
    """The frames of our own code below the task are left out of what Airflow prints."""
    with pytest.raises(FixConfiguration) as caught, told({"ti": Ti()}):  # type: ignore[typeddict-item]  # as above
        _fails()
    assert "_fails" not in "".join(traceback.format_tb(caught.value.__traceback__))
    assert caught.value.__suppress_context__


def test_other_errors_pass_untouched() -> None:
    """A bug keeps its whole traceback; its text, which could hold anything, goes nowhere but the task's log."""
    ti = Ti()
    with pytest.raises(ZeroDivisionError) as caught, told({"ti": ti}):  # type: ignore[typeddict-item]  # as above
        _divide()
    assert "_divide" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert ti.pushed[ERROR_KEY]["error"] == "ZeroDivisionError"
    assert "division" not in str(ti.pushed)


def _divide() -> float:
    return 1 / 0
