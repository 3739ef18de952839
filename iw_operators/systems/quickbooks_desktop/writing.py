"""Writing: one record after the other on the one connection, and finding out afterwards how each ended.

QuickBooks has no transactions over several records and no keys of its own for a create. What makes a create repeatable
is a mark in the record itself (`tables.Tables.marker`): AccountID of names, the field Other of sales forms, the number
of bills, checks and payments. Where the mapping fills that field with something of its own, that is looked for instead;
the mark never replaces what the mapping says. What is not unique (a payment's reference) is not looked for: the mark
goes into the memo then. Names are unique besides: a second create of one is refused (3100), and
then looked at.

After a lost connection nothing more of the batch is sent. What was under way, and what follows it, is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from iw_operators.engine.model import Record
from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    StaleRecord,
)
from iw_operators.points import reach
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import Parameter, delete, select, update
from iw_operators.systems.quickbooks_desktop.errors import GONE, LABEL, STALE, TAKEN, of_the_way
from iw_operators.systems.quickbooks_desktop.looking import Looking, by_object, holds, same
from iw_operators.systems.quickbooks_desktop.reading import Reading
from iw_operators.systems.quickbooks_desktop.replacing import Change
from iw_operators.systems.quickbooks_desktop.shape import Shape, edit_sequence
from iw_operators.systems.quickbooks_desktop.statements import Cells, cells_of, group, marker_of
from iw_operators.systems.quickbooks_desktop.tables import EDIT
from iw_operators.systems.told import in_doubt, not_applied

log = structlog.get_logger(__name__)

BATCH: Final = 25
BALANCED: Final = frozenset({"JournalEntry"})  # whose lines have to add up after each single statement
NOT_TOLD: Final = "A record was made, and its id was not told."


@dataclass(slots=True)
class Writer:
    """Writes to one company file."""

    client: Client
    reading: Reading
    looking: Looking
    _told: bool = False  # whether the id of a line's insert is known to be that of its transaction
    _unsure: set[str] = field(default_factory=set)  # keys of creates whose id may be that of a line

    def write(self, batch: Batch) -> list[Outcome]:
        """Send a batch; see `System.write`. What is read first may raise: then nothing has been sent."""
        if len(batch.writes) > BATCH:
            msg = f"a batch of {LABEL} has at most {BATCH} writes"
            raise ValueError(msg)
        try:
            outcomes = self.looking.made_already([w for w in batch.writes if w.op is Op.CREATE])
            current = self._current([w for w in batch.writes if w.op is not Op.CREATE])
        except ConnectionFailure as error:
            raise ConnectionFailure(error.message, sent=False, code=error.code, advice=error.advice) from error
        for place, write in enumerate(batch.writes):
            if write.key in outcomes:
                continue
            try:
                outcomes[write.key] = self._one(write, current.get(write.target_id or ""))
            except (RetryLater, FixConfiguration) as error:
                if not _arrived(error) and not self._any_sent(outcomes):
                    raise
                log.warning("a batch is in doubt", batch=batch.key, writes=len(batch.writes) - place, code=error.code)
                for rest in batch.writes[place:]:
                    doubt = Outcome(rest.key, Result.UNKNOWN, rest.target_id, error=_as_doubt(error))
                    outcomes.setdefault(rest.key, doubt)
                break
        self._tell(batch.writes, outcomes)
        return [outcomes[write.key] for write in batch.writes]

    @staticmethod
    def _any_sent(outcomes: Mapping[str, Outcome]) -> bool:
        return any(o.result is Result.APPLIED or isinstance(o.error, PartlyApplied) for o in outcomes.values())

    def _one(self, write: Write, current: Record | None) -> Outcome:
        """Send one write.

        :raises RetryLater: it was refused for now, or nobody knows (`ConnectionFailure.sent`).
        :raises FixConfiguration: QuickBooks lets nobody in: that is no fault of this record, and the others wait too.
        """
        try:
            if write.op is Op.CREATE:
                return self._create(write)
            if current is None and write.op is Op.DELETE:
                return Outcome(write.key, Result.APPLIED, write.target_id)
            if current is None:
                raise _missing(write)
            if write.op.removes:
                return self._remove(write, current)
            return self._update(write, current)
        except StaleRecord as error:
            return Outcome(write.key, Result.STALE, write.target_id, error=error)
        except PartlyApplied as error:
            held = error.held
            version, values = (held.version, held.values) if held is not None else ("", {})
            return Outcome(write.key, Result.REJECTED, write.target_id, version, values, error)
        except RetryLater:
            raise
        except InterWeaveError as error:
            if of_the_way(error):
                raise
            return self._refused(write, error)

    def _refused(self, write: Write, error: InterWeaveError) -> Outcome:
        if error.code == STALE:
            stale = StaleRecord(error.message, code=error.code, advice=error.advice)
            return Outcome(write.key, Result.STALE, write.target_id, error=stale)
        if error.code == TAKEN:
            if write.op is Op.CREATE and (found := self.looking.same_name(write)) is not None:
                return Outcome(write.key, Result.APPLIED, found.id)
            name = write.view.definition.name
            error.field = error.field or name
            if write.values.get(name):
                error.advice = f"{str(write.values[name])!r} is taken in {LABEL}. {error.advice}"
        if error.code in GONE and write.op is Op.DELETE:
            return Outcome(write.key, Result.APPLIED, write.target_id)
        if not isinstance(error, FixRecord):
            error = FixRecord(error.message, code=error.code, advice=error.advice, field=error.field)
        return Outcome(write.key, Result.REJECTED, write.target_id, error=error)

    def _create(self, write: Write) -> Outcome:
        shape, cells = self.looking.shape(write), self.looking.cells(write)
        header = dict(cells.header)
        if column := self.looking.mark(write):
            header[column] = marker_of(write, column)
        if write.view.object == "ReceivePayment":
            header["IsAutoApply"] = False  # what is applied to what is for the mapping to say
        statements = group(shape, Cells(header, cells.lines))
        table = statements[-1][0]
        for number, (_, statement) in enumerate(statements):
            if number:
                reach("within_group")
            self.client.run(statement)
        reach("before_last_id")
        ident = self.client.last_id(table)
        if table != shape.kind.table and not self._told:
            self._unsure.add(write.key)
        self.looking.made.add(ident)
        return Outcome(write.key, Result.APPLIED, ident)

    def _update(self, write: Write, current: Record) -> Outcome:
        self._check_version(write, current)
        shape = self._shape_of(write, current)
        lines = isinstance(write.values.get("lines"), tuple)
        if lines and write.view.object in BALANCED:
            raise _unbalanced(write)
        row = self._row(shape, current) if len(self.reading.shapes(write.view)) > 1 else None
        cells = cells_of(shape, write, self.looking.id_of, current=row)
        if lines:
            self._change(write, shape, cells, current)
        elif cells.header:
            where: dict[str, Parameter] = {shape.tables.key: current.id, EDIT: current.version}
            changed = self.client.run(update(shape.kind.table, cells.header, where))
            if changed == 0 or (changed < 0 and not self._came(write)):
                raise _stale(write)
        return Outcome(write.key, Result.APPLIED, current.id)

    def _change(self, write: Write, shape: Shape, cells: Cells, current: Record) -> None:
        """Change lines and header; what is refused in between is put back as it was.

        :raises PartlyApplied: that did not succeed.
        """
        change = Change.begin(self.client, shape, current.id, list(cells.header), current.version)
        if change is None:
            raise _stale(write)
        change.check(cells.header, cells.lines)
        try:
            done = change.make(cells.header, cells.lines)
        except InterWeaveError as error:
            if not change.done or _arrived(error) or error.code == STALE:
                raise
            if not self._undone(change, list(cells.header), error):
                raise self._partly(write, error) from error
            raise
        if not done:
            raise _stale(write)

    @staticmethod
    def _undone(change: Change, columns: Sequence[str], error: InterWeaveError) -> bool:
        """Put back what a change has done until it was refused. ConnectionFailure where nobody knows what is there."""
        try:
            if change.undo(columns):
                return True
        except RetryLater as away:
            raise _doubtful(error) from away
        except InterWeaveError as refused:
            log.warning("what was refused halfway cannot be put back", code=refused.code)
        if isinstance(error, RetryLater) or of_the_way(error):
            raise _doubtful(error)
        return False

    def _partly(self, write: Write, error: InterWeaveError) -> PartlyApplied:
        try:
            held = self.reading.fetch(write.view, [write.target_id or ""]).get(write.target_id or "")
        except InterWeaveError as away:
            raise _doubtful(error) from away
        return PartlyApplied(write, error, held)

    def _came(self, write: Write) -> bool:
        """Tell whether an update of a header has come, by reading it: for drivers that count no rows."""
        view = View(write.view.object, write.view.definition, write.view.fields)
        record = self._read_back(view, write)
        return record is not None and all(
            same(value, record.values.get(name)) for name, value in write.values.items() if name != "lines"
        )

    def _read_back(self, view: View, write: Write) -> Record | None:
        """Return what was written a moment ago. ConnectionFailure with `sent` where it cannot be read."""
        try:
            return self.reading.fetch(view, [write.target_id or ""]).get(write.target_id or "")
        except RetryLater as error:
            raise _doubtful(error) from error

    def _remove(self, write: Write, current: Record) -> Outcome:
        if removed(write.op, current):
            return Outcome(write.key, Result.APPLIED, current.id, current.version)
        self._check_version(write, current)
        shape = self._shape_of(write, current)
        key = shape.tables.key
        if write.op is Op.DELETE:
            self.client.run(delete(shape.kind.table, {key: current.id}))
            return Outcome(write.key, Result.APPLIED, current.id)
        active = str(write.view.definition.active)
        where: dict[str, Parameter] = {key: current.id, EDIT: current.version}
        changed = self.client.run(update(shape.kind.table, {active: False}, where))
        held = self._read_back(_bare(write.view), write) if changed < 0 else None
        if changed == 0 or (held is not None and held.active):
            raise _stale(write)
        return Outcome(write.key, Result.APPLIED, current.id)

    def _shape_of(self, write: Write, current: Record) -> Shape:
        shapes = self.reading.shapes(write.view)
        if len(shapes) == 1:
            return shapes[0]
        for shape in shapes:
            key = shape.tables.key
            if self.client.value(select([key], shape.kind.table, [(key, "=", [current.id])])) is not None:
                return shape
        raise _missing(write)

    def _row(self, shape: Shape, current: Record) -> Mapping[str, Any]:
        key = shape.tables.key
        columns = [key, *(c for native in shape.kind.own for c in shape.kind.columns(native))]
        rows = self.client.all(select(list(dict.fromkeys(columns)), shape.kind.table, [(key, "=", [current.id])]))
        return rows[0] if rows else {}

    @staticmethod
    def _check_version(write: Write, current: Record) -> None:
        if write.version and edit_sequence(write.version) != current.version:
            raise _stale(write)

    def _current(self, writes: Sequence[Write]) -> dict[str, Record]:
        """Return the records that these writes start from, one read an object."""
        found: dict[str, Record] = {}
        for view, some in by_object(writes):
            found |= self.reading.fetch(_bare(view), [w.target_id or "" for w in some])
        return found

    def _tell(self, writes: Sequence[Write], outcomes: dict[str, Outcome]) -> None:
        """Add to applied writes what the records hold now, one read an object. A read that fails leaves them as is."""
        applied = [w for w in writes if outcomes[w.key].result is Result.APPLIED and w.op is not Op.DELETE]
        for view, some in by_object(applied):
            ids = {w.key: outcomes[w.key].target_id or "" for w in some}
            try:
                held = self.reading.fetch(view, list(ids.values()))
                self._told = self._told or any(ids[w.key] in held for w in some if w.key in self._unsure)
                for write in some:
                    if write.key in self._unsure and ids[write.key] not in held and not self._told:
                        ids[write.key] = self._by_mark(write, held)
            except InterWeaveError as error:
                log.warning("what was written cannot be read back", object=view.object, code=error.code)
                unsure = [w for w in some if w.key in self._unsure and not self._told]
                outcomes |= {w.key: Outcome(w.key, Result.UNKNOWN, error=_doubtful(error)) for w in unsure}
                continue
            for write in some:
                record = held.get(ids[write.key])
                if record is not None:
                    version = record.version if write.op.removes or holds(write, record) else ""
                    values = {} if write.op.removes else record.values
                    outcomes[write.key] = Outcome(write.key, Result.APPLIED, record.id, version, values)
        self._unsure.clear()

    def _by_mark(self, write: Write, held: dict[str, Record]) -> str:
        """Return the id of what a create has made, where QuickBooks has told that of a line; add the record to `held`.

        :raises ConnectionFailure: nothing tells it.
        """
        ident = self.looking.found(write)
        if ident is None:
            raise ConnectionFailure(NOT_TOLD, sent=True, code="odbc.lost")
        self.looking.made.add(ident)
        held |= self.reading.fetch(write.view, [ident])
        return ident

    def resolve(self, batch: Batch) -> list[Outcome]:
        """Look up how writes ended; see `System.resolve`.

        A create that left its mark is applied where the mark is found, whatever became of the record since. Without a
        mark the record's name or number decides, where it holds what was sent. See `Looking.resolved` for the rest.
        """
        changes = [w for w in batch.writes if w.op is not Op.CREATE]
        held: dict[str, Record] = {}
        for view, some in by_object(changes):
            held |= self.reading.fetch(view, [w.target_id or "" for w in some])
        outcomes = {w.key: self._resolved_change(w, held.get(w.target_id or "")) for w in changes}
        outcomes |= self.looking.resolved([w for w in batch.writes if w.op is Op.CREATE], batch.sent_at)
        tally: dict[str, int] = {}
        for outcome in outcomes.values():
            tally[outcome.result.value] = tally.get(outcome.result.value, 0) + 1
        log.info("looked up", batch=batch.key, **tally)
        return [outcomes[write.key] for write in batch.writes]

    def _resolved_change(self, write: Write, record: Record | None) -> Outcome:
        if write.op is Op.DELETE and record is None:
            return Outcome(write.key, Result.APPLIED, write.target_id)
        if record is None:
            return Outcome(write.key, Result.REJECTED, write.target_id, error=_missing(write))
        if write.op.removes and removed(write.op, record):
            return Outcome(write.key, Result.APPLIED, write.target_id, record.version)
        if not write.op.removes and holds(write, record):
            return Outcome(write.key, Result.APPLIED, record.id, record.version, record.values)
        if edit_sequence(record.version) == edit_sequence(write.version) or not write.version:
            return not_applied(LABEL, write)
        return in_doubt(LABEL, write)


class PartlyApplied(FixRecord):
    """An update was refused halfway, and what it had done could not be put back. `held`: the record as it is now."""

    def __init__(self, write: Write, error: InterWeaveError, held: Record | None) -> None:
        which = f"{write.view.object} {write.target_id}"
        msg = f"{error.message} A part of the change had been made by then and could not be taken back: {which} "
        super().__init__(f"{msg}{_shown(held)}.", code="odbc.partly", field=error.field)
        self.held = held


def _shown(record: Record | None) -> str:
    """Return what a record holds, as far as it is money."""
    if record is None:
        return "is not there any more"
    lines = record.values.get("lines")
    amounts = [str(line["amount"]) for line in lines if "amount" in line] if isinstance(lines, tuple) else []
    total = f", total {record.values['total']}" if record.values.get("total") is not None else ""
    return f"has {len(lines) if isinstance(lines, tuple) else 0} lines now ({', '.join(amounts)}){total}"


def removed(op: Op, record: Record) -> bool:
    """Tell whether a record is as a removal leaves it."""
    return (op is Op.DEACTIVATE and not record.active) or (op is Op.VOID and record.voided)


def _bare(view: View) -> View:
    """Return a view of what a write has to know of a record: its version and whether it is active."""
    return View(view.object, view.definition, {})


def _arrived(error: InterWeaveError) -> bool:
    return isinstance(error, ConnectionFailure) and error.sent


def _as_doubt(error: InterWeaveError) -> ConnectionFailure:
    return error if isinstance(error, ConnectionFailure) else _doubtful(error)


def _doubtful(error: InterWeaveError) -> ConnectionFailure:
    """Return an error that came when something had arrived already."""
    return ConnectionFailure(error.message, sent=True, code=error.code, advice=error.advice)


def _unbalanced(write: Write) -> FixRecord:
    msg = (
        f"{LABEL} takes changes of lines one by one, and no {write.view.object} that is out of balance in between: "
        f"the lines of {write.target_id} cannot be changed."
    )
    advice = "Change it in QuickBooks by hand; or delete it there and unbind the record, so that it is made anew."
    return FixRecord(msg, code="3180", advice=advice, field="lines")


def _stale(write: Write) -> StaleRecord:
    return StaleRecord(f"{LABEL}: {write.view.object} {write.target_id} has changed since it was read.", code=STALE)


def _missing(write: Write) -> FixRecord:
    msg = f"{LABEL}: {write.view.object} {write.target_id} is not there any more."
    return FixRecord(msg, code="3120", advice="Unbind the record, so that it finds or makes its partner anew.")
