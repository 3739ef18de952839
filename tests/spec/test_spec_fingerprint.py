"""A fingerprint follows what a mapping means: nothing less, nothing more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iw_operators.spec.catalogues import Library
from iw_operators.spec.fingerprint import LENGTH, fingerprint
from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import ResolvedMapping
from tests.spec.demo import DEMO, SYSTEMS, Load, Write

Place: TypeAlias = tuple[str | int, ...]

CUSTOMERS = """\
mapping: customers
crm: Account
books: Customer
direction: both
bind: {by: id, id_field: X_BooksId, else: [name, phone]}
to_books: {create_when: {opportunity_stage: [Won, Signed], field: {terms: [Net, Cash]}}}
to_crm: {operations: update_only}
write_back: {id: X_BooksId, synced_at: X_Synced}
fields:
  balance: {crm: X_Balance}
  region: {crm: X_Region, books: Own.Region, owner: crm, length: 31}
  notes: {owner: crm, to_books: region ~ value, default_books: none}
  terms: {values: {Net: Net 30, Cash: Due on receipt}, default_crm: Cash}
  phone: {shorten: true}
"""

# What may change without a change of meaning: names for people, the company's own name, where its systems are, and
# what of a catalogue this mapping does not use.
SILENT = {
    "label", "crm_label", "books_label", "connection", "company.company", "overlap_seconds", "fingerprint", "mapping",
    "depends", "sweep_days", "sweep_limit", "shared", "held_minutes",
}  # fmt: skip
HOW_FLOWS_RUN = {"environment", "sleep_window", "stop_scheduled", "notify", "strict", "log_days", "worker"}
USED = {"key", "modified", "active", "deletes", "creatable", "name"}
OTHER = {
    "owner": "books", "direction": "to_books", "operations": "create_only", "type": "memo", "by": "criteria",
    "opportunity": "won", "locale": "CA", "time_zone": "Asia/Tokyo", "country": "CA", "else_": "email",
    "base_currency": "CAD", "short": "Other", "deleted": "ignore", "voided": "ignore", "inactive": "ignore",
}  # fmt: skip


def resolved(load: Load) -> ResolvedMapping:
    """Return the mapping that these tests change."""
    spec, errors = load({"customers.yaml": CUSTOMERS})
    assert errors == []
    assert spec is not None
    return spec.mappings["customers"]


def leaves(data: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every single value of a dumped model with its place."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*at, key))
    elif isinstance(data, list | tuple) and data:
        for position, value in enumerate(data):
            yield from leaves(value, (*at, position))
    else:
        yield at, data


def silent(at: Place) -> bool:
    """Tell whether a place has no part in the meaning."""
    if at[0] in ("crm_def", "books_def"):
        return at[1] not in USED and not (at[0] == "crm_def" and at[1] == "related")
    return at[-1] in SILENT or ".".join(map(str, at)) in SILENT


def changed(value: Any, key: str | int) -> Any:
    """Return another value that is as valid as this one."""
    if key in OTHER and value is not None:
        return OTHER[str(key)] if value != OTHER[str(key)] else {"owner": "crm", "type": "text"}.get(str(key), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    return {"length": 7, "scale": 4, "default_books": "d", "default_crm": "d", "to_books": "name", "to_crm": "name",
            "ref": "item", "ref_mapping": "items", "active": "Alive"}.get(str(key))  # fmt: skip


def replaced(data: Any, at: Place, value: Any) -> Any:
    """Return dumped data with one value replaced."""
    if not at:
        return value
    if isinstance(data, dict):
        return {key: replaced(each, at[1:], value) if key == at[0] else each for key, each in data.items()}
    return [replaced(each, at[1:], value) if position == at[0] else each for position, each in enumerate(data)]


@pytest.mark.feature("M8")
def test_each_part_of_the_meaning_counts(load: Load) -> None:
    """Changing any single value of a resolved mapping changes its fingerprint, unless it is there for people."""
    mapping = resolved(load)
    dump = mapping.model_dump(mode="json", exclude_none=False)
    tried = 0
    for at, value in leaves(dump):
        if at[0] == "company" and at[1] in HOW_FLOWS_RUN:
            continue
        key = str(at[-1]) if isinstance(at[-1], str) else str(at[-2])
        other = changed(value, key)
        if other is None or other == value:
            continue
        again = ResolvedMapping.model_validate(replaced(dump, at, other))
        tried += not silent(at)
        assert (fingerprint(again) == mapping.fingerprint) is silent(at), (at, value, other)
    assert tried > 200


def test_how_a_companys_flows_are_run_does_not_count(load: Load) -> None:
    """Mails, hours of sleep, the environment and the like change no mapping."""
    mapping = resolved(load)
    said = """\
environment: production_b
sleep_window: {from: "23:00", to: "01:00"}
stop_scheduled: after_any_error
notify: {mode: every_error, admin: ops@example.com}
strict: true
log_days: 30
"""
    spec, errors = load({"customers.yaml": CUSTOMERS, "company.yaml": DEMO["company.yaml"] + said})
    assert errors == []
    assert spec is not None
    assert spec.company != mapping.company
    assert spec.mappings["customers"].fingerprint == mapping.fingerprint


def _shuffled(data: Any, rng: random.Random) -> Any:
    if isinstance(data, dict):
        keys = list(data)
        rng.shuffle(keys)
        return {key: _shuffled(data[key], rng) for key in keys}
    return [_shuffled(each, rng) for each in data] if isinstance(data, list) else data


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_comments_and_the_order_of_keys_do_not_count(seed: int, tmp_path: Path) -> None:
    """The same mapping with its keys in any order and with comments has the same fingerprint."""
    rng = random.Random(seed)  # noqa: S311 - shuffles, keeps no secret
    folder = tmp_path / "demo"
    folder.mkdir(exist_ok=True)
    found = []
    data = yaml.safe_load(CUSTOMERS)
    comment = "# a note, with: a colon\n"
    lines = yaml.safe_dump(_shuffled(data, rng), sort_keys=False).splitlines(keepends=True)
    for text in (CUSTOMERS, "".join(line if rng.random() < 0.5 else comment + line for line in lines)):
        for name, content in {**DEMO, "customers.yaml": text}.items():
            (folder / name).write_text(content, encoding="utf-8")
        spec, errors = load_company(folder, using=Library(systems=SYSTEMS))
        assert errors == []
        assert spec is not None
        found.append(spec.mappings["customers"].fingerprint)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("else: [name, phone]", "else: [phone, name]"),
        ("[Won, Signed]", "[Signed, Won]"),
        ("terms: [Net, Cash]", "terms: [Cash, Net]"),
        ("direction: both", "direction: both\nneutral: customer"),
        ("balance: {crm: X_Balance}", "balance: {crm: X_Balance, owner: books}"),
        ("phone: {shorten: true}", "phone: {crm: Phone, shorten: true}"),
        ("operations: update_only", "operations: update_only, create_when: {}"),
    ],
)
def test_another_way_to_say_the_same(old: str, new: str, load: Load) -> None:
    """Defaults spelt out and lists whose order means nothing leave the fingerprint as it is."""
    before = resolved(load).fingerprint
    assert CUSTOMERS.count(old) == 1
    spec, errors = load({"customers.yaml": CUSTOMERS.replace(old, new)})
    assert errors == []
    assert spec is not None
    assert spec.mappings["customers"].fingerprint == before
    assert len(before) == LENGTH


def test_of_several_words_for_one_the_first_counts(load: Load) -> None:
    """Where two words of the CRM become one of the books, their order decides which comes back, so it counts."""
    one = CUSTOMERS.replace("Cash: Due on receipt", "Cash: Net 30")
    two = one.replace("Net: Net 30, Cash: Net 30", "Cash: Net 30, Net: Net 30")
    assert one != two
    found = []
    for text in (one, two):
        spec, errors = load({"customers.yaml": text})
        assert errors == []
        assert spec is not None
        found.append(spec.mappings["customers"].fingerprint)
    assert found[0] != found[1]


def test_a_catalogue_counts_where_the_mapping_uses_it(write: Write, tmp_path: Path) -> None:
    """A limit of a field that the mapping uses changes the fingerprint, one of another field does not."""
    company = write({"customers.yaml": CUSTOMERS})
    found = []
    changes = [
        ("", ""),
        ("native: Ship.City, length: 100", "native: Ship.City, length: 90"),
        ("native: Mail, type: email, length: 100", "native: Mail, type: email, length: 90"),
    ]
    for number, (old, new) in enumerate(changes):
        systems = tmp_path / f"systems{number}"
        for name in ("plain_crm", "plain_books"):
            (systems / name).mkdir(parents=True)
            text = (SYSTEMS / name / "catalogue.yaml").read_text()
            if name == "plain_books" and old:
                assert text.count(old) == 1
                text = text.replace(old, new)
            (systems / name / "catalogue.yaml").write_text(text)
        spec, errors = load_company(company, using=Library(systems=systems))
        assert errors == []
        assert spec is not None
        found.append(spec.mappings["customers"].fingerprint)
    assert found[0] == found[1] != found[2]
