"""Bindings: which record of the CRM belongs to which of the books, and what both held when last in step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.gone import ACTIVE
from iw_operators.engine.model import Binding, Decision, Values
from iw_operators.errors import StopFlow
from iw_operators.ledger.bulk import insert_rows, rows_of
from iw_operators.ledger.codec import decode_values, encode_values, identifier
from iw_operators.ledger.database import Database, among
from iw_operators.ledger.model import PendingWriteBack
from iw_operators.ledger.tables import binding
from iw_operators.ledger.tombstones import next_generation, settle
from iw_operators.spec.resolved import Side, other

_b = binding.c

_GIVEN = ("crm_id", "books_id", "crm_base", "books_base", "crm_version", "books_version", "generation", "removed")
KEEP = "="
CONFLICT = "iw.binding_conflict"
CONFLICT_ADVICE = "Look at both records; unbind or merge the one that is wrong, then run the flow again."


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records that are in step: what a decision and its outcome say about them, oriented from the source."""

    source_id: str
    target_id: str
    base_source: Values
    base_target: Values
    source_version: str
    target_version: str
    generation: int  # of the binding when it was planned
    answer: Values  # what the books say of their record, for the CRM to be told
    write_back: str = "pending"
    removed: str = KEEP  # what has been done to the target whose source is gone; KEEP: as before

    def row(self, company: str, mapping: str, source: Side) -> dict[str, Any]:
        """Return the pair as a row of the table."""
        target = other(source)
        return {
            "company": company,
            "mapping": mapping,
            f"{source}_id": identifier(self.source_id),
            f"{target}_id": identifier(self.target_id),
            f"{source}_base": encode_values(self.base_source),
            f"{target}_base": encode_values(self.base_target),
            f"{source}_version": self.source_version,
            f"{target}_version": self.target_version,
            "generation": self.generation,
            "answer": encode_values(self.answer),
            "write_back": self.write_back,
            "removed": self.removed,
        }


class Bindings(Database):
    """The ledger's bindings."""

    def bindings(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> dict[str, Binding]:
        """Return the bindings of those records of `side` that have one, oriented with `side` as the source."""
        if not ids:
            return {}
        query = sa.select(*(_b[name] for name in _GIVEN)).where(
            _b.company == company, _b.mapping == mapping, among(_side(side), ids)
        )
        target = other(side)

        def oriented(row: Mapping[Any, Any]) -> Binding:
            return Binding(
                source_id=row[f"{side}_id"],
                target_id=row[f"{target}_id"],
                base_source=decode_values(row[f"{side}_base"]),
                base_target=decode_values(row[f"{target}_base"]),
                source_version=row[f"{side}_version"],
                target_version=row[f"{target}_version"],
                generation=row["generation"],
                removed=row["removed"],
            )

        return self._read(lambda c: {row[f"{side}_id"]: oriented(row) for row in c.execute(query).mappings()})

    def references(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> dict[str, str]:
        """Return the partners' ids of those records of `side` that are bound."""
        if not ids:
            return {}
        query = sa.select(_side(side), _side(other(side))).where(
            _b.company == company, _b.mapping == mapping, among(_side(side), ids)
        )
        return self._read(lambda c: dict(c.execute(query).all()))

    def bind(self, company: str, mapping: str, *, crm_id: str, books_id: str) -> None:
        """Bind two records by hand. They are compared as if never synced before at the next run that reads one.

        :raises StopFlow: one of them is bound to another record already.
        """

        def work(connection: Connection) -> dict[str, str]:
            generation = next_generation(connection, company, mapping, crm_id, books_id)
            pair = Pair(crm_id, books_id, {}, {}, "", "", generation, {})
            return insert_pairs(connection, company, mapping, "crm", [pair])

        stop_at(self._write(work), mapping)

    def pending_write_backs(self, company: str, mapping: str, limit: int) -> list[PendingWriteBack]:
        """Return bound CRM records that do not know their partner yet and are not on their way, oldest first.

        Records whose write-back was refused come again after the next `begin_mapping`.
        """
        query = (
            sa.select(_b.crm_id, _b.books_id, _b.books_base, _b.answer)
            .where(_b.company == company, _b.mapping == mapping, _b.write_back == "pending")
            .order_by(_b.created_at, _b.crm_id)
            .limit(limit)
        )
        return self._read(
            lambda c: [
                PendingWriteBack(
                    row.crm_id, row.books_id, {**decode_values(row.books_base), **decode_values(row.answer)}
                )
                for row in c.execute(query)
            ]
        )


def insert_pairs(
    connection: Connection, company: str, mapping: str, source: Side, pairs: Sequence[Pair]
) -> dict[str, str]:
    """Bind pairs; return those that cannot be, by source id, with the reason. Existing equal bindings are kept up."""
    if not pairs:
        return {}
    rows = [{**pair.row(company, mapping, source), "removed": ""} for pair in pairs]
    mine, partner = f"{source}_id", f"{other(source)}_id"
    made = connection.execute(insert_rows(binding, rows).on_conflict_do_nothing().returning(_b[mine], _b[partner]))
    done = set(made)
    if done:
        mine_bound, partners = [pair[0] for pair in done], [pair[1] for pair in done]
        crm_ids, books_ids = (mine_bound, partners) if source == "crm" else (partners, mine_bound)
        settle(connection, company, mapping, crm_ids, books_ids)
    left = [pair for pair in pairs if (pair.source_id, pair.target_id) not in done]
    if not left:
        return {}
    query = sa.select(_b[mine], _b[partner]).where(
        _b.company == company,
        _b.mapping == mapping,
        sa.or_(among(_b[mine], [p.source_id for p in left]), among(_b[partner], [p.target_id for p in left])),
    )
    there = list(connection.execute(query))
    by_source, by_target = dict(there), {target: mine_ for mine_, target in there}
    conflicts = {}
    for pair in left:
        if by_source.get(pair.source_id) == pair.target_id:
            continue
        if pair.source_id in by_source:
            reason = f"{source} record {pair.source_id} is already bound to {by_source[pair.source_id]}"
        else:
            reason = f"{other(source)} record {pair.target_id} is already bound to {by_target[pair.target_id]}"
        conflicts[pair.source_id] = f"{reason}, so it cannot be bound to {_wanted(pair, by_source)}."
    update_pairs(connection, company, mapping, source, [p for p in left if p.source_id not in conflicts])
    return conflicts


def update_pairs(connection: Connection, company: str, mapping: str, source: Side, pairs: Sequence[Pair]) -> None:
    """Note what both sides of bound pairs hold after a write.

    Where the binding has moved on since the write was planned, the versions are left empty: the next run then reads
    and compares both sides instead of trusting either.
    """
    if not pairs:
        return
    new = _given(company, mapping, source, pairs)

    def version(side: Side) -> sa.ColumnElement[str]:
        return sa.case((_b.generation == new.c.generation, new.c[f"{side}_version"]), else_="")

    connection.execute(
        sa.update(binding)
        .where(*_these(company, mapping, source, pairs, new))
        .values(
            crm_base=new.c.crm_base,
            books_base=new.c.books_base,
            crm_version=version("crm"),
            books_version=version("books"),
            generation=_b.generation + 1,
            removed=sa.case((new.c.removed == KEEP, _b.removed), else_=new.c.removed),
            updated_at=sa.func.now(),
        )
    )


def refresh_pairs(connection: Connection, company: str, mapping: str, source: Side, pairs: Sequence[Pair]) -> None:
    """Note what both sides of bound pairs hold without a write, unless the binding has moved on since."""
    if not pairs:
        return
    new = _given(company, mapping, source, pairs)

    def version(side: Side) -> sa.ColumnElement[str]:
        given = new.c[f"{side}_version"]
        return sa.case((given != "", given), else_=_b[f"{side}_version"])

    connection.execute(
        sa.update(binding)
        .where(*_these(company, mapping, source, pairs, new), _b.generation == new.c.generation)
        .values(
            crm_base=new.c.crm_base,
            books_base=new.c.books_base,
            crm_version=version("crm"),
            books_version=version("books"),
            updated_at=sa.func.now(),
        )
    )


def note_target(connection: Connection, company: str, mapping: str, source: Side, pairs: Sequence[Pair]) -> None:
    """Note what the targets of bound pairs hold after a write that was refused in part; what the sources held stays."""
    if not pairs:
        return
    new, side = _given(company, mapping, source, pairs), other(source)
    connection.execute(
        sa.update(binding)
        .where(*_these(company, mapping, source, pairs, new), _b.generation == new.c.generation)
        .values({f"{side}_base": new.c[f"{side}_base"], f"{side}_version": "", "updated_at": sa.func.now()})
    )


def mark_write_backs(connection: Connection, company: str, mapping: str, crm_ids: Sequence[str], state: str) -> None:
    """Note how far the write-backs of CRM records are: `sent`, `done` or `failed`."""
    if crm_ids:
        here = (_b.company == company, _b.mapping == mapping, among(_b.crm_id, crm_ids))
        connection.execute(sa.update(binding).where(*here).values(write_back=state))


def pair_of(decision: Decision, *, base_target: Values, target_version: str, answer: Values, made: int = 0) -> Pair:
    """Return what a decision says about its two records. `made` is 1 where a write has just been applied."""
    return Pair(
        source_id=decision.source_id,
        target_id=decision.target_id or "",
        base_source=decision.source,
        base_target=base_target,
        source_version=decision.source_version,
        target_version=target_version,
        generation=decision.generation + made,
        answer=answer,
        removed=_removed(decision),
    )


def _removed(decision: Decision) -> str:
    if decision.removal is not None:
        return decision.removal.value
    return "" if any(change.field == ACTIVE for change in decision.changes) else KEEP


def stop_at(conflicts: Mapping[str, str], mapping: str) -> None:
    """Raise for bindings that could not be made.

    :raises StopFlow: there are any.
    """
    if conflicts:
        first = next(iter(conflicts.values()))
        more = f" {len(conflicts) - 1} more like it." if len(conflicts) > 1 else ""
        msg = f"Mapping {mapping} would bind a record twice: {first}{more}"
        raise StopFlow(msg, code=CONFLICT, advice=CONFLICT_ADVICE)


def _given(company: str, mapping: str, source: Side, pairs: Sequence[Pair]) -> sa.TableValuedAlias:
    rows = [pair.row(company, mapping, source) for pair in pairs]
    return rows_of(binding, rows, _GIVEN)


def _these(
    company: str, mapping: str, source: Side, pairs: Sequence[Pair], given: sa.TableValuedAlias
) -> tuple[sa.ColumnElement[bool], ...]:
    # The ids once more, as a list: on a table without statistics yet, the join alone reads all of a mapping.
    crm_ids = [pair.source_id if source == "crm" else pair.target_id for pair in pairs]
    same = (among(_b.crm_id, crm_ids), _b.crm_id == given.c.crm_id, _b.books_id == given.c.books_id)
    return (_b.company == company, _b.mapping == mapping, *same)


def _wanted(pair: Pair, by_source: Mapping[str, str]) -> str:
    return pair.target_id if pair.source_id in by_source else pair.source_id


def _side(side: Side) -> sa.Column[str]:
    return _b.crm_id if side == "crm" else _b.books_id
