"""Bringing given records into one object of a system, for DAGs that people write by hand.

The same protocol as a mapping's (`iw_operators.apply`): intents first, outcomes after, nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from iw_operators.apply import Ends, Writer
from iw_operators.engine.model import Action, Candidate, Change, Decision, Record, Value, Values
from iw_operators.errors import FixConfiguration
from iw_operators.keys import digest
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.spec.resolved import Side
from iw_operators.sync import Summary, tally
from iw_operators.systems.base import System, View

PAGE: Final = 500


def upsert_records(
    *,
    company: str,
    dag_run_id: str,
    task_id: str,
    system: System,
    view: View,
    records: Sequence[Values],
    match: str,
    ledger: Ledger,
) -> Summary:
    """Update the record of `view` that agrees in `match` with each given one; create it where there is none.

    :param match: a field of the view that every record has; several records of the system that agree hold the record.
    :param records: typed values; references and lookups as the system's own ids and texts.
    :raises FixConfiguration: the view does not have the field.
    :raises RetryLater: may be repeated as it is.

    Reads the whole object once to find what agrees, whatever its size.
    """
    if match not in view.fields:
        msg = f"{view.object} has no field {match!r} to match by."
        raise FixConfiguration(msg, advice=f"Fields asked for: {', '.join(view.fields)}.")
    name = f"upsert:{task_id}"
    side: Side = "crm"  # the ledger orients bindings by sides; here the given records take the place of the books
    fingerprint = digest(view.object, match, *sorted(view.fields))[:12]
    run_id = ledger.begin_run(company=company, flow=name, dag_run_id=dag_run_id, kind="upsert", direction="to_crm")
    with ledger.working(company, name):
        run = RunRef(run_id, company, name, name, fingerprint, 1, source="books")
        ends = Ends({side: system}, lambda _: view)
        writer = Writer(run, ledger, side, ends, lambda _: _AsAnswered())
        writer.settle()
        ledger.begin_mapping(run_id, name, fingerprint, run.attempt)
        keys = [str(record.get(match)) for record in records]
        found = _found(system, view, match, set(keys))
        done: list[Decision] = []
        taken: set[str] = set()
        for start in range(0, len(records), PAGE):
            page = list(zip(keys[start : start + PAGE], records[start : start + PAGE], strict=True))
            targets = system.fetch(view, {ids[0] for key, _ in page if len(ids := found.get(key, [])) == 1})
            plan = [
                writer.doubt(Record(d.source_id, {}, label=d.label)) if d.source_id in writer.in_doubt else d
                for d in _plan(page, match, found, targets, taken)
            ]
            _unbind_outdated(ledger, company, name, plan)
            plan = _in_generations(ledger, company, name, plan)
            ended, _ = writer.apply(plan, last=True)
            done += ended
        counts = ledger.end_mapping(run_id, name, run.attempt, len(records))
        ledger.end_run(run_id, "success")
    return Summary(name, len(records), {**tally(done), **counts})


class _AsAnswered:
    """What follows from a write where nothing ever comes back from the target."""

    def base_after(self, decision: Decision, held: Values) -> Values:
        """Return what was sent, as the target holds it."""
        return {**decision.target, **held}

    def version_after(self, version: str) -> str:
        """Return the version as it was answered."""
        return version

    def verified(self, decision: Decision, held: Values) -> Decision:  # noqa: ARG002  as `Rules` says
        """Expect nothing."""
        return decision


def _found(system: System, view: View, match: str, wanted: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for page in system.scan(view, None):
        for record in page:
            key = str(record.values.get(match))
            if key in wanted and not record.deleted:
                found.setdefault(key, []).append(record.id)
    return found


def _unbind_outdated(ledger: Ledger, company: str, name: str, plan: Sequence[Decision]) -> None:
    """Take away bindings of earlier runs that the system itself does not bear out any more."""
    writes = {d.source_id: d.target_id for d in plan if d.action in (Action.CREATE, Action.UPDATE)}
    for key, binding in ledger.bindings(company, name, "books", list(writes)).items():
        if binding.target_id != writes[key]:
            ledger.unbind(company, name, "books", key)
    targets = {target_id: key for key, target_id in writes.items() if target_id}
    for target_id, binding in ledger.bindings(company, name, "crm", list(targets)).items():
        if binding.target_id != targets[target_id]:
            ledger.unbind(company, name, "crm", target_id)


def _in_generations(ledger: Ledger, company: str, name: str, plan: Sequence[Decision]) -> list[Decision]:
    """Return the plan with new bindings beyond those that the records had: a record made again gets a new key."""
    new = [d.source_id for d in plan if d.action is Action.CREATE or d.binds]
    left = ledger.unbound(company, name, "books", new)
    return [
        replace(d, generation=left[d.source_id].generation + 1) if d.source_id in left and d.source_id in new else d
        for d in plan
    ]


def _plan(
    page: Sequence[tuple[str, Values]],
    match: str,
    found: Mapping[str, Sequence[str]],
    targets: Mapping[str, Record],
    taken: set[str],
) -> list[Decision]:
    """Plan a page. :param taken: what the records before had in `match`; those of the page are put into it."""
    plan: list[Decision] = []
    for key, values in page:
        ids = found.get(key, [])
        if values.get(match) is None:
            why = f"The record has nothing in {match}."
            plan.append(Decision(Action.REJECT, key, why, code="iw.required", field=match))
        elif key in taken:
            plan.append(Decision(Action.SKIP, key, f"A record before it has the same {match}."))
        elif len(ids) > 1:
            candidates = tuple(Candidate(each, key) for each in ids)
            why = f"{len(ids)} records agree in {match}."
            plan.append(Decision(Action.HOLD, key, why, code="iw.ambiguous", candidates=candidates))
        elif not ids:
            send = {name: value for name, value in values.items() if value is not None}
            changes = tuple(Change(name, None, value) for name, value in send.items())
            plan.append(
                Decision(
                    Action.CREATE, key, f"None agrees in {match}.", label=key, changes=changes, send=send, target=send
                )
            )
        else:
            plan.append(_compared(key, values, targets.get(ids[0]), ids[0]))
        taken.add(key)
    return plan


def _compared(key: str, values: Values, target: Record | None, target_id: str) -> Decision:
    if target is None:
        return Decision(Action.HOLD, key, f"Record {target_id} went away while this ran.", code="iw.target_missing")
    held: Mapping[str, Value] = target.values
    changes = tuple(Change(n, held.get(n), value) for n, value in values.items() if held.get(n) != value)
    action = Action.UPDATE if changes else Action.UNCHANGED
    why = "Fields differ." if changes else "Both sides agree."
    return Decision(
        action,
        key,
        why,
        label=key,
        target_id=target_id,
        target_version=target.version,
        changes=changes,
        send={change.field: change.new for change in changes},
        target={**held, **values},
        binds=True,
    )
