"""Read records of one object; for DAGs that people write by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import islice
from typing import Any

import structlog
from airflow.sdk import BaseOperator, Context

from iw_operators.retry import told

log = structlog.get_logger(__name__)

Moment = dt.datetime | str | None


class QueryOperator(BaseOperator):
    """Return records that changed in a window, oldest change first, as a list of dicts (XCom).

    Each has `id`, `version`, `modified`, `deleted` and `values`, by the names that were asked for. Amounts and times
    are text, exactly as they are; `UpsertOperator` takes them so.

    :param conn_id: an Airflow connection of one of our systems; which one follows from its type.
    :param object: native name (`Account`) or neutral one (`customer`).
    :param fields: neutral or native names, `lines` for lines; None for every field of the catalogue without lines.
    :param since: ISO 8601 text with a zone, or a datetime; None is open. Records with since <= modified < until come.
    :param limit: at most so many records. XCom is kept in Airflow's database; for more than a few thousand records
        take several windows, or a flow.
    """

    template_fields: Sequence[str] = ("conn_id", "object", "fields", "since", "until")

    def __init__(
        self,
        *,
        conn_id: str,
        object: str,
        fields: Sequence[str] | None = None,
        since: Moment = None,
        until: Moment = None,
        limit: int = 1_000,
        page_size: int = 500,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.object = object
        self.fields = fields
        self.since = since
        self.until = until
        self.limit = limit
        self.page_size = page_size

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Read them. Raises what the system raises, and FixConfiguration for names that are not known."""
        from iw_operators.engine.model import LINES
        from iw_operators.operators.runtime import ledger_of_run, moment, open_connection, system_of
        from iw_operators.operators.views import plain, view_of
        from iw_operators.systems.base import Window

        with told(context), ledger_of_run() as ledger:
            view = view_of(system_of(self.conn_id), self.object, self.fields)
            window = Window(moment(self.since, "since"), moment(self.until, "until"))
            system = open_connection(self.conn_id, ledger)
            pages = system.changes(view, window, min(self.page_size, self.limit))
            found = list(islice((record for page in pages for record in page), self.limit))
            if LINES in (self.fields or ()):
                found = list(system.complete(view, found))
        log.info("read", object=view.object, records=len(found))
        return [plain(record) for record in found]
