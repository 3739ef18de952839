"""What an operator reads about a flow in Airflow: its line in the list and its page. Text from the spec alone."""

from __future__ import annotations

from iw_operators.spec.models import Direction, FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, Side

MAY = {
    Operations.NONE: "nothing",
    Operations.CREATE_AND_UPDATE: "create and update",
    Operations.CREATE_ONLY: "create only",
    Operations.UPDATE_ONLY: "update only",
}
BIND = {"id": "id", "full_name": "full name", "criteria": ""}


def summary(flow: ResolvedFlow) -> str:
    """Return one line about a flow."""
    return flow.spec.description or f"{_systems(flow)}: {', '.join(m.mapping for m in flow.mappings)}"


def page(flow: ResolvedFlow) -> str:
    """Return the flow's page in Markdown: what it does, when to use it, how to run it, what to do when it fails."""
    return "\n\n".join(
        (
            f"### {flow.flow}\n{_sentence(summary(flow))} Company `{flow.company.company}`, {_systems(flow)}.",
            f"**When to use it.** {_when(flow)}",
            _table(flow),
            f"**How to run it.** {_how(flow)}",
            "**When a task is red.** Its log says in one line what happened and who does what about it. `ready` red: a "
            "system or the ledger cannot be reached, or refuses to sign in. A mapping red: it stopped half-way; Clear "
            "it, nothing is written twice. Records that could not go do not make a task red: each is a row of the "
            "ledger with its reason, and `report` sums them up.",
        )
    )


def _systems(flow: ResolvedFlow) -> str:
    first, source, target = flow.mappings[0], *_sides(flow)
    return f"{first.label(source)} to {first.label(target)}"


def _sides(flow: ResolvedFlow) -> tuple[Side, Side]:
    return ("crm", "books") if flow.direction is Direction.TO_BOOKS else ("books", "crm")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _table(flow: ResolvedFlow) -> str:
    source, target = _sides(flow)
    first = flow.mappings[0]
    head = f"| # | Mapping | {first.label(source)} | {first.label(target)} | May | Found again by | Fields |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for number, mapping in enumerate(flow.mappings, start=1):
        cells = (
            str(number),
            f"`{mapping.mapping}`",
            mapping.object_of(source),
            mapping.object_of(target),
            MAY[flow.operations(mapping)],
            _found_by(mapping),
            str(len(mapping.fields) + len(mapping.lines)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _found_by(mapping: ResolvedMapping) -> str:
    ways = [BIND[mapping.bind.by], " + ".join(mapping.bind.else_)]
    return ", else ".join(way for way in ways if way) or "binding"


def _when(flow: ResolvedFlow) -> str:
    match flow.kind:
        case FlowKind.SCHEDULED:
            return (
                "It keeps both sides in step while it is switched on: each run reads what changed since Query Starts, "
                "the point up to which everything is recorded, and moves that point on when all of it went through."
            )
        case FlowKind.NF:
            return "For one record, now: to try a mapping out, or to bring over a record that somebody waits for."
        case FlowKind.DR:
            return (
                "To catch up on a date range, or to go over one again. It leaves Query Starts of the scheduled flows "
                "alone and writes nothing that is already as it should be."
            )


def _how(flow: ResolvedFlow) -> str:
    match flow.kind:
        case FlowKind.SCHEDULED:
            return "The switch turns the schedule on and off; *Trigger* runs it once, now."
        case FlowKind.NF:
            return "*Trigger*, then fill in the full name or the id. The flow has to be switched on."
        case FlowKind.DR:
            return (
                f"*Trigger*, then *Backfill*, then the dates: one run for each {flow.spec.window} "
                f"({flow.company.time_zone}), oldest first, with the first and the last date. Windows that have not "
                "ended yet are left out. The flow has to be switched on. To go on after a stop, ask for the same range "
                "and reprocess what failed. By command:\n```\n"
                f"airflow backfill create --dag-id {flow.dag_id} --from-date 2026-01-01 --to-date 2026-01-31 "
                "--max-active-runs 1 --reprocess-behavior failed\n```"
            )
