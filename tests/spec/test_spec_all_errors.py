"""One error hides no other, and brings none: all that is wrong is told at once, and each thing once."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from iw_operators.spec.catalogues import Library
from iw_operators.spec.document import Document
from iw_operators.spec.loader import load_all
from tests.spec.demo import DEMO, Changes, Load, Write

SECOND = "  phne: {owner: crm}\n"
TOLD = "fields.phne: unknown neutral field 'phne'"
FULL = """\
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: criteria, id_field: X_BooksId, else: [name, phone]}
to_books: {operations: create_only, create_when: {opportunity_stage: [Won], field: {region: [a], wanted: true}}}
to_crm: {operations: update_only}
write_back: {id: X_BooksId, synced_at: X_Synced}
when_gone: {crm: {deleted: hold, inactive: unbind}, books: hold}
utilities: [N, DR]
fields:
  balance: {crm: X_Balance}
  wanted: {crm: X_Wanted, type: boolean}
  region: {crm: X_Region, books: Own.Region, owner: crm, length: 31, to_books: value if wanted else none}
"""
COMPANY = """\
company: demo
crm: {system: plain_crm, connection: demo_crm}
books: {system: plain_books, connection: demo_books, shared: false}
base_currency: EUR
overlap_seconds: 60
sleep_window: {from: "01:00", to: "02:00"}
notify: {mode: every_error, admin: ops@demo.example}
"""
INVOICES = f"""\
{DEMO["invoices.yaml"]}\
  stated: {{crm: X_Stated, type: money}}
check: {{total: stated}}
lines:
  quantity: {{owner: crm}}
"""
FILES = {**DEMO, "customers.yaml": FULL, "company.yaml": COMPANY, "invoices.yaml": INVOICES}
FIRST: dict[str, tuple[str, str, str, str]] = {
    "a time zone": ("company.yaml", "Europe/Berlin", "Europe/Berln", "company.yaml:4: time_zone: there is no"),
    "a currency": ("company.yaml", "time_zone:", "base_currency: usd\ntime_zone:", "company.yaml:4: base_currency: is"),
    "a connection": ("company.yaml", "demo_books", "demo books", "company.yaml:3: books.connection: is 'demo books'"),
    "a key of the company": ("company.yaml", "time_zone", "timezone", "company.yaml:4: timezone: unknown key"),
    "the company's name": ("company.yaml", ": demo\n", ": demos\n", "company.yaml:1: company: is 'demos'"),
    "a key of the company twice": (
        "company.yaml", "time_zone:", "time_zone: UTC\ntime_zone:", "company.yaml:5: time_zone: the key stands twice",
    ),
    "a direction": ("customers.yaml", "direction: both", "direction: bth", "customers.yaml:4: direction: is 'bth'"),
    "a criterion": ("customers.yaml", "phone]", "fone]", "customers.yaml:5: bind.else[1]: is 'fone'"),
    "a policy": (
        "customers.yaml", "write_back:", "when_gone: {crm: {deleted: hodl}}\nwrite_back:",
        "customers.yaml:7: when_gone.crm.deleted: is 'hodl'",
    ),
    "a key twice": ("customers.yaml", "crm: Account", "crm: Account\ncrm: Account", "customers.yaml:3: crm: the key"),
    "a direction twice": (
        "customers.yaml", "direction: both", "direction: to_books\ndirection: both", "customers.yaml:5: direction: the",
    ),
    "a field twice": (
        "customers.yaml", "  region:", "  region: {crm: Nothing}\n  region:", "customers.yaml:11: fields.region: the",
    ),
    "a tag": ("customers.yaml", "by: id", "by: !word id", "customers.yaml:5: bind.by: tag"),
    "a mapping's name": ("customers.yaml", "g: customers", "g: [customers]", "customers.yaml:1: mapping: is a list"),
    "an unknown mapping": ("flows.yaml", "[items]", "[itms]", "flows.yaml:9: flows.PCProd2PBItemDR.mappings[0]: there"),
    "another mapping's YAML": ("items.yaml", "books: Item", "books: [Item", "items.yaml:4: is not valid YAML"),
}  # fmt: skip


@pytest.mark.feature("R1")
@pytest.mark.parametrize("name", FIRST)
def test_an_error_hides_none_of_another_place(name: str, load: Load) -> None:
    """Beside an error of any kind the unknown field of a mapping is told, and nothing besides."""
    file, old, new, told = FIRST[name]
    changed = {file: DEMO[file].replace(old, new)}
    assert changed[file] != DEMO[file]
    changed["customers.yaml"] = changed.get("customers.yaml", DEMO["customers.yaml"]) + SECOND
    spec, errors = load(changed)
    assert len(errors) == 2
    assert any(error.startswith(told) for error in errors)
    assert any(TOLD in error for error in errors)
    assert spec is None or "customers" not in spec.mappings


def test_errors_below_a_misspelt_key_stand_where_they_are_written(load: Load) -> None:
    """What stands under it is read as it was meant and told with its own line."""
    _, errors = load({"customers.yaml": DEMO["customers.yaml"].replace("fields:", "feilds:") + SECOND})
    assert [error.split(";")[0].split(", or")[0] for error in errors] == [
        "customers.yaml:8: feilds: unknown key 'feilds'",
        "customers.yaml:11: feilds.phne: unknown neutral field 'phne'",
    ]


def test_two_errors_of_one_flow_are_told_together(load: Load) -> None:
    """An error of form in a flow does not hide which of its mappings there is not."""
    _, errors = load({"flows.yaml": ("[items]\n", "[itms]\n    batch_size: many\n")})
    assert [error.split(": ")[1] for error in errors] == [
        "flows.PCProd2PBItemDR.mappings[0]",
        "flows.PCProd2PBItemDR.batch_size",
    ]


def test_a_key_that_stands_twice_in_a_flow_keeps_it_from_running(load: Load) -> None:
    """Nobody knows which of two values is meant, so neither of them runs."""
    spec, errors = load(
        {"flows.yaml": ("window: 12h", "window: 12h\n    operations: none\n    operations: create_only")}
    )
    assert [error.split(" (")[0] for error in errors] == [
        "flows.yaml:12: flows.PCProd2PBItemDR.operations: the key stands twice"
    ]
    assert spec is not None
    assert "PCProd2PBItemDR" not in spec.flows


@pytest.mark.parametrize("text", ["mapping: items\nbooks: [\n", "mapping: 'items' # goods\r\n\tx\n", "{", ""])
def test_a_mapping_that_cannot_be_read_is_no_unknown_one(text: str, load: Load) -> None:
    """Flows that name it are not blamed, whatever its file is called; nor are references to its records."""
    _, errors = load({"items.yaml": None, "goods.yaml": text})
    assert len(errors) == 1
    assert errors[0].startswith("goods.yaml:")


@pytest.mark.parametrize(
    "changes", [{"items.yaml": None, "items.yml": DEMO["items.yaml"]}, {"company.yaml": None, "company.yml": COMPANY}]
)
def test_a_file_with_another_ending_is_told_once(changes: Changes, load: Load) -> None:
    """It is not missing as well, and nobody is blamed for what stands in it."""
    _, errors = load(changes)
    assert len(errors) == 1
    assert "ends in .yml; did you mean" in errors[0]


def test_a_company_that_cannot_run_has_no_flows(write: Write, plain: Library) -> None:
    """Its mappings and flows are checked; nothing of it comes back."""
    root = write({"company.yaml": ("Europe/Berlin", "Europe/Berln")}).parent
    specs, errors = load_all(root, using=plain)
    assert specs == {}
    assert len(errors) == 1


def places(data: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the places of all single values."""
    if isinstance(data, dict):
        return [place for key, value in data.items() for place in places(value, (*at, key))]
    if isinstance(data, list):
        return [place for key, value in enumerate(data) for place in places(value, (*at, key))]
    return [at]


class Tagged:
    """A value with a tag."""


class Dumper(yaml.SafeDumper):
    """Writes tags."""


Dumper.add_representer(Tagged, lambda dumper, _: dumper.represent_scalar("!other", "x"))


@pytest.mark.parametrize("file", sorted(FILES))
def test_one_wrong_value_is_one_error(file: str, load: Load) -> None:
    """A value of the wrong form, or one with a tag, is told once, and nothing else is said because of it."""
    assert load(FILES)[1] == []
    data = Document(file, FILES[file]).data
    for place in places(data):
        for wrong in ({"oops": {"deep": "1"}}, Tagged()):
            changed = group = Document(file, FILES[file]).data
            for part in place[:-1]:
                group = group[part]
            group[place[-1]] = wrong
            _, errors = load({**FILES, file: yaml.dump(changed, Dumper=Dumper, sort_keys=False)})
            assert len(errors) == 1, (place, wrong, errors)
            assert errors[0].startswith(f"{file}:")
