"""How one write ended, by its answer or by what is there afterwards. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iw_operators.engine.model import Record
from iw_operators.errors import (
    ConnectionFailure,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    StaleRecord,
    Throttled,
)
from iw_operators.systems.base import Op, Outcome, Result, Write
from iw_operators.systems.creatio.batch import PartAnswer
from iw_operators.systems.creatio.codec import NO_ID, Reader, decode, path_of, reader
from iw_operators.systems.creatio.comparing import same
from iw_operators.systems.creatio.confirming import version_after
from iw_operators.systems.creatio.errors import failure
from iw_operators.systems.creatio.paging import Row
from iw_operators.systems.creatio.removing import removed
from iw_operators.systems.told import not_applied

UNTOUCHED = (0, 401, 408, 429)  # Creatio has not begun with the write


def unknown(write: Write, target: str, error: InterWeaveError) -> Outcome:
    """Return the outcome of a write of which nobody knows whether it was carried out, or that is to be sent again."""
    return Outcome(write.key, Result.UNKNOWN, target or None, error=error)


def applied(
    write: Write, target: str, sent: Mapping[str, Any], answer: PartAnswer, around: tuple[Row | None, Row | None]
) -> Outcome:
    """Return the outcome of a success. A create is answered by the row, with its version; an update by nothing.

    :param sent: the columns that went out.
    :param around: the row before and after, where they were read.
    """
    if write.op is Op.UPDATE:
        return Outcome(write.key, Result.APPLIED, target, version_after(write, sent, *around))
    row = answer.body if isinstance(answer.body, Mapping) else {}
    read = reader(write.view)
    columns = {name: path_of(field.native) for name, field in write.view.fields.items()}
    try:
        values = {
            name: decode(row[path[0]], write.view.fields[name])
            for name, path in columns.items()
            if len(path) == 1 and path[0] in row
        }
    except FixConfiguration:  # of a type that the mapping does not expect; reading it will say so
        return Outcome(write.key, Result.APPLIED, target)
    version = read.version(row) if _knows_version(read, row) else ""
    return Outcome(write.key, Result.APPLIED, target, version, values)


def _knows_version(read: Reader, row: Mapping[str, Any]) -> bool:
    """Whether a row without its lookups tells the version: it shows nothing of other records."""
    return read.view.definition.modified in row and all(
        row.get(f"{name}Id", NO_ID) in (NO_ID, None) for name in read.stamped
    )


def refusal(write: Write, answer: PartAnswer) -> InterWeaveError:
    """Return why a write was not carried out."""
    what = f"to {write.op.value} a record of {write.view.object}"
    if answer.status == 0:
        msg = f"Creatio stopped before it came {what}."
        return ConnectionFailure(msg, code="creatio.batch")
    return failure(answer.status, answer.body, what, answer.headers)


def passes(error: InterWeaveError) -> bool:
    """Tell whether it may go well when it is sent again as it is."""
    return isinstance(error, RetryLater | SignInAgain)


def may_be_the_records(answer: PartAnswer, error: InterWeaveError) -> bool:
    """Tell whether a failure that passes may come of the record itself, so that it would never end."""
    return passes(error) and not isinstance(error, Throttled) and answer.status not in UNTOUCHED


def at_last(error: InterWeaveError) -> FixRecord:
    """Return what a failure is called that has not passed for too long."""
    msg = f"It first went out over an hour ago, and it still fails: {error.message}"
    return FixRecord(msg, code="creatio.keeps_failing")


def refused_or_done(write: Write, record: Record | None, error: InterWeaveError) -> Outcome:
    """Return the outcome of a write that was answered with a failure, by what is there now."""
    if _is_there(write, record):
        return _found(write, record)
    return Outcome(write.key, Result.REJECTED, write.target_id, error=error)


def looked_up(write: Write, record: Record | None, known: InterWeaveError | None) -> Outcome:
    """Return the outcome of an earlier write by what is there now.

    :param known: why it was not carried out, if that is known.
    """
    if _is_there(write, record):
        return _found(write, record)
    if write.op is Op.UPDATE and record is not None and record.version != write.version:
        what = f"{write.view.object} {record.id}"
        msg = f"Creatio: {what} does not hold what was sent and has changed since."
        return Outcome(write.key, Result.STALE, write.target_id, error=known or StaleRecord(msg, code="iw.stale"))
    return Outcome(write.key, Result.REJECTED, write.target_id, error=known) if known else not_applied("Creatio", write)


def _is_there(write: Write, record: Record | None) -> bool:
    if write.op.removes:
        return removed(write.op, record)
    return record is not None and (write.op is Op.CREATE or _holds(write, record))


def _holds(write: Write, record: Record) -> bool:
    return all(same(value, record.values.get(name), write.view.fields[name]) for name, value in write.values.items())


def _found(write: Write, record: Record | None) -> Outcome:
    if record is None or write.op.removes:
        return Outcome(write.key, Result.APPLIED, write.target_id)
    version = record.version if _holds(write, record) else ""
    return Outcome(write.key, Result.APPLIED, record.id, version, record.values)
