"""Events to mails: subject, key, recipients and bodies. Asks neither clock nor network; reads the templates."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from iw_operators.ledger.mails import NewMail
from iw_operators.notify.events import (
    ConnectionBack,
    ConnectionLost,
    DailyReport,
    DeadlineMissed,
    Event,
    Recovered,
    Stopped,
    Trouble,
)
from iw_operators.notify.rendering import Look, duration, moment, render
from iw_operators.notify.routing import recipients, told
from iw_operators.spec.models import Company, Environment

_BREAKS = re.compile("[\x00-\x1f\x7f\x80-\x9f\u2028\u2029]+")
LONGEST: Final = 400  # characters of a subject


def compose(event: Event, company: Company, templates: Path) -> list[NewMail]:
    """Return the mails about an event: one, or none where the company's mode or its recipients want none."""
    if not told(company.notify, event.kind):
        return []
    who = recipients(company.notify, event.kind)
    if not who:
        return []
    environment = environment_label(company.environment)
    look = Look(company.company, environment, company.time_zone, templates)
    title, name = headline(event, company.time_zone)
    subject = one_line(f"[{company.company}, {environment}] {title}")
    text, html = render(name, subject, event, look)
    return [NewMail(key(event), event.kind.value, who.to, who.cc, who.bcc, subject, text, html)]


def environment_label(environment: Environment) -> str:
    """Return what people call an environment: `production A`, `development`."""
    name, _, letter = environment.value.partition("_")
    return f"{name} {letter.upper()}".strip()


def headline(event: Event, zone: str) -> tuple[str, str]:
    """Return what the subject says of an event, and the name of its template."""
    match event:
        case ConnectionLost():
            return f"{event.system} cannot be reached", "connection_lost"
        case ConnectionBack():
            return f"{event.system} is back after {duration(event.ended_at - event.began_at)}", "connection_back"
        case Trouble():
            return f"{event.run.flow}: {_trouble(event)}", "trouble"
        case Recovered():
            return f"{event.run.flow} works again", "recovered"
        case Stopped():
            return (
                f"{event.run.flow} has stopped itself" if event.counter else "flows have stopped themselves",
                "stopped",
            )
        case DeadlineMissed():
            return f"{event.run.flow} is not done within {event.minutes} minute{_s(event.minutes)}", "deadline_missed"
        case DailyReport():
            return f"{_report(event)}, {moment(event.until, zone)}", "daily_report"


def _trouble(event: Trouble) -> str:
    if event.reasons:
        return f"failed, {one_line(event.reasons[0].message)}"
    first = event.records[0]
    name = first.label or first.source_id
    more = f" and {event.number - 1} more" if event.number > 1 else ""
    return f"{first.action}: {name}{more}"


def _report(event: DailyReport) -> str:
    kind = "Error report" if event.errors_only else "Daily report"
    if not (event.failed_runs or event.open_number):
        return f"{kind}: all is well"
    runs, records = event.failed_runs, event.open_number
    return f"{kind}: {runs} failed run{_s(runs)}, {records} open record{_s(records)}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def key(event: Event) -> str:
    """Return what makes an event the same news as another one."""
    match event:
        case ConnectionLost() | ConnectionBack():
            how = "lost" if isinstance(event, ConnectionLost) else "back"
            return f"connection:{event.side}:{event.began_at.isoformat()}:{how}"
        case Trouble():
            said = [(each.task, each.code, each.message) for each in event.reasons]
            which = [(each.mapping, each.source_id, each.code, each.why) for each in event.records]
            return f"run:{event.run.flow}:{event.run.dag_run_id}:trouble:{_digest(repr((said, which)))}"
        case Recovered():
            return f"flow:{event.run.flow}:{event.began_at.isoformat()}:recovered"
        case Stopped():
            return f"run:{event.run.flow}:{event.run.dag_run_id}:{'counter' if event.counter else 'stopped'}"
        case DeadlineMissed():
            return f"run:{event.run.flow}:{event.run.dag_run_id}:deadline:{event.minutes}"
        case DailyReport():
            return f"report:{event.dag_run_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def one_line(text: str) -> str:
    """Return text on one line, as a header can hold it: what breaks lines becomes a blank, all else stays."""
    line = _BREAKS.sub(" ", text).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
