"""What the commands have in common: what each opens, and how it speaks to the terminal."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from iw_operators.errors import InterWeaveError
from iw_operators.shown import shown

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy.orm import Session

    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import CompanySpec

WIDE: Final = 200  # columns of a table that goes into a file or pipe


def say(text: object, stream: Any = None) -> None:
    """Write one line, as a terminal may show it."""
    (stream or sys.stdout).writelines([shown(text), "\n"])


def count(number: int, word: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def user() -> str:
    """Return the name under which the ledger keeps who did something."""
    return getpass.getuser()


def terminal(wide: int = WIDE) -> Console:
    """Return what prints tables: as wide as the terminal, or `wide` where the output goes into a file or pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else wide)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table, each cell as a terminal may show it."""
    from rich.table import Table
    from rich.text import Text

    made = Table(*headings, title=title)
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    terminal().print(made)


@contextmanager
def opened_ledger(company: str | None = None) -> Iterator[Ledger]:
    """Open the ledger for the length of a command. An error of ours ends the command with its words.

    :param company: whose rows alone the command can see and touch; None for those of every company.
    """
    from iw_operators.ledger.connect import open_ledger
    from iw_operators.ledger.own import OwnLedger
    from iw_operators.settings import ledger_conn_id

    try:
        with closing(open_ledger(ledger_conn_id())) as ledger:
            yield ledger if company is None else OwnLedger.of(ledger, company)
    except InterWeaveError as error:
        raise SystemExit(str(error)) from None


@contextmanager
def opened_company(company: str, *, checked: bool = True) -> Iterator[tuple[CompanySpec, Ledger]]:
    """Open a company's spec and the ledger.

    :param checked: end the command where errors leave the company without a mapping.
    """
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.folders import companies
    from iw_operators.spec.loader import load_company

    root = mappings_folder()
    if company not in companies(root):
        raise SystemExit(f"There is no company {company!r}.")
    spec, errors = load_company(root / company)
    if spec is None or (checked and errors and not spec.mappings):
        raise SystemExit("\n".join(map(str, errors)))
    with opened_ledger(company) as ledger:
        yield spec, ledger


@contextmanager
def opened_airflow() -> Iterator[tuple[Session, Ledger]]:
    """Open Airflow's metadata database and the ledger; what was changed is committed at the end."""
    from airflow.utils.session import create_session

    with opened_ledger() as ledger, create_session() as session:
        yield session, ledger


def known_flow(company: str, flow: str) -> None:
    """End the command unless the company has this flow."""
    from iw_operators.settings import mappings_folder
    from iw_operators.spec.errors import listing, suggest
    from iw_operators.spec.folders import companies
    from iw_operators.spec.loader import load_company

    root = mappings_folder()
    spec = load_company(root / company)[0] if company in companies(root) else None
    flows = list(spec.flows) if spec else []
    if flow not in flows:
        near = suggest(flow, flows)
        end = f" Did you mean {near}?" if near else ""
        raise SystemExit(f"{company!r} has no flow {flow!r}; there are: {listing(flows) or 'none'}.{end}")
