"""E-mail (R8): what happened becomes an event, an event and a company's mode become mails, mails go through an outbox.

    events     what can be told, as plain data
    routing    which mode tells what, and whom
    composing  events to mails: subjects, keys, bodies (with `rendering`, from the templates)
    outbox     queued in the ledger, sent through Airflow's SMTP connection (`post`), marked
    runs       what a run has to tell, called at its end; `daily` what a day has to tell

Deciding is apart from doing: everything up to composing asks neither clock nor network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context

    from iw_operators.ledger.store import Ledger
    from iw_operators.spec.resolved import ResolvedFlow


def after_run(flow: ResolvedFlow, ledger: Ledger, run_id: int, *, wrong: Sequence[str], context: Context) -> None:
    """Tell people what a run has to tell, and send what is queued. Never raises: mail trouble fails no run.

    Called in the task `report`, after the run has ended in the ledger.

    :param wrong: what kept the run from being complete, one sentence each, beginning with the task's id.
    """
    from iw_operators.notify.runs import after_run as tell  # DAG files import this package, and need none of that

    tell(flow, ledger, run_id, wrong=wrong, context=context)
