"""The client: python-quickbooks where it serves, and around it where it does not.

Taken from python-quickbooks 0.9.12: the addresses and parameters of query (POST), CDC, batch, single objects, void,
delete and send; JSON read with Decimals (`use_decimal`); and, because `Client` *is* its `QuickBooks`, all its entity
classes for whoever writes a DAG by hand: `Customer.filter(DisplayName="X", qb=hook.get_conn())`.

Replaced, at the one point where the library does I/O (`process_request`): signing in (it refreshes only at
construction, loses the rotated token and needs the network for its discovery document), timeouts, quotas, waiting
after 429, refreshing after 401, UTF-8, and errors (6240, 5010, 6140 and 6000 all arrive as its base class; XML and
lower-case faults become its code 10000).

Not used for what this package sends: its entity objects (their constructors fill in defaults which a sparse update
would write), its BatchManager (no requestid, random bIds), its Decimal encoder (sends numbers as strings), its
`build_where_clause` (does not escape backslashes), its CDC result (deleted objects come back
filled with defaults).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn, TypeGuard
from urllib.parse import quote, urlencode

import structlog
from quickbooks.client import QuickBooks

from iw_operators.errors import ConnectionFailure, InterWeaveError, Throttled
from iw_operators.systems.http import Request, Response, Transport, json_dumps, parse_stamp
from iw_operators.systems.quickbooks_online.errors import LABEL, error_in, error_of, faults_in
from iw_operators.systems.quickbooks_online.limiter import Limiter
from iw_operators.systems.quickbooks_online.query import PAGE, count, select
from iw_operators.systems.quickbooks_online.tokens import SignIn, drive

log = structlog.get_logger(__name__)

MINOR_VERSION: Final = 75  # the lowest that Intuit serves since 2025-08-01
FEED_LIMIT: Final = 1000  # objects that the change feed tells of at the most
BATCH: Final = 30  # Intuit's limit of items in a batch
REQUEST_ID: Final = 36  # Intuit's limit of a batch's requestid
LISTS: Final = ("Line", "CustomField")  # parts of a record that are lists of objects
THROTTLE_WAITS: Final = 3  # how often a request waits after 429 before it gives up


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as python-quickbooks reads it."""

    status_code: int
    content: bytes

    @property
    def text(self) -> str:
        """The body; Intuit writes UTF-8 whatever the header says."""
        return self.content.decode("utf-8", "replace")


class Client(QuickBooks):  # type: ignore[misc]  # python-quickbooks ships no types
    """One company of QuickBooks Online. Not shared between threads.

    :param company_id: the realm.
    :param base_url: address before `/v3`.
    :param transport: sends one request; raises ConnectionFailure or FixConfiguration.

    Every method may raise ConnectionFailure, Throttled (after waiting for `THROTTLE_WAITS` times), SignInAgain and
    FixConfiguration; of these, only ConnectionFailure with `sent=True` leaves open whether a write was done.
    """

    def __new__(cls, **_: Any) -> Client:
        """Make the library's object without its own signing in."""
        client: Client = super().__new__(cls, minorversion=MINOR_VERSION, use_decimal=True)
        return client

    def __init__(
        self, *, company_id: str, base_url: str, sign_in: SignIn, limiter: Limiter, transport: Transport
    ) -> None:
        self.company_id = company_id
        self.base_url = base_url.rstrip("/")
        self._sign_in = sign_in
        self._limiter = limiter
        self._transport = transport
        self._server_time: dt.datetime | None = None

    @property
    def api_url(self) -> str:
        """Address that the library puts before each path."""
        return f"{self.base_url}/v3"

    @property
    def server_time(self) -> dt.datetime | None:
        """Intuit's time at its last answer, None before the first."""
        return self._server_time

    def process_request(
        self, request_type: str, url: str, headers: Any = "", params: Any = "", data: Any = ""
    ) -> Answer:
        """Send one request of the library's and return its answer, which holds no fault as a whole."""
        request = Request(
            request_type,
            f"{url}?{urlencode(params, quote_via=quote)}" if params else url,
            {**(headers or {}), "User-Agent": "iw-operators"},
            (data.encode() if isinstance(data, str) else data) or None,
        )
        response = drive(self._sign_in.flow(request), self._paced)
        self._note_time(response)
        error = error_in(response) if "pdf" not in str((headers or {}).get("Accept", "")) else None
        if error is not None:
            log.debug("refused", path=url.rpartition("/")[2], status=response.status, code=error.code)
            raise error
        return Answer(response.status, response.body)

    def _paced(self, request: Request) -> Response:
        """Send at the pace of the quotas; wait and repeat while Intuit answers 429. The token server has no quota."""
        if not request.url.startswith(self.base_url) or request.url == self._sign_in.credentials.token_url:
            return self._transport(request)
        is_batch = request.url.partition("?")[0].endswith("/batch")
        waits = 0
        while True:
            self._limiter.acquire(batch=is_batch)
            response = self._transport(request)
            error = _throttled(response)
            if error is None:
                return response
            self._limiter.hold(error.retry_after)
            if waits == THROTTLE_WAITS:
                raise error
            waits += 1
            log.warning("throttled", retry_after=error.retry_after, wait=waits, of=THROTTLE_WAITS)

    def _note_time(self, response: Response) -> None:
        stamp = _stamp_of(response.headers.get("date", ""))
        if stamp is not None:
            self._server_time = stamp

    @staticmethod
    def handle_exceptions(results: Mapping[str, Any]) -> NoReturn:
        """Raise a fault as this package's error."""
        raise error_of(faults_in({"Fault": results}))

    def rows(self, entity: str, query: str) -> list[dict[str, Any]]:
        """Run one query and return the entity's rows."""
        return rows_of(self.query(query), entity)

    def all_rows(self, entity: str, conditions: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield all rows of a small list, by Id. Rows made or removed meanwhile may be missed."""
        start = 1
        while True:
            page = self.rows(entity, select(entity, conditions, order="Id", start=start))
            yield from page
            if len(page) < PAGE:
                return
            start += len(page)

    def changed_since(self, entity: str, since: dt.datetime) -> list[dict[str, Any]]:
        """Return what the change feed has of one entity since a time, deleted objects included (`status`).

        At most `FEED_LIMIT` objects; as many mean that there may be more. Objects changed a little earlier may be among
        them. FixRecord or FixConfiguration when Intuit does not serve the feed for the entity or the time.
        """
        stamp = since.astimezone(dt.UTC).isoformat(timespec="seconds")
        answer = self.change_data_capture(entity, stamp)
        parts = [
            {"QueryResponse": part}
            for response in _objects(answer.get("CDCResponse"))
            for part in _objects(response.get("QueryResponse"))
        ]
        return [row for part in parts for row in rows_of(part, entity)]

    def batch(self, items: Sequence[Mapping[str, Any]], request_id: str | None = None) -> dict[str, Mapping[str, Any]]:
        """Send a batch and return the answers by bId; an item without an answer is absent.

        FixRecord or TooLarge when it is refused as a whole for what an item holds, or for its size: nothing is done.
        """
        url = f"{self.api_url}/company/{self.company_id}/batch"
        answer = self.post(url, json_dumps({"BatchItemRequest": list(items)}), request_id=request_id)
        return {str(item.get("bId", "")): item for item in _objects(answer.get("BatchItemResponse"))}

    def queries(self, queries: Sequence[tuple[str, str]]) -> list[list[dict[str, Any]]]:
        """Run several (entity, query) in as few requests as possible; the rows of each, in order."""
        answers = self._answers([query for _, query in queries])
        return [rows_of(answer, entity) for answer, (entity, _) in zip(answers, queries, strict=True)]

    def counts(self, queries: Sequence[tuple[str, Sequence[str]]]) -> list[int]:
        """Count the rows of several (entity, conditions) in as few requests as possible."""
        answers = self._answers([count(entity, conditions) for entity, conditions in queries])
        return [_count(answer) for answer in answers]

    def _answers(self, queries: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for start in range(0, len(queries), BATCH):
            part = queries[start : start + BATCH]
            if len(part) == 1:
                yield self.query(part[0])
                continue
            answers = self.batch([{"bId": f"q{n}", "Query": query} for n, query in enumerate(part)])
            for number in range(len(part)):
                answer = answers.get(f"q{number}", {})
                if faults := faults_in(answer):
                    raise error_of(faults)
                yield answer

    def company_info(self) -> Mapping[str, Any]:
        """Return the CompanyInfo of the connection's company."""
        url = f"{self.api_url}/company/{self.company_id}/companyinfo/{quote(self.company_id)}"
        info = self.get(url).get("CompanyInfo")
        if not isinstance(info, Mapping) or not isinstance(info.get("CompanyName", ""), str):
            raise _no_shape()
        return info


def rows_of(answer: Mapping[str, Any], entity: str) -> list[dict[str, Any]]:
    """Return the rows of a query's answer; an answer without rows has no list at all.

    ConnectionFailure for what is no answer to a query: taken for one without rows, it would hide changes.
    """
    response = answer.get("QueryResponse")
    if not isinstance(response, Mapping):
        raise _no_shape()
    rows = _objects(response.get(entity, []))
    if not all(map(is_row, rows)):
        raise _no_shape()
    return rows


def is_row(row: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether this is a record: the parts that all code relies on are what they should be."""
    if not isinstance(row, Mapping):
        return False
    meta = row.get("MetaData", {})
    stamp = meta.get("LastUpdatedTime") if isinstance(meta, Mapping) else 0
    return (
        isinstance(row.get("Id"), str)
        and (stamp is None or _is_stamp(stamp))
        and isinstance(row.get("SyncToken", ""), str)
        and all(_is_list(row.get(name, [])) for name in LISTS)
    )


def _is_stamp(stamp: Any) -> bool:
    try:
        parse_stamp(stamp)
    except (ValueError, AttributeError):
        return False
    return True


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects; ConnectionFailure for anything else."""
    if not _is_list(value):
        raise _no_shape()
    found: list[dict[str, Any]] = value
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _count(answer: Mapping[str, Any]) -> int:
    response = answer.get("QueryResponse")
    count = response.get("totalCount") if isinstance(response, Mapping) else None
    if not isinstance(count, int):
        raise _no_shape()
    return count


def _no_shape() -> ConnectionFailure:
    return ConnectionFailure(f"What answered is not {LABEL}'s data.", sent=True, code="http.shape")


def _throttled(response: Response) -> Throttled | None:
    if response.status < 400:
        return None
    error: InterWeaveError | None = error_in(response)
    return error if isinstance(error, Throttled) else None


def _stamp_of(text: str) -> dt.datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(dt.UTC)
    except (TypeError, ValueError):
        pass
    try:
        return parse_stamp(text)
    except ValueError:
        return None
