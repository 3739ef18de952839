"""What is left of bindings that were taken away: their generation, and whether a person has to decide first.

The generation goes into the idempotency keys of whatever is made for the record later, so that no system answers with
what it remembers of the record that is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Decision, Unbound
from iw_operators.ledger.database import Database, among
from iw_operators.ledger.tables import binding, index_key, tombstone, waiting
from iw_operators.spec.resolved import SIDES, Side, other

_t = tombstone.c
_b = binding.c

BY_HAND = "by hand"
DELETED = "deleted"


class Tombstones(Database):
    """The ledger's memory of bindings that are no more."""

    def unbound(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> dict[str, Unbound]:
        """Return what is left of the bindings of those records of `side` that have had one. One may be bound again."""
        if not ids:
            return {}
        mine, partner = tombstone.c[f"{side}_id"], tombstone.c[f"{other(side)}_id"]
        query = (
            sa.select(mine, partner, _t.generation, _t.held, _t.kind)
            .where(_t.company == company, _t.mapping == mapping, among(mine, ids))
            .order_by(_t.at)
        )

        def work(connection: Connection) -> dict[str, Unbound]:
            found: dict[str, Unbound] = {}
            for record_id, last, generation, held, kind in connection.execute(query):
                before = found.get(record_id)
                most = max(generation, before.generation if before else 0)
                found[record_id] = Unbound(last, most, held or bool(before and before.held), kind)
            return found

        return self._read(work)

    def unbind(self, company: str, mapping: str, side: Side, record_id: str) -> bool:
        """Take the binding of a record away by hand; return whether there was one. The records stay as they are.

        Either is matched or created anew when it is read again.
        """
        mine = binding.c[f"{side}_id"]
        query = sa.select(_b.crm_id, _b.books_id).where(_b.company == company, _b.mapping == mapping, mine == record_id)

        def work(connection: Connection) -> bool:
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is None:
                return False
            here = {"crm_id": row.crm_id, "books_id": row.books_id, "side": side, "kind": BY_HAND, "held": False}
            _take_away(connection, company, mapping, [here])
            return True

        return self._write(work)

    def release(self, company: str, mapping: str, side: Side, record_id: str) -> bool:
        """Let a record that waits for a person since it was unbound be matched or created anew.

        The next flow of either direction looks at what is left of the two. Returns whether it was waiting.
        """
        mine = tombstone.c[f"{side}_id"]
        let_go = (
            sa.update(tombstone)
            .where(_t.company == company, _t.mapping == mapping, mine == record_id, _t.held)
            .values(held=False)
            .returning(_t.crm_id, _t.books_id)
        )

        def work(connection: Connection) -> bool:
            pairs = list(connection.execute(let_go))
            next_run(connection, company, mapping, "crm", [crm_id for crm_id, _ in pairs])
            next_run(connection, company, mapping, "books", [books_id for _, books_id in pairs])
            return bool(pairs)

        return self._write(work)

    def look_again(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> None:
        """Have the next flow that reads `side` look at these records, whether or not they have changed."""
        if ids:
            self._write(lambda c: next_run(c, company, mapping, side, ids))


def take_away(connection: Connection, company: str, mapping: str, source: Side, decisions: Sequence[Decision]) -> None:
    """Take the bindings away that decisions say so of."""
    rows = []
    for decision in decisions:
        if decision.unbind is not None and decision.target_id:
            gone = source if decision.unbind.gone == "source" else other(source)
            ids = {f"{source}_id": decision.source_id, f"{other(source)}_id": decision.target_id}
            rows.append({**ids, "side": gone, "kind": decision.unbind.kind, "held": decision.unbind.hold})
    if rows:
        _take_away(connection, company, mapping, rows)


def settle(
    connection: Connection, company: str, mapping: str, crm_ids: Sequence[str], books_ids: Sequence[str]
) -> None:
    """Note that records are bound again: nobody has to decide about them any more."""
    ours = sa.or_(among(_t.crm_id, crm_ids), among(_t.books_id, books_ids))
    here = (_t.company == company, _t.mapping == mapping, _t.held, ours)
    connection.execute(sa.update(tombstone).where(*here).values(held=False))


def next_generation(connection: Connection, company: str, mapping: str, crm_id: str, books_id: str) -> int:
    """Return the generation with which two records are bound by hand."""
    ours = sa.or_(_t.crm_id == crm_id, _t.books_id == books_id)
    query = sa.select(sa.func.max(_t.generation)).where(_t.company == company, _t.mapping == mapping, ours)
    last = connection.scalar(query)
    return 0 if last is None else int(last) + 1


def _take_away(connection: Connection, company: str, mapping: str, rows: Sequence[dict[str, Any]]) -> None:
    said = {(row["crm_id"], row["books_id"]): row for row in rows}
    pair = sa.tuple_(_b.crm_id, _b.books_id)
    gone = (
        sa.delete(binding)
        .where(_b.company == company, _b.mapping == mapping, pair.in_(list(said)))
        .returning(_b.crm_id, _b.books_id, _b.generation)
    )
    left = [
        {"company": company, "mapping": mapping, "generation": generation, **said[crm_id, books_id]}
        for crm_id, books_id, generation in connection.execute(gone)
    ]
    if not left:
        return
    made = insert(tombstone)
    new = made.excluded
    again = made.on_conflict_do_update(
        index_elements=["company", "mapping", "crm_id", "books_id"],
        set_={
            "generation": sa.func.greatest(_t.generation, new.generation),
            **{name: new[name] for name in ("side", "kind", "held")},
            "at": sa.func.now(),
        },
    )
    connection.execute(again, left)
    for side in SIDES:
        # What is deleted is found under no key any more; not every system would tell the index of it.
        ids = [str(row[f"{side}_id"]) for row in left if row["side"] == side and row["kind"] == DELETED]
        i = index_key.c
        here = (i.company == company, i.mapping == mapping, i.side == side, among(i.record_id, ids))
        if ids:
            connection.execute(sa.delete(index_key).where(*here))


def next_run(connection: Connection, company: str, mapping: str, side: Side, ids: Sequence[str]) -> None:
    """Have records planned in the next run, whatever else they were waiting for."""
    w = waiting.c
    here = (w.company == company, w.mapping == mapping, w.side == side, among(w.source_id, ids))
    connection.execute(sa.delete(waiting).where(*here))
    row = {"company": company, "mapping": mapping, "side": side, "await_mapping": "", "await_id": ""}
    rows = [{**row, "source_id": each} for each in dict.fromkeys(ids)]
    if rows:
        connection.execute(insert(waiting), rows)
