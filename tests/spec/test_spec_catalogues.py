"""Catalogues agree with the neutral words and with themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from iw_operators.spec.catalogue import FieldType
from iw_operators.spec.catalogues import KINDS, Library, library
from tests.spec.demo import SYSTEMS, Load


@pytest.mark.parametrize("system", library().systems())
def test_catalogues_of_the_package_are_right(system: str) -> None:
    """Each system's catalogue has the right form and uses neutral words in their own types."""
    catalogue, errors = library().catalogue(system)
    assert [str(error) for error in errors] == []
    assert catalogue is not None
    assert catalogue.objects


def test_both_systems_of_the_first_release_are_there() -> None:
    """The catalogues that the company of the demo needs are part of the package."""
    assert {"creatio", "quickbooks_online"} <= set(library().systems())


def test_neutral_words_have_types_and_references() -> None:
    """Every neutral reference points at a neutral object, and only references point at one."""
    neutral = library().neutral
    assert {"customer", "item", "invoice", "payment"} <= set(neutral)
    for fields in neutral.values():
        for field in fields.values():
            assert (field.type is FieldType.REF) is (field.ref is not None)
            assert field.ref is None or field.ref in neutral
    assert set(KINDS) == set(FieldType)


CASES = [
    ("system: plain_books", "system: books", "1: system: is 'books'; expected the folder's name, 'plain_books'"),
    ("neutral: [item]", "neutral: [itm]", "25: objects.Item.neutral[0]: unknown neutral object 'itm'"),
    ("      price: {native: Price, type: money}", "      prise: {native: Price, type: money}",
     "31: objects.Item.fields.prise: unknown neutral field 'prise'"),
    ("active: {native: Active, type: boolean}\n      income", "active: {native: Active}\n      income",
     "32: objects.Item.fields.active: has the type text; expected boolean, as the neutral field"),
    ("      customer: {native: CustomerRef, type: ref, ref: customer, required: true}\n      date",
     "      customer: {native: CustomerRef, type: ref, ref: item, required: true}\n      date",
     "43: objects.Invoice.fields.customer: refers to item; expected ref: customer"),
    ("item: {native: ItemRef, type: ref, ref: item}", "item: {native: ItemRef, type: ref}",
     "53: objects.Invoice.lines.fields.item: refers to nothing; expected ref: item"),
    ("full_name: {native: FullName, writable: false}", "full_name: {native: FullName, writable: false, required: true}",
     "13: objects.Customer.fields.full_name: is required or create_only, and not writable; expected writable: true"),
    ("deletes: true\n    name: number", "deletes: true\n    name: nr",
     "39: objects.Invoice.name: is 'nr', which is not among the fields"),
    ("balance: {native: Balance, type: money, writable: false}\n      billing",
     "balance: {native: Balance, type: money, writeable: false}\n      billing",
     "20: objects.Customer.fields.balance.writeable: unknown key 'writeable'"),
    ("role: books", "role: ledger", "3: role: is 'ledger'; expected crm or books"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CASES, ids=[expected.split(": ")[1] for _, _, expected in CASES])
def test_a_wrong_catalogue_is_an_error(old: str, new: str, expected: str, tmp_path: Path) -> None:
    """A catalogue that does not agree with itself, its folder or the neutral words is refused with file and line."""
    text = (SYSTEMS / "plain_books" / "catalogue.yaml").read_text()
    assert text.count(old) == 1
    (tmp_path / "plain_books").mkdir()
    (tmp_path / "plain_books" / "catalogue.yaml").write_text(text.replace(old, new))
    catalogue, errors = Library(systems=tmp_path).catalogue("plain_books")
    assert catalogue is None
    heads = [str(error).removeprefix(f"{tmp_path.as_posix()}/plain_books/catalogue.yaml:") for error in errors]
    assert len(heads) == 1
    assert heads[0].startswith(expected)


def test_a_company_tells_of_its_systems_broken_catalogue(load: Load, tmp_path: Path, plain: Library) -> None:
    """A company on a system whose catalogue is broken has no flows and says where the catalogue is wrong."""
    for name in ("plain_crm", "plain_books"):
        (tmp_path / "systems" / name).mkdir(parents=True)
        text = (SYSTEMS / name / "catalogue.yaml").read_text().replace("role: crm", "role: crm\nvendor: nobody")
        (tmp_path / "systems" / name / "catalogue.yaml").write_text(text)
    plain._read.clear()
    kept, plain._systems = plain._systems, tmp_path / "systems"
    try:
        spec, errors = load()
    finally:
        plain._systems = kept
        plain._read.clear()
    assert spec is None
    assert len(errors) == 1
    assert "plain_crm/catalogue.yaml:4: vendor: unknown key 'vendor'" in errors[0]
