"""Intents before a call and outcomes after it (law 2), each in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Decision
from iw_operators.ledger.bindings import mark_write_backs, stop_at
from iw_operators.ledger.bulk import insert_rows
from iw_operators.ledger.codec import decode_decision, decode_values, encode_decision, encode_values, identifier
from iw_operators.ledger.log import RecordLog
from iw_operators.ledger.model import Kind, OpenBatch, OpenWrite, RunRef
from iw_operators.ledger.outcomes import OPEN, SENT, end, run_of
from iw_operators.ledger.tables import batch as batches
from iw_operators.ledger.tables import intent as intents
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Outcome, Result


class Writes(RecordLog):
    """The ledger's intents and outcomes."""

    def begin_batch(
        self, run: RunRef, *, side: Side, kind: Kind, batch: Batch, decisions: Mapping[str, Decision]
    ) -> None:
        """Commit the intent to send a batch. Only after this returns may the batch be sent.

        A batch whose key is in doubt already takes the place of the earlier one: it is the same writes.
        """
        head = {
            "company": run.company,
            "mapping": run.mapping,
            "key": batch.key,
            "kind": kind,
            "side": side,
            "flow": run.flow,
            "run_id": run.run_id,
            "fingerprint": run.fingerprint,
            "attempt": run.attempt,
            "source": run.source,
        }
        rows = [
            {
                "position": position,
                "company": run.company,
                "key": write.key,
                "op": write.op.value,
                "target_id": identifier(write.target_id or ""),
                "version": write.version,
                "values": encode_values(write.values),
                "decision": encode_decision(decisions[write.key]),
                "state": SENT,
            }
            for position, write in enumerate(batch.writes)
        ]

        def work(connection: Connection) -> None:
            same = (batches.c.company == run.company, batches.c.mapping == run.mapping, batches.c.key == batch.key)
            connection.execute(sa.delete(batches).where(*same, batches.c.open))
            number = connection.execute(sa.insert(batches).values(head).returning(batches.c.id)).scalar_one()
            if rows:
                connection.execute(insert_rows(intents, [{**row, "batch_id": number} for row in rows]))
            if kind == "write_back":
                crm_ids = [write.target_id for write in batch.writes if write.target_id]
                mark_write_backs(connection, run.company, run.mapping, crm_ids, SENT)

        self._write(work, fenced=True)

    def end_batch(
        self, run: RunRef, batch: Batch, outcomes: Sequence[Outcome], decisions: Mapping[str, Decision]
    ) -> None:
        """Commit how the writes of a batch ended, with their bindings and log rows, in one transaction.

        May be called again with the same outcomes, or with later ones: what is applied stays applied, what is
        unknown stays open until it is known. Rows carry the run and attempt that the batch was begun by. Waits for
        a ledger that is away, so that a short outage loses no outcome.

        :raises StopFlow: a record is bound to another one already (everything is recorded all the same, that record
            as rejected), or there is no intent for an outcome.
        """

        def work(connection: Connection) -> dict[str, str]:
            return end(connection, run, batch, outcomes, decisions)

        stop_at(self._write(work, patience=self.patience), run.mapping)

    def open_batches(self, company: str, mapping: str) -> list[OpenBatch]:
        """Return the batches of a mapping that hold writes in doubt, oldest first, both directions."""
        heads = (
            sa.select(batches)
            .where(batches.c.company == company, batches.c.mapping == mapping, batches.c.open)
            .order_by(batches.c.id)
        )

        def work(connection: Connection) -> list[OpenBatch]:
            found = list(connection.execute(heads).mappings())
            rows = connection.execute(
                sa.select(intents)
                .where(
                    intents.c.batch_id.in_([head["id"] for head in found]),
                    intents.c.company == company,
                    intents.c.state.in_(OPEN),
                )
                .order_by(intents.c.batch_id, intents.c.position)
            )
            by_batch: dict[int, list[Mapping[Any, Any]]] = {}
            for row in rows.mappings():
                by_batch.setdefault(row["batch_id"], []).append(row)
            return [_open_batch(head, by_batch[head["id"]]) for head in found if head["id"] in by_batch]

        return self._read(work)


def _open_batch(head: Mapping[Any, Any], rows: Sequence[Mapping[Any, Any]]) -> OpenBatch:
    return OpenBatch(
        run=run_of(head),
        side=head["side"],
        kind=head["kind"],
        key=head["key"],
        writes=tuple(
            OpenWrite(
                key=row["key"],
                op=Op(row["op"]),
                values=decode_values(row["values"]),
                target_id=row["target_id"] or None,
                version=row["version"],
                result=None if row["state"] == SENT else Result(row["state"]),
            )
            for row in rows
        ),
        decisions={row["key"]: decode_decision(row["decision"]) for row in rows},
        sent_at=head["sent_at"],
    )
