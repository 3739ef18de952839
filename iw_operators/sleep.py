"""Hours in which a company's flows sleep: arithmetic on its clock, for timetables, `ready` and the ends of pages."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from iw_operators.spec.models import Company, SleepWindow

DAY = dt.timedelta(days=1)


def sleeping(company: Company, now: dt.datetime) -> dt.datetime | None:
    """Return when the company's sleep window that holds a moment ends; None when its flows are awake.

    :param now: the moment, with a zone.
    """
    if company.sleep_window is None:
        return None
    found = period(company.sleep_window, ZoneInfo(company.time_zone), now)
    return found[1] if found is not None else None


def period(window: SleepWindow, zone: dt.tzinfo, moment: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
    """Return beginning and end (UTC) of the sleep that holds a moment; None when there is none.

    The beginning belongs to the sleep, its end does not. Where the clocks change, an hour that comes twice counts from
    its first time to its second, so that the sleep has no gap; one that is left out moves on by what the clocks do.
    """
    local = moment.astimezone(zone).date()
    for date in (local - DAY, local):
        begin, end = _on(window, zone, date)
        if begin <= moment < end:
            return begin, end
    return None


def _on(window: SleepWindow, zone: dt.tzinfo, date: dt.date) -> tuple[dt.datetime, dt.datetime]:
    last = date if window.from_ < window.to else date + DAY
    begin = dt.datetime.combine(date, window.from_, zone)
    ends = [dt.datetime.combine(last, window.to.replace(fold=fold), zone).astimezone(dt.UTC) for fold in (0, 1)]
    return begin.astimezone(dt.UTC), max(ends)
