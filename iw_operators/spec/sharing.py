"""Which company may name which Airflow connection (S6).

A connection is a company's own: no other company's spec may name it. Two exceptions and a rule about names:

* One system for several companies (a CRM with several company files of the books behind it) is named by all of them
  with `shared: true`; one that does not say so keeps the others out.
* A connection whose id begins with a company's id and `_` (`acme_crm`) belongs to that company, whether or not its
  spec names it. So nobody can take such a connection away from its owner by naming it: only the other one is refused.
* Any other connection that two companies name without sharing it is refused for both, since nothing says whose it is.

Not covered: companies in other mapping folders of the same Airflow. Whoever may run code in Airflow's tasks can ask
Airflow for any connection; this rule is about what specs may say.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iw_operators.spec.document import LARGEST, Document
from iw_operators.spec.errors import Problem
from iw_operators.spec.models import Company

FILE = "company.yaml"
ROLES = ("crm", "books")


@dataclass(frozen=True, slots=True)
class Claim:
    """A company names a connection. `company` is the name of its folder."""

    company: str
    connection: str
    shared: bool


class Companies:
    """The companies below a folder of mappings, as far as it matters which connections they name.

    Each `company.yaml` is read once and parsed only if it holds the connection that is asked for, so that one flow's
    check stays cheap however many companies there are.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._claims: dict[str, list[Claim]] = {}

    @functools.cached_property
    def texts(self) -> dict[str, bytes]:
        """The content of each company's own file, by the folder's name; empty where it cannot be read."""
        found = {}
        for entry in sorted(self._root.iterdir()) if self._root.is_dir() else ():
            if not entry.name.startswith((".", "_")) and (entry / FILE).is_file():
                found[entry.name] = _content(entry / FILE)
        return found

    def naming(self, connection: str) -> list[Claim]:
        """Return who names a connection, those included whose specs have errors, as far as they say it."""
        word = connection.encode()
        companies = [company for company, text in self.texts.items() if word in text]
        return [claim for company in companies for claim in self._of(company) if claim.connection == connection]

    def _of(self, company: str) -> list[Claim]:
        if company not in self._claims:
            data = Document(company, self.texts[company]).data
            ends = [data.get(role) for role in ROLES] if isinstance(data, dict) else []
            named = [end for end in ends if isinstance(end, dict) and isinstance(end.get("connection"), str)]
            self._claims[company] = [Claim(company, end["connection"], end.get("shared") is True) for end in named]
        return self._claims[company]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST)
    except OSError:
        return b""


def problems(company: Company, companies: Companies) -> Iterator[Problem]:
    """Yield what keeps a company from using the connections that it names. The company's name is its folder's."""
    if company.crm.connection == company.books.connection:
        yield Problem(("books", "connection"), "is the CRM's connection too", "a connection of its own")
        return
    for role, end in (("crm", company.crm), ("books", company.books)):
        name = end.connection
        owner = _owner(name, {company.company, *companies.texts})
        if owner == company.company:
            continue
        others = [claim for claim in companies.naming(name) if claim.company != company.company]
        naming = [claim for claim in others if owner in ("", claim.company)]
        closed = sorted({claim.company for claim in naming if not claim.shared or not end.shared})
        if closed:
            whose = f"belongs to company {owner!r}" if owner else f"is named by company {closed[0]!r} too"
            expected = f"a connection of its own, or `shared: true` here and in {closed[0]}/{FILE}"
            yield Problem((role, "connection"), f"{name!r} {whose}", expected)
        elif owner and not naming:
            expected = f"a connection of its own; those that begin with `{owner}_` are that company's"
            yield Problem((role, "connection"), f"{name!r} belongs to company {owner!r} by its name", expected)


def _owner(connection: str, companies: set[str]) -> str:
    """Return the company whose a connection is by its name, the one with the longest id; empty if it is nobody's."""
    return max((name for name in companies if connection.startswith(f"{name}_")), key=len, default="")
