"""The page as a FastAPI app that Airflow mounts at /iwmgr.

Airflow's other processes load the plugin too; for them this module is three names, and the app is put together when
the API server gets the first request.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LazyApp:
    """An ASGI app that is made when it is first called."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self._make = make
        self._made: FastAPI | None = None
        self._lock = threading.Lock()

    @property
    def made(self) -> FastAPI:
        """The app itself."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self.made(scope, receive, send)


def make_app() -> FastAPI:
    """Return the page's app. Every route but the static files asks Airflow who it is that asks."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.core_api.security import auth_manager_from_app
    from fastapi import Depends, FastAPI
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.staticfiles import StaticFiles

    from iw_operators.manager import answers, pages_company, pages_flows, pages_records, pages_reviews, render
    from iw_operators.manager.security import access, readable

    app = FastAPI(title="InterWeave Integration Manager", docs_url=None, redoc_url=None, openapi_url=None)
    app.dependency_overrides[auth_manager_from_app] = get_auth_manager
    app.add_middleware(BaseHTTPMiddleware, dispatch=answers.hardened)
    app.mount("/static", StaticFiles(directory=render.STATIC), name="static")
    for pages in (pages_flows, pages_company, pages_records, pages_reviews):
        app.include_router(pages.router, dependencies=[Depends(access), Depends(readable)])
    answers.register(app)
    return app


app = LazyApp(make_app)
