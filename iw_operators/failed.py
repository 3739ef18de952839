"""Failed records in a run: done again on request, with the values that people corrected; under which version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from iw_operators.engine.model import Decision, Record
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
    """Return a record with the corrected values in place of its own."""
    return replace(record, values={**record.values, **correction.values}) if correction else record


def explained(decision: Decision, correction: Correction | None, record: Record | None) -> Decision:
    """Return a decision that says which values were corrected and by whom.

    :param record: as the source has it. Its own values are what counts as in step, so that the record is not taken
        for changed when it is read again, and the correction not undone.
    """
    if correction is None or record is None:
        return decision
    why = f"{decision.why} ({', '.join(sorted(correction.values))} corrected by {correction.by})"
    own = {name: record.values.get(name) for name in correction.values if name in decision.source}
    return replace(decision, why=why, source={**decision.source, **own})


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
