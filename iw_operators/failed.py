"""Failed records in a run: done again on request, with the values that people corrected; under which version."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from iw_operators.engine.compare import text_key
from iw_operators.engine.model import Decision, Record, Value
from iw_operators.errors import FixRecord
from iw_operators.ledger.codec import can_be_stored
from iw_operators.ledger.corrections import Correction
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.spec.differences import snapshot
from iw_operators.spec.resolved import ResolvedMapping, Side
from iw_operators.sweep import deleted
from iw_operators.systems.base import System, View


@dataclass(slots=True)
class Overlay:
    """The corrections of one mapping and side, during one task. A mapping without any costs one question a task."""

    ledger: Ledger
    company: str
    mapping: str
    side: Side
    _any: bool | None = None

    def of(self, records: Sequence[Record]) -> Mapping[str, Correction]:
        """Return the corrections of those of the records that have one."""
        if self._any is None:
            self._any = self.ledger.has_corrections(self.company, self.mapping, self.side)
        if not self._any:
            return {}
        there = [record.id for record in records if not record.deleted]
        return self.ledger.corrections(self.company, self.mapping, self.side, there)


def corrected(record: Record, correction: Correction | None) -> Record:
    """Return a record with the corrected values in place of its own, if the source still holds what was corrected."""
    if correction is None or outdated(record, correction):
        return record
    return replace(record, values={**record.values, **correction.values})


def outdated(record: Record, correction: Correction) -> list[str]:
    """Return the corrected fields in which the source holds something else than when they were corrected.

    One of them is enough for none of the correction to be used: nobody has seen its values beside the new one.
    """
    return [name for name, seen in sorted(correction.seen.items()) if digest_of(record.values.get(name)) != seen]


def explained(decision: Decision, correction: Correction | None, record: Record | None) -> Decision:
    """Return a decision that says which values were corrected and by whom, or why they are not used.

    :param record: as the source has it. Its own values are what counts as in step, so that the record is not taken
        for changed when it is read again, and the correction not undone.
    """
    if correction is None or record is None:
        return decision
    names = ", ".join(sorted(correction.values))
    if other := outdated(record, correction):
        why = f"{names} as corrected by {correction.by} is not used: {', '.join(other)} has changed in the source since"
        return replace(decision, why=f"{decision.why} ({why})")
    why = f"{decision.why} ({names} corrected by {correction.by})"
    own = {name: record.values.get(name) for name in correction.values if name in decision.source}
    return replace(decision, why=why, source={**decision.source, **own})


def digest_of(value: Value) -> str:
    """Return a word for a value of a record; the same one for values that mean the same (`compare.same`)."""
    return hashlib.sha256(json.dumps(_plain(value)).encode("ascii")).hexdigest()[:24]


def _plain(value: Value) -> Any:
    value = text_key(value)
    if isinstance(value, tuple):
        return [{name: _plain(line[name]) for name in sorted(line) if line[name] is not None} for line in value]
    if isinstance(value, dt.datetime):
        return ["T", (value.astimezone(dt.UTC) if value.tzinfo else value).replace(microsecond=0).isoformat()]
    if isinstance(value, dt.date):
        return ["D", value.isoformat()]
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return ["n", str((Decimal(value) + 0).normalize())]  # 0 for -0
    return value


def failed_pages(
    ledger: Ledger, run: RunRef, source: System, view: View, ids: Sequence[str], page_size: int
) -> Iterator[Sequence[Record]]:
    """Yield the records with these ids, or all open failures where none are given, as the source has them now.

    One that the source no longer has comes as a deleted record, so that its row says so.

    :raises FixRecord: an id holds a character that no system stores.
    """
    if any(not can_be_stored(each) for each in ids):
        msg = "An id that was asked for holds a character that no system stores."
        raise FixRecord(msg, code="iw.not_found", advice="Take ids from the list of failed records.")
    wanted = list(dict.fromkeys(ids)) or ledger.open_failures(run.company, run.mapping, run.source)
    for start in range(0, len(wanted), page_size):
        page = wanted[start : start + page_size]
        found = source.fetch(view, page)
        yield [found[each] if each in found else deleted(each) for each in page]


def note_version(ledger: Ledger, run: RunRef, mapping: ResolvedMapping) -> None:
    """Keep what the mapping means under the run's fingerprint, where that is new."""
    if not ledger.knows_version(run.company, run.mapping, run.fingerprint):
        ledger.note_version(run.company, run.mapping, run.fingerprint, snapshot(mapping))
