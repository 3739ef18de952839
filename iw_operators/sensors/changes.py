"""Wait until something changes in a system, without holding a worker; for DAGs that people write by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import structlog
from airflow.sdk import BaseSensorOperator, Context

from iw_operators.errors import FixConfiguration
from iw_operators.retry import told
from iw_operators.triggers.changes import ChangeTrigger

log = structlog.get_logger(__name__)


class ChangeSensor(BaseSensorOperator):
    """Succeed when at least one record of an object changed at or after `since`.

    Waits in the triggerer. Returns (XCom) `since`, `records` (how many changed, at most one page) and `modified`, the
    time of the latest of these changes by the system's own clock.

    :param conn_id: an Airflow connection of one of our systems; which one follows from its type.
    :param object: native name (`Account`) or neutral one (`customer`).
    :param since: ISO 8601 text with a zone, or a datetime. None: the system's time when the sensor starts.
    """

    template_fields: Sequence[str] = ("conn_id", "object", "since")

    def __init__(
        self,
        *,
        conn_id: str,
        object: str,
        since: dt.datetime | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.object = object
        self.since = since

    def execute(self, context: Context) -> None:
        """Check the names, then hand over to the triggerer."""
        from iw_operators.operators.runtime import moment, system_of
        from iw_operators.operators.views import view_of

        with told(context):
            system = system_of(self.conn_id)
            view = view_of(system, self.object, [])
            since = moment(self.since, "since")
        trigger = ChangeTrigger(
            system=system,
            conn_id=self.conn_id,
            object=view.object,
            since=since.isoformat() if since else None,
            poke_interval=float(self.poke_interval),
        )
        self.defer(trigger=trigger, method_name="changed", timeout=dt.timedelta(seconds=self.timeout))

    def changed(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the trigger saw. Raises FixConfiguration with the trigger's words when it could not look."""
        with told(context):
            if error := event.get("error"):
                raise FixConfiguration(error["message"], code=error["code"], advice=error["advice"])
        log.info("changed", **event)
        return event
