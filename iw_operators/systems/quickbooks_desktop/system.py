"""QuickBooks Desktop as the sync loop sees it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from iw_operators.engine.model import Record
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Batch, Outcome, Settings, View, Window
from iw_operators.systems.quickbooks_desktop.client import Client
from iw_operators.systems.quickbooks_desktop.dialect import CLOCK, Statement, as_text, select
from iw_operators.systems.quickbooks_desktop.errors import LABEL, error_of, of_driver, single_user
from iw_operators.systems.quickbooks_desktop.lists import Lists
from iw_operators.systems.quickbooks_desktop.looking import Looking
from iw_operators.systems.quickbooks_desktop.reading import Reading
from iw_operators.systems.quickbooks_desktop.shape import Place
from iw_operators.systems.quickbooks_desktop.writing import BATCH, Writer

log = structlog.get_logger(__name__)

SCAN_PAGE: Final = 500
SLACK: Final = dt.timedelta(minutes=5)  # how far another clock than the host's may be ahead of it
SINGLE: Final = "singleuser"


class QuickBooksDesktop:
    """One company file; see `systems.base.System`, whose promises it keeps.

    Statements: `changes` of a window is one a table (two where deletions are told), `write` one a line and two a
    record, and one read a batch before and after; lines that are to be changed are read first.
    """

    name: str = "quickbooks_desktop"
    batch_size: int = BATCH
    keys_last: dt.timedelta = dt.timedelta(0)  # QuickBooks knows no keys

    def __init__(
        self,
        client: Client,
        place: Place | None = None,
        *,
        utc: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self.client = client
        self._place = place or Place()
        self._utc = utc
        self._lists = Lists(client, self._place)
        self._reading = Reading(client, self._place, self._lists.text_of)
        self._writer = Writer(client, self._reading, Looking(client, self._reading, self._lists))

    def check(self) -> str:
        """Read the company's name and the host's mode; two statements."""
        company = as_text(self.client.value(select(["CompanyName"], "Company")))
        if not company:
            msg = f"{LABEL} has no company file open."
            raise FixConfiguration(msg, code="iw.company", advice="Name the company file in the connector's settings.")
        host = self._host()
        if str(host.get("qbfilemode") or "").replace("-", "").replace(" ", "").lower() == SINGLE:
            raise single_user()
        product = as_text(host.get("productname")) or LABEL
        mode = " in multi-user mode" if host.get("qbfilemode") else ""
        return f"{LABEL}: {company} is open{mode} ({product})"

    def close(self) -> None:
        """Let go of the company file; what is asked afterwards connects anew. Never raises."""
        self.client.drop()

    def _host(self) -> Mapping[str, Any]:
        """Return what QuickBooks says of itself; nothing where a driver has no such table or column."""
        try:
            rows = self.client.all(select(["ProductName", "QBFileMode"], "Host"))
        except FixConfiguration as error:
            if error.code != "odbc.name":
                raise
            return {}
        return rows[0] if rows else {}

    def now(self) -> dt.datetime:
        """Return the time of the host of the company file, to the second.

        A driver or bridge that does not tell it is not asked again: then it is this worker's time, less five minutes,
        so that a host whose clock is behind misses nothing.
        """
        found = self._host_time()
        if found is None:
            return (self._utc() - SLACK).replace(microsecond=0)
        aware = found.replace(tzinfo=self._place.zone, fold=0)
        later = found.replace(tzinfo=self._place.zone, fold=1)
        here = self._utc()
        return min((aware, later), key=lambda each: abs(each - here)).astimezone(dt.UTC).replace(microsecond=0)

    def _host_time(self) -> dt.datetime | None:
        try:
            found = self.client.value(Statement(CLOCK))
        except (FixRecord, FixConfiguration) as error:
            log.warning("the host's clock cannot be asked", code=error.code)
            return None
        if isinstance(found, dt.datetime):
            return found.replace(tzinfo=None)
        try:
            return dt.datetime.fromisoformat(str(found)).replace(tzinfo=None) if found else None
        except ValueError:
            return None

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield what changed; see `reading` for how."""
        return self._reading.changes(view, window, page_size)

    def count(self, view: View, window: Window) -> None:
        """Return None: QODBC counts by reading everything, which takes as long as the work itself."""
        del view, window  # the same for all

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Add lines where they have not been read yet; books have no facts."""
        return self._reading.complete(view, records)

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return records by id, a hundred a statement."""
        return self._reading.fetch(view, ids)

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Return the ids that are there, a hundred a statement."""
        return self._reading.existing(view, ids)

    def told_since(self, view: View) -> dt.datetime | None:
        """Return since when deletions are told: 89 days, of the 90 for which QuickBooks keeps them."""
        back = self._reading.told_since(view)
        return self.now() - back if back is not None else None

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return records by full name, name, number, reference or id."""
        return self._reading.find(view, name)

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield all headers, one statement a table."""
        return self._reading.scan(view, since, SCAN_PAGE)

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """Return ids of list entries by name; one statement a list and task."""
        return self._lists.find(field_def.lookup, names) if field_def.lookup else {}

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Send up to 25 writes, one after the other."""
        return self._writer.write(batch)

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Look up how a batch ended; see `Writer.resolve`."""
        return self._writer.resolve(batch)


def connect(conn_id: str, settings: Settings) -> QuickBooksDesktop:
    """Return QuickBooks Desktop over an Airflow connection; nothing is sent yet.

    FixConfiguration when the connection is missing or lacks something.
    """
    try:  # Airflow is imported where it is used
        from iw_operators.systems.quickbooks_desktop.hook import QuickBooksDesktopHook
    except ImportError as error:
        raise error_of(of_driver(error), connecting=True) from error
    try:
        zone = ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f"{settings.time_zone!r} is not a time zone."
        raise FixConfiguration(msg, code="iw.time_zone") from error
    place = Place(zone, settings.locale, settings.base_currency)
    return QuickBooksDesktop(QuickBooksDesktopHook(conn_id).client(), place)
