"""The connection to the ledger: transactions, their repetition after an outage, and errors in our own classes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
import structlog
import tenacity
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, StopFlow
from iw_operators.ledger.codec import can_be_stored, storable

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE = 60.0  # seconds that an outcome waits for a ledger that is away
QUICK = 5.0  # seconds that anything else waits
NETWORK = {  # a dead peer is noticed within two minutes instead of two hours
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
    "tcp_user_timeout": 90_000,  # milliseconds; the same for what was sent and is not acknowledged
}
SET_UP = "The first task of a flow sets the ledger up; its login has to be allowed to make tables."
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|not permitted to log in|"
    r"certificate verify failed|does not support SSL|permission denied for database",
    re.IGNORECASE,
)
_MISSING = ("42P01", "42703")  # undefined table, undefined column
_READ_ONLY = "25006"
_DENIED = "42501"
_FOREIGN_KEY = "23503"


@dataclass(slots=True)
class Fence:
    """The session that holds a lock. `raw` is the driver's own connection: another one would not hold it."""

    connection: Connection
    raw: Any
    lock: str
    lost: bool = False


class Database:
    """An engine on PostgreSQL 13 or newer, and transactions on it. May be shared between threads."""

    def __init__(self, engine: Engine, patience: float = PATIENCE) -> None:
        self.engine = engine
        self.patience = patience
        # Of this thread: `fence`, the lock it works under; `condition`, what has to hold as well for a fenced commit.
        self._here = threading.local()
        url = engine.url
        self.place = f"{url.host or 'local socket'}:{url.port or 5432}/{url.database}"

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        def once() -> T:
            with self.engine.connect() as connection:
                return work(connection)

        return self._patiently(once, min(QUICK, self.patience))

    def _write(self, work: Callable[[Connection], T], *, patience: float = QUICK, fenced: bool = False) -> T:
        """Run `work` in one transaction; repeat it when the ledger was away, but never after it was committed.

        A connection that is lost during the commit leaves open whether it was: the server is asked by the number
        of the transaction.

        :param fenced: where this thread works under a lock (`Locks.working`), commit only while it holds the lock,
            and its turn (`Turns.on_turn`).
        """
        fence: Fence | None = getattr(self._here, "fence", None)
        if fenced and fence is not None:
            return self._under(fence, work)
        last: list[tuple[str, T]] = []

        def once() -> T:
            if last and self._committed(last[-1][0]):
                return last[-1][1]
            with self.engine.begin() as connection:
                result = work(connection)
                number = connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
                last.append((str(number), result))
            return result

        return self._patiently(once, min(patience, self.patience))

    def _under(self, fence: Fence, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction of the session that holds the lock: committed means that the lock was held.

        Nothing is repeated. When the session is gone the lock is gone with it, and somebody else may have worked
        meanwhile: what was planned before counts for nothing any more.
        """
        try:
            if not fence.lost and fence.connection.connection.dbapi_connection is fence.raw:
                with fence.connection.begin():
                    condition: Callable[[Connection], None] | None = getattr(self._here, "condition", None)
                    if condition is not None:
                        condition(fence.connection)
                    return work(fence.connection)
        except DBAPIError as error:
            failure = self._error(error)
            if not isinstance(failure, ConnectionFailure):
                raise failure from None
        except StatementError as error:
            raise error.orig or error from None
        fence.lost = True
        msg = f"The lock {fence.lock!r} was lost with its connection to the ledger at {self.place}."
        raise ConnectionFailure(msg, code="iw.lock_lost", advice="The task is tried again and settles what is open.")

    def _patiently(self, once: Callable[[], T], patience: float) -> T:
        def translated() -> T:
            try:
                return once()
            except DBAPIError as error:
                raise self._error(error) from None  # SQLAlchemy's own chain holds the rows that were to be written
            except StatementError as error:
                raise error.orig or error from None  # a value that is refused before it is sent

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ConnectionFailure),
            stop=tenacity.stop_after_delay(patience),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5.0),
            before_sleep=self._say,
            reraise=True,
        )
        return retrying(translated)

    def _committed(self, number: str) -> bool:
        with self.engine.connect() as connection:
            try:
                query = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")
                status = connection.scalar(query, {"number": number})
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                return False  # a number from before a failover that this server has not reached
        if status == "in progress":
            msg = f"The ledger at {self.place} has not finished an interrupted transaction yet."
            raise ConnectionFailure(msg)
        return bool(status == "committed")

    def _say(self, state: tenacity.RetryCallState) -> None:
        log.warning("the ledger is away; trying again", ledger=self.place, tries=state.attempt_number)

    def _error(self, error: DBAPIError) -> InterWeaveError:
        code = getattr(error.orig, "pgcode", None) or ""
        first = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
        if code in _MISSING:
            msg = f"The ledger at {self.place} is not set up, or by another version of this package: {first}"
            return FixConfiguration(msg, code="iw.ledger_setup", advice=SET_UP)
        if code == _DENIED:
            msg = f"The ledger at {self.place} refuses: {first}"
            return FixConfiguration(msg, advice="The connection's login has to own the ledger's tables.")
        if code == _FOREIGN_KEY:
            return StopFlow("A row names a run that its company does not have.", code="iw.foreign_run")
        if error.statement is None and _REFUSED.search(first):
            msg = f"The ledger at {self.place} does not let us in: {first}"
            return FixConfiguration(msg, advice="Check host, schema (the database), login, password and sslmode.")
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or code == _READ_ONLY:
            return ConnectionFailure(f"The ledger at {self.place} does not answer: {first}")
        if error.connection_invalidated:
            return ConnectionFailure(f"The connection to the ledger at {self.place} was lost: {first}")
        return StopFlow(f"The ledger at {self.place} refuses a statement ({code or 'no code'}).", code="iw.ledger")


def make_engine(url: str | URL) -> Engine:
    """Return an engine on psycopg2 for a PostgreSQL URL, whatever driver the URL names.

    :raises FixConfiguration: it is not the URL of a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        msg = "The ledger's URL is not one; expected postgresql://user:password@host:port/database."
        raise FixConfiguration(msg) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        msg = f"The ledger has to be in PostgreSQL, not in {parsed.get_backend_name()}."
        raise FixConfiguration(msg)
    own = {name: value for name, value in parsed.query.items() if name in NETWORK}
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        connect_args={"application_name": "interweave", **NETWORK, **own},
        executemany_mode="values_plus_batch",
        insertmanyvalues_page_size=500,
        json_serializer=lambda value: orjson.dumps(value).decode("utf-8"),
        json_deserializer=orjson.loads,
        pool_size=2,
        max_overflow=8,
        pool_recycle=1800,
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", _keep_what_is_committed)
    return engine


def _keep_what_is_committed(connection: Any, _record: object) -> None:
    """Let a commit return only when it outlasts a crash of the server, whatever the server's own setting is.

    With `synchronous_commit = off` an intent could be lost after its batch was sent.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def among(column: sa.ColumnElement[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a column is one of the values, as one array parameter.

    Values that cannot be stored are not there, so that asking for them is no error.
    """
    there = [value for value in values if can_be_stored(value)]
    return column == sa.any_(sa.bindparam(None, there, type_=ARRAY(sa.Text)))


def mentioning(text: str, places: Iterable[sa.ColumnElement[str]]) -> sa.ColumnElement[bool]:
    """Return the condition that one of the columns holds a text, whatever its case."""
    return sa.or_(*(place.icontains(storable(text), autoescape=True) for place in places))


def alone(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds the lock `name`, and hold it until this one ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"iw:{name}", 0))))
