"""QuickBooks Online as the sync loop sees it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from iw_operators.engine.model import Record
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Batch, Outcome, Settings, View, Window
from iw_operators.systems.quickbooks_online.client import BATCH, Client
from iw_operators.systems.quickbooks_online.codec import record_of
from iw_operators.systems.quickbooks_online.errors import LABEL, unreadable
from iw_operators.systems.quickbooks_online.lists import Lists
from iw_operators.systems.quickbooks_online.looking import Looker
from iw_operators.systems.quickbooks_online.query import PAGE
from iw_operators.systems.quickbooks_online.reading import Reader, Row, in_pages
from iw_operators.systems.quickbooks_online.writing import Writer


def connect(conn_id: str, settings: Settings) -> QuickBooksOnline:
    """Return QuickBooks Online over an Airflow connection; nothing is sent yet.

    FixConfiguration when the connection is missing or lacks something.
    """
    from iw_operators.systems.quickbooks_online.hook import QuickBooksOnlineHook

    return QuickBooksOnline(QuickBooksOnlineHook(conn_id).access().client(settings.state), time_zone=settings.time_zone)


class QuickBooksOnline:
    """One company of QuickBooks Online; see `systems.base.System`, whose promises it keeps.

    Requests: `changes` of a window in which nothing changed is one; `scan` and a first `changes` one per 1,000 rows;
    `write` one per batch, one more where updates need rows that were not just fetched, and about ten where one item has
    the batch refused as a whole; `resolve` one per object updated, and one for up to 30 customers of new transactions.
    """

    name: str = "quickbooks_online"
    batch_size: int = BATCH
    keys_last: dt.timedelta = dt.timedelta(hours=24)  # how long Intuit is trusted to keep the answer to a requestid

    def __init__(self, client: Client, *, time_zone: str = "UTC") -> None:
        self.client = client
        self._zone = ZoneInfo(time_zone)
        self._lists = Lists(client)
        self._reader = Reader(client, self._clock)
        self._writer = Writer(client, self._reader, self._lists, self._today)
        self._looker = Looker(client, self._reader, self._lists, self._writer.recent)

    def check(self) -> str:
        """Read the company's own record; one request."""
        info = self.client.company_info()
        if not info.get("CompanyName"):
            msg = f"{LABEL} has no company {self.client.company_id}."
            raise FixConfiguration(msg, code="iw.company", advice="Correct the company id (realm) of the connection.")
        return f"{LABEL}: signed in to {info['CompanyName']}, company {self.client.company_id}."

    def now(self) -> dt.datetime:
        """Return Intuit's time at its last answer, to the second; asks when there was none."""
        if self.client.server_time is None:
            self.client.company_info()
        return self._clock()

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield what changed; see `Reader.changes` for the ways and what Intuit cannot tell.

        A record that changes again while an open window (`until` None) is being read comes once more.
        """
        return self._records(view, self._reader.changes(view, window), page_size)

    def count(self, view: View, window: Window) -> int:
        """Return how many rows changed in the window; one request."""
        return self._reader.count(view, window)

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records as they are: rows come with their lines, and books have no facts."""
        del view  # each record is complete whatever is asked of it
        return records

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return records by id, in one request per 250."""
        found: dict[str, Record] = {}
        for rows in self._reader.by_ids(view, ids):
            self._writer.recent.keep(view.object, rows)
            found |= {row["Id"]: self._record(view, row) for row in rows}
        return found

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Return the ids that are there: counts of 250 at a time, 30 counts a request; see `Reader.existing`."""
        return self._reader.existing(view, ids)

    def told_since(self, view: View) -> dt.datetime | None:
        """Return since when deletions are told: 29 days for transactions, none for names, which are made inactive.

        After a feed that was cut off at Intuit's 1,000 objects: since now.
        """
        return self._reader.told_since(view)

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return records by full name, name, number, reference or id; one request."""
        return [self._record(view, row) for row in self._reader.by_name(view, name)]

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield all records, or those changed since (deletions included)."""
        return self._records(view, self._reader.changes(view, Window(since, None)), PAGE)

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """Return ids of list entries by name; one request per list and task."""
        if field_def.lookup is None:
            return {}
        return self._lists.find(field_def.lookup, names)

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Send a batch of at most 30 with its key as requestid."""
        return self._writer.write(batch)

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Look up how a batch ended; see `Looker.resolve`."""
        return self._looker.resolve(batch)

    def _records(self, view: View, pages: Iterator[list[Row]], size: int) -> Iterator[Sequence[Record]]:
        for rows in in_pages(pages, size):
            yield [self._record(view, row) for row in rows]

    def _record(self, view: View, row: Row) -> Record:
        try:
            return record_of(view, row, self._lists.text_of)
        except ValueError as error:
            raise unreadable(view) from error

    def _clock(self) -> dt.datetime:
        return self.client.server_time or dt.datetime.now(dt.UTC)

    def _today(self) -> dt.date:
        return self._clock().astimezone(self._zone).date()
