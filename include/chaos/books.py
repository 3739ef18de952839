"""What the harness asks of the books of a company, whichever system keeps them: faults, people, and what is held."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from chaos.house import House

READ_TIMEOUT: Final = 1.5  # over HTTP
PATIENCE: Final = 3.0  # longest that a slow answer takes; longer than the timeouts, so that requests arrive late

HTTP: Final[Mapping[str, float]] = {  # kind of fault -> how often
    "drop_before": 1.0,
    "drop_after": 3.0,
    "drop_middle": 2.0,
    "slow": 1.0,
    "slow_after": 1.0,
    "html": 1.0,
    "status_500": 1.0,
    "status_503": 1.0,
    "half_batch": 3.0,
}

Line: TypeAlias = tuple[str, Decimal, Decimal, Decimal]
"""What is bought or sold (an item's id; an account's name where there is no item), quantity, price, amount."""


@dataclass(frozen=True, slots=True)
class Mischief:
    """Faults of one sandbox.

    :param kinds: each kind, and how often it is drawn.
    :param places: what a fault may wait for; those of `own` have places of their own.
    :param most: requests that pass before it strikes, at the most; `most_at`: where it waits for some of them only.
    :param needs: a kind -> another one that has to be armed for it to strike.
    """

    kinds: Mapping[str, float]
    places: Sequence[str] = ("",)
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)
    most: int = 5
    most_at: int = 5
    needs: Mapping[str, str] = field(default_factory=dict)

    def drawn(self, dice: random.Random) -> list[dict[str, Any]]:
        """Return a fault at random, with the one that it needs."""
        kind = dice.choices([*self.kinds], [*self.kinds.values()])[0]
        place = dice.choice(self.own.get(kind, self.places))
        fault = {
            "kind": kind,
            "times": dice.choice((1, 1, 1, 2)),
            "after": dice.randint(0, self.most_at if place else self.most),
            "match": place,
            "seconds": round(dice.uniform(0.2, PATIENCE), 2),
        }
        other = self.needs.get(kind)
        return [fault, *([{"kind": other, "after": dice.randint(0, self.most)}] if other else [])]


@dataclass(frozen=True, slots=True)
class Entry:
    """A customer, an item or a vendor. `code`: by which the CRM knows it; `changed`: seconds since 1970, 0 unknown.

    `balance`: None where it need not be brought to the CRM.
    """

    id: str
    name: str
    phone: str = ""
    code: str = ""
    balance: Decimal | None = None
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice, a sales order or a bill. `net`: the sum of its lines; `lines` are sorted."""

    id: str
    number: str
    party: str
    lines: tuple[Line, ...]
    net: Decimal
    total: Decimal
    balance: Decimal = Decimal(0)
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment. `number`: by which the CRM knows it."""

    id: str
    number: str
    total: Decimal
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """All that the books hold, by mapping and id, read from the sandbox's file."""

    lists: Mapping[str, Mapping[str, Entry]]
    documents: Mapping[str, Mapping[str, Document]]
    payments: Mapping[str, Paid]

    def of(self, mapping: str) -> Mapping[str, Entry | Document | Paid]:
        """Return what a mapping is about."""
        found: Mapping[str, Entry | Document | Paid]
        found = self.payments if mapping == "payments" else self.lists.get(mapping) or self.documents.get(mapping, {})
        return found


class Books(Protocol):
    """The books of a company. What people do in them raises RuntimeError where something is armed."""

    system: str
    size: int  # writes of a call
    item_name: int  # characters of an item's name
    modules: Sequence[str]  # of `iw_operators.systems.<system>`, that workers import before they fork
    mischief: Mischief
    ended: Sequence[Mapping[str, Any]]  # faults after which a client has to sign in again
    plain: str  # module of the plain writer
    after_sale: Mapping[str, Any]  # fault: an invoice is made, and who made it is not told

    def __init__(self, house: House) -> None: ...

    def started(self) -> None:
        """Set the sandbox up, once it answers."""

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection as it is now."""
        ...

    def heal(self, code: str) -> None:
        """Do what a person has to do about an error, if anything."""

    def held(self) -> Held:
        """Return everything."""
        ...

    def call(self, customer: str, phone: str) -> None:
        """Correct a customer's telephone number."""

    def unpaid(self) -> list[Document]:
        """Return invoices in dollars of which more than ten are still to be paid, oldest first."""
        ...

    def pay(self, invoice: Document, amount: Decimal) -> str:
        """Enter a payment; return its id."""
        ...

    def close(self) -> None:
        """Close clients."""
