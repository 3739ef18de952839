"""The ledger as one company's tasks have it: everything that is another company's is refused (law 8).

All of the ledger's tables are keyed by company, and its methods ask for one company or for one run. Here they are
held to the one company: a call that names another one, or a run of another one, is an error and not an answer.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self

import sqlalchemy as sa

from iw_operators.errors import StopFlow
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import run as runs

FOREIGN: Final = "iw.foreign_company"
NAMES_A_COMPANY: Final = frozenset({"company", "run", "run_id", "run_ids"})  # parameters that say whose rows are meant


class OwnLedger(Ledger):
    """A ledger for one company. `Ledger` says what the methods do; all of them may raise StopFlow as well, when they
    are asked for what belongs to another company. What belongs to nobody (a run that does not exist) counts as that.
    """

    company: str

    @classmethod
    def of(cls, ledger: Ledger, company: str) -> Self:
        """Return `ledger` for one company. Both use the same connections; closing one closes both."""
        own = cls.__new__(cls)
        own.__dict__.update(ledger.__dict__)
        own.company = company
        own._runs = set()
        return own

    _runs: set[int]

    def _hold_to_company(self, arguments: dict[str, Any]) -> None:
        for name, value in arguments.items():
            if name == "company" and value is not None and value != self.company:
                raise _foreign(self.company)
            if name == "run" and value.company != self.company:
                raise _foreign(self.company)
        self._hold_runs([number for name, value in arguments.items() for number in _numbers(name, value)])

    def _hold_runs(self, numbers: Iterable[int]) -> None:
        unknown = set(numbers) - self._runs
        if not unknown:
            return
        query = sa.select(runs.c.id).where(runs.c.id.in_(unknown), runs.c.company == self.company)
        self._runs |= set(self._read(lambda connection: list(connection.scalars(query))))
        if not unknown <= self._runs:
            raise _foreign(self.company)


def _numbers(name: str, value: Any) -> Iterator[int]:
    if name == "run":
        yield value.run_id
    elif name == "run_id" and value is not None:
        yield value
    elif name == "run_ids":
        yield from value


def _foreign(company: str) -> StopFlow:
    msg = f"A task of company {company} asked the ledger for what belongs to another company."
    return StopFlow(msg, code=FOREIGN, advice="Nothing was read or written. Report this with the task's log.")


def _held(method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def held(self: OwnLedger, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        for name in ("run_ids",):  # may be an iterator, which is looked at here and used there
            if name in bound.arguments:
                bound.arguments[name] = list(bound.arguments[name])
        self._hold_to_company(bound.arguments)
        return method(*bound.args, **bound.kwargs)

    return held


for _name, _method in inspect.getmembers(Ledger, inspect.isfunction):
    if not _name.startswith("_") and NAMES_A_COMPANY & set(inspect.signature(_method).parameters):
        setattr(OwnLedger, _name, _held(_method))
