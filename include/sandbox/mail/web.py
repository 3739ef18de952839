"""The HTTP side: mails as JSON, and a page on which people read them.

GET /                     a page with all mails
GET /messages             all mails, oldest first; ?to=ADDRESS: only those that this address got
GET /messages/ID          one mail
GET /messages/ID/html     its HTML body as a page; nothing in it is executed or loaded
GET /messages/ID/raw      as it came
DELETE /messages[/ID]     delete all, or one
"""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.mail.store import MailStore

_SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Mails</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 60rem; padding: 0 1rem }}
article {{ border: 1px solid #8886; border-radius: 6px; margin: 0 0 1rem; padding: .75rem 1rem }}
h2 {{ font-size: 1rem; margin: 0 }}
p {{ margin: .25rem 0; opacity: .8 }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0 }}
</style></head>
<body><h1>Mails ({count})</h1>
<p>Nothing is delivered from here. As JSON: <a href="messages">/messages</a>.
Delete all: <code>curl -X DELETE {url}messages</code></p>
{mails}</body></html>"""
_MAIL = """<article><h2>{subject}</h2>
<p>{at} &middot; to {recipients}</p>
<p><a href="messages/{id}/html">HTML</a> &middot; <a href="messages/{id}/raw">raw</a>
&middot; <a href="messages/{id}">JSON</a></p>
<details><summary>Text</summary><pre>{text}</pre></details></article>"""


def web(store: MailStore) -> Starlette:
    """Return the application that shows `store`."""

    def page(request: Request) -> Response:
        mails = "\n".join(_shown(mail) for mail in reversed(store.all()))
        return HTMLResponse(_PAGE.format(count=store.count(), url=escape(str(request.base_url)), mails=mails))

    def listed(request: Request) -> Response:
        wanted = request.query_params.get("to")
        return JSONResponse([mail for mail in store.all() if wanted is None or wanted in mail["recipients"]])

    def one(request: Request) -> Response:
        mail = store.one(request.path_params["number"])
        return JSONResponse(mail) if mail else _missing()

    def html(request: Request) -> Response:
        mail = store.one(request.path_params["number"])
        return HTMLResponse(mail["html"], headers=_SAFE) if mail else _missing()

    def raw(request: Request) -> Response:
        found = store.raw(request.path_params["number"])
        return Response(found, media_type="text/plain") if found is not None else _missing()

    def delete(request: Request) -> Response:
        number = request.path_params.get("number")
        gone = store.delete(number)
        return JSONResponse({"deleted": gone}) if gone or number is None else _missing()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/messages", listed),
            Route("/messages", delete, methods=["DELETE"]),
            Route("/messages/{number:int}", one),
            Route("/messages/{number:int}", delete, methods=["DELETE"]),
            Route("/messages/{number:int}/html", html),
            Route("/messages/{number:int}/raw", raw),
        ]
    )


def _missing() -> Response:
    return JSONResponse({"error": "there is no such mail"}, status_code=404)


def _shown(mail: dict[str, Any]) -> str:
    texts = {name: escape(str(mail[name])) for name in ("id", "subject", "at", "text")}
    return _MAIL.format(**texts, recipients=escape(", ".join(mail["recipients"])))
