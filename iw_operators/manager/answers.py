"""How the page answers when something is wrong, and the headers of all its answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response

from iw_operators.errors import InterWeaveError
from iw_operators.manager import render, security

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.get_logger(__name__)

SIGN_IN = "Sign in to Airflow first."


async def hardened(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the headers that keep it in its place."""
    response = await call_next(request)
    if "/static/" in request.url.path and response.status_code == HTTPStatus.OK and request.query_params.get("v"):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    security.harden(response)
    return response


def register(app: FastAPI) -> None:
    """Let the app say what is wrong in our own words."""

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.UNAUTHORIZED:
            return said(request, error.status_code, SIGN_IN)
        return said(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        names = ", ".join(dict.fromkeys(str(each["loc"][-1]) for each in error.errors()))
        return said(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"Missing or wrong: {names}.")

    @app.exception_handler(InterWeaveError)
    def away(request: Request, error: InterWeaveError) -> Response:
        log.warning("the page could not answer", path=request.url.path, error=type(error).__name__, code=error.code)
        return said(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))


def said(request: Request, status: int, message: str) -> Response:
    """Return a page that says what is wrong; JSON for a script."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"detail": message}, status_code=status)
    title = HTTPStatus(status).phrase
    return render.page(request, "error.html", status=status, title=title, message=message, code=int(status))
