"""One Creatio, signed in: sends reads and batches, renews an ended session once, tells failures apart.

Knows nothing of Airflow: transport, clock and the kept state are passed in.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import structlog

from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, InterWeaveError, SignInAgain
from iw_operators.points import reach
from iw_operators.systems.base import SecretState
from iw_operators.systems.creatio import batch
from iw_operators.systems.creatio.auth import Auth, Session
from iw_operators.systems.creatio.codec import KEY
from iw_operators.systems.creatio.errors import failure, page_instead
from iw_operators.systems.creatio.query import Query
from iw_operators.systems.http import Request, Response, Transport

log = structlog.get_logger(__name__)

ROOTS: Final = {"core": "/odata", "framework": "/0/odata"}
ACCEPT: Final = {"Accept": "application/json", "User-Agent": "InterWeave"}
CONTINUE: Final = {"Content-Type": "application/json; charset=utf-8", "Prefer": "continue-on-error"}


class Client:
    """Requests to one Creatio.

    :param site: address without a slash at the end.
    :param platform: `core` or `framework`.
    :param state: where the session is kept, so that the tasks of a run sign in once between them.
    :param clock: seconds since 1970. :param ticks: seconds of a clock that is never set.
    """

    def __init__(
        self,
        transport: Transport,
        auth: Auth,
        state: SecretState,
        *,
        site: str,
        platform: str = "core",
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        if platform not in ROOTS:
            msg = f"The connection's platform is {platform!r}; it is one of {', '.join(ROOTS)}."
            raise FixConfiguration(msg, code="iw.connection")
        self.site = site
        self.root = site + ROOTS[platform]
        self.platform = platform
        self._transport = transport
        self._auth = auth
        self._state = state
        self._clock = clock
        self._ticks = ticks
        self._session: Session | None = None
        self._answered: tuple[dt.datetime, float] | None = None

    @property
    def user(self) -> str:
        """Who is signed in: a user's name or an OAuth client's id."""
        return self._auth.user

    def server_time(self) -> dt.datetime | None:
        """Return Creatio's time by the `Date` of its last answer, None if there was none. Never ahead of it."""
        if self._answered is None:
            return None
        date, at = self._answered
        return date + dt.timedelta(seconds=self._ticks() - at)

    def read(self, query: Query) -> dict[str, Any]:
        """Return the answer to one query, as parsed JSON. Asks once more if the connection breaks."""
        what = f"reading {query.set}"
        return _rows(query, _content(self._repeated(Request("GET", f"{self.root}/{query.url()}", ACCEPT), what), what))

    def read_all(self, queries: Sequence[Query]) -> list[dict[str, Any]]:
        """Return the answers to several queries, 100 of them in one HTTP call. Raises the first failure."""
        if len(queries) == 1:
            return [self.read(queries[0])]
        found = []
        for start in range(0, len(queries), batch.LIMIT):
            group = queries[start : start + batch.LIMIT]
            request = self._batch([batch.Part("GET", query.url()) for query in group])
            what = f"reading {', '.join(sorted({query.set for query in group}))}"
            answers = batch.decode(_content(self._repeated(request, what), what), len(group))
            for query, answer in zip(group, answers, strict=True):
                if answer.status == 0:
                    msg = "Creatio answered a part of a batch only."
                    raise ConnectionFailure(msg, code="creatio.batch")
                if answer.status != 200 or not isinstance(answer.body, dict):
                    raise _refused(answer.status, answer.body, f"reading {query.set}", answer.headers)
                found.append(_rows(query, answer.body))
        return found

    def write(self, parts: Sequence[batch.Part]) -> list[batch.PartAnswer]:
        """Send up to 100 operations in one call, once; return the answers in order.

        ConnectionFailure with `sent` true when they may have been carried out.
        """
        what = "a batch of writes"
        response = self._signed(self._batch(parts), what)
        return batch.decode(_content(response, what), len(parts))

    def _batch(self, parts: Sequence[batch.Part]) -> Request:
        return Request("POST", f"{self.root}/$batch", {**ACCEPT, **CONTINUE}, batch.encode(parts))

    def _repeated(self, request: Request, what: str) -> Response:
        try:
            return self._signed(request, what)
        except ConnectionFailure as error:
            if error.code != "http.broken":
                raise
            log.info("creatio.read_again", what=what)
        return self._signed(request, what)

    def _signed(self, request: Request, what: str) -> Response:
        """Send with the session; when it has ended, sign in again and send once more.

        Repeating is safe for writes: a request without a session is not carried out.
        """
        session = self._session or self._sign_in(None)
        response = self._send(request.with_headers(session.headers()))
        if not self._auth.ended(response):
            self._session = session.after(response)
            return response
        session = self._sign_in(session)
        response = self._send(request.with_headers(session.headers()))
        if response.status == 403:
            raise failure(403, _json(response), what)
        if self._auth.ended(response):
            msg = "Creatio ends the session as soon as it is signed in."
            raise SignInAgain(
                msg, code="creatio.session", advice="Check that the user may use the web services and is not locked."
            )
        self._session = session.after(response)
        return response

    def _sign_in(self, ended: Session | None) -> Session:
        """Return a session other than `ended`: the kept one if another task renewed it, else a new one."""
        if ended is None:
            kept = Session.from_state(self._state.read(), self._auth.owner, self._clock())
            if kept is not None:
                return kept
        try:
            return self._renew(ended)
        except ConnectionFailure as error:
            # Without a session nothing of the request itself has been carried out, however far signing in came.
            error.sent = False
            raise

    def _renew(self, ended: Session | None) -> Session:
        with self._state.lock():
            kept = Session.from_state(self._state.read(), self._auth.owner, self._clock())
            if kept is not None and (ended is None or kept.id != ended.id):
                return kept
            session = self._run_sign_in()
            reach("before_session_saved")
            self._state.write(session.to_state())
            reach("after_session_saved")
            log.info("creatio.signed_in", again=ended is not None)
            return session

    def _run_sign_in(self) -> Session:
        flow = self._auth.sign_in(self._clock())
        request = next(flow)
        while True:
            response = self._send(request)
            try:
                request = flow.send(response)
            except StopIteration as done:
                session: Session = done.value
                return session

    def _send(self, request: Request) -> Response:
        response = self._transport(request)
        stamp = response.headers.get("date")
        if stamp:
            try:
                self._answered = (parsedate_to_datetime(stamp).astimezone(dt.UTC), self._ticks())
            except ValueError:
                log.warning("creatio.no_date")
        return response


def _json(response: Response) -> Any:
    try:
        return None if response.html else response.json()
    except ValueError:
        return None


def _content(response: Response, what: str) -> dict[str, Any]:
    """Return the JSON object of a successful answer; raise what is wrong otherwise."""
    content = _json(response)
    if 200 <= response.status < 300 and isinstance(content, dict):
        return content
    if isinstance(content, dict) or response.status in (413, 429):
        raise _refused(response.status, content, what, response.headers)
    raise page_instead(response, what)


def _rows(query: Query, content: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a query; raise ConnectionFailure unless it has rows, and these the Ids asked for.

    Something in between may answer with JSON of its own; taken for an answer without rows, it would hide changes.
    """
    rows, keyed = content.get("value"), KEY in query.columns.select
    sound = isinstance(rows, list) and all(
        isinstance(row, dict) and (not keyed or isinstance(row.get(KEY), str)) for row in rows
    )
    if not sound or not isinstance(content.get("@odata.count", 0), int):
        msg = f"What answered for reading {query.set} is not Creatio's data."
        raise ConnectionFailure(msg, sent=True, code="http.shape")
    return content


def _refused(status: int, content: Any, what: str, headers: Mapping[str, str]) -> InterWeaveError:
    """Return the error of a read or of a whole call: what no single record is to blame for."""
    error = failure(status, content, what, headers)
    if not isinstance(error, FixRecord):
        return error
    if status == 404:
        advice = "The object is not in this Creatio, or its platform is not the one in the connection."
        return FixConfiguration(error.message, code="creatio.not_here", advice=advice)
    if status >= 500:
        return ConnectionFailure(error.message, code="creatio.server", advice="It is tried again later.")
    return FixConfiguration(error.message, code="creatio.query", advice="Check the mapping's native names.")
