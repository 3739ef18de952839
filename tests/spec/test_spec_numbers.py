"""No number in a spec takes a DAG away without being told."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.timetables.base import TimeRestriction, Timetable
from pendulum import datetime
from pydantic import BaseModel

from iw_operators import dag as dag_module
from iw_operators.dag import build_dag, check_specs, dags_of
from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogues import Library
from iw_operators.spec.loader import load_all, load_company
from iw_operators.spec.models import Company, FlowSpec, MappingSpec
from iw_operators.spec.resolved import ResolvedFlow
from tests.spec.demo import DEMO, Write

ROOT = Path(__file__).resolve().parents[2]
Place = tuple[str, ...]
# What has to be there so that a number can stand where it does: the groups it is in, by file.
BASE: dict[str, dict[str, Any]] = {
    "company.yaml": {"worker": {"queue": "site"}},
    "customers.yaml": {
        "fields": {"region": {"crm": "X_Region", "books": "Own.Region", "owner": "crm", "shorten": True}}
    },
    "flows.yaml": {
        "flows": {
            "PCAcct2PBCust": {"mappings": ["customers"], "direction": "to_books"},
            "PCAcct2PBCustDR": {"mappings": ["customers"], "direction": "to_books"},
        }
    },
}


def filled(file: str) -> dict[str, Any]:
    """Return one of the files with the groups that numbers stand in."""
    return {**yaml.safe_load(DEMO[file]), **deepcopy(BASE[file])}


def numbers(annotation: Any, at: Place = ()) -> Iterator[Place]:
    """Yield the places of a model that take a number, `*` for a key of any name."""
    members = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    for member in members:
        origin = typing.get_origin(member)
        if member is int or str(member) == "<class 'datetime.time'>":
            yield at
        elif origin is typing.Annotated or origin in (typing.Union, types.UnionType):
            for inner in typing.get_args(member):
                yield from numbers(inner, at)
        elif origin is not None and len(typing.get_args(member)) == 2:
            yield from numbers(typing.get_args(member)[1], (*at, "*"))
        elif isinstance(member, type) and issubclass(member, BaseModel):
            for name, field in member.model_fields.items():
                yield from numbers(field.annotation, (*at, field.alias or name))


def cases() -> list[tuple[str, Place]]:
    """Return the file and the place of each number, and of the window, which is text with a number in it."""
    found = [("company.yaml", at) for at in numbers(Company)]
    places = [at for at in numbers(MappingSpec) if at[0] != "lines"]  # those have the keys of `fields`
    found += [("customers.yaml", tuple("region" if part == "*" else part for part in at)) for at in places]
    for flow, keys in (("PCAcct2PBCust", tuple(numbers(FlowSpec))), ("PCAcct2PBCustDR", (("window",),))):
        found += [("flows.yaml", ("flows", flow, *at)) for at in keys]
    return found


def test_nothing_else_is_wrong(write: Write, plain: Library) -> None:
    """What the numbers are put into is free of errors itself."""
    _, errors = load_company(write({file: yaml.safe_dump(filled(file), sort_keys=False) for file in BASE}), using=plain)
    assert errors == []


def test_the_places_of_numbers_are_found() -> None:
    """Known ones are among them, in every file and in groups."""
    assert {
        ("company.yaml", ("overlap_seconds",)),
        ("company.yaml", ("worker", "away_minutes")),
        ("company.yaml", ("sleep_window", "from")),
        ("customers.yaml", ("fields", "region", "length")),
        ("customers.yaml", ("to_books", "create_when", "field", "region")),
        ("flows.yaml", ("flows", "PCAcct2PBCust", "deadline_minutes")),
        ("flows.yaml", ("flows", "PCAcct2PBCust", "shift_ms")),
    } <= set(cases())


@pytest.mark.parametrize("value", [10**15, -1])
@pytest.mark.parametrize(("file", "at"), cases(), ids=lambda each: each if isinstance(each, str) else ".".join(each))
def test_a_number_is_an_error_or_a_dag(file: str, at: Place, value: int, write: Write, plain: Library) -> None:
    """Whatever number stands anywhere: it is an error with the line it stands in, or every DAG is made and can run."""
    data = place = filled(file)
    for part in at[:-1]:
        place = place.setdefault(part, {})
    if at[0] == "sleep_window":
        place.update({"from": "01:00", "to": "02:00"})
    place[at[-1]] = f"{value}d" if at[-1] == "window" else value
    text = yaml.safe_dump(data, sort_keys=False)
    path = write({"flows.yaml": yaml.safe_dump(BASE["flows.yaml"]), file: text})
    spec, errors = load_company(path, using=plain)
    if errors:
        lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(f"{at[-1]}:")]
        assert {Path(error.file).name for error in errors} == {file}
        assert all(error.line in lines for error in errors)
        return
    assert spec is not None
    for flow in spec.flows.values():
        made = build_dag(flow)
        window = TimeRestriction(datetime(2026, 1, 1, tz="UTC"), datetime(2026, 1, 9, tz="UTC"), catchup=True)
        timetable = made.timetable
        timetable.validate()
        if isinstance(timetable, Timetable):
            timetable.next_dagrun_info(last_automated_data_interval=None, restriction=window)


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> list[ResolvedFlow]:
    """The flows of the project's own companies, one of which fails in the making."""

    def build(flow: ResolvedFlow) -> Any:
        if flow.dag_id == "acme.QBItem2CRProd":
            msg = "days=1388888888;\nmust have magnitude <= 999999999"
            raise OverflowError(msg)
        return build_dag(flow)

    monkeypatch.setattr(dag_module, "build_dag", build)
    return [flow for spec in load_all(ROOT / "mappings")[0].values() for flow in spec.written.values()]


@pytest.mark.feature("R1")
def test_a_flow_that_cannot_be_built_takes_down_itself_alone(acme: list[ResolvedFlow]) -> None:
    """Whatever the making of one DAG raises, every other flow has its DAG."""
    made = {dag.dag_id for dag in dags_of(acme)}
    assert made == {flow.dag_id for flow in acme} - {"acme.QBItem2CRProd"}


def test_a_worker_is_told_why_its_flow_cannot_be_built(acme: list[ResolvedFlow]) -> None:
    """What a worker alone is to run fails with what was raised, rather than not being there."""
    mine = [flow for flow in acme if flow.dag_id == "acme.QBItem2CRProd"]
    with pytest.raises(OverflowError, match="1388888888"):
        list(dags_of(mine, "acme.QBItem2CRProd"))


@pytest.mark.usefixtures("acme")
def test_a_flow_that_cannot_be_built_is_told_as_an_error_of_its_spec() -> None:
    """It stands with file, line and what was raised where the errors of all specs stand."""
    with pytest.raises(FixConfiguration) as told:
        check_specs(ROOT / "mappings")
    text = str(told.value)
    flows = ROOT / "mappings" / "acme" / "flows.yaml"
    line = next(n for n, each in enumerate(flows.read_text().splitlines(), 1) if each.startswith("  QBItem2CRProd:"))
    assert (
        f"{flows}:{line}: flows.QBItem2CRProd: no DAG acme.QBItem2CRProd can be made of it: "
        "OverflowError: days=1388888888;\\nmust have magnitude <= 999999999"
    ) in text
    assert text.startswith("An error in the specs:")
