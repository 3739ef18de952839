"""Loading specs costs little: the DAG processor does it for every parse of the DAG file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from iw_operators.dag import uncollected
from iw_operators.spec.catalogues import library
from iw_operators.spec.loader import load_all, load_flow
from tests.yardstick import slowness

ROOT = Path(__file__).resolve().parents[2]
COPIES = 34  # of a company with six flows: a little over 200 flows
SECONDS = 0.4  # of the 0.6 that building 200 flows may cost, specs included
TRIES = 5


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with many companies like acme, with the flows that are written and none besides."""
    root = tmp_path_factory.mktemp("mappings")
    for number in range(COPIES):
        folder = root / f"acme{number}"
        shutil.copytree(ROOT / "mappings" / "acme", folder)
        company = folder / "company.yaml"
        text = company.read_text().replace("company: acme\n", f"company: acme{number}\n")
        company.write_text(text.replace("acme_", f"acme{number}_"))
        for mapping in {*folder.glob("*.yaml")} - {company, folder / "flows.yaml"}:
            mapping.write_text(f"{mapping.read_text()}utilities: false\n")
    return root


def least(work: Callable[[], object]) -> float:
    """Return the least processor time of several tries, as the DAG file works: without looking for garbage."""
    took = []
    with uncollected():
        for _ in range(TRIES):
            began = time.process_time()
            work()
            took.append(time.process_time() - began)
    return min(took)


def load(many: Path) -> None:
    """Load all flows, the catalogues too."""
    library.cache_clear()
    specs, errors = load_all(many)
    assert errors == []
    assert sum(len(spec.flows) for spec in specs.values()) >= 200


@pytest.mark.feature("R1")
def test_two_hundred_flows_load_in_a_fraction_of_a_second(many: Path) -> None:
    """Two hundred flows are read, checked and resolved within the budget of processor time."""
    assert least(partial(load, many)) < SECONDS * slowness()


def test_one_flow_costs_a_fraction_of_all(many: Path) -> None:
    """What a worker loads for its one flow does not grow with the number of companies."""
    flow, errors = load_flow(many, "acme7", "QBPmt2CRPmt")
    assert errors == []
    assert flow is not None
    assert flow.dag_id == "acme7.QBPmt2CRPmt"
    assert least(partial(load_flow, many, "acme7", "QBPmt2CRPmt")) < least(partial(load, many)) / 10


def test_catalogues_are_read_once() -> None:
    """A process reads a catalogue once, however many companies use it."""
    system = library().systems()[0]
    assert library().catalogue(system)[0] is library().catalogue(system)[0]
    assert library() is library()
