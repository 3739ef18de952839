"""What happens in Airflow's metadata database: DAGs and import errors, pools, backfills."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.backfill import AlreadyRunningBackfill, Backfill, BackfillDagRun, _create_backfill
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.pool import Pool
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import delete, select

from iw_operators.dag import build_dag
from iw_operators.listener import on_dag_run_running
from iw_operators.pools import ensure_pools
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import ResolvedFlow

DAGS = Path(__file__).resolve().parents[2] / "dags"
BUNDLE = "dags-folder"
Flows = Callable[..., ResolvedFlow]

pytestmark = pytest.mark.usefixtures("metadata", "clean")


@pytest.fixture
def clean(metadata: None) -> Iterator[None]:
    """A database with our bundle and nothing else in it, before and after."""
    wipe()
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
    yield
    wipe()


def wipe() -> None:
    """Remove all DAGs, runs, errors and pools."""
    with create_session() as session:
        for table in (BackfillDagRun, DagRun, Backfill, SerializedDagModel, ParseImportError, DagModel):
            session.execute(delete(table))
        session.execute(delete(Pool).where(Pool.pool != Pool.DEFAULT_POOL_NAME))


def process(folder: Path = DAGS) -> None:
    """Read the DAG files and store the result, as the DAG processor does."""
    bag = DagBag(folder, bundle_name=BUNDLE, bundle_path=folder)
    sync_bag_to_db(bag, BUNDLE, None)


def store(flow: ResolvedFlow) -> str:
    """Store one flow's DAG, switched on; return its id."""
    dag = build_dag(flow)
    bag = DagBag("/dev/null", collect_dags=False, bundle_name=BUNDLE)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)
    return dag.dag_id


def test_an_import_error_leaves_the_other_dags_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error in one spec shows under its own file; the DAGs of the other specs stay active and schedulable."""
    for company, customers in (("good", "Account"), ("bad", "Akkount")):
        folder = tmp_path / company
        folder.mkdir()
        (folder / "company.yaml").write_text(
            f"company: {company}\ncrm: {{system: creatio, connection: {company}_crm}}\n"
            f"books: {{system: quickbooks_online, connection: {company}_books}}\n"
        )
        (folder / "customers.yaml").write_text(
            f"mapping: customers\ncrm: {customers}\nbooks: Customer\nutilities: false\n"
        )
        (folder / "flows.yaml").write_text("flows:\n  CRAcct2QBCust: {mappings: [customers]}\n")
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(tmp_path))
    process()
    with create_session() as session:
        (error,) = session.scalars(select(ParseImportError))
        assert error.filename == "interweave_errors.py"
        assert "bad/customers.yaml:2: crm: " in (error.stacktrace or "")
        (dag,) = session.scalars(select(DagModel).where(DagModel.dag_id.not_like("%.Maintenance")))
        assert dag.dag_id == "good.CRAcct2QBCust"
        assert (dag.is_stale, dag.has_import_errors, dag.is_paused) == (False, False, True)
        assert dag.next_dagrun_create_after is not None
    mended = "mapping: customers\ncrm: Account\nbooks: Customer\nutilities: false\n"
    (tmp_path / "bad" / "customers.yaml").write_text(mended)
    process()
    with create_session() as session:
        assert not list(session.scalars(select(ParseImportError)))
        flows = session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.not_like("%.Maintenance")))
        assert set(flows) == {"good.CRAcct2QBCust", "bad.CRAcct2QBCust"}


class TestPools:
    """A company's pool."""

    def test_it_is_made_once_and_left_alone(self) -> None:
        """A pool that exists keeps the slots that somebody gave it."""
        assert ensure_pools(["acme", "zeta"]) == ["iw_acme", "iw_zeta"]
        with create_session() as session:
            pool = session.scalars(select(Pool).where(Pool.pool == "iw_acme")).one()
            assert (pool.slots, pool.include_deferred) == (1, False)
            pool.slots = 3
        assert ensure_pools(["acme"]) == []
        with create_session() as session:
            assert session.scalars(select(Pool.slots).where(Pool.pool == "iw_acme")).one() == 3

    def test_its_size_is_an_option(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """New pools are as large as [interweave] pool_slots says."""
        monkeypatch.setenv("AIRFLOW__INTERWEAVE__POOL_SLOTS", "2")
        ensure_pools(["acme"])
        with create_session() as session:
            assert session.scalars(select(Pool.slots).where(Pool.pool == "iw_acme")).one() == 2

    def test_the_scheduler_makes_it_when_a_run_starts(self, make_flow: Flows) -> None:
        """The first run of a new company finds its pool, without any set-up."""
        dag_id = store(make_flow())
        with create_session() as session:
            dag = SerializedDagModel.get(dag_id, session=session)
            assert dag
            run = dag.dag.create_dagrun(
                run_id="one",
                run_after=dt.datetime.now(dt.UTC),
                run_type=DagRunType.MANUAL,
                triggered_by="test",  # type: ignore[arg-type]  # only shown
                state=DagRunState.RUNNING,
                session=session,
            )
            run.dag = dag.dag
            on_dag_run_running(run)
            on_dag_run_running(run)
            assert session.scalars(select(Pool.slots).where(Pool.pool == "iw_acme")).one() == 1
            session.rollback()

    def test_other_peoples_runs_are_left_alone(self, make_flow: Flows) -> None:
        """A DAG that is not ours gets no pool."""
        dag_id = store(make_flow())
        with create_session() as session:
            dag = SerializedDagModel.get(dag_id, session=session)
            assert dag
            run = DagRun(dag_id=dag_id, run_id="two", run_type=DagRunType.MANUAL)
            run.dag = dag.dag
            run.dag.tags = {"somebody"}
            session.add(run)
            with session.no_autoflush:
                on_dag_run_running(run)
                assert not list(session.scalars(select(Pool).where(Pool.pool == "iw_acme")))
            session.rollback()


@pytest.mark.feature("R3")
class TestBackfill:
    """A date range is one run a window, made by Airflow's own backfill."""

    def backfill(self, dag_id: str, first: dt.datetime, last: dt.datetime) -> list[DagRun]:
        """Create a backfill as the command line does; return its runs in their order."""
        _create_backfill(
            dag_id=dag_id,
            from_date=first,
            to_date=last,
            max_active_runs=1,
            reverse=False,
            dag_run_conf={},
            triggering_user_name="test",
        )
        with create_session() as session:
            query = select(DagRun).join(BackfillDagRun, BackfillDagRun.dag_run_id == DagRun.id)
            return list(session.scalars(query.order_by(BackfillDagRun.sort_ordinal)))

    def test_one_run_for_each_local_day_in_order(self, make_flow: Flows) -> None:
        """Three dates of a company in New York are three runs, each with its own day as its data interval."""
        dag_id = store(make_flow("CRAcct2QBCustDR", FlowKind.DR))
        runs = self.backfill(
            dag_id,
            dt.datetime.fromisoformat("2026-03-07T00:00:00-05:00"),
            dt.datetime.fromisoformat("2026-03-09T00:00:00-04:00"),
        )
        assert [(str(run.data_interval_start), str(run.data_interval_end)) for run in runs] == [
            ("2026-03-07 05:00:00+00:00", "2026-03-08 05:00:00+00:00"),
            ("2026-03-08 05:00:00+00:00", "2026-03-09 04:00:00+00:00"),
            ("2026-03-09 04:00:00+00:00", "2026-03-10 04:00:00+00:00"),
        ]

    def test_the_whole_history_goes_by_windows_too(self, make_flow: Flows) -> None:
        """A backfill of F is accepted; its windows are those of its spec, side by side, and hold the whole range."""
        dag_id = store(make_flow("CRAcct2QBCustF", FlowKind.F, window="30d"))
        first, last = dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2025, 12, 31, tzinfo=dt.UTC)
        runs = self.backfill(dag_id, first, last)
        edges = [(run.data_interval_start, run.data_interval_end) for run in runs]
        assert len(runs) == 25
        assert {str(run.run_type) for run in runs} == {"backfill"}
        assert all(end == start for (_, end), (start, _) in itertools.pairwise(edges))
        assert edges[0][0] is not None
        assert edges[-1][1] is not None
        assert edges[0][0] <= first < last < edges[-1][1]

    @pytest.mark.parametrize("kind", [FlowKind.DR, FlowKind.F])
    def test_two_backfills_of_a_flow_never_run_together(self, make_flow: Flows, kind: FlowKind) -> None:
        """Airflow refuses a second backfill while the first one is not done."""
        dag_id = store(make_flow(f"CRAcct2QBCust{kind.value}", kind))
        day = dt.datetime(2026, 3, 7, tzinfo=dt.UTC)
        self.backfill(dag_id, day, day)
        with pytest.raises(AlreadyRunningBackfill):
            self.backfill(dag_id, day, day)

    def test_a_scheduled_flow_has_no_backfill(self, make_flow: Flows) -> None:
        """A flow that reads from Query Starts on refuses a range of dates, which it would ignore."""
        dag_id = store(make_flow())
        day = dt.datetime(2026, 3, 7, tzinfo=dt.UTC)
        with pytest.raises(Exception, match="does not allow backfill"):
            self.backfill(dag_id, day, day)

    @pytest.mark.parametrize("kind", [FlowKind.DR, FlowKind.F])
    def test_it_is_never_due_by_itself(self, make_flow: Flows, kind: FlowKind) -> None:
        """The scheduler has no next run for a flow of a date range, or of the whole history."""
        dag_id = store(make_flow(f"CRAcct2QBCust{kind.value}", kind))
        with create_session() as session:
            dag = session.get_one(DagModel, dag_id)
            assert dag.next_dagrun is None
            assert dag.next_dagrun_create_after is None
