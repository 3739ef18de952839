"""One line of the page for each flow: what the spec, Airflow and the ledger say of it, put together. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from iw_operators.control import FlowState, State
from iw_operators.manager.reading import Mapped, RunFacts, Standing, Turn
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

ABSENT = "ABSENT"  # Airflow has not read the flow yet
SYMBOLS = {State.RUNNING: "▶", State.STARTED: "●", State.COMPLETING: "◐", State.STOPPED: "■", ABSENT: "…"}
ORDER = tuple(FlowKind)
PURPOSE = {
    FlowKind.N: "New records, once",
    FlowKind.NF: "One record",
    FlowKind.NFS: "Several records",
    FlowKind.DR: "Date range",
    FlowKind.DRS: "Date range in batches",
    FlowKind.F: "Whole history",
    FlowKind.BIND: "Bind what exists",
    FlowKind.BINDS: "Bind in batches",
    FlowKind.Q: "On call, real time",
    FlowKind.SCHEDULED: "Scheduled",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long load is. `left`, `rate` (records a second) and `seconds` to go are None where nobody knows."""

    mapping: str
    done: int
    total: int | None
    left: int | None
    rate: float | None
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One flow. `state` is a `State` or ABSENT; `notes` are sentences on what holds it up."""

    flow: ResolvedFlow
    state: str
    last: RunFacts | None = None
    query_starts: dt.datetime | None = None
    completed: int = 0
    next_run: dt.datetime | None = None
    failures: int = 0
    turn: Turn | None = None
    notes: tuple[str, ...] = ()
    may_operate: bool = False

    @property
    def dag_id(self) -> str:
        """Airflow's name of the flow."""
        return self.flow.dag_id

    @property
    def symbol(self) -> str:
        """A shape that goes with the state, for people to whom colours say nothing."""
        return SYMBOLS.get(self.state, "")

    @property
    def on(self) -> bool:
        """Whether it is switched on."""
        return self.state in (State.RUNNING, State.STARTED)

    @property
    def progress(self) -> Progress | None:
        """How far the mapping at work is, where the run goes on."""
        if self.last is None or self.last.state != "running":
            return None
        at_work = [mapped for mapped in self.last.mappings if mapped.ended_at is None and mapped.done is not None]
        return progress_of(at_work[-1]) if at_work else None


@dataclass(slots=True)
class Group:
    """Utility flows of the same mappings in the same direction."""

    key: str
    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether something of it is on or waits."""
        return any(row.turn or row.state in (State.RUNNING, State.COMPLETING) for row in self.rows)


def progress_of(mapped: Mapped) -> Progress:
    """Return how far a mapping at work is, its rate from its own beginning to the last word of it."""
    done = mapped.done or 0
    took = (mapped.progress_at - mapped.started_at).total_seconds() if mapped.progress_at else 0.0
    rate = done / took if done and took > 0 else None
    left = max(mapped.total - done, 0) if mapped.total is not None else None
    seconds = round(left / rate) if left is not None and rate else None
    return Progress(mapped.mapping, done, mapped.total, left, rate, seconds)


def rows_of(
    flows: Iterable[ResolvedFlow],
    states: Mapping[str, FlowState],
    due: Mapping[str, dt.datetime | None],
    standing: Standing,
    operates: frozenset[str],
) -> list[Row]:
    """Return the rows of flows, in their order."""
    turns: dict[str, Turn] = {}
    for turn in standing.turns:
        if turn.flow not in turns or turn.state == "working":
            turns[turn.flow] = turn
    made = []
    for flow in flows:
        state = states.get(flow.dag_id)
        made.append(
            Row(
                flow=flow,
                state=state.state.value if state else ABSENT,
                last=standing.last.get(flow.flow),
                query_starts=standing.starts.get(flow.flow),
                completed=standing.completed.get(flow.flow, 0),
                next_run=due.get(flow.dag_id),
                failures=standing.open_failures.get(flow.flow, 0),
                turn=turns.get(flow.flow),
                notes=tuple(dict.fromkeys(held.why for held in state.held)) if state else (),
                may_operate=flow.dag_id in operates,
            )
        )
    return made


def scheduled(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of the first table: flows that run by themselves."""
    return [row for row in rows if row.flow.kind is FlowKind.SCHEDULED]


def on_call(rows: Iterable[Row]) -> list[Row]:
    """Return the second part of the first table: flows that run when the other system calls."""
    return [row for row in rows if row.flow.kind is FlowKind.Q]


def groups(rows: Iterable[Row]) -> list[Group]:
    """Return the second table: utility flows, those of the same mappings and direction together."""
    found: dict[str, Group] = {}
    for row in rows:
        if row.flow.kind.utility:
            key = f"{row.flow.direction.value}.{'.'.join(m.mapping for m in row.flow.mappings)}"
            found.setdefault(key, Group(key, title(row.flow))).rows.append(row)
    for group in found.values():
        group.rows.sort(key=lambda row: (ORDER.index(row.flow.kind), row.flow.flow))
    return list(found.values())


def title(flow: ResolvedFlow) -> str:
    """Return what the flows of a group have in common, for people."""
    first = flow.mappings[0]
    ends = f"{first.label(flow.source)} to {first.label(flow.target)}"
    return f"{', '.join(m.mapping for m in flow.mappings)}: {ends}"


def length(milliseconds: int) -> str:
    """Return a length of time as people say it, exactly."""
    parts = []
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0"


def tally(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield how many records ended in which way, without the ways in which none did, the telling ones first."""
    telling: Sequence[str] = ("created", "updated", "rejected", "held", "unknown", "skipped", "unchanged")
    yield from ((name, counts[name]) for name in telling if counts.get(name))
