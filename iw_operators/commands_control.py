"""`airflow iw` commands that start and stop flows and maintain a company: what the page does, without a browser."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iw_operators.errors import InterWeaveError
from iw_operators.shown import shown

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from iw_operators.control import FlowState
    from iw_operators.ledger.store import Ledger
    from iw_operators.maintenance import MaintenanceState
    from iw_operators.spec.resolved import CompanySpec

WIDE = 200  # columns of a table that goes into a file or pipe


def start(args: Any) -> None:
    """Switch flows on: those that are named, or all scheduled flows of the company."""
    from iw_operators import control

    with _both() as (session, ledger):
        for dag_id in _wanted(session, args.company, args.flows, "scheduled"):
            control.start(session, ledger, dag_id, _user())
            _out(f"{dag_id}: started")


def stop(args: Any) -> None:
    """Switch flows off: those that are named, or all of the company."""
    from iw_operators import control

    with _both() as (session, ledger):
        stopped = _wanted(session, args.company, args.flows, None)
        for dag_id in stopped:
            control.stop(session, ledger, dag_id, _user())
        session.flush()
        for dag_id, state in control.flow_states(session, ledger, stopped).items():
            _out(f"{dag_id}: {state.state}")


def status(args: Any) -> None:
    """Print the flows of a company like the Integration Manager's two tables."""
    from iw_operators import control
    from iw_operators.listener import flows_of
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.loader import load_company

    with _both() as (session, ledger):
        folder = mappings_folder() / args.company
        spec = load_company(folder)[0] if folder.is_dir() else None
        flows = flows_of(session, args.company)
        if not flows:
            raise SystemExit(f"Airflow has no flow of a company {args.company!r}.")
        states = control.flow_states(session, ledger, flows)
        _table(args.company, states, spec, ledger)
        _tell(control.maintenance_state(session, ledger, args.company))


def maintenance(args: Any) -> None:
    """Begin or end a company's maintenance, or say how it stands. Exits with 1 while it is not safe yet."""
    from iw_operators import control

    company = args.company
    with _both() as (session, ledger):
        match args.what:
            case "begin":
                state = control.begin_maintenance(session, ledger, company, _user(), args.why or "")
            case "end":
                check = (lambda *_: None) if args.unchecked else control.check_connections
                state = control.end_maintenance(session, ledger, company, _user(), check=check)
                _out(f"{company}: the maintenance has ended")
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
        _out(f"Maintenance since {state.since:%Y-%m-%d %H:%M} UTC, begun by {state.by}. {state.why}".rstrip())
        _out(f"{state.company}: {state.text}")
        _out(f"To be started again at its end: {', '.join(state.flows) or 'nothing'}")
    for held in state.held:
        _out(f"held up: {held.dag_id} {held.run_id}: {held.why}")


def _table(company: str, states: dict[str, FlowState], spec: CompanySpec | None, ledger: Ledger) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from iw_operators.manager.reading import Reading
    from iw_operators.spec.flows import kind

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    names = [dag_id.partition(".")[2] for dag_id in states]
    now = Reading.of(ledger).standing({company: names})[company]
    for title, utility in (("Scheduled flows", False), ("Utility flows", True)):
        table = Table("Flow", "Kind", "State", "Query Starts", "Last run", "How it ended", title=title)
        for dag_id, state in states.items():
            flow = dag_id.partition(".")[2]
            of_kind = spec.flows[flow].kind if spec and flow in spec.flows else kind(flow)
            if of_kind.utility is not utility:
                continue
            starts, run = now.starts.get(flow), now.last.get(flow)
            cells = (
                flow,
                of_kind.value,
                state.state.value,
                f"{starts:%Y-%m-%d %H:%M:%S}Z" if starts else "",
                f"{run.started_at:%Y-%m-%d %H:%M:%S}Z" if run else "",
                ": ".join([run.state, *run.error.splitlines()[:1]]) if run else "",
            )
            table.add_row(*(Text(shown(cell)) for cell in cells))
        if table.row_count:
            console.print(table)


@contextmanager
def _both() -> Iterator[tuple[Session, Ledger]]:
    """Open Airflow's metadata and the ledger; commit at the end. An error of ours ends the command with its words."""
    from airflow.utils.session import create_session

    from iw_operators.ledger.connect import open_ledger
    from iw_operators.settings import ledger_conn_id

    try:
        ledger = open_ledger(ledger_conn_id())
        try:
            with create_session() as session:
                yield session, ledger
        finally:
            ledger.close()
    except InterWeaveError as error:
        raise SystemExit(str(error)) from None


def _user() -> str:
    return getpass.getuser()


def _out(text: str) -> None:
    sys.stdout.writelines([shown(text), "\n"])
