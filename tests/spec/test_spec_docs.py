"""What the documents show works as shown, and they leave nothing out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from iw_operators.engine.expressions import Expression, environment
from iw_operators.engine.model import Value
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import (
    Bind,
    Check,
    Company,
    CreateWhen,
    Endpoint,
    FieldSpec,
    FlowSpec,
    Gone,
    MappingSpec,
    Notify,
    Way,
    WhenGone,
)

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "mappings" / "README.md"
REFERENCE = ROOT / "docs" / "mapping-reference.md"
MODELS = (Company, Endpoint, Notify, MappingSpec, Bind, Way, CreateWhen, WhenGone, Gone, Check, FieldSpec, FlowSpec)


def blocks(document: Path) -> Iterator[tuple[str, str, str]]:
    """Yield company, file and text of each example that says which file it belongs to."""
    for match in re.finditer(r"```yaml\n# (\w+)/(\w+\.yaml)[^\n]*\n(.*?)```", document.read_text(), re.DOTALL):
        yield match.group(1), match.group(2), match.group(3)


def test_the_guide_makes_a_company_that_works(tmp_path: Path) -> None:
    """The files of the guide, put together as it says, load without an error, and so does each further example."""
    folder = tmp_path / "first"
    folder.mkdir()
    further = []
    for company, file, text in blocks(GUIDE):
        assert company == "first"
        if (folder / file).exists():
            further.append((file, text))
            continue
        (folder / file).write_text(text)
    spec, errors = load_company(folder)
    assert [str(error) for error in errors] == []
    assert spec is not None
    assert set(spec.written) == {"CRAcct2QBCust"}
    assert len(further) >= 4
    for file, text in further:
        check_merged(folder, file, text)


def test_each_example_of_the_reference_works(tmp_path: Path) -> None:
    """Each example of the reference, in place of the same keys of acme, loads without an error."""
    count = 0
    for company, file, text in blocks(REFERENCE):
        folder = tmp_path / company
        folder.mkdir(exist_ok=True)
        for source in (ROOT / "mappings" / company).glob("*.yaml"):
            (folder / source.name).write_text(source.read_text())
        check_merged(folder, file, text)
        count += 1
    assert count >= 6


def check_merged(folder: Path, file: str, text: str) -> None:
    """Put the example's keys in place of those of the file, load, and put the file back."""
    before = (folder / file).read_text()
    merged: dict[str, Any] = {**yaml.safe_load(before), **yaml.safe_load(text)}
    (folder / file).write_text(yaml.safe_dump(merged, sort_keys=False))
    _, errors = load_company(folder)
    (folder / file).write_text(before)
    assert [str(error) for error in errors] == [], text


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_reference_names_every_key(model: Any) -> None:
    """No key of any file is missing from the reference."""
    text = REFERENCE.read_text()
    for name, field in model.model_fields.items():
        key = field.alias or name
        assert re.search(rf"`\.?{key}`", text), f"{model.__name__}.{key}"


def test_the_reference_names_every_filter_and_test() -> None:
    """The lists of filters and tests are those of the engine."""
    text = REFERENCE.read_text()
    for name in {*environment().filters, *environment().tests}:
        assert f"`{name}`" in text or not name.isalpha(), name


def examples() -> list[tuple[str, str, str]]:
    """Return the rows of the reference's table of expressions."""
    table = re.findall(r"^\| `(.+?)` \| `(\{.*?\})` \| `(.+?)` \|$", REFERENCE.read_text(), re.MULTILINE)
    return [(expression.replace("\\|", "|"), given, result) for expression, given, result in table]


@pytest.mark.parametrize(("expression", "given", "result"), examples(), ids=[row[0] for row in examples()])
def test_expressions_give_what_the_reference_says(expression: str, given: str, result: str) -> None:
    """Each row of the table of expressions is true."""
    values: dict[str, Value] = json.loads(given, parse_float=Decimal)
    lines = values.get("lines")
    if isinstance(lines, list):
        values["lines"] = tuple(lines)
    names = [name for name in values if name not in ("lines", "value")]
    found = Expression(expression, names, line_names=["amount", "item"]).evaluate(values, values.get("value"))
    assert found == json.loads(result, parse_float=Decimal)
    assert len(examples()) >= 10
