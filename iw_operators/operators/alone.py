"""The task of a company's maintenance that waits for a person, without a worker, for as long as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context

from iw_operators.operators.maintain import ANSWERED_BY, ENDED, in_force
from iw_operators.retry import told
from iw_operators.spec.models import Company

log = structlog.get_logger(__name__)

BODY = """No flow of {name} is connected, and none begins. DAGs that people have written by hand, and other programs,
are not seen from here: *Company* on the Integration Manager page and `airflow iw maintenance status {name}` name the
tasks of other DAGs in the company's pool as well.

Answer when the work is done. Both connections are then checked, and the flows of {name} that were switched on are
started again. Where the maintenance is ended on the page or by command, this is answered by itself."""


class AloneOperator(HITLOperator):
    """Ask whether the maintenance is over, unless it has been ended elsewhere; who answers is left for `end`."""

    shallow_copy_attrs: Sequence[str] = ("company",)

    def __init__(self, *, company: Company, **kwargs: Any) -> None:
        name = company.company
        super().__init__(
            subject=f"{name} is safe to work in: no flow of it is connected",
            body=BODY.format(name=name),
            options=["The maintenance is over"],
            **kwargs,
        )
        self.company = company

    def execute(self, context: Context) -> Any:
        """Ask. Raises what the ledger raises."""
        from iw_operators.operators.runtime import ledger_of_run

        with told(context), ledger_of_run(self.company.company) as ledger:
            going = in_force(ledger, self.company.company, context)
        if not going:
            log.info(ENDED)
            return None
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep who has answered."""
        from iw_operators.operators.bind import answered_by

        if "error" not in event:
            context["ti"].xcom_push(key=ANSWERED_BY, value=answered_by(event))
        return super().execute_complete(context, event)
