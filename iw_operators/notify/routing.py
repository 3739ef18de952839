"""Which mode tells what (R8), and who gets it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from iw_operators.notify.events import Kind
from iw_operators.spec.models import Notify, NotifyMode

_ALWAYS: Final = frozenset({Kind.STOPPED, Kind.DEADLINE})
"""Told in every mode but `none`: nobody would notice otherwise, and both are asked for by the spec one by one."""

TOLD: Final[dict[NotifyMode, frozenset[Kind]]] = {
    NotifyMode.NONE: frozenset(),
    NotifyMode.CONNECTION_FAILURES: _ALWAYS | {Kind.CONNECTION},
    NotifyMode.EVERY_ERROR: _ALWAYS | {Kind.CONNECTION, Kind.ERROR},
    NotifyMode.CONNECTION_FAILURES_AND_FULL_DAILY_REPORT: _ALWAYS | {Kind.CONNECTION, Kind.FULL_REPORT},
    NotifyMode.CONNECTION_FAILURES_AND_ERROR_DAILY_REPORT: _ALWAYS | {Kind.CONNECTION, Kind.ERROR_REPORT},
    NotifyMode.ERROR_DAILY_REPORT: _ALWAYS | {Kind.ERROR_REPORT},
    NotifyMode.FULL_DAILY_REPORT: _ALWAYS | {Kind.FULL_REPORT},
}
REPORTS: Final = frozenset({Kind.FULL_REPORT, Kind.ERROR_REPORT})
FOR_THE_HOST: Final = frozenset({Kind.CONNECTION})
"""What the hosting provider is told: what he can do something about. Names of customers are none of his business."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who gets a mail; nobody is in it twice."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.to or self.cc or self.bcc)


def told(notify: Notify, kind: Kind) -> bool:
    """Tell whether mails of a kind are sent in a company's mode."""
    return kind in TOLD[notify.mode]


def report_kind(notify: Notify) -> Kind | None:
    """Return which daily report a company's mode asks for."""
    return next(iter(TOLD[notify.mode] & REPORTS), None)


def recipients(notify: Notify, kind: Kind) -> Recipients:
    """Return who gets a mail of a kind: the administrator, CC, BCC; of connections the hosting provider as well (CC).

    Where nobody but the hosting provider is named, there is nobody to whom another mail could go.
    """
    seen: set[str] = set()
    host = notify.hosting_provider if kind in FOR_THE_HOST else ()
    return Recipients(_new(notify.admin, seen), _new((*notify.cc, *host), seen), _new(notify.bcc, seen))


def _new(addresses: Iterable[str], seen: set[str]) -> tuple[str, ...]:
    found = []
    for address in addresses:
        if address.casefold() not in seen:
            seen.add(address.casefold())
            found.append(address)
    return tuple(found)
