"""What a run's form says: a window, a batch size, names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from iw_operators import asked
from iw_operators.errors import FixConfiguration
from iw_operators.named import Named
from iw_operators.spec.models import FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow

Flows = Callable[..., ResolvedFlow]

pytestmark = pytest.mark.feature("R1", "R3")

NEW_YORK = ZoneInfo("America/New_York")
NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
EMPTY = (None, None)
DAY = (dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, 5, tzinfo=dt.UTC))


def utc(*parts: int) -> dt.datetime:
    """Return a moment."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]  # year to second


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-01-31T14:00", utc(2026, 1, 31, 19), utc(2026, 1, 31, 19)),
        ("2026-01-31 14:00:00.0", utc(2026, 1, 31, 19), utc(2026, 1, 31, 19)),
        (" 2026-01-31T14:00:00Z ", utc(2026, 1, 31, 14), utc(2026, 1, 31, 14)),
        ("2026-01-31T14:00:00.000+02:00", utc(2026, 1, 31, 12), utc(2026, 1, 31, 12)),
        ("2026-01-31", utc(2026, 1, 31, 5), utc(2026, 2, 1, 5)),
        ("2026-11-01T01:30", utc(2026, 11, 1, 5, 30), utc(2026, 11, 1, 6, 30)),
        ("2026-03-08T02:30", utc(2026, 3, 8, 6, 30), utc(2026, 3, 8, 7, 30)),
    ],
)
def test_moments_are_read_in_the_companys_zone(text: str, start: dt.datetime, end: dt.datetime) -> None:
    """Without a zone the company's counts; a date is the whole day; an hour that comes twice or not at all is whole."""
    assert asked.moment(text, "start", NEW_YORK) == start
    assert asked.moment(text, "end", NEW_YORK) == end


@pytest.mark.parametrize("text", [None, ""])
def test_nothing_is_no_moment(text: str | None) -> None:
    """A field that is left empty says nothing."""
    assert asked.moment(text, "start", NEW_YORK) is None


@pytest.mark.parametrize(
    "text", ["soon", "2026-13-01", "31.01.2026", "2026-01-31T25:00", 5, "0001-01-01", "1899-12-31"]
)
def test_what_is_no_moment_is_told(text: object) -> None:
    """The message has the field, what stands in it, and how it is to be written."""
    with pytest.raises(FixConfiguration, match="start is not a moment") as raised:
        asked.moment(text, "start", NEW_YORK)
    assert raised.value.code == "iw.window"
    assert "2026-01-31T14:00:00" in raised.value.advice


@pytest.mark.parametrize(
    ("kind", "form", "interval", "expected"),
    [
        (FlowKind.DR, {}, DAY, DAY),
        (FlowKind.DRS, {"start": "2026-02-01", "end": "2026-02-28"}, DAY, (utc(2026, 2, 1, 5), utc(2026, 3, 1, 5))),
        (FlowKind.DRS, {"start": "2026-02-01"}, DAY, (utc(2026, 2, 1, 5), NOW)),
        (FlowKind.DR, {"start": "2026-02-01", "end": "2027-01-01"}, EMPTY, (utc(2026, 2, 1, 5), NOW)),
        (FlowKind.N, {}, DAY, EMPTY),
        (FlowKind.F, {}, DAY, EMPTY),
        (FlowKind.F, {"end": "2026-02-01T00:00Z"}, DAY, (None, utc(2026, 2, 1))),
        (FlowKind.N, {"start": "2026-02-01T00:00Z"}, EMPTY, (utc(2026, 2, 1), None)),
    ],
)
def test_a_window_is_that_of_the_form_or_of_the_run(
    make_flow: Flows, kind: FlowKind, form: dict[str, Any], interval: Any, expected: Any
) -> None:
    """A date range is the form's, else the run's; a range never reaches beyond now; N and F have none unless asked."""
    assert asked.window(make_flow("A", kind), form, interval, NOW, "manual") == expected


@pytest.mark.parametrize("kind", [FlowKind.DR, FlowKind.DRS, FlowKind.F])
def test_a_run_of_a_backfill_has_its_own_window(make_flow: Flows, kind: FlowKind) -> None:
    """Each run of a backfill is about its data interval and nothing else, that of the whole history too."""
    assert asked.window(make_flow("A", kind), {"start": None, "end": ""}, DAY, NOW, "backfill") == DAY


def test_the_whole_history_is_one_run_unless_it_is_a_backfill(make_flow: Flows) -> None:
    """However else a run of F is made, the data interval that Airflow gives it limits nothing."""
    for run_type in ("manual", "operator_triggered"):
        assert asked.window(make_flow("A", FlowKind.F), {}, DAY, NOW, run_type) == EMPTY


@pytest.mark.parametrize(
    ("kind", "form", "run_type", "says"),
    [
        (FlowKind.DR, {}, "manual", "no date range"),
        (FlowKind.DR, {"end": "2026-02-01"}, "manual", "no date range"),
        (FlowKind.DRS, {"start": "2026-02-02", "end": "2026-02-01"}, "manual", "not after its start"),
        (FlowKind.F, {"start": "2026-02-02T00:00", "end": "2026-02-02T00:00"}, "manual", "not after its start"),
        (FlowKind.DR, {"start": "2026-04-01"}, "manual", "not after its start"),
        (FlowKind.DR, {"start": "2026-02-01"}, "backfill", "A backfill gives each of its runs its own dates"),
        (FlowKind.F, {"start": "2026-02-01"}, "backfill", "A backfill gives each of its runs its own dates"),
        (FlowKind.F, {}, "backfill", "no date range"),
        (FlowKind.DR, {"start": "yesterday"}, "manual", "yesterday"),
    ],
)
def test_a_wrong_window_is_refused(
    make_flow: Flows, kind: FlowKind, form: dict[str, Any], run_type: str, says: str
) -> None:
    """Dates that are missing, the wrong way round, in the future or against a backfill's own end the run at once."""
    with pytest.raises(FixConfiguration, match=says) as raised:
        asked.window(make_flow("A", kind), form, EMPTY, NOW, run_type)
    assert raised.value.advice


@pytest.mark.feature("R13")
def test_a_flow_that_is_changed_keeps_what_its_run_began_with(make_flow: Flows) -> None:
    """Batch size and operations are those of when the run began; the form's batch size goes before the flow's."""
    then = make_flow("A", FlowKind.DRS, batch_size=120, operations=Operations.UPDATE_ONLY)
    begun = asked.fixed(then, {"batch_size": 250})
    assert begun == {"batch_size": 250, "operations": "update_only"}
    now = make_flow("A", FlowKind.DRS, batch_size=900)
    kept = asked.as_begun(now, begun, {"batch_size": 900})
    assert (kept.spec.batch_size, kept.spec.operations) == (250, Operations.UPDATE_ONLY)
    assert asked.as_begun(now, None, {}).spec.batch_size == 900
    assert asked.as_begun(now, None, {"batch_size": 30}).spec.batch_size == 30
    assert asked.as_begun(then, asked.fixed(now, {}), {}).spec.operations is None


def test_names_are_those_of_the_form(make_flow: Flows) -> None:
    """NF takes one name, NFS lines and ids; other kinds name nothing."""
    assert asked.named(make_flow("A", FlowKind.NF), {"full_name": "  One "}) == "One"
    several = make_flow("A", FlowKind.NFS)
    assert asked.named(several, {"names": "One\r\n\r\nTwo", "ids": ["7"]}) == Named(("One", "Two"), ("7",))
    assert asked.named(several, {"ids": ["7"], "reprocess": True}) is None
    assert asked.named(make_flow("A", FlowKind.DR), {}) is None
    with pytest.raises(FixConfiguration, match="No record is named") as raised:
        asked.named(several, {"names": " \n ", "ids": None})
    assert raised.value.code == "iw.no_names"
