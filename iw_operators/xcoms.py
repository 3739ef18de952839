"""By which names the tasks of a run, and the scheduler at its end, tell one another what has happened: XComs."""

from __future__ import annotations

from typing import Final

READY: Final = "ready"  # a flow's first task
REPORT: Final = "report"  # its last one

# Of `ready`.
FIXED: Final = "fixed"  # in its result: what stays as it is for the length of the run (`asked.fixed`)
SKIPPED: Final = "iw_skipped"  # why the run was skipped
# The error of a system that could not be reached or signed in to, its side, and the sides that were reached before it.
UNREACHABLE: Final = "iw_unreachable"
ASKED_AT: Final = "iw_asked_at"  # when it began to ask the systems whether they are there; ISO 8601
# Of a mapping's task.
STOPPED: Final = "iw_stopped"  # why the run was stopped
# Of `report`.
STATE: Final = "iw_state"  # how the run ended: success, failed, skipped, stopped
PAUSE: Final = "iw_pause"  # {"dags": [ids], "why": "..."}; with "all": "scheduled" every scheduled flow of the company
UNPAUSE: Final = "iw_unpause"  # the same, to switch on
