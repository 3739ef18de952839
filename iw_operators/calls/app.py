"""The web side of calls: a FastAPI app that Airflow's API server mounts at /iwcall.

    POST /iwcall/<company or connection>/<crm or books>

It is open to whoever can reach the API server; what counts is the signature. Nothing of the business systems is
asked while a call is answered, and no more than `LARGEST` bytes of one are read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from iw_operators.manager.app import LazyApp

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

    from iw_operators.calls.desk import Desk
    from iw_operators.ledger.store import Ledger

log = structlog.get_logger(__name__)

PREFIX: Final = "/iwcall"
LARGEST: Final = 64 * 1024  # bytes of a body
SLOWEST: Final = 10.0  # seconds in which a body has to have come
AT_ONCE: Final = 4  # calls that are worked on at a time; others wait, so that the API server's own work does not
WAITING: Final = 200  # calls that wait, at the most
PATIENCE: Final = 2.0  # seconds that a call waits for a ledger that does not answer


def make_app(desk: Desk | None = None) -> FastAPI:
    """Return the app. It has one route, and shows neither documentation nor what went wrong inside."""
    from anyio import CapacityLimiter, to_thread
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse
    from starlette.requests import Request as Asked

    app = FastAPI(title="InterWeave calls", docs_url=None, redoc_url=None, openapi_url=None)
    taking = desk or own_desk()
    limiter = CapacityLimiter(AT_ONCE)

    async def take(where: str, side: str, request: Asked) -> JSONResponse:
        body = await limited(request)
        if isinstance(body, int):
            return JSONResponse({"detail": "Refused."}, body, {"Connection": "close"})
        if limiter.statistics().tasks_waiting >= WAITING:
            return JSONResponse({"detail": "Try again later."}, 503, {"Retry-After": "30"})
        headers = {name.lower(): value for name, value in request.headers.items()}
        client = request.client.host if request.client else ""
        answer = await to_thread.run_sync(taking.take, where, side, headers, body, client, limiter=limiter)
        return JSONResponse(dict(answer.content), answer.status, dict(answer.headers))

    # FastAPI reads annotations from the module; this one is imported where the app is made.
    take.__annotations__["request"] = Asked
    app.add_api_route("/{where}/{side}", take, methods=["POST"], response_model=None)
    return app


async def limited(request: Request) -> bytes | int:
    """Return a request's body; 413 for one that is too large (no more of it is read then), 408 for one too slow."""
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 10 or int(said) > LARGEST:
        return 413
    body = bytearray()
    try:
        async with asyncio.timeout(SLOWEST):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    return 413
    except TimeoutError:
        return 408
    return bytes(body)


def own_desk() -> Desk:
    """Return the desk over this Airflow: its specs, connections, ledger and metadata database."""
    from iw_operators.calls.desk import Desk
    from iw_operators.calls.doors import Connections, Door, doors
    from iw_operators.calls.waking import Waker
    from iw_operators.ledger.connect import find_connection
    from iw_operators.manager import world

    made: dict[str, tuple[object, list[Door]]] = {}  # by company, with what was read of its folder

    def known() -> list[Door]:
        found: list[Door] = []
        for name, loaded in world.specs().companies().items():
            before, its = made.get(name, (None, []))
            if before is not loaded:
                its = doors([loaded.spec] if loaded.spec else [])
                made[name] = (loaded, its)
            found += its
        return found

    ledger = _OwnLedger()
    return Desk(known, Connections(find_connection), ledger, Waker(ledger).wake)


class _OwnLedger:
    """The ledger, opened once a process, and less patient than a task's."""

    def __init__(self) -> None:
        from threading import Lock

        self._lock = Lock()
        self._opened: Ledger | None = None

    def __call__(self) -> Ledger:
        from iw_operators import settings
        from iw_operators.ledger.connect import open_ledger

        with self._lock:
            if self._opened is None:
                self._opened = open_ledger(settings.ledger_conn_id())
                self._opened.patience = PATIENCE
            return self._opened


app = LazyApp(make_app)
