"""How long the DAG file takes: it is read every few seconds, and by every task."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures.noting import Figures
from tests.yardstick import slowness

pytestmark = pytest.mark.figures

REPOSITORY = Path(__file__).resolve().parents[2]
COMPANIES = 40
SECONDS = 0.6  # for 200 flows, beyond importing Airflow
MEASURE = """
import sys, time
from pathlib import Path
import airflow.sdk, airflow.listeners, airflow.timetables.base, airflow.sdk.definitions.deadline
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
began = time.process_time()
from iw_operators.dag import build_dag, flows_of, uncollected
with uncollected():
    dags = [build_dag(flow) for flow in flows_of(Path(sys.argv[1]))]
everything = time.process_time() - began
began = time.process_time()
with uncollected():
    (one,) = [build_dag(flow) for flow in flows_of(Path(sys.argv[1]), dags[-1].dag_id)]
print(len(dags), everything, time.process_time() - began, one.dag_id == dags[-1].dag_id)
"""


def companies(root: Path, count: int, utilities: bool) -> Path:
    """Write companies like `acme`, each with five of its flows, and those that are made of its mappings or not."""
    for number in range(count):
        folder = root / f"company{number:02}"
        folder.mkdir()
        for file in (REPOSITORY / "mappings" / "acme").glob("*.yaml"):
            text = file.read_text().replace("company: acme", f"company: {folder.name}")
            text += "" if utilities or file.name in ("company.yaml", "flows.yaml") else "\nutilities: false\n"
            (folder / file.name).write_text(text.replace("acme_", f"{folder.name}_"))
        flows = (folder / "flows.yaml").read_text()
        heads = [match.start() for match in re.finditer(r"^  \w+:", flows, re.MULTILINE)]
        (folder / "flows.yaml").write_text(flows[: heads[5]] if len(heads) > 5 else flows)
    return root


def test_two_hundred_flows_are_built_in_little_time(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> None:
    """200 flows cost at most 0.6 s of processor time beyond importing Airflow; a worker's one costs a tenth of that."""
    many = companies(tmp_path_factory.mktemp("mappings"), COMPANIES, utilities=False)
    everything, one, counts = zip(*(_measured(many) for _ in range(5)), strict=True)
    assert set(counts) == {COMPANIES * 5}
    _note(figures, "parse.200", min(everything), "building 200 flows beyond importing Airflow", SECONDS)
    _note(figures, "parse.1", min(one), "the same for one of them, as a worker does", SECONDS / 10)


def test_flows_that_are_made_of_mappings_cost_no_more(
    tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> None:
    """Four companies with all their utility flows are 200 flows and more, within the same time."""
    many = companies(tmp_path_factory.mktemp("mappings"), 4, utilities=True)
    everything, one, counts = zip(*(_measured(many) for _ in range(5)), strict=True)
    assert min(counts) >= 200
    what = "building 200 flows most of which are made of mappings, beyond importing Airflow"
    _note(figures, "parse.made", min(everything), what, SECONDS)
    _note(figures, "parse.made.1", min(one), "the same for one of them, as a worker does", SECONDS / 10)


def _note(figures: Figures, name: str, seconds: float, what: str, promised: float) -> None:
    figures.note(name, seconds, "s", what, at_most=promised, slowness=slowness())


def _measured(root: Path) -> tuple[float, float, int]:
    """Return the processor time of building all flows, and one, in a process of its own; and how many there are."""
    command = [sys.executable, "-c", MEASURE, str(root)]
    done = subprocess.run(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=True)
    count, everything, one, same = done.stdout.split()[-4:]
    assert same == "True"
    return float(everything), float(one), int(count)
