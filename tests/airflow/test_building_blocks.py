"""Operators and the sensor for DAGs that people write by hand, run by Airflow with a system in memory."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from iw_operators.engine.model import Record, Value
from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.operators import runtime
from iw_operators.operators.query import QueryOperator
from iw_operators.operators.upsert import UpsertOperator
from iw_operators.operators.views import typed, view_of
from iw_operators.sensors.changes import ChangeSensor
from iw_operators.triggers.changes import ChangeTrigger

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

    from tests.airflow.conftest import Memory, World

NOW = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]


@pytest.fixture
def books(world: World, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The books behind connection `any_books`, whose type tells which system it is."""
    monkeypatch.setenv("AIRFLOW_CONN_ANY_BOOKS", '{"conn_type": "quickbooks_online"}')
    monkeypatch.setenv("AIRFLOW_CONN_SOMETHING_ELSE", '{"conn_type": "ftp"}')
    monkeypatch.setattr(runtime, "open_system", lambda *_: world.books)
    return world.books


def result(run: DagRun, task_id: str = "it") -> Any:
    """Return what a task returned."""
    (ti,) = [ti for ti in run.get_task_instances() if ti.task_id == task_id]
    assert ti.state == "success"
    return ti.xcom_pull(task_ids=task_id)


class TestQuery:
    """Read records."""

    def test_records_come_as_dicts(self, world: World, books: Memory) -> None:
        """Each record has its id, version, times and values; an amount is exact text, never a float."""
        values: dict[str, Value] = {"number": "1001", "total": Decimal("448.390"), "lines": ({"amount": Decimal(7)},)}
        books.records["7"] = Record(id="7", values=values, version="3", modified=NOW)
        with DAG("query_records") as dag:
            QueryOperator(
                task_id="it",
                conn_id="any_books",
                object="Invoice",
                fields=["number", "total", "lines"],
                since="{{ dag_run.run_after - macros.timedelta(days=1) }}",
            )
        (record,) = result(world.test(dag))
        assert record == {
            "id": "7",
            "version": "3",
            "modified": "2026-03-08T12:00:00+00:00",
            "deleted": False,
            "values": {"number": "1001", "total": "448.390", "lines": [{"amount": "7"}]},
        }
        assert typed(view_of("quickbooks_online", "Invoice", list(values)), record["values"]) == values
        since = books.windows[0].since
        assert since
        assert dt.timedelta(hours=23) < dt.datetime.now(dt.UTC) - since < dt.timedelta(hours=25)

    def test_no_more_than_the_limit(self, world: World, books: Memory) -> None:
        """The limit holds across pages."""
        for number in range(7):
            books.add(str(number), f"Name {number}")
        with DAG("query_limit") as dag:
            QueryOperator(task_id="it", conn_id="any_books", object="Customer", limit=5, page_size=2)
        assert [record["id"] for record in result(world.test(dag))] == ["0", "1", "2", "3", "4"]

    @pytest.mark.parametrize(
        ("conn_id", "says"), [("nowhere", "no Airflow connection 'nowhere'"), ("something_else", "of the type 'ftp'")]
    )
    @pytest.mark.usefixtures("books")
    def test_a_wrong_connection_is_named(
        self, world: World, conn_id: str, says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A connection that is missing, or not one of ours, is an error that says so."""
        with DAG("query_connection") as dag:
            QueryOperator(task_id="it", conn_id=conn_id, object="Customer")
        assert world.test(dag).state == "failed"
        assert says in capsys.readouterr().out


class TestUpsert:
    """Write records."""

    def test_creates_then_finds_nothing_to_do(self, world: World, books: Memory) -> None:
        """The same records twice make no duplicate; a changed one is updated."""
        for _ in range(2):
            with DAG("upsert_records") as dag:
                UpsertOperator(
                    task_id="it",
                    conn_id="any_books",
                    object="Customer",
                    match="name",
                    company="acme",
                    records=[{"name": "Ångström", "phone": "+1 555 0100"}, {"name": "Borealis"}],
                )
            done = result(world.test(dag))
            assert done["read"] == 2
        assert sorted(str(record.values["name"]) for record in books.records.values()) == ["Borealis", "Ångström"]
        assert done.get("created", 0) == 0

    @pytest.mark.usefixtures("books")
    def test_a_float_amount_is_refused(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        """Money that is not exact never gets as far as the system."""
        with DAG("upsert_float") as dag:
            UpsertOperator(
                task_id="it",
                conn_id="any_books",
                object="Invoice",
                match="number",
                company="acme",
                records=[{"number": "1", "total": 448.39}],
            )
        assert world.test(dag).state == "failed"
        assert "total has to be money" in capsys.readouterr().out
        assert not world.books.records


class TestChangeSensor:
    """Wait for a change."""

    def sensor(self, **arguments: Any) -> DAG:
        """Return a DAG with one sensor that looks often."""
        with DAG("wait_for_change") as dag:
            ChangeSensor(task_id="it", conn_id="any_books", object="Customer", poke_interval=0.1, **arguments)
        return dag

    def test_it_waits_in_the_triggerer_until_something_changes(
        self, world: World, books: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It looks again and again, an outage included, and tells when the change was."""
        looks: list[object] = []

        def changes(*arguments: Any) -> Any:
            looks.append(arguments)
            if len(looks) == 2:
                msg = "Nobody answers."
                raise ConnectionFailure(msg)
            if len(looks) == 4:
                books.add("1", "Ångström")
            return iter([list(books.records.values())])

        monkeypatch.setattr(books, "changes", changes)
        seen = result(world.test(self.sensor(since="2026-03-08T00:00:00+00:00")))
        assert seen == {"since": "2026-03-08T00:00:00+00:00", "records": 1, "modified": NOW.isoformat()}
        assert len(looks) == 4

    def test_without_since_it_begins_now(self, world: World, books: Memory) -> None:
        """The point from which changes count is the system's own time at the first look."""
        books.add("1", "Ångström")
        assert result(world.test(self.sensor()))["since"] == NOW.isoformat()

    def test_what_a_person_has_to_correct_ends_the_wait(
        self, world: World, books: Memory, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A refused password fails the sensor with the words of the error, instead of asking for ever."""
        books.errors["changes"] = [FixConfiguration("The password was refused.", code="401")]
        assert world.test(self.sensor(since="2026-03-08T00:00:00+00:00")).state == "failed"
        assert "[401] The password was refused." in capsys.readouterr().out

    def test_the_trigger_is_stored_as_plain_data(self) -> None:
        """What Airflow stores of the wait makes an equal trigger again."""
        trigger = ChangeTrigger(
            system="quickbooks_online", conn_id="any_books", object="Customer", since=None, poke_interval=5.0
        )
        path, arguments = trigger.serialize()
        assert path == "iw_operators.triggers.changes.ChangeTrigger"
        assert ChangeTrigger(**arguments).serialize() == (path, arguments)
