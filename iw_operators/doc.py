"""What an operator reads about a flow in Airflow: its line in the list and its page. Text from the spec alone."""

from __future__ import annotations

from iw_operators.spec.models import FlowKind, Operations
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping

MAY = {
    Operations.NONE: "nothing",
    Operations.CREATE_AND_UPDATE: "create and update",
    Operations.CREATE_ONLY: "create only",
    Operations.UPDATE_ONLY: "update only",
}
ABOUT = {
    FlowKind.N: "what is not synced yet",
    FlowKind.NF: "one record",
    FlowKind.NFS: "some records",
    FlowKind.DR: "a range of dates",
    FlowKind.DRS: "a range of dates in batches",
    FlowKind.F: "the whole history",
    FlowKind.BIND: "what belongs together",
    FlowKind.BINDS: "what belongs together, in batches",
    FlowKind.Q: "what the other system calls about",
}
WHEN = {
    FlowKind.SCHEDULED: (
        "It keeps both sides in step while it is switched on: each run reads what changed since Query Starts, "
        "the point up to which everything is recorded, and moves that point on when all of it went through."
    ),
    FlowKind.N: (
        "To bring over, once, what was never synced: it goes through everything, leaves alone what is bound already, "
        "and does with the rest what the mapping permits. Query Starts of scheduled flows stays."
    ),
    FlowKind.NF: "For one record, now: to try a mapping out, or to bring over a record that somebody waits for.",
    FlowKind.NFS: "For some records, now: those of a list, or records that failed, which are tried again alone.",
    FlowKind.DR: (
        "To catch up on a range of dates, or to go over one again. It leaves Query Starts of the scheduled flows "
        "alone and writes nothing that is already as it should be."
    ),
    FlowKind.DRS: (
        "To catch up on a long range of dates in batches of a size that suits both systems. It leaves Query Starts of "
        "the scheduled flows alone and writes nothing that is already as it should be."
    ),
    FlowKind.F: (
        "To go over the whole history, once: before going live, or after a change that concerns everything. It writes "
        "nothing that is already as it should be. It may take hours."
    ),
    FlowKind.BIND: (
        "Once, before the first run, where both sides hold records already: it finds out which belong together and "
        "writes a sheet. Nothing is bound before a person has approved it."
    ),
    FlowKind.BINDS: (
        "Once, before the first run, where both sides hold many records already: it finds out in batches which belong "
        "together and writes a sheet. Nothing is bound before a person has approved it."
    ),
    FlowKind.Q: (
        "For records that the other system calls about, within seconds. It works beside the scheduled flow, which "
        "finds the same changes later if a call is lost."
    ),
}
_ON = "The flow has to be switched on."
_DATES = "*Trigger*, then start and end, in the company's time zone where you write no other, and the batch size."
HOW = {
    FlowKind.SCHEDULED: "The switch turns the schedule on and off; *Trigger* runs it once, now.",
    FlowKind.N: f"*Trigger*; start and end are empty for everything. {_ON}",
    FlowKind.NF: f"*Trigger*, then fill in the full name or the id. {_ON}",
    FlowKind.NFS: f"*Trigger*, then fill in full names or ids, one a line. {_ON}",
    FlowKind.DR: f"{_DATES} {_ON}",
    FlowKind.DRS: f"{_DATES} {_ON}",
    FlowKind.F: f"*Trigger*; start and end are empty for everything, in one run. {_ON}",
    FlowKind.BIND: f"*Trigger*, then look through the sheet and answer the approval. {_ON}",
    FlowKind.BINDS: f"*Trigger*, then look through the sheet and answer the approval. {_ON}",
    FlowKind.Q: "Switch it on; calls run it. *Trigger* takes up what has come in, now.",
}
RED = (
    "Its log says in one line what happened and who does what about it. `ready` red: a system or the ledger cannot be "
    "reached, or refuses to sign in. Records that could not go do not make a task red: each is a row of the ledger "
    "with its reason, and `report` sums them up."
)
AFTER_LOAD = (
    "A mapping red: it stopped half-way. *Clear* it: it goes on where it was, and nothing is written twice or left "
    "out. A new run would begin at the beginning. The log's `progress` lines say how far it is and how long it takes."
)
_AGAIN = "A mapping red: it stopped half-way; *Clear* it, nothing is written twice."
AFTER = {
    FlowKind.SCHEDULED: f"{_AGAIN} Or do nothing: the next run does all of it, because Query Starts has not moved.",
    FlowKind.NF: "A mapping red: the record is not there, or not the only one of its name; run it again with its id.",
    FlowKind.NFS: (
        "A mapping red: some of the names are not clear, and the log says which lines. The others are done: run these "
        "alone."
    ),
    FlowKind.BIND: _AGAIN,
    FlowKind.BINDS: _AGAIN,
    FlowKind.Q: f"{_AGAIN} Or do nothing: the scheduled flow finds the same records.",
}
BIND = {"id": "id", "full_name": "full name", "criteria": ""}


def summary(flow: ResolvedFlow) -> str:
    """Return one line about a flow."""
    what = f", {ABOUT[flow.kind]}" if flow.kind in ABOUT else ""
    return flow.spec.description or f"{_systems(flow)}: {', '.join(m.mapping for m in flow.mappings)}{what}"


def page(flow: ResolvedFlow) -> str:
    """Return the flow's page in Markdown: what it does, when to use it, how to run it, what to do when it fails."""
    return "\n\n".join(
        (
            f"### {flow.flow}\n{_sentence(summary(flow))} Company `{flow.company.company}`, {_systems(flow)}.",
            f"**When to use it.** {_when(flow)}",
            _table(flow),
            f"**How to run it.** {_how(flow)}",
            f"**When a task is red.** {RED} {_after(flow)}",
        )
    )


def _systems(flow: ResolvedFlow) -> str:
    first = flow.mappings[0]
    return f"{first.label(flow.source)} to {first.label(flow.target)}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _table(flow: ResolvedFlow) -> str:
    source, target = flow.source, flow.target
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
    return " ".join(filter(None, (WHEN[flow.kind], _note(flow))))


def _note(flow: ResolvedFlow) -> str:
    if flow.kind.utility:
        return "It never works beside the company's scheduled flows: it waits for them, and they skip meanwhile."
    return ""


def _how(flow: ResolvedFlow) -> str:
    how = HOW[flow.kind]
    if flow.kind.backfilled:
        how += (
            f" Or *Backfill*, then the dates: one run for each {flow.spec.window} ({flow.company.time_zone}), oldest "
            "first, with the first and the last date; windows that have not ended yet are left out. By command:\n```\n"
            f"airflow backfill create --dag-id {flow.dag_id} --from-date 2026-01-01 --to-date 2026-01-31 "
            "--max-active-runs 1 --reprocess-behavior failed\n```"
        )
    if flow.kind is FlowKind.SCHEDULED:
        how += _schedule(flow)
    return how


def _schedule(flow: ResolvedFlow) -> str:
    spec, sleep = flow.spec, flow.company.sleep_window
    said = f" It runs every {spec.interval_ms:,} ms" + (f", shifted by {spec.shift_ms:,} ms" if spec.shift_ms else "")
    said += ", and at once when it is switched on." if spec.run_at_start_up else "."
    if sleep is not None:
        said += f" No run begins from {sleep.from_} to {sleep.to} ({flow.company.time_zone})."
    if spec.executions:
        said += f" It switches itself off when it has completed {spec.executions} runs."
    return said


def _after(flow: ResolvedFlow) -> str:
    return AFTER_LOAD if flow.kind.bulk else AFTER[flow.kind]
