"""Create or update records of one object; for DAGs that people write by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from iw_operators.retry import told


class UpsertOperator(BaseOperator):
    """Bring records into one object of a system: update the one that agrees in `match`, create it if there is none.

    Writes go the same way as those of a flow (law 2): the intent is in the ledger before anything is sent, and a
    repeated task makes no duplicate. A record that cannot go is a row of the ledger, not a failure of the task.
    Returns how many were read, created, updated, unchanged, held and rejected (XCom).

    :param conn_id: an Airflow connection of one of our systems; which one follows from its type.
    :param object: native name (`Account`) or neutral one (`customer`).
    :param records: dicts by neutral or native names; all of them have the field `match`. An XComArg will do.
    :param match: the field that tells which record is meant.
    :param company: whose ledger rows these are.
    """

    template_fields: Sequence[str] = ("conn_id", "object", "records", "match", "company")

    def __init__(
        self,
        *,
        conn_id: str,
        object: str,
        records: Sequence[Mapping[str, Any]],
        match: str,
        company: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.object = object
        self.records = records
        self.match = match
        self.company = company

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it. Raises FixRecord for values of a wrong type, FixConfiguration for names that are not known."""
        from iw_operators.operators.runtime import ledger_of_run, open_connection, system_of
        from iw_operators.operators.views import typed, view_of
        from iw_operators.upsert import upsert_records

        with told(context), ledger_of_run() as ledger:
            names = dict.fromkeys([self.match, *(name for record in self.records for name in record)])
            view = view_of(system_of(self.conn_id), self.object, list(names))
            done = upsert_records(
                company=self.company,
                dag_run_id=context["run_id"],
                task_id=f"{self.dag_id}.{self.task_id}",
                system=open_connection(self.conn_id, ledger),
                view=view,
                records=[typed(view, record) for record in self.records],
                match=self.match,
                ledger=ledger,
            )
        return {"read": done.read, **done.counts}
