"""Review sheets of binding flows: what was found, what people decided, what has been bound.

A sheet belongs to one run of one flow. Its rows are open, approved or refused until the run binds the approved ones,
which then are written, or failed with the reason. Only approved rows are ever bound.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Candidate
from iw_operators.engine.review import Claim, Found, shared
from iw_operators.ledger.bulk import insert_rows, rows_of
from iw_operators.ledger.codec import (
    can_be_stored,
    decode_candidates,
    encode_candidates,
    identifier,
    storable,
)
from iw_operators.ledger.database import Database, alone, among, mentioning
from iw_operators.ledger.deeds import add_deed
from iw_operators.ledger.flow_tables import review
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.tables import binding, index_key
from iw_operators.spec.resolved import Side, other

_r = review.c

OPEN: Final = "open"
APPROVED: Final = "approved"
REFUSED: Final = "refused"
WRITTEN: Final = "written"
FAILED: Final = "failed"
DECISIONS: Final = (OPEN, APPROVED, REFUSED, WRITTEN, FAILED)
LONGEST_ID: Final = 200  # of a partner that a person names

Choosable = Literal["open", "approved", "refused"]


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One row of a sheet. `side` is the one that `source_id` belongs to."""

    id: int
    mapping: str
    side: Side
    source_id: str
    label: str
    finding: str
    found_by: str
    target_id: str
    target_label: str
    candidates: tuple[Candidate, ...]
    decision: str
    by: str
    why: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody decides about one row. `target_id` names the partner where it is not the row's own."""

    id: int
    decision: Choosable
    target_id: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A choice that cannot be, with the reason."""

    id: int
    why: str


class Reviews(Database):
    """The ledger's review sheets."""

    def begin_review(self, run: RunRef) -> None:
        """Take away what an interrupted beginning has left of a mapping's part of the sheet, unless it was decided."""
        here = (_r.run_id == run.run_id, _r.mapping == run.mapping, _r.decision == OPEN)
        self._write(lambda c: c.execute(sa.delete(review).where(*here)))

    def put_review(self, run: RunRef, found: Sequence[Found]) -> None:
        """Put rows into the sheet; rows about which somebody has decided stay as they are."""
        if not found:
            return
        rows = [
            {
                "company": run.company,
                "mapping": run.mapping,
                "flow": run.flow,
                "run_id": run.run_id,
                "side": run.source,
                "source_id": identifier(each.source_id),
                "label": storable(each.label),
                "finding": each.finding.value,
                "found_by": storable(each.by),
                "target_id": identifier(each.target_id),
                "target_label": storable(each.target_label),
                "candidates": encode_candidates(each.candidates),
                "decision": OPEN,
                "why": storable(each.why),
            }
            for each in {each.source_id: each for each in found}.values()
        ]
        made = insert_rows(review, rows)
        fresh = {name: made.excluded[name] for name in rows[0] if name not in ("company", "run_id", "mapping")}
        again = made.on_conflict_do_update(
            index_elements=["run_id", "mapping", "side", "source_id"], set_=fresh, where=_r.decision == OPEN
        )
        self._write(lambda c: c.execute(again))

    def end_review(self, run: RunRef) -> None:
        """Look at a mapping's part of the sheet as a whole: partners that several rows have found are ambiguous."""
        here = (_r.run_id == run.run_id, _r.mapping == run.mapping, _r.decision == OPEN, _r.target_id != "")
        # Counted in one pass: on a table without statistics yet, a join with itself may read it once a row.
        often = sa.func.count().over(partition_by=_r.target_id).label("often")
        rows = sa.select(_r.id, _r.source_id, _r.target_id, _r.found_by, often).where(*here).subquery()
        r = rows.c
        query = sa.select(r.id, r.source_id, r.target_id, r.found_by).where(r.often > 1)

        def work(connection: Connection) -> None:
            told = shared([Claim(*row) for row in connection.execute(query.order_by(r.id))])
            if not told:
                return
            given = rows_of(review, [{"id": id_, "why": storable(why)} for id_, why in told.items()], ("id", "why"))
            connection.execute(
                sa.update(review).where(_r.id == given.c.id).values(finding="ambiguous", why=given.c.why)
            )

        self._write(work)

    def latest_review(self, company: str, flow: str) -> int | None:
        """Return the run of a flow that has made its newest sheet; None when there is none."""
        query = sa.select(sa.func.max(_r.run_id)).where(_r.company == company, _r.flow == flow)
        found: int | None = self._read(lambda c: c.scalar(query))
        return found

    def review_counts(self, run_id: int) -> dict[str, dict[tuple[str, str], int]]:
        """Return how many rows a sheet has: mapping -> (finding, decision) -> number."""
        query = sa.select(_r.mapping, _r.finding, _r.decision, sa.func.count()).where(_r.run_id == run_id)

        def work(connection: Connection) -> dict[str, dict[tuple[str, str], int]]:
            found: dict[str, dict[tuple[str, str], int]] = {}
            for mapping, finding, decision, number in connection.execute(
                query.group_by(_r.mapping, _r.finding, _r.decision).order_by(_r.mapping)
            ):
                found.setdefault(mapping, {})[finding, decision] = number
            return found

        return self._read(work)

    def review_rows(
        self,
        run_id: int,
        *,
        mapping: str | None = None,
        findings: Collection[str] = (),
        decisions: Collection[str] = (),
        text: str = "",
        after: int = 0,
        limit: int = 500,
    ) -> list[ReviewRow]:
        """Return rows of a sheet in the order in which they were found.

        :param text: looked for in ids and names.
        :param after: the id of the last row that was given before; pages go on behind it.
        """
        query = sa.select(*(_r[name] for name in ReviewRow.__slots__)).where(_r.run_id == run_id, _r.id > after)
        if mapping is not None:
            query = query.where(_r.mapping == mapping)
        if findings:
            query = query.where(_r.finding.in_(findings))
        if decisions:
            query = query.where(_r.decision.in_(decisions))
        if text:
            places = (_r.source_id, _r.label, _r.target_id, _r.target_label)
            query = query.where(mentioning(text, places))
        query = query.order_by(_r.id).limit(limit)
        return self._read(lambda c: [_row(row) for row in c.execute(query).mappings()])

    def decide_review(self, company: str, run_id: int, choices: Sequence[Choice], *, by: str) -> list[Refusal]:
        """Note what somebody decides about rows of a sheet; return what cannot be, with the reason.

        Approved needs a partner: the row's own, or the one that the choice names. A partner has to be free, and in
        the sheet no two rows can have the same one. Whether it exists is looked at when the rows are bound. The
        choices that can be are kept even where others cannot.
        """
        if not choices:
            return []
        latest = {each.id: each for each in choices}

        def work(connection: Connection) -> list[Refusal]:
            alone(connection, f"review:{run_id}")
            query = sa.select(review).where(_r.company == company, _r.run_id == run_id, _r.id.in_(list(latest)))
            rows = {row["id"]: row for row in connection.execute(query.with_for_update()).mappings()}
            taken = _taken(connection, company, run_id, [*latest.values()], rows)
            refusals, changes = _weighed(latest, rows, taken)
            if changes:
                known = _labels(connection, company, rows, changes)
                given = rows_of(review, [{**each, "by": storable(by), **known(each)} for each in changes], _CHANGED)
                values = {name: given.c[name] for name in _CHANGED if name != "id"}
                connection.execute(sa.update(review).where(_r.id == given.c.id).values(**values, at=sa.func.now()))
                counted = {each: sum(c["decision"] == each for c in changes) for each in (APPROVED, REFUSED, OPEN)}
                add_deed(connection, company, by, "decided rows of a review sheet", f"run {run_id}", counted)
            return refusals

        return self._write(work)

    def approve_exact(self, company: str, run_id: int, *, by: str) -> int:
        """Approve the exact rows about which nobody has decided, all at once; return how many."""
        here = (_r.company == company, _r.run_id == run_id, _r.decision == OPEN, _r.finding == "exact")
        mine = review.alias()
        rival = sa.exists().where(
            mine.c.run_id == run_id,
            mine.c.mapping == _r.mapping,
            mine.c.target_id == _r.target_id,
            mine.c.decision == APPROVED,
        )
        approved = sa.update(review).where(*here, _r.target_id != "", sa.not_(rival))

        def work(connection: Connection) -> int:
            alone(connection, f"review:{run_id}")
            done = connection.execute(approved.values(decision=APPROVED, by=storable(by), at=sa.func.now()))
            add_deed(connection, company, by, "approved exact matches", f"run {run_id}", {"rows": done.rowcount})
            return int(done.rowcount)

        return self._write(work)

    def refuse_review(self, company: str, run_id: int, *, by: str) -> int:
        """Refuse a sheet as a whole; return how many rows nobody had bound yet."""
        here = (_r.company == company, _r.run_id == run_id, _r.decision.in_((OPEN, APPROVED)))
        refused = sa.update(review).where(*here).values(decision=REFUSED, by=storable(by), at=sa.func.now())

        def work(connection: Connection) -> int:
            alone(connection, f"review:{run_id}")
            done = connection.execute(refused)
            add_deed(connection, company, by, "refused a review sheet", f"run {run_id}", {"rows": done.rowcount})
            return int(done.rowcount)

        return self._write(work)

    def end_reviewed(self, run_id: int, ended: Mapping[int, tuple[bool, str]]) -> None:
        """Note what became of approved rows: id -> whether they are bound now, and what is to be said of it."""
        if not ended:
            return
        rows = [
            {"id": id_, "decision": WRITTEN if bound else FAILED, "why": storable(why)}
            for id_, (bound, why) in ended.items()
        ]
        given = rows_of(review, rows, ("id", "decision", "why"))
        change = sa.update(review).where(_r.run_id == run_id, _r.id.in_(list(ended)), _r.id == given.c.id)
        self._write(lambda c: c.execute(change.values(decision=given.c.decision, why=given.c.why, at=sa.func.now())))


_CHANGED: Final = ("id", "decision", "by", "target_id", "target_label")


def _row(row: Mapping[Any, Any]) -> ReviewRow:
    values = {name: row[name] for name in ReviewRow.__slots__}
    return ReviewRow(**{**values, "candidates": decode_candidates(row["candidates"])})


def _taken(
    connection: Connection, company: str, run_id: int, choices: Sequence[Choice], rows: Mapping[int, Mapping[Any, Any]]
) -> dict[tuple[str, str], tuple[int, str]]:
    """Return which partners are not free: (mapping, target id) -> (the row that has it, or 0; what has it)."""
    taken: dict[tuple[str, str], tuple[int, str]] = {}
    wanted: dict[tuple[str, Side], set[str]] = {}
    for each in choices:
        row = rows.get(each.id)
        if row is not None and (target := each.target_id or row["target_id"]):
            wanted.setdefault((row["mapping"], other(row["side"])), set()).add(target)
    for (mapping, side), ids in wanted.items():
        mine, partner = binding.c[f"{side}_id"], binding.c[f"{other(side)}_id"]
        bound = sa.select(mine, partner).where(
            binding.c.company == company, binding.c.mapping == mapping, among(mine, sorted(ids))
        )
        for target, owner in connection.execute(bound):
            taken[mapping, target] = (0, f"is bound to {owner}")
        rivals = sa.select(_r.id, _r.target_id, _r.source_id).where(
            _r.run_id == run_id, _r.mapping == mapping, _r.decision == APPROVED, among(_r.target_id, sorted(ids))
        )
        for id_, target, source in connection.execute(rivals):
            taken.setdefault((mapping, target), (id_, f"is approved for {source}"))
    return taken


def _weighed(
    choices: Mapping[int, Choice],
    rows: Mapping[int, Mapping[Any, Any]],
    taken: dict[tuple[str, str], tuple[int, str]],
) -> tuple[list[Refusal], list[dict[str, Any]]]:
    """Return the choices that cannot be, and the changes of those that can."""
    refusals: list[Refusal] = []
    changes: list[dict[str, Any]] = []
    for each in choices.values():
        row = rows.get(each.id)
        if row is None:
            refusals.append(Refusal(each.id, "the sheet has no such row"))
            continue
        target = each.target_id or row["target_id"]
        if reason := _reason(each, row, target, taken):
            refusals.append(Refusal(each.id, reason))
            continue
        for place in [place for place, (holder, _) in taken.items() if holder == each.id]:
            del taken[place]
        if each.decision == APPROVED:
            taken[row["mapping"], target] = (each.id, f"is approved for {row['source_id']}")
        changes.append({"id": each.id, "decision": each.decision, "target_id": target})
    return refusals, changes


def _reason(
    choice: Choice, row: Mapping[Any, Any], target: str, taken: Mapping[tuple[str, str], tuple[int, str]]
) -> str:
    if row["decision"] == WRITTEN:
        return "it is bound already"
    if len(target) > LONGEST_ID or not can_be_stored(target) or target != target.strip():
        return "that is not an id"
    if choice.decision != APPROVED:
        return ""
    if not target:
        return "it has no single partner; name the one that is meant"
    holder, how = taken.get((row["mapping"], target), (choice.id, ""))
    return f"{target} {how}" if holder != choice.id else ""


def _labels(
    connection: Connection, company: str, rows: Mapping[int, Mapping[Any, Any]], changes: Sequence[Mapping[str, Any]]
) -> Any:
    """Return a function that gives the name of a change's partner, as far as it is known."""
    i = index_key.c
    found: dict[tuple[str, str], str] = {}
    for mapping, side in {(row["mapping"], row["side"]) for row in rows.values()}:
        ids = [each["target_id"] for each in changes if rows[each["id"]]["mapping"] == mapping]
        query = sa.select(i.record_id, i.label).where(
            i.company == company, i.mapping == mapping, i.side == other(side), among(i.record_id, ids)
        )
        found |= {(mapping, record_id): label for record_id, label in connection.execute(query.distinct())}

    def label(change: Mapping[str, Any]) -> dict[str, str]:
        row = rows[change["id"]]
        if change["target_id"] == row["target_id"]:
            return {"target_label": row["target_label"]}
        listed = {each["id"]: each["label"] for each in row["candidates"]}
        target = change["target_id"]
        return {"target_label": listed.get(target) or found.get((row["mapping"], target), "")}

    return label
