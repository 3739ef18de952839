"""The sandbox's HTTP side: which request goes where, and how an answer looks."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from sandbox.common.app import TRANSPORT_FAULTS, Dropped, read_body
from sandbox.common.faults import Faults
from sandbox.quickbooks_online import batch, cdc, errors, replay, seeding, select, special, writes
from sandbox.quickbooks_online.books import Books
from sandbox.quickbooks_online.clock import Clock, answer_time
from sandbox.quickbooks_online.entities import BY_PATH
from sandbox.quickbooks_online.errors import Fault
from sandbox.quickbooks_online.oauth import Answer, OAuth, discovery
from sandbox.quickbooks_online.options import VERIFIER_TOKEN, Options
from sandbox.quickbooks_online.schema import Entity, Kind
from sandbox.quickbooks_online.store import Store
from sandbox.quickbooks_online.throttle import Throttle
from sandbox.quickbooks_online.validation import identity
from sandbox.quickbooks_online.wire import Raw, dumps, loads
from sandbox.seed.world import World

JSON = "application/json;charset=UTF-8"
XML = "application/xml;charset=UTF-8"
OWN_FAULTS = frozenset(
    {
        "throttle",  # the next call is answered 429
        "expire_token",  # the access token of the next call ends: 401
        "no_right",  # the user who authorised the app may not do what the next call asks for: 403
        "stale",  # the next update is refused with 5010
        "business_error",  # the next create or update is refused with 6000
        "half_batch",  # half of the next batch is committed, then the connection is closed
        "refresh_lost",  # the next refresh rotates, the old token dies, the connection is closed
        "old_refresh_dies",  # the next refresh rotates and is answered, the old token dies at once
        "advance_clock",  # the clock moves on by `seconds` before the next call
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One call."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    line: str

    @property
    def include(self) -> frozenset[str]:
        """Return what `include` lists."""
        return frozenset(part for part in self.query.get("include", "").split(",") if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: str = ""
    content_type: str = JSON
    location: str = ""


class QuickBooksOnline:
    """A company in QuickBooks Online, as an ASGI application. See `Options` for what can be set."""

    def __init__(self, world: World, options: Options) -> None:
        self.faults = Faults(TRANSPORT_FAULTS | OWN_FAULTS)
        self.calls: collections.Counter[str] = collections.Counter()
        self.written: collections.Counter[str] = collections.Counter()
        self._world = world
        self._first = options
        self.store = Store(options.path)
        self._use(options)
        if not self.store.is_seeded:
            self._seed(world)

    def _use(self, options: Options) -> None:
        self.clock = Clock(options.clock_shift)
        self.books = Books(self.store, self.clock, options)
        self.oauth = OAuth(self.store, self.clock, options)
        self.throttle = Throttle(self.clock)

    def _seed(self, world: World) -> None:
        self.store.clear()
        with self.store.transaction():
            seeding.seed(self.books, world)
            self.oauth.start()

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Go back to the seed; `options`: `seed` ("acme", "empty"; left out: the world it was made with) and `Options`.

        Raises ValueError for what it does not know.
        """
        given = dict(options)
        seed = given.pop("seed", None)
        changed = self._first.changed(given)
        world = self._world if seed is None else _world(seed)
        with self.store.lock:
            self._use(changed)
            self._seed(world)
            self.calls.clear()
            self.written.clear()
        return {"rows": self.store.count_all()}

    def stats(self) -> dict[str, Any]:
        """Return rows by entity, calls by operation, rows written by operation and entity, and the clock."""
        return {
            "rows": self.store.count_all(),
            "calls": dict(sorted(self.calls.items())),
            "written": dict(sorted(self.written.items())),
            "time": answer_time(self.clock.now()),
        }

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        raw_query = scope.get("query_string", b"").decode("latin-1")
        line = f"{scope['method']} {scope['path']}" + (f"?{raw_query}" if raw_query else "")
        query = dict(parse_qsl(raw_query, keep_blank_values=True))
        body = await read_body(receive)
        request = Request(scope["method"], scope["path"], query, headers, body, line)
        response = self.handle(request)
        content = response.body.encode()
        answer_headers = [
            (b"content-type", response.content_type.encode()),
            (b"content-length", str(len(content)).encode()),
            (b"date", formatdate(self.clock.now(), usegmt=True).encode()),
            (b"intuit_tid", uuid.uuid4().hex.encode()),
        ]
        if response.location:
            answer_headers.append((b"location", response.location.encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": content})

    def handle(self, request: Request) -> Response:
        """Answer one request, in a transaction of its own. Raises `Dropped` to close the connection."""
        while fault := self.faults.take("advance_clock", request.line):
            self.clock.advance(fault.seconds)
        parts = [part for part in request.path.split("/") if part]
        if parts[:2] == ["v3", "company"] and len(parts) > 3:
            return self._gate(request, parts[2], parts[3:])
        return self._sign_in(request)

    def _sign_in(self, request: Request) -> Response:
        where = (request.method, request.path.rstrip("/"))
        base = f"http://{request.headers.get('host', 'localhost')}"
        authorization = request.headers.get("authorization", "")
        if where[0] == "GET" and (where[1] == "/discovery" or where[1].startswith("/.well-known/openid")):
            return Response(200, dumps(discovery(base)))
        if where == ("POST", "/oauth2/v1/tokens/bearer"):
            self.calls["token"] += 1
            with self.store.transaction():
                answer = self.oauth.bearer(authorization, request.body, self.faults, request.line)
            return _token_response(answer)
        if where == ("POST", "/oauth2/v1/tokens/revoke"):
            with self.store.transaction():
                return _token_response(self.oauth.revoke(authorization, request.body))
        if where == ("GET", "/connect/oauth2"):
            back = self.oauth.authorize(request.query)
            return Response(302, location=back) if back else Response(400, dumps({"error": "invalid_request"}))
        if where == ("GET", "/op/v1/jwks"):
            return Response(200, dumps({"keys": []}))
        if where == ("GET", "/v1/openid_connect/userinfo"):
            if not self.oauth.access_is_valid(authorization.removeprefix("Bearer ")):
                return Response(401, dumps({"error": "invalid_token"}))
            return Response(200, dumps({"sub": "iw-user", "email": "books@acme.example", "emailVerified": True}))
        return Response(404, dumps({"error": "not_found", "path": request.path}))

    def _gate(self, request: Request, realm: str, parts: list[str]) -> Response:
        """The gateway: token, realm, quota, in that order; then the service."""
        now = self.clock.now()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.faults.take("expire_token", request.line):
            self.oauth.expire(token)
        if scheme.lower() != "bearer" or not self.oauth.access_is_valid(token):
            self.calls["unauthorized"] += 1
            detail = "Token expired: the access token is missing, expired or revoked" if token else "Token is missing"
            body = errors.gateway_body("3200", "AuthenticationFailed", 401, detail, "AUTHENTICATION", now)
            return Response(401, body)
        if realm != self.books.options.realm:
            body = errors.gateway_body("3100", "ApplicationAuthorizationFailed", 403, None, "SERVICE", now)
            return Response(403, body)
        if self.faults.take("no_right", request.line):
            detail = "The user does not have the right to do this"
            return Response(403, errors.gateway_body("120", "AuthorizationFailure", 403, detail, "AUTHORIZATION", now))
        is_batch = parts == ["batch"]
        limited = self.books.options.throttle and not self.throttle.admit(batch=is_batch)
        if limited or self.faults.take("throttle", request.line):
            self.calls["throttled"] += 1
            return Response(429, errors.throttled_body(answer_time(now)), XML)
        return self._answer(request, parts)

    def _answer(self, request: Request, parts: list[str]) -> Response:
        dropped = None
        try:
            with self.store.transaction():
                try:
                    body = self._serve(request, parts)
                except batch.HalfDone as half:
                    dropped, body = half, ""
        except Fault as fault:
            text = dumps({"Fault": fault.content(), "time": answer_time(self.clock.now())})
            return Response(fault.status, text)
        if dropped:
            raise dropped
        return Response(200, body)

    def _timed(self, content: Mapping[str, Any]) -> str:
        return dumps({**content, "time": answer_time(self.clock.now())})

    def _serve(self, request: Request, parts: list[str]) -> str:
        """Return the body of an answer. Raises `Fault`."""
        accept = request.headers.get("accept", "").lower()
        if "xml" in accept and "json" not in accept and "*/*" not in accept:
            raise errors.unsupported_operation("with Accept: application/xml", status=406)
        if request.method == "POST" and "xml" in request.headers.get("content-type", "").lower():
            raise errors.unsupported_operation("with Content-Type: application/xml", status=415)
        routes: dict[tuple[str, str], Callable[[Request], str]] = {
            ("GET", "query"): lambda r: self._query(r.query.get("query", "")),
            ("POST", "query"): lambda r: self._query(r.body.decode("utf-8", "replace") or r.query.get("query", "")),
            ("POST", "batch"): self._batch,
            ("GET", "cdc"): self._cdc,
            ("POST", "taxservice/taxcode"): self._tax_service,
            ("GET", "preferences"): lambda r: self._read(r, BY_PATH["preferences"], "1"),
            ("GET", "exchangerate"): self._read_rate,
        }
        name = "/".join(parts).lower()
        if route := routes.get((request.method, name)):
            return route(request)
        entity = BY_PATH.get(parts[0].lower())
        if entity is None or len(parts) > 2 or (request.method == "POST") != (len(parts) == 1):
            raise errors.unsupported_operation(f"{request.method} /{'/'.join(parts)}")
        if request.method == "POST":
            return self._write(request, entity)
        if request.method == "GET":
            return self._read(request, entity, parts[1])
        raise errors.unsupported_operation(f"{request.method} /{'/'.join(parts)}")

    def _query(self, text: str) -> str:
        self.calls["query"] += 1
        return self._timed({"QueryResponse": select.run(self.store, text)})

    def _cdc(self, request: Request) -> str:
        self.calls["cdc"] += 1
        answer = cdc.run(self.books, request.query.get("entities", ""), request.query.get("changedSince", ""))
        return self._timed({"CDCResponse": answer})

    def _read(self, request: Request, entity: Entity, row_id: str) -> str:
        self.calls["read"] += 1
        if entity.kind is Kind.SINGLE and row_id in ("1", self.books.options.realm):
            row_id = "1"
        text = self.store.text(entity.name, identity({"Id": row_id}) or "0")
        if text is None:
            deleted = self.store.was_deleted(entity.name, row_id)
            raise errors.not_found(errors.DELETED if deleted else errors.INACTIVE)
        del request
        return self._timed({entity.name: Raw(text)})

    def _read_rate(self, request: Request) -> str:
        self.calls["read"] += 1
        code, day = request.query.get("sourcecurrencycode", ""), request.query.get("asofdate", "")
        return self._timed({"ExchangeRate": special.read_rate(self.books, code, day)})

    def _content(self, request: Request) -> Any:
        try:
            return loads(request.body)
        except ValueError:
            raise errors.unreadable() from None

    def _tax_service(self, request: Request) -> str:
        self.calls["create"] += 1
        return dumps(special.make_tax_code(self.books, self._content(request)))

    def _write(self, request: Request, entity: Entity) -> str:
        request_id = request.query.get("requestid", "")
        if request_id:
            replay.check(request_id, batch=False)
            known = replay.remembered(self.store, request_id)
            if known is not None:
                self.calls["replayed"] += 1
                return known
        operation = request.query.get("operation", "").lower()
        answer = self._change(entity, self._content(request), operation, request.include, request.line)
        self.calls[str(answer.pop("operation"))] += 1
        text = self._timed(answer)
        if request_id:
            replay.remember(self.store, request_id, text)
        return text

    def _change(
        self, entity: Entity, payload: Any, operation: str, include: frozenset[str], line: str
    ) -> dict[str, Any]:
        """Do one write; `operation` "" is an update where the payload has an Id, else a create."""
        allow = "allowduplicatedocnum" in include
        if not operation:
            has_id = isinstance(payload, Mapping) and identity(payload) is not None
            operation = "update" if has_id or entity.kind is Kind.SINGLE else "create"
        if operation in ("create", "update") and self.faults.take("business_error", line):
            raise errors.business("An unexpected error occurred while saving. Try again later.")
        if operation == "update" and self.faults.take("stale", line):
            raise errors.stale()
        if operation == "void" or (operation == "update" and "void" in include):
            done = writes.void(self.books, entity, payload)
        elif operation == "delete":
            done = writes.delete(self.books, entity, payload)
        elif entity.name == "ExchangeRate":
            done = writes.Done(special.save_rate(self.books, payload), "update")
        elif operation == "create":
            done = writes.create(self.books, entity, payload, allow_duplicate=allow)
        elif operation == "update":
            done = writes.update(self.books, entity, payload, allow_duplicate=allow)
        else:
            raise errors.unsupported_operation(operation)
        if done.changed:
            self.written[f"{done.operation} {entity.name}"] += 1
        return {entity.name: done.row, "operation": done.operation}

    def _batch(self, request: Request) -> str:
        self.calls["batch"] += 1
        request_id = request.query.get("requestid", "")
        if request_id:
            replay.check(request_id, batch=True)
        items = batch.items_of(self._content(request))
        self.calls["batch_items"] += len(items)

        def write(entity: Entity, payload: Any, operation: str, include: frozenset[str]) -> dict[str, Any]:
            answer = self._change(entity, payload, operation.lower(), include, request.line)
            answer.pop("operation")
            return answer

        answers = batch.run(
            self.store,
            items,
            request_id=request_id,
            include=request.include,
            write=write,
            query=lambda text: select.run(self.store, text),
            halve=self.faults.take("half_batch", request.line) is not None,
        )
        return self._timed({"BatchItemResponse": answers})


def _token_response(answer: Answer) -> Response:
    if answer.drop:
        raise Dropped
    return Response(answer.status, dumps(answer.content) if answer.content else "")


def _world(seed: Any) -> World:
    if seed == "empty":
        return World()
    if seed == "acme":
        with contextlib.suppress(ModuleNotFoundError):
            from sandbox.seed.acme import build

            return build()
    msg = f"unknown seed {seed!r}; known: acme, empty"
    raise ValueError(msg)


def make(world: World, *, path: str | Path | None = None, **options: Any) -> QuickBooksOnline:
    """Return a sandbox that holds `world`. `options` are those of `Options`; an unknown one raises ValueError.

    Without a `path` the data is in memory. A file at `path` that holds a company already is used as it is, whatever
    `world` says, until a reset.
    """
    chosen = dataclasses.replace(Options().changed(options), path=str(path or Options().path))
    return QuickBooksOnline(world, chosen)


def airflow_connection(base_url: str) -> dict[str, Any]:
    """Return the Airflow connection of `acme_books` for a sandbox that is served at `base_url`."""
    return {
        "conn_type": "quickbooks_online",
        "port": 0,  # what Airflow's form stores for a hidden port; its Test button compares with that
        "login": Options().client_id,
        "password": Options().client_secret,
        "extra": {
            "realm_id": Options().realm,
            "refresh_token": Options().refresh_token,
            "environment": "custom",
            "base_url": base_url,
            "oauth_url": f"{base_url}/oauth2/v1/tokens/bearer",
            "verifier_token": VERIFIER_TOKEN,
        },
    }
