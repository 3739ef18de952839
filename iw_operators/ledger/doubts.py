"""What a person has found out about a create of which nobody knew whether it had arrived."""

from __future__ import annotations

from iw_operators.errors import StaleRecord
from iw_operators.ledger.model import OpenBatch
from iw_operators.ledger.writes import Writes
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Outcome, Result


class Doubts(Writes):
    """Creates in doubt, as far as a person has to do with them. One that did arrive is bound (`Ledger.bind`)."""

    def in_doubt(self, company: str, mapping: str, side: Side, record_id: str) -> bool:
        """Return whether a create for this record is in doubt, and looking could not decide it."""
        return any(self._creates(each, side, record_id) for each in self.open_batches(company, mapping))

    def never_arrived(self, company: str, mapping: str, side: Side, record_id: str) -> bool:
        """End the doubt about a record's create, because somebody has looked: the next run plans it anew.

        Nothing may be at work on the mapping meanwhile (`Ledger.working`). Returns whether there was a doubt.
        """
        found = False
        told = StaleRecord("Somebody has looked on the other side: it has never arrived.", code="iw.not_applied")
        for each in self.open_batches(company, mapping):
            if keys := self._creates(each, side, record_id):
                outcomes = [Outcome(key, Result.STALE, error=told) for key in keys]
                self.end_batch(each.run, Batch(each.key, ()), outcomes, each.decisions)
                found = True
        return found

    @staticmethod
    def _creates(batch: OpenBatch, side: Side, record_id: str) -> list[str]:
        if batch.kind != "record" or batch.run.source != side:
            return []
        looked_at = [w.key for w in batch.writes if w.op is Op.CREATE and w.result is Result.UNKNOWN]
        return [key for key in looked_at if batch.decisions[key].source_id == record_id]
