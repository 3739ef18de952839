"""Bodies of mails from Jinja templates: `<name>.html` and `<name>.txt` in a folder that people may change.

The templates run in Jinja's sandbox; HTML is escaped by itself. A mail is more important than its looks: a template
that is missing or fails is told in the log, and the mail goes out with the event's facts, line by line.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2
import structlog
from jinja2.sandbox import ImmutableSandboxedEnvironment

log = structlog.get_logger(__name__)

EXTENSIONS: Final = ("txt", "html")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What every mail of a company is rendered with. `templates`: the folder."""

    company: str
    environment: str
    zone: str
    templates: Path


def render(name: str, subject: str, event: Any, look: Look) -> tuple[str, str]:
    """Return text and HTML of a mail about an event."""
    known = {"event": event, "subject": subject} | {
        each: getattr(look, each) for each in ("company", "environment", "zone")
    }
    text, html = (_render(f"{name}.{extension}", known, look) for extension in EXTENSIONS)
    plain = "" if text and html else plain_text(subject, event, look)
    return text or plain, html or f'<pre style="white-space: pre-wrap">{escape(plain)}</pre>'


def _render(file: str, known: Mapping[str, Any], look: Look) -> str:
    try:
        return _environment(look.templates, look.zone).get_template(file).render(known).strip() + "\n"
    except Exception as error:  # noqa: BLE001  whatever somebody wrote into a template
        log.warning("template of a mail cannot be used", template=file, error=type(error).__name__, why=_why(error))
        return ""


def _why(error: Exception) -> str:
    return f"{error} (line {error.lineno})" if isinstance(error, jinja2.TemplateSyntaxError) else str(error)[:200]


@functools.lru_cache(maxsize=32)
def _environment(folder: Path, zone: str) -> jinja2.Environment:
    made = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
        undefined=_Strict,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": functools.partial(moment, zone=zone), "duration": duration}
    return made


class _Strict(jinja2.StrictUndefined):
    """A name that does not exist is an error where it is shown; where it is a question, it means no."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # it raises there
        return False


def moment(value: dt.datetime, zone: str = "UTC") -> str:
    """Return a moment as people of the company read it: `2026-11-20 06:00 EST`."""
    return value.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")


def duration(value: dt.timedelta) -> str:
    """Return a duration in its two largest units: `2 h 10 min`."""
    seconds = max(0, int(value.total_seconds()))
    parts = [
        (seconds // 86_400, "d"),
        (seconds // 3_600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    ]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number or unit == "s") or "0 s"


def plain_text(subject: str, event: Any, look: Look) -> str:
    """Return an event's facts, one a line."""
    head = [subject, "", f"company: {look.company}", f"environment: {look.environment}"]
    return "\n".join([*head, *_facts(event, functools.partial(moment, zone=look.zone)), ""])


def _facts(value: Any, shown: Callable[[dt.datetime], str], path: str = "") -> Iterator[str]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _facts(getattr(value, field.name), shown, f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _facts(each, shown, f"{path}.{key}")
    elif isinstance(value, tuple):
        for number, each in enumerate(value, start=1):
            yield from _facts(each, shown, f"{path} {number}")
    elif isinstance(value, dt.datetime):
        yield f"{path}: {shown(value)}"
    elif value not in (None, "", False):
        yield f"{path}: {value}"
