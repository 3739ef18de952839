"""What Airflow does after a failure follows from the error's class (law 9); the task's log says it in clear words."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import Any

import structlog
from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from iw_operators import settings
from iw_operators.errors import InterWeaveError, RetryLater, SignInAgain, Throttled

log = structlog.get_logger(__name__)

ERROR_KEY = "iw_error"
UNEXPECTED = {"code": "", "message": "unexpected, see the task's log.", "advice": ""}  # its text could hold anything


class RetryByClass(RetryPolicy):
    """Retry what waiting or signing in can cure, fail at once on everything that a person has to correct.

    | class | |
    |---|---|
    | `RetryLater` | again after `delay`, doubled with each try, at most `longest` |
    | `Throttled` | the same, but not before the time that the other side asked for |
    | `SignInAgain` | once more, after `delay` |
    | other `InterWeaveError` | fails at once |
    | anything else | as the task's own `retries` and `retry_delay` say |

    The number of tries is bounded by the task's `retries` in every case. A killed process never gets here; Airflow
    retries it by the task's own settings.
    """

    def __init__(self, retries: int, delay: dt.timedelta, longest: dt.timedelta) -> None:
        self.retries = retries
        self.delay = delay
        self.longest = longest

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return what to do; `try_number` counts on when a task is cleared, the wait starts anew."""
        del context  # the class says it all
        tries = max(1, try_number - (max_tries - self.retries))
        wait = min(self.longest, self.delay * 2 ** min(tries - 1, 20))
        name = type(exception).__name__
        match exception:
            case Throttled():
                wait = max(wait, dt.timedelta(seconds=exception.retry_after))
                return RetryDecision.retry(wait, f"{name}: again in {wait.total_seconds():.0f} s")
            case RetryLater():
                return RetryDecision.retry(wait, f"{name}: again in {wait.total_seconds():.0f} s")
            case SignInAgain() if tries == 1:
                return RetryDecision.retry(self.delay, f"{name}: signing in anew, once")
            case InterWeaveError():
                return RetryDecision.fail(f"{name}: a retry would not help")
            case _:
                return RetryDecision.default()


def retry_defaults() -> dict[str, Any]:
    """Return the arguments of tasks that make Airflow do so, as the configuration says; it is read anew each time."""
    retries, delay, longest = settings.retries(), settings.retry_delay(), settings.max_retry_delay()
    return {
        "retries": retries,
        "retry_delay": delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": longest,
        "retry_policy": RetryByClass(retries, delay, longest),
    }


class told:  # noqa: N801  a context manager that reads like a function
    """Log an InterWeaveError as one event with code, message and advice, and leave it for `report` as an XCom.

    It goes on without the frames below this one: where in our code an expected failure came up helps nobody who reads
    the log (DEBUG shows it). Of an unexpected error only the class is left for `report`; the error itself is untouched.
    """

    def __init__(self, context: Context) -> None:
        self.context = context

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, InterWeaveError):
            log.debug("raised at", exc_info=error)
            log.error(error.message, error=type(error).__name__, code=error.code, advice=error.advice)
            self.context["ti"].xcom_push(key=ERROR_KEY, value=describe(error))
            raise error.with_traceback(None) from None
        # A task that is skipped or waits for its turn has not failed.
        if isinstance(error, Exception) and not isinstance(error, AirflowSkipException | AirflowRescheduleException):
            self.context["ti"].xcom_push(key=ERROR_KEY, value={"error": kind.__name__ if kind else ""} | UNEXPECTED)


def describe(error: InterWeaveError) -> dict[str, Any]:
    """Return what a person reads about an error."""
    return {"error": type(error).__name__, "code": error.code, "message": error.message, "advice": error.advice}
