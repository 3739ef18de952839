"""A local Creatio: sign-in, OData 4 service, $batch, faults, behind one lock."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.common.app import TRANSPORT_FAULTS, Dropped, Receive, Scope, Send, read_body
from sandbox.common.faults import Faults
from sandbox.creatio import auth, batch, errors, model, seed
from sandbox.creatio.auth import Auth
from sandbox.creatio.batch import Done, Part
from sandbox.creatio.clock import Clock
from sandbox.creatio.http import Request, Response, refusal
from sandbox.creatio.service import AfterInsert, Service
from sandbox.creatio.store import Store
from sandbox.seed import acme
from sandbox.seed.world import World

FAULTS = TRANSPORT_FAULTS | {
    "login_page",
    "expire_session",
    "csrf",
    "no_right",  # the signed-in user may not read or write the object
    "fail_after_insert",
    "half_batch",
    "deadlock",  # these three: nothing of the operation is done; of a batch they can hit one part
    "timed_out",
    "unavailable",
}
ROOTS = {"netcore": ("/odata",), "netframework": ("/0/odata",), "any": ("/0/odata", "/odata")}


@dataclass(frozen=True, slots=True)
class Options:
    """How the sandbox behaves. `POST /_sandbox/reset` takes the same names.

    :param flavour: `netframework` serves /0/odata, `netcore` serves /odata, `any` serves both.
    :param session_seconds: a session ends that long after its last use.
    :param expired: how an ended session is answered: `401` or `login_page` (status 200 with HTML).
    :param max_rows: MaxEntityRowCount.
    :param next_link: whether an unlimited read over it carries a nextLink; without, it answers 500.
    :param daily_calls: calls to the OData service a day, then 429; 0 is no limit (Growth plan: 10,000).
    :param clock: what the server's clock shows at the start, ISO 8601; empty is the real time.
    """

    flavour: str = "any"
    user: str = "Supervisor"
    password: str = "Supervisor1!"
    client_id: str = "iw-client"
    client_secret: str = "iw-secret"
    session_seconds: float = 3600.0
    token_seconds: int = 3600
    expired: str = "401"
    max_rows: int = 20_000
    next_link: bool = False
    daily_calls: int = 0
    clock: str = ""

    def __post_init__(self) -> None:
        if self.flavour not in ROOTS:
            msg = f"flavour {self.flavour!r} is not one of {sorted(ROOTS)}"
            raise ValueError(msg)
        if self.expired not in {"401", "login_page"}:
            msg = f"expired {self.expired!r} is not one of ['401', 'login_page']"
            raise ValueError(msg)


class CreatioSandbox:
    """The sandbox: `app` for `Control`, and `options`, `clock` and `store` for tests in the same process.

    :param world: what it holds at the start, and after a reset that names no other seed.
    :param path: the SQLite file; one that is filled already is kept as it is. None: in memory.
    """

    def __init__(self, world: World, *, path: Path | None = None, options: Options | None = None) -> None:
        self.faults = Faults(FAULTS)
        self._made = self.options = options or Options()
        self._world = world
        self._lock = threading.RLock()
        self._model = model.load()
        self.store = Store(self._model, path)
        if not self.store.filled:
            self.store.fill(seed.rows(world))
        self._begin()

    def _begin(self) -> None:
        options = self.options
        self.clock = Clock(dt.datetime.fromisoformat(options.clock) if options.clock else None)
        self._calls: Counter[str] = Counter()
        self._day: tuple[dt.date, int] = (dt.date.min, 0)
        self._auth = Auth(
            user=options.user,
            password=options.password,
            client_id=options.client_id,
            client_secret=options.client_secret,
            session_seconds=options.session_seconds,
            token_seconds=options.token_seconds,
            now=time.monotonic,
        )
        self._service = Service(
            self._model,
            self.store,
            self.clock,
            max_rows=options.max_rows,
            next_link=options.next_link,
            fails_after=lambda line: self.faults.take("fail_after_insert", line) is not None,
        )

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Go back to a seed, end all sessions. `seed` is "acme", "empty" or "plain" (with `size` and `won`).

        Other keys are those of `Options`; what is not given goes back to how the sandbox was made.
        """
        own = {field.name for field in dataclasses.fields(Options)}
        unknown = set(options) - own - {"seed", "size", "won", "keep_data"}
        if unknown:
            msg = f"unknown keys {sorted(unknown)}; known: {sorted(own | {'seed', 'size', 'won', 'keep_data'})}"
            raise ValueError(msg)
        with self._lock:
            world = self._world
            if "seed" in options:
                world = acme.named(options["seed"], size=options.get("size", 0), won=options.get("won", False))
            self.options = dataclasses.replace(self._made, **{k: v for k, v in options.items() if k in own})
            self.store.fill(seed.rows(world))
            self._begin()
            return {"rows": self.store.counts()}

    def stats(self) -> dict[str, Any]:
        """Return rows by object and calls by operation."""
        with self._lock:
            return {"rows": self.store.counts(), "calls": dict(self._calls + self._service.calls)}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        base = f"{scope.get('scheme', 'http')}://{headers.get('host', 'localhost')}"
        request = Request(
            scope["method"], scope["path"], scope["query_string"].decode("utf-8", "replace"), headers, body, base
        )
        with self._lock:
            response = self.answer(request)
            date = format_datetime(self.clock.now(), usegmt=True)
        listed = [*response.headers, ("Date", date), ("Content-Length", str(len(response.body)))]
        encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in listed]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": response.body})

    def answer(self, request: Request) -> Response:
        """Answer one request; raises `Dropped` where a fault asks for it."""
        try:
            return self._route(request)
        except errors.Refused as error:
            return refusal(error)

    def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if request.method == "POST" and path == auth.LOGIN_PATH:
            self._calls["login"] += 1
            return self._auth.login(request)
        if path == "/0" + auth.LOGIN_PATH and self.options.flavour != "netcore":
            raise auth.unauthorized()
        if request.method == "POST" and path == auth.TOKEN_PATH:
            self._calls["token"] += 1
            return self._auth.token(request)
        for root in ROOTS[self.options.flavour]:
            if path == root or path.startswith(f"{root}/"):
                return self._signed_in(request, root)
        page = b"<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head></html>"
        return Response(404, page, [("Content-Type", "text/html")])

    def _signed_in(self, request: Request, root: str) -> Response:
        take = self.faults.take
        if take("login_page", request.line):
            self._auth.end(request)
            return auth.login_page()
        if take("expire_session", request.line):
            self._auth.end(request)
        if take("csrf", request.line):
            raise auth.forbidden()
        try:
            self._auth.check(request)
        except errors.Refused as error:
            had_one = auth.SESSION_COOKIE in request.headers.get("cookie", "")
            if error.status == HTTPStatus.UNAUTHORIZED and had_one and self.options.expired == "login_page":
                return auth.login_page()
            raise
        if take("no_right", request.line):
            raise errors.exception(
                500, "Current user does not have permissions for this object.", "System.Security.SecurityException"
            )
        self._count_call()
        if request.path.rstrip("/") == f"{root}/$batch":
            return self._batch(request, root)
        return self._single(request, root)

    def _count_call(self) -> None:
        today = self.clock.now().date()
        day, calls = self._day
        self._day = (today, calls + 1 if day == today else 1)
        if self.options.daily_calls and self._day[1] > self.options.daily_calls:
            msg = f"The limit of {self.options.daily_calls} calls a day is exceeded."
            raise errors.exception(429, msg, "Terrasoft.Common.RequestLimitException")

    def _single(self, request: Request, root: str) -> Response:
        """Answer one request of the service in a transaction of its own."""
        if self.faults.take("unavailable", request.line):
            return Response(503)
        for kind, refused in (("deadlock", errors.deadlock), ("timed_out", errors.timed_out)):
            if self.faults.take(kind, request.line):
                return refusal(refused())
        self.store.savepoint()
        try:
            response = self._service.handle(request, root)
        except AfterInsert as error:
            response = refusal(error.refused)
        except errors.Refused as error:
            self.store.undo()
            return refusal(error)
        except BaseException:
            self.store.undo()
            raise
        self.store.keep()
        return response

    def _batch(self, request: Request, root: str) -> Response:
        self._calls["batch"] += 1
        if request.method != "POST":
            raise errors.method_not_allowed(request.method)
        parts = batch.read(request, root)
        half = self.faults.take("half_batch", request.line) is not None
        keep_on = batch.continues(request)
        done: list[Done] = []
        created: dict[str, str] = {}
        for together in _groups(parts[: len(parts) // 2] if half else parts):
            answers = self._together(together, root, done, created)
            done += answers
            if not keep_on and answers[-1].response.status >= HTTPStatus.BAD_REQUEST:
                break
        if half:
            raise Dropped
        return batch.write(request, done)

    def _together(
        self, parts: Sequence[Part], root: str, before: Sequence[Done], created: dict[str, str]
    ) -> list[Done]:
        """Answer one part, or a group of which either all parts are done or none (then only the failure is told)."""
        failed = {item.part.id for item in before if item.response.status >= HTTPStatus.BAD_REQUEST}
        known = dict(created)
        done: list[Done] = []
        self.store.savepoint()
        for part in parts:
            self._calls["batch_parts"] += 1
            if failed & {*part.depends_on, *(d.part.id for d in before if d.part.group in part.depends_on)}:
                response = refusal(errors.exception(424, "A request that this one depends on failed.", ""))
            else:
                response = self._single(_resolved(part.request, root, known), root)
            done.append(Done(part, response))
            location = dict(response.headers).get("Location")
            if location:
                known[part.id] = urlsplit(location).path
            if part.group and response.status >= HTTPStatus.BAD_REQUEST:
                self.store.undo()
                return done[-1:]
        self.store.keep()
        created |= known
        return done


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Put neighbours of one atomicity group together."""
    result: list[list[Part]] = []
    for part in parts:
        if part.group and result and result[-1][0].group == part.group:
            result[-1].append(part)
        else:
            result.append([part])
    return result


def _resolved(request: Request, root: str, created: Mapping[str, str]) -> Request:
    """Put the address of what an earlier part created in the place of `$<its id>`."""
    head, slash, rest = request.path.removeprefix(f"{root}/").partition("/")
    if head[:1] != "$" or head[1:] not in created:
        return request
    return dataclasses.replace(request, path=created[head[1:]] + slash + rest)
