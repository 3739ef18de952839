"""The tasks of a binding flow: `ready`, `find`, `review`, `bind`, `report`.

`find` reads and puts a sheet into the ledger. `review` waits for a person, without a worker, for as long as it takes;
what rows they approve is decided beside it, on the page or by CSV. `bind` binds the approved rows and nothing else.
Whoever answers `review` with Reject has refused the sheet: nothing is bound.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Context, Param

from iw_operators.operators.report import ReportOperator
from iw_operators.operators.turned import TurnedOperator
from iw_operators.retry import told
from iw_operators.sensors.ready import ReadySensor
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping
from iw_operators.xcoms import READY, REPORT

if TYPE_CHECKING:
    from iw_operators.binding import Job
    from iw_operators.ledger.store import Ledger
    from iw_operators.operators.turn import Keeper

log = structlog.get_logger(__name__)

FIND: Final = "find"
REVIEW: Final = "review"
BIND: Final = "bind"
EXACT: Final = "exact"
REFUSED_BY: Final = "refused_by"  # XCom of `review`
FINDINGS: Final = ("exact", "candidate", "ambiguous", "none")


def bind_dag(flow: ResolvedFlow, dag: DAG) -> None:
    """Put the tasks of a binding flow into its DAG."""
    ready = ReadySensor(task_id=READY, flow=flow, dag=dag)
    find = FindOperator(task_id=FIND, flow=flow, dag=dag)
    review = ReviewOperator(task_id=REVIEW, flow=flow, dag=dag)
    bind = BindOperator(task_id=BIND, flow=flow, dag=dag)
    report = BindReportOperator(task_id=REPORT, flow=flow, steps={FIND: "", REVIEW: "", BIND: ""}, dag=dag)
    for task, then in zip((ready, find, review, bind), (find, review, bind, report), strict=True):
        task.set_downstream(then)


class _MappingsOperator(TurnedOperator):
    """Does something for each mapping of a flow, in order, while the run has its turn."""

    def work(self, ledger: Ledger, context: Context, keeper: Keeper) -> dict[str, Any]:
        """Do it. Raises what the systems and the ledger raise."""
        from iw_operators.binding import Job
        from iw_operators.operators.runtime import as_it_began, begin, open_side, reference

        flow = as_it_began(self.flow, context)
        company, size = flow.company, flow.spec.batch_size
        run_id = begin(ledger, flow, context)
        done: dict[str, Any] = {}
        for mapping in flow.mappings:
            source = open_side(company, flow.source, ledger)
            target = open_side(company, flow.target, ledger)
            run = reference(run_id, flow, mapping, context)
            done[mapping.mapping] = self.one(mapping, Job(source, target, ledger, run, size, keeper.go_on))
        return done

    @abstractmethod
    def one(self, mapping: ResolvedMapping, job: Job) -> dict[str, int]:
        """Do it for one mapping; return its numbers."""


class FindOperator(_MappingsOperator):
    """Look for the partners of all records that are not bound, and put them into the run's sheet. Writes nothing else.

    Returns, a mapping, how many records came to which finding. The run's turn is given back: a person may take days.
    """

    ui_color = "#e8eef3"

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises as its base does."""
        from iw_operators.operators.runtime import ledger_of_run

        done: dict[str, Any] = super().execute(context)
        with told(context), ledger_of_run(self.flow.company.company) as ledger:
            ledger.give_turn_back(self.flow.company.company, self.flow.flow, context["run_id"])
        return done

    def one(self, mapping: ResolvedMapping, job: Job) -> dict[str, int]:
        """Look for partners."""
        from iw_operators.binding import find_partners

        return find_partners(self.flow, mapping, job)


def sheet_text(flow: ResolvedFlow, run_id: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return what the approval says, in Markdown."""
    company = flow.company.company
    head = f"| Mapping | {' | '.join(each.capitalize() for each in FINDINGS)} |"
    rows = [
        f"| {mapping.mapping} | {' | '.join(str(counts.get(mapping.mapping, {}).get(f, 0)) for f in FINDINGS)} |"
        for mapping in flow.mappings
    ]
    return "\n".join(
        (
            "Nothing is bound yet. Records without a partner on the other side, by what was found:",
            "",
            head,
            "|---|" + "---:|" * len(FINDINGS),
            *rows,
            "",
            f"The sheet of run `{run_id}` is on the Integration Manager page under *Reviews*, and as CSV:",
            "",
            "```",
            f"airflow iw review {company} {flow.flow} --csv sheet.csv",
            f"airflow iw review {company} {flow.flow} --import sheet.csv",
            "```",
            "",
            "Candidates and ambiguous records are approved row by row, there. **Approve** binds what is approved by "
            "then, and with the box below also all exact ones about which nobody has decided. **Reject** refuses the "
            "sheet as a whole.",
        )
    )


class ReviewOperator(ApprovalOperator):
    """Wait for a person's word about the run's sheet; it takes no worker and no turn meanwhile.

    Returns what was answered. With Reject, what comes after is skipped but for the report.
    """

    shallow_copy_attrs: Sequence[str] = ("flow",)

    def __init__(self, *, flow: ResolvedFlow, **kwargs: Any) -> None:
        box = Param(
            default=True,
            type="boolean",
            title="Approve all exact ones",
            description="Those about which nobody has decided. Without it only rows approved one by one are bound.",
        )
        super().__init__(
            subject=f"{flow.flow}: which records belong together?",
            body="{{ task.sheet(ti, run_id) }}",
            **{**kwargs, "params": {EXACT: box}},  # Airflow puts the DAG's own params among the arguments
        )
        self.flow = flow

    def sheet(self, ti: Any, run_id: str) -> str:
        """Return what the approval says, from what `find` has left."""
        return sheet_text(self.flow, run_id, ti.xcom_pull(task_ids=FIND) or {})

    def execute(self, context: Context) -> Any:
        """Ask, unless the sheet has no row that could be approved."""
        found = context["ti"].xcom_pull(task_ids=FIND) or {}
        if not any(number for counts in found.values() for number in counts.values()):
            log.info("every record has its partner, there is nothing to ask")
            return {"chosen_options": [self.APPROVE], "params_input": {EXACT: False}}
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep the answer in the ledger, with who gave it, before anything follows from it."""
        if "error" not in event:
            with told(context):
                self.keep(context, event)
        return super().execute_complete(context, event)

    def keep(self, context: Context, event: Mapping[str, Any]) -> None:
        """Approve the exact rows, or refuse the sheet, as was answered."""
        from iw_operators.operators.runtime import begin, ledger_of_run

        company = self.flow.company.company
        with ledger_of_run(company) as ledger:
            run_id = begin(ledger, self.flow, context)
            by = answered_by(event)
            if self.APPROVE not in event["chosen_options"]:
                refused = ledger.refuse_review(company, run_id, by=by)
                context["ti"].xcom_push(key=REFUSED_BY, value=by)  # skipping what follows leaves no result of its own
                log.info("sheet refused", run=run_id, by=by, rows=refused)
            elif (event.get("params_input") or {}).get(EXACT, True):
                approved = ledger.approve_exact(company, run_id, by=by)
                log.info("exact rows approved", run=run_id, by=by, rows=approved)


def answered_by(event: Mapping[str, Any]) -> str:
    """Return the name of who answered an approval."""
    user = event.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "somebody")


class BindOperator(_MappingsOperator):
    """Bind the approved rows of the run's sheet, each looked at again.

    Returns, a mapping, how many rows there were and how they ended. May be killed and repeated at any moment.
    """

    ui_color = "#e8f3ec"

    def one(self, mapping: ResolvedMapping, job: Job) -> dict[str, int]:
        """Bind what is approved."""
        from iw_operators.binding import bind_approved

        done = bind_approved(self.flow, mapping, job)
        return {"read": done.read, **done.counts}


class BindReportOperator(ReportOperator):
    """The report of a binding flow: a sheet that was refused is no failure, and nothing was to be bound then."""

    def wrong(self, context: Context) -> list[str]:
        """Return what kept the run from being complete; a refusal is its regular end."""
        if by := context["ti"].xcom_pull(task_ids=REVIEW, key=REFUSED_BY):
            log.info("the sheet was refused; nothing was bound", by=by)
            steps, self.steps = self.steps, {FIND: self.steps[FIND]}
            try:
                return super().wrong(context)
            finally:
                self.steps = steps
        return super().wrong(context)
