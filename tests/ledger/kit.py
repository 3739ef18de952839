"""Runs, decisions, batches and outcomes as the tests of the ledger need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from iw_operators.engine.model import Action, Change, Decision, Value
from iw_operators.errors import FixRecord
from iw_operators.ledger.model import Kind, RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.spec.catalogue import FieldDef, ObjectDef
from iw_operators.spec.resolved import Side
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Write

VIEW = View(
    object="Customer",
    definition=ObjectDef(neutral=("customer",), modified="Changed", fields={}),
    fields={"name": FieldDef(native="Name")},
)


def begin(
    ledger: Ledger,
    *,
    company: str = "acme",
    flow: str = "Flow",
    dag_run_id: str = "r1",
    mapping: str = "customers",
    attempt: int = 1,
    source: Side = "crm",
) -> RunRef:
    """Begin a run and a mapping of it."""
    run_id = ledger.begin_run(
        company=company, flow=flow, dag_run_id=dag_run_id, kind="scheduled", direction="to_books", attempt=attempt
    )
    ledger.begin_mapping(run_id, mapping, "f1", attempt)
    return RunRef(run_id, company, flow, mapping, "f1", attempt, source)


def create(source_id: str, **more: Any) -> Decision:
    """Return a decision to create a record."""
    values: Mapping[str, Value] = {"name": f"Name {source_id}", "balance": Decimal("12.50")}
    changes = (Change("name", None, f"Name {source_id}"),)
    both: dict[str, Any] = {"send": values, "target": values, "source": {"name": f"Name {source_id}"}}
    return Decision(
        Action.CREATE, source_id, "it is new", **{"changes": changes, "source_version": "s1", **both, **more}
    )


def update(source_id: str, target_id: str, **more: Any) -> Decision:
    """Return a decision to update a record's name."""
    fields: dict[str, Any] = {
        "target_id": target_id,
        "target_version": "t1",
        "source_version": "s2",
        "changes": (Change("name", "old", "new"),),
        "send": {"name": "new"},
        "source": {"name": "new"},
        "target": {"name": "new", "balance": Decimal("12.50")},
        "generation": 1,
    }
    return Decision(Action.UPDATE, source_id, "the name differs", **{**fields, **more})


def quiet(action: Action, source_id: str, **more: Any) -> Decision:
    """Return a decision that sends nothing."""
    return Decision(action, source_id, **{"why": f"it is {action.value}", **more})


def batch_of(decisions: Sequence[Decision], key: str = "b1", values: Mapping[str, Value] | None = None) -> Batch:
    """Return the batch that carries decisions out; a write's key is made of the batch's key and the source id."""
    return Batch(
        key,
        tuple(
            Write(
                key=f"{key}/{d.source_id}",
                op=Op.CREATE if d.action is Action.CREATE else Op.UPDATE,
                view=VIEW,
                values={**d.send, **(values or {})},
                target_id=d.target_id,
                version=d.target_version,
            )
            for d in decisions
        ),
    )


def by_key(batch: Batch, decisions: Sequence[Decision]) -> dict[str, Decision]:
    """Return decisions by the keys of their writes."""
    return {write.key: decision for write, decision in zip(batch.writes, decisions, strict=True)}


def applied(write: Write, target_id: str | None = None, **more: Any) -> Outcome:
    """Return that a write was applied."""
    made = target_id or write.target_id or "T" + write.key.rpartition("/")[2]
    return Outcome(write.key, Result.APPLIED, made, **{"version": "t1", **more})


def refused(write: Write, result: Result = Result.REJECTED, code: str = "6240") -> Outcome:
    """Return that a write was not applied."""
    error = FixRecord("The name is taken.", code=code, advice="Give it another name.", field="name")
    return Outcome(write.key, result, write.target_id, error=error)


def unknown(write: Write) -> Outcome:
    """Return that it is not known how a write ended."""
    return Outcome(write.key, Result.UNKNOWN, write.target_id)


def sent(
    ledger: Ledger, run: RunRef, decisions: Sequence[Decision], *, key: str = "b1", kind: Kind = "record", **more: Any
) -> Batch:
    """Record the intent of a batch."""
    batch = batch_of(decisions, key, **more)
    side: Side = "crm" if kind == "write_back" or run.source == "books" else "books"
    ledger.begin_batch(run, side=side, kind=kind, batch=batch, decisions=by_key(batch, decisions))
    return batch


def ended(
    ledger: Ledger, run: RunRef, decisions: Sequence[Decision], batch: Batch, outcomes: Sequence[Outcome]
) -> None:
    """Record the outcomes of a batch."""
    ledger.end_batch(run, batch, outcomes, by_key(batch, decisions))


def made(ledger: Ledger, run: RunRef, *source_ids: str, key: str = "b1", **more: Any) -> None:
    """Create records, all of them with success: `a` gets the target id `Ta`."""
    decisions = [create(source_id, **more) for source_id in source_ids]
    batch = sent(ledger, run, decisions, key=key)
    ended(ledger, run, decisions, batch, [applied(write) for write in batch.writes])
