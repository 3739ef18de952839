"""Company globex in Airflow: every flow is a DAG, and the command line finds nothing wrong."""

from __future__ import annotations

import pytest

from iw_operators.cli import get_commands
from iw_operators.dag import build_dag
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from tests.stage import MAPPINGS

pytestmark = pytest.mark.feature("S3", "R1")


def test_every_flow_of_globex_is_a_dag() -> None:
    """Tasks in the company's pool of one: what runs for one company file runs one after the other."""
    spec, errors = load_company(MAPPINGS / "globex")
    assert spec is not None, errors
    flows = [flow for flow in spec.flows.values() if flow.kind is FlowKind.SCHEDULED]
    assert len(flows) == 6
    for flow in flows:
        dag = build_dag(flow)
        assert dag.dag_id == f"globex.{flow.flow}"
        assert [m.mapping for m in flow.mappings] == [each for each in dag.task_ids if each in spec.mappings]
        assert {task.pool for task in dag.tasks} == {"iw_globex"}
        assert dag.max_active_tasks == 1


def test_validate_finds_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """`airflow iw validate globex` counts mappings and flows."""
    assert get_commands()
    from tests.test_cli import run

    run("validate", "globex", "--mappings", str(MAPPINGS))
    assert "no errors" in capsys.readouterr().out
