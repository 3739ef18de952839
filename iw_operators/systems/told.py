"""What looking up an earlier write has told, as the outcome of that write."""

from __future__ import annotations

from iw_operators.errors import ConnectionFailure, FixRecord
from iw_operators.systems.base import Outcome, Result, Write


def not_applied(label: str, write: Write) -> Outcome:
    """Return the outcome of a write that is certainly not there. :param label: what people call the system."""
    msg = f"{label} has not taken the {write.op.value} of this {write.view.object}."
    return Outcome(write.key, Result.REJECTED, write.target_id, error=FixRecord(msg, code="iw.not_applied"))


def in_doubt(label: str, write: Write) -> Outcome:
    """Return the outcome of a write of which looking could not decide. :param label: as above."""
    msg = f"Looking cannot tell whether {label} has taken the {write.op.value} of this {write.view.object}."
    error = ConnectionFailure(msg, sent=True, code="iw.in_doubt")
    return Outcome(write.key, Result.UNKNOWN, write.target_id, error=error)
