"""Creatio as the sync loop sees it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from iw_operators.engine.model import Record
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Batch, Outcome, Settings, View, Window
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.codec import KEY
from iw_operators.systems.creatio.lookups import Lookups
from iw_operators.systems.creatio.query import Expand, Query
from iw_operators.systems.creatio.reading import Reading
from iw_operators.systems.creatio.writing import BATCH, Writing

PLATFORMS: Final = {"core": ".NET Core", "framework": ".NET Framework"}
SCAN_PAGE: Final = 1_000
PROBE: Final = "Account"


class CreatioSystem:
    """`System` over one Creatio; see `systems.base` for what each method promises."""

    name = "creatio"
    batch_size = BATCH
    keys_last = dt.timedelta.max  # a create carries an Id that is made of its key

    def __init__(self, client: Client, zone: dt.tzinfo = dt.UTC) -> None:
        self._client = client
        self._reading = Reading(client, zone)
        self._lookups = Lookups(client)
        self._writing = Writing(client, self._reading, self._lookups)

    def check(self) -> str:
        """Read one Id of an account: one request, besides signing in where there is no session."""
        self._client.read(Query(PROBE, Expand(frozenset({KEY})), top=1))
        host = urlsplit(self._client.site).netloc
        return f"Creatio at {host} ({PLATFORMS[self._client.platform]}), signed in as {self._client.user}"

    def now(self) -> dt.datetime:
        """Return Creatio's time to the second, rounded down."""
        if self._client.server_time() is None:
            self.check()
        found = self._client.server_time()
        if found is None:
            msg = "Creatio's answers carry no Date, so that its clock is not known."
            raise FixConfiguration(msg, code="creatio.no_date", advice="Something between us and the site removes it.")
        return found.replace(microsecond=0)

    def changes(self, view: View, window: Window, page_size: int) -> Iterator[Sequence[Record]]:
        """Yield changed records. Deletions are not told of by Creatio. One request when there are none."""
        return self._reading.changes(view, window, page_size)

    def count(self, view: View, window: Window) -> int:
        """Return how many records themselves changed in the window; one request."""
        return self._reading.count(view, window)

    def complete(self, view: View, records: Sequence[Record]) -> Sequence[Record]:
        """Add lines and facts."""
        return self._reading.complete(view, records)

    def fetch(self, view: View, ids: Collection[str]) -> Mapping[str, Record]:
        """Return records by id."""
        return self._reading.fetch(view, ids)

    def existing(self, view: View, ids: Collection[str]) -> Collection[str]:
        """Return the ids that are there; one call for up to 4,000."""
        return self._reading.existing(view, ids)

    def told_since(self, view: View) -> dt.datetime | None:
        """Return None: Creatio tells of no deletions."""
        del view  # the same for every object
        return None

    def find(self, view: View, name: str) -> Sequence[Record]:
        """Return records by name, full name or id."""
        return self._reading.find(view, name)

    def scan(self, view: View, since: dt.datetime | None) -> Iterator[Sequence[Record]]:
        """Yield all headers, 1,000 a page."""
        return self._reading.scan(view, since, SCAN_PAGE)

    def lookup(self, field_def: FieldDef, names: Collection[str]) -> Mapping[str, str]:
        """Return the ids of texts of a field's list; nothing for a field that has none."""
        return self._lookups.find(field_def.lookup, names) if field_def.lookup else {}

    def write(self, batch: Batch) -> Sequence[Outcome]:
        """Send up to 94 writes in one call."""
        return self._writing.write(batch)

    def resolve(self, batch: Batch) -> Sequence[Outcome]:
        """Look up how an earlier batch ended."""
        return self._writing.resolve(batch)


def connect(conn_id: str, settings: Settings) -> CreatioSystem:
    """Return Creatio over an Airflow connection. FixConfiguration if the connection is missing or lacks something."""
    from iw_operators.systems.creatio.hook import CreatioHook  # Airflow is imported where it is used

    try:
        zone = ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f"{settings.time_zone!r} is not a time zone."
        raise FixConfiguration(msg, code="iw.time_zone") from error
    return CreatioSystem(CreatioHook(conn_id).client(settings.state), zone)
