"""What a run is asked for by its form: a window, a batch size, names. Checked when `ready` begins the run, and fixed.

A window is given in the company's time zone where no other is written. What is fixed for the length of a run (R13) is
the window, the batch size and the permitted operations; everything else of a flow is read by each task as it starts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from iw_operators.errors import FixConfiguration
from iw_operators.spec.models import FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow

if TYPE_CHECKING:
    from iw_operators.named import Named

BACKFILL: Final = "backfill"  # what Airflow calls the runs of one
START: Final = "start"
END: Final = "end"
BATCH_SIZE: Final = "batch_size"
FULL_NAME: Final = "full_name"
NAMES: Final = "names"
IDS: Final = "ids"
REPROCESS: Final = "reprocess"
NO_WINDOW: Final = "iw.no_window"
WINDOW: Final = "iw.window"
NO_NAMES: Final = "iw.no_names"
EARLIEST: Final = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)

Edge = dt.datetime | None
Interval = tuple[Edge, Edge]


def window(
    flow: ResolvedFlow, params: Mapping[str, Any], interval: Interval, now: dt.datetime, run_type: str
) -> Interval:
    """Return the window of a utility flow's run; None on a side that is open.

    :param params: the run's form; `start` and `end` count where they are filled in.
    :param interval: the run's data interval, which counts for date ranges and for a backfill otherwise.
    :param now: the source's time. Of a range in the form, an end that lies after it, or is not given, is now.
    :param run_type: as Airflow calls it. A backfill gives each run its own dates.
    :raises FixConfiguration: the dates cannot be read, are the wrong way round, or are missing.
    """
    zone = ZoneInfo(flow.company.time_zone)
    since, until = moment(params.get(START), START, zone), moment(params.get(END), END, zone)
    if run_type == BACKFILL and (since or until):
        msg = "A backfill gives each of its runs its own dates; start and end are for a single run."
        raise FixConfiguration(msg, code=WINDOW, advice="Leave start and end empty, or trigger one run with them.")
    if one_of_windows(flow, run_type):
        given = since is not None or until is not None
        since, until = (since, min(until or now, now)) if given else interval
        if since is None:
            msg = "This run has no date range."
            advice = "Fill in start and end, or choose Backfill in the trigger dialog; over REST give start and end in"
            raise FixConfiguration(msg, code=NO_WINDOW, advice=f"{advice} conf, or a data interval.")
    if since is not None and until is not None and since >= until:
        msg = f"The window ends at {_shown(until, zone)}, not after its start at {_shown(since, zone)}."
        raise FixConfiguration(
            msg, code=WINDOW, advice="Give an end that lies after the start, and a start in the past."
        )
    return since, until


def one_of_windows(flow: ResolvedFlow, run_type: str) -> bool:
    """Tell whether a run is about a window of its own: that of a date range always, F's when it is a backfill's."""
    return flow.kind.ranged or (flow.kind.backfilled and run_type == BACKFILL)


def moment(value: object, name: str, zone: dt.tzinfo) -> Edge:
    """Return a moment of a form; None where nothing is filled in.

    ISO 8601, `2026-01-31 14:00:00.0` too. A date alone is the whole day: an end is then the next midnight. Of an hour
    that the clocks repeat or leave out, the whole is taken.

    :raises FixConfiguration: it cannot be read.
    """
    if value is None or value == "":
        return None
    last = name == END
    try:
        if not isinstance(value, str):
            raise ValueError
        text = value.strip()
        if len(text) == len("2026-01-31"):
            day = dt.date.fromisoformat(text) + dt.timedelta(days=int(last))
            read = dt.datetime.combine(day, dt.time())
        else:
            read = dt.datetime.fromisoformat(text)
        if read.tzinfo is None:
            both = [read.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
            read = max(both) if last else min(both)
        found = read.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or found < EARLIEST:
        msg = f"{name} is not a moment that can be read: {str(value)[:40]!r}."
        advice = "Write it like 2026-01-31T14:00:00, in the company's time zone, or with a zone of its own: ...+00:00."
        raise FixConfiguration(msg, code=WINDOW, advice=advice)
    return found


def batch_size(flow: ResolvedFlow, params: Mapping[str, Any]) -> int:
    """Return how many records are read, planned and written together."""
    return int(params.get(BATCH_SIZE) or flow.spec.batch_size)


def fixed(flow: ResolvedFlow, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flow's properties that stay as they are for the length of a run, as plain JSON."""
    operations = flow.spec.operations
    return {BATCH_SIZE: batch_size(flow, params), "operations": operations.value if operations else None}


def as_begun(flow: ResolvedFlow, begun: Mapping[str, Any] | None, params: Mapping[str, Any]) -> ResolvedFlow:
    """Return a flow with the properties that it had when its run began.

    :param begun: what `fixed` returned then; None for a run whose `ready` left no word.
    """
    if begun is None:
        begun = fixed(flow, params)
    operations = begun.get("operations")
    then = {BATCH_SIZE: begun[BATCH_SIZE], "operations": Operations(operations) if operations else None}
    return flow.model_copy(update={"spec": flow.spec.model_copy(update=then)})


def named(flow: ResolvedFlow, params: Mapping[str, Any]) -> str | Named | None:
    """Return which records a run is about by name; None for flows of another kind.

    :raises FixConfiguration: several were to be named, and none is. (A run that tries failed records again may have
        none: then it is about all that are open.)
    """
    from iw_operators.named import Named  # reaches to the ledger, which the DAG file does not load

    if flow.kind is FlowKind.NF:
        return str(params[FULL_NAME]).strip()
    if flow.kind is not FlowKind.NFS:
        return None
    found = Named.of(params.get(NAMES), params.get(IDS))
    if params.get(REPROCESS):
        return None
    if not found.names and not found.ids:
        msg = "No record is named."
        raise FixConfiguration(msg, code=NO_NAMES, advice="Fill in names or ids, one a line.")
    return found


def again(flow: ResolvedFlow, params: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return which failed records a run tries again, none for all that are open; None for a run of another kind."""
    from iw_operators.named import Named

    if flow.kind is not FlowKind.NFS or not params.get(REPROCESS):
        return None
    found = Named.of(params.get(NAMES), params.get(IDS))
    return (*found.ids, *found.names)


def _shown(when: dt.datetime, zone: dt.tzinfo) -> str:
    return when.astimezone(zone).isoformat(sep=" ", timespec="seconds")
