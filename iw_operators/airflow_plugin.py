"""What Airflow's own processes load from this package: timetables and the scheduler's listener."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from iw_operators import listener
from iw_operators.calls.app import app as calls
from iw_operators.manager.app import app as manager
from iw_operators.timetables import BackfillOnlyTimetable, IntervalTimetable


class InterWeavePlugin(AirflowPlugin):
    """Registered once, through the package's entry point or, where that is not installed, the plugins folder."""

    name = "interweave"
    timetables: list[Any] = [IntervalTimetable, BackfillOnlyTimetable]  # noqa: RUF012  as the base declares it
    listeners: list[Any] = [listener]  # noqa: RUF012  as the base declares it
    fastapi_apps: list[Any] = [  # noqa: RUF012  as the base declares it
        {"app": manager, "url_prefix": "/iwmgr", "name": "InterWeave Integration Manager"},
        {"app": calls, "url_prefix": "/iwcall", "name": "InterWeave calls"},
    ]
    external_views: list[Any] = [  # noqa: RUF012  as the base declares it
        {
            "name": "Integration Manager",
            "href": "iwmgr/",
            "destination": "nav",
            "url_route": "integration-manager",
            "icon": "iwmgr/static/mark.svg",
        },
        {
            "name": "Integration Manager",
            "href": "iwmgr/flow/{DAG_ID}",
            "destination": "dag",
            "url_route": "integration-manager-flow",
            "icon": "iwmgr/static/mark.svg",
        },
    ]
