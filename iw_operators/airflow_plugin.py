"""What Airflow's own processes load from this package: timetables and the scheduler's listener."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from iw_operators import listener
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable


class InterWeavePlugin(AirflowPlugin):
    """Registered once, through the package's entry point or, where that is not installed, the plugins folder."""

    name = "interweave"
    timetables: list[Any] = [IntervalTimetable, BackfillOnlyTimetable]  # noqa: RUF012  as the base declares it
    listeners: list[Any] = [listener]  # noqa: RUF012  as the base declares it
