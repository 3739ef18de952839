"""Taking records away: DELETE, or a column that makes a record inactive. No I/O.

Creatio answers a DELETE with 204, and with 404 when the record is not there (vendor documentation). There is no void.
"""

from __future__ import annotations

from iw_operators.engine.model import Record
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.systems.base import Op, Write
from iw_operators.systems.creatio.batch import Part
from iw_operators.systems.creatio.query import guid

NOT_THERE = 404


def address_of(write: Write) -> str:
    """Return where the record of a write is; FixRecord for what can be no record's Id."""
    literal = guid(write.target_id or "")
    if literal is None:
        msg = f"{write.target_id!r} is not an Id of Creatio."
        raise FixRecord(msg, code="creatio.gone", advice="Unbind the record and bind it again.")
    return f"{write.view.object}({literal})"


def part_of(write: Write) -> Part:
    """Return what is sent for a removal; FixConfiguration for one that Creatio does not know."""
    url = address_of(write)
    if write.op is Op.DELETE:
        return Part("DELETE", url)
    active = write.view.definition.active
    if write.op is Op.DEACTIVATE and active:
        return Part("PATCH", url, {active.removeprefix("!"): active.startswith("!")})
    msg = f"A record of {write.view.object} cannot be {write.op.value}d in Creatio."
    raise FixConfiguration(msg, code="creatio.removal", advice="Choose another policy in when_gone of the mapping.")


def done(write: Write, status: int) -> bool:
    """Tell whether an answer means that a removal is done; deleting what is not there is."""
    if not write.op.removes:
        return False
    return 200 <= status < 300 or (write.op is Op.DELETE and status == NOT_THERE)


def removed(op: Op, record: Record | None) -> bool:
    """Tell whether a record is as a removal leaves it."""
    if record is None:
        return op is Op.DELETE
    return op is Op.DEACTIVATE and not record.active
