"""Commands that start and stop flows and maintain a company: what the page does, without a browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import opened_airflow, say, table, user

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from iw_operators.control import FlowState
    from iw_operators.ledger.store import Ledger
    from iw_operators.maintenance import MaintenanceState
    from iw_operators.spec.resolved import CompanySpec


def start(args: Any) -> None:
    """Switch flows on: those that are named, those that the company's policy has stopped, or all scheduled ones."""
    from iw_operators import control
    from iw_operators.listener import stopped_by_policy

    if args.stopped and args.flows:
        raise SystemExit("Name flows, or say --stopped: not both.")
    with opened_airflow() as (session, ledger):
        wanted = _wanted(session, args.company, args.flows, "scheduled")
        if args.stopped:
            wanted = stopped_by_policy(session, args.company)
            if not wanted:
                say(f"{args.company}: no flow has been stopped by stop_scheduled.")
        for dag_id in wanted:
            control.start(session, ledger, dag_id, user())
            say(f"{dag_id}: started")


def stop(args: Any) -> None:
    """Switch flows off: those that are named, or all of the company."""
    from iw_operators import control

    with opened_airflow() as (session, ledger):
        stopped = _wanted(session, args.company, args.flows, None)
        for dag_id in stopped:
            control.stop(session, ledger, dag_id, user())
        session.flush()
        for dag_id, state in control.flow_states(session, ledger, stopped).items():
            say(f"{dag_id}: {state.state}")


def status(args: Any) -> None:
    """Print the flows of a company like the Integration Manager's two tables."""
    from iw_operators import control
    from iw_operators.listener import flows_of
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.folders import companies
    from iw_operators.spec.loader import load_company

    with opened_airflow() as (session, ledger):
        root = mappings_folder()
        spec = load_company(root / args.company)[0] if args.company in companies(root) else None
        flows = flows_of(session, args.company)
        if not flows:
            raise SystemExit(f"Airflow has no flow of a company {args.company!r}.")
        states = control.flow_states(session, ledger, flows)
        _show(args.company, states, spec, ledger)
        _tell(control.maintenance_state(session, ledger, args.company))


def maintenance(args: Any) -> None:
    """Begin or end a company's maintenance, or say how it stands. Exits with 1 while it is not safe yet."""
    from iw_operators import control

    company = args.company
    with opened_airflow() as (session, ledger):
        match args.what:
            case "begin":
                state = control.begin_maintenance(session, ledger, company, user(), args.why or "")
            case "end":
                check = (lambda *_: None) if args.unchecked else control.check_connections
                state = control.end_maintenance(session, ledger, company, user(), check=check)
                say(f"{company}: the maintenance has ended")
            case _:
                state = control.maintenance_state(session, ledger, company)
        _tell(state)
    if args.what != "end" and state.active and not state.safe:
        raise SystemExit(1)


def _wanted(session: Session, company: str, flows: Sequence[str], tag: str | None) -> list[str]:
    from iw_operators.listener import flows_of

    if flows:
        return [flow if flow.startswith(f"{company}.") else f"{company}.{flow}" for flow in flows]
    found = flows_of(session, company, tag)
    if not found:
        raise SystemExit(f"Airflow has no flow of a company {company!r}.")
    return found


def _tell(state: MaintenanceState) -> None:
    if state.active:
        say(f"Maintenance since {state.since:%Y-%m-%d %H:%M} UTC, begun by {state.by}. {state.why}".rstrip())
        say(f"{state.company}: {state.text}")
        say(f"To be started again at its end: {', '.join(state.flows) or 'nothing'}")
    for held in state.held:
        say(f"held up: {held.dag_id} {held.run_id}: {held.why}")


def _show(company: str, states: Mapping[str, FlowState], spec: CompanySpec | None, ledger: Ledger) -> None:
    from iw_operators.manager.reading import Reading
    from iw_operators.spec.flows import kind

    by_name = {dag_id.partition(".")[2]: state for dag_id, state in states.items()}
    kinds = {flow: spec.flows[flow].kind if spec and flow in spec.flows else kind(flow) for flow in by_name}
    now = Reading.of(ledger).standing({company: list(by_name)})[company]

    def rows(*, utility: bool) -> Iterator[tuple[str, ...]]:
        for flow, state in by_name.items():
            if kinds[flow].utility is utility:
                starts, run = now.starts.get(flow), now.last.get(flow)
                yield (
                    flow,
                    kinds[flow].value,
                    state.state.value,
                    f"{starts:%Y-%m-%d %H:%M:%S}Z" if starts else "",
                    f"{run.started_at:%Y-%m-%d %H:%M:%S}Z" if run else "",
                    ": ".join([run.state, *run.error.splitlines()[:1]]) if run else "",
                )

    for title, utility in (("Scheduled flows", False), ("Utility flows", True)):
        if found := list(rows(utility=utility)):
            table(("Flow", "Kind", "State", "Query Starts", "Last run", "How it ended"), found, title=title)
