"""OData 4 queries as Creatio takes them.

Lookups are filtered by navigation path and a bare GUID (`Account/Id eq 3f25...`): a filter on `AccountId` is refused
with status 500. Stamps are bare as well; only text is quoted. (Captured exchanges and vendor documentation.)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, TypeVar
from urllib.parse import quote

T = TypeVar("T")
CHAIN: Final = 40  # conditions in one or-chain
SAFE: Final = "/,()=$:'*"  # what a query option may hold as it is


@dataclass(frozen=True, slots=True)
class Expand:
    """Columns and further lookups to bring along with a lookup."""

    select: frozenset[str] = frozenset()
    expand: Mapping[str, Expand] = field(default_factory=dict)

    def with_path(self, path: Sequence[str]) -> Expand:
        """Return it with one more column, `("Stage", "Name")` or `("Name",)`."""
        if len(path) == 1:
            return replace(self, select=self.select | {path[0]})
        inner = self.expand.get(path[0], Expand()).with_path(path[1:])
        return replace(self, expand={**self.expand, path[0]: inner})

    def clause(self) -> str:
        """Return what stands after `$expand=`."""
        return ",".join(f"{name}({';'.join(inner.options())})" for name, inner in sorted(self.expand.items()))

    def options(self) -> Iterator[str]:
        """Yield `$select=...` and `$expand=...`, as far as there is something in them."""
        if self.select:
            yield "$select=" + ",".join(sorted(self.select))
        if self.expand:
            yield "$expand=" + self.clause()


@dataclass(frozen=True, slots=True)
class Query:
    """One read of an entity set."""

    set: str
    columns: Expand
    where: tuple[str, ...] = ()  # all of them hold
    order: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False  # ask how many rows there are in all
    about: str = ""  # what the asker calls it; not sent

    def url(self) -> str:
        """Return it relative to the data root, percent-encoded."""
        options = [_encode(option) for option in self.columns.options()]
        if self.where:
            options.append("$filter=" + quote(_all(self.where), safe=SAFE))
        if self.order:
            options.append("$orderby=" + _encode(",".join(self.order)))
        if self.top is not None:
            options.append(f"$top={self.top}")
        if self.skip:
            options.append(f"$skip={self.skip}")
        if self.count:
            options.append("$count=true")
        return f"{self.set}?{'&'.join(options)}" if options else self.set


def _encode(text: str) -> str:
    return quote(text, safe=SAFE + ";")


def _all(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)


def any_of(parts: Sequence[str]) -> str:
    """Return a condition that holds when one of the parts does."""
    return " or ".join(parts)


def text(value: str) -> str:
    """Return a text literal."""
    return "'" + value.replace("'", "''") + "'"


def guid(value: str) -> str | None:
    """Return a GUID literal in its canonical form, None if the text is no GUID."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None


def chunks(values: Iterable[T], size: int = CHAIN) -> Iterator[list[T]]:
    """Yield lists of at most `size` values."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


def chains(path: str, ids: Iterable[str]) -> Iterator[str]:
    """Yield or-chains `path eq a or path eq b ...` that together ask for all ids; what is no GUID is left out."""
    wanted = [literal for literal in map(guid, ids) if literal]
    for part in chunks(wanted):
        yield any_of([f"{path} eq {literal}" for literal in part])


def filter_path(column: str) -> str:
    """Return how a reference column is named in filters: `AccountId` is `Account/Id`, `Id` stays."""
    return f"{column[:-2]}/Id" if column.endswith("Id") and len(column) > 2 and "/" not in column else column
