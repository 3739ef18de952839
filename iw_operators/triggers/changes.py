"""The triggerer's half of `ChangeSensor`."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import structlog
from airflow.triggers.base import BaseTrigger, TriggerEvent

from iw_operators.errors import InterWeaveError, RetryLater
from iw_operators.retry import describe

if TYPE_CHECKING:
    from iw_operators.systems.base import System

log = structlog.get_logger(__name__)

PAGE = 100


class ChangeTrigger(BaseTrigger):
    """Fires once an object has a record that changed at or after `since` (ISO 8601; None: from the first look on).

    Systems are asked in a thread, so that the triggerer goes on with its other work; a system that cannot be reached
    is asked again after `poke_interval` seconds. Any other error fires as `{"error": ...}`.
    """

    def __init__(self, *, system: str, conn_id: str, object: str, since: str | None, poke_interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        self.system = system
        self.conn_id = conn_id
        self.object = object
        self.since = since
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        names = ("system", "conn_id", "object", "since", "poke_interval")
        return "iw_operators.triggers.changes.ChangeTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until something changed."""
        with ExitStack() as resources:
            look = _Look(self, resources)
            while (event := await asyncio.to_thread(look.once)) is None:
                await asyncio.sleep(self.poke_interval)
            yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow leaves it untyped


class _Look:
    """One open system, opened at the first look; used by one thread at a time."""

    def __init__(self, trigger: ChangeTrigger, resources: ExitStack) -> None:
        self.trigger = trigger
        self.resources = resources
        self.system: System | None = None
        self.since = dt.datetime.fromisoformat(trigger.since) if trigger.since else None

    def once(self) -> dict[str, Any] | None:
        """Return what changed or what is wrong, None when there is nothing to say yet."""
        try:
            return self._look()
        except RetryLater as error:
            log.warning("cannot look now", error=type(error).__name__, code=error.code)
            return None
        except InterWeaveError as error:
            return {"error": describe(error)}

    def _look(self) -> dict[str, Any] | None:
        from iw_operators.operators.runtime import ledger_of_run, open_connection
        from iw_operators.operators.views import view_of
        from iw_operators.systems.base import Window

        if self.system is None:
            ledger = self.resources.enter_context(ledger_of_run())
            self.system = open_connection(self.trigger.conn_id, ledger)
        if self.since is None:
            self.since = self.system.now()
        view = view_of(self.trigger.system, self.trigger.object, [])
        page = next(iter(self.system.changes(view, Window(self.since, None), PAGE)), ())
        if not page:
            return None
        latest = max((record.modified for record in page if record.modified), default=None)
        return {
            "since": self.since.isoformat(),
            "records": len(page),
            "modified": latest.isoformat() if latest else None,
        }
