"""Templates, and how moments, lengths and counts are written in them."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from fastapi import Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from iw_operators.engine.model import Value
from iw_operators.manager import rows, security

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
UTC = ZoneInfo("UTC")


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates; everything that is put into them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": moment,
        "span": rows.length,
        "tally": lambda counts: list(rows.tally(counts)),
        "shown": shown,
        "number": number,
        "duration": duration,
        "local": local,
        "place": lambda file: "/".join(Path(file).parts[-2:]),
        "ticket": lambda f: json.dumps([f.mapping, f.side, f.source_id]),
    }
    made.globals |= {"purpose": rows.PURPOSE, "symbols": rows.SYMBOLS, "assets": assets()}
    return made


@functools.cache
def assets() -> str:
    """Return a mark of the static files that changes with them, so that browsers may keep them for good."""
    marks = hashlib.blake2b(digest_size=6)
    for file in sorted(STATIC.iterdir()):
        marks.update(file.read_bytes())
    return marks.hexdigest()


def html(template: str, **context: Any) -> str:
    """Return a template filled in."""
    return environment().get_template(template).render(context)


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a whole page. `said` in the address is shown when we have written it."""
    said = security.unseal(request.query_params.get("said", ""))
    return HTMLResponse(html(template, **roots(request), said=said, **context), status_code=status)


def roots(request: Request) -> dict[str, str]:
    """Return where the page and where Airflow is, both without a slash at the end."""
    base = str(request.scope.get("root_path", "")).rstrip("/")
    return {"base": base, "airflow": base.removesuffix("/iwmgr"), "here": request.url.path}


def moment(value: dt.datetime | None, zone: ZoneInfo = UTC, empty: str = "–") -> Markup | str:
    """Return a moment in a zone, to the second, as an element that carries the exact one."""
    if value is None:
        return empty
    there = value.astimezone(zone)
    text, exact = there.strftime("%Y-%m-%d %H:%M:%S"), value.astimezone(dt.UTC).isoformat()
    element = f'<time datetime="{exact}" title="{text} {there.tzname()}">{text}</time>'
    return Markup(element)  # noqa: S704  digits and the name of a zone, and a page has hundreds of them


def local(value: dt.datetime | None, zone: ZoneInfo) -> str:
    """Return a moment as a form field for local time takes it."""
    return value.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S") if value else ""


def number(value: float | None) -> str:
    """Return a number with its thousands apart."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def duration(value: dt.timedelta | float | None) -> str:
    """Return a length of time in its two largest units."""
    if value is None:
        return "–"
    seconds = round(value.total_seconds() if isinstance(value, dt.timedelta) else value)
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def shown(value: Value) -> str:
    """Return a record's value for people; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "\n".join(", ".join(f"{k}: {shown(v)}" for k, v in line.items() if v is not None) for line in value)
    return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else str(value)
