"""Between Intuit's JSON and neutral values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Scalar
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.quickbooks_online.codec import (
    by_native,
    record_of,
    same,
    sync_token,
    typed,
    values_of,
    version_of,
)
from tests.systems.quickbooks_online.fakes import catalogue, row, view

META = {"CreateTime": "2026-01-05T10:00:00-08:00", "LastUpdatedTime": "2026-01-05T10:00:00-08:00"}


def no_text(_list: str, _ident: str) -> str | None:
    return None


def test_the_catalogue_keeps_to_neutral_words_and_types() -> None:
    """Each object of the catalogue names a native path once, and every REF says what it points at."""
    for definition in catalogue().objects.values():
        natives = [field.native for field in definition.fields.values()]
        assert len(natives) == len(set(natives))
        fields = [*definition.fields.values(), *(definition.lines.fields.values() if definition.lines else ())]
        assert all(bool(field.ref) == (field.type == "ref") for field in fields)


@pytest.mark.feature("S2", "O1")
def test_a_customer_is_read_field_by_field() -> None:
    """Nested objects, an address of several lines, references and money become neutral values."""
    native = row(
        5,
        DisplayName="Acme GmbH",
        FullyQualifiedName="Acme GmbH",
        PrimaryPhone={"FreeFormNumber": "+49 30 1"},
        PrimaryEmailAddr={"Address": "a@b.example"},
        BillAddr={"Id": "9", "Line1": "Hof 1", "Line3": "Stiege 2", "City": "Berlin", "CountrySubDivisionCode": "BE"},
        SalesTermRef={"value": "3", "name": "Net 30"},
        CurrencyRef={"value": "EUR", "name": "Euro"},
        Balance=Decimal("10.50"),
        Notes="",
    )
    values = values_of(view("Customer"), native, no_text)
    assert values["name"] == "Acme GmbH"
    assert values["phone"] == "+49 30 1"
    assert values["email"] == "a@b.example"
    assert values["billing.street"] == "Hof 1\n\nStiege 2"
    assert values["billing.region"] == "BE"
    assert values["terms"] == "Net 30"
    assert values["currency"] == "EUR"
    assert values["balance"] == Decimal("10.50")
    assert values["notes"] is None
    assert values["shipping.city"] is None
    assert values["active"] is True


def test_a_reference_without_its_name_is_looked_up_in_the_list() -> None:
    """Where Intuit leaves the name out, the list's own text is taken."""
    native = row(1, SalesTermRef={"value": "3"})
    values = values_of(view("Customer", "terms"), native, lambda name, ident: f"{name} {ident}")
    assert values["terms"] == "Term 3"


@pytest.mark.feature("S2")
def test_an_inactive_name_is_read_without_what_intuit_adds() -> None:
    """An inactive customer's `X (deleted)` is X, and the record says it is inactive; an active one keeps its name."""
    gone = record_of(
        view("Customer", "name", "full_name"),
        row(1, DisplayName="X (deleted)", FullyQualifiedName="X (deleted)", Active=False),
        no_text,
    )
    assert (gone.values["name"], gone.values["full_name"], gone.active, gone.label) == ("X", "X", False, "X")
    real = record_of(view("Customer", "name"), row(1, DisplayName="X (deleted)"), no_text)
    assert (real.values["name"], real.active) == ("X (deleted)", True)


@pytest.mark.feature("S2")
def test_a_deletion_has_an_id_and_a_time_and_nothing_else() -> None:
    """A deleted object of the feed is a record without values."""
    native = {"Id": "7", "status": "Deleted", "domain": "QBO", "MetaData": {"LastUpdatedTime": META["LastUpdatedTime"]}}
    record = record_of(view("Invoice"), native, no_text)
    assert record.deleted
    assert not record.active
    assert record.values == {}
    assert record.modified == dt.datetime(2026, 1, 5, 18, tzinfo=dt.UTC)


INVOICE: dict[str, Any] = {
    "Id": "30",
    "SyncToken": "2",
    "MetaData": META,
    "DocNumber": "1001",
    "TxnDate": "2026-01-05",
    "CustomerRef": {"value": "5", "name": "Acme"},
    "CustomField": [{"DefinitionId": "2", "Name": "Region", "Type": "StringType", "StringValue": "North"}],
    "TotalAmt": Decimal("99.30"),
    "ExchangeRate": Decimal("1.0875"),
    "Line": [
        {
            "Id": "1",
            "Amount": Decimal("99.30"),
            "Description": "Zeile\nzwei",
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "8"}, "Qty": 3, "UnitPrice": Decimal("33.10")},
        },
        {"Amount": Decimal("99.30"), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
    ],
}


@pytest.mark.feature("S2", "O6")
def test_an_invoice_is_read_with_its_item_lines_only() -> None:
    """Lines are those with an item; the subtotal is none. Numbers are Decimal, dates are dates."""
    record = record_of(view("Invoice"), INVOICE, no_text)
    assert record.values["date"] == dt.date(2026, 1, 5)
    assert record.values["customer"] == "5"
    assert record.values["total"] == Decimal("99.30")
    assert record.values["exchange_rate"] == Decimal("1.0875")
    assert record.values["lines"] == (
        {
            "item": "8",
            "description": "Zeile\nzwei",
            "quantity": Decimal(3),
            "price": Decimal("33.10"),
            "amount": Decimal("99.30"),
        },
    )
    assert record.label == "1001"


def test_a_custom_field_is_found_by_its_name() -> None:
    """`CustomField.Region` is the value of the custom field named Region, None when it is not there."""
    extra = {"region": FieldDef(native="CustomField.Region"), "crew": FieldDef(native="CustomField.Crew")}
    values = values_of(view("Invoice", "number", extra=extra), INVOICE, no_text)
    assert (values["region"], values["crew"]) == ("North", None)


@pytest.mark.parametrize(
    ("kind", "native", "value"),
    [
        (FieldType.DATE, "next week", "next week"),
        (FieldType.DATE, "2026-12-31", dt.date(2026, 12, 31)),
        (FieldType.DATETIME, "2026-12-31", "2026-12-31"),
        (FieldType.MONEY, "1,000.00", "1,000.00"),
        (FieldType.INTEGER, "7", 7),
        (FieldType.INTEGER, "1.5", "1.5"),
        (FieldType.INTEGER, "Infinity", "Infinity"),
        (FieldType.BOOLEAN, "yes", "yes"),
    ],
)
def test_what_people_enter_in_a_custom_field_is_read_as_text_where_it_is_not_of_the_type(
    kind: FieldType, native: str, value: Scalar
) -> None:
    """One typo reaches the engine, which refuses that record by name; nothing is cut off to make it fit."""
    custom = [{"Name": "Region", "Type": "StringType", "StringValue": native}]
    extra = {"region": FieldDef(native="CustomField.Region", type=kind)}
    record = record_of(view("Invoice", "number", extra=extra), {**INVOICE, "CustomField": custom}, no_text)
    assert record.values["region"] == value
    assert type(record.values["region"]) is type(value)


@pytest.mark.parametrize("other", [{"value": "3"}, ["x"]])
def test_a_field_of_another_kind_is_no_matter_of_one_record(other: Any) -> None:
    """What is neither text nor number where the catalogue says money is an error of the catalogue or the mapping."""
    with pytest.raises(ValueError, match="not a number"):
        typed(other, FieldDef(native="TotalAmt", type=FieldType.MONEY))


def _payment(*links: tuple[str, str]) -> dict[str, Any]:
    lines = [{"Amount": Decimal(1), "LinkedTxn": [{"TxnId": i, "TxnType": t}]} for i, t in links]
    return {"Id": "4", "SyncToken": "0", "MetaData": META, "TotalAmt": Decimal(2), "Line": lines}


@pytest.mark.feature("S2", "O14")
@pytest.mark.parametrize(
    ("links", "invoice", "lines"),
    [
        ((("30", "Invoice"),), "30", 1),
        ((("30", "Invoice"), ("30", "Invoice")), "30", 2),
        ((("30", "Invoice"), ("31", "Invoice")), None, 2),
        ((("30", "Invoice"), ("8", "CreditMemo")), "30", 1),
        ((("8", "CreditMemo"),), None, 0),
        ((), None, 0),
    ],
)
def test_a_payment_names_its_invoice_when_there_is_exactly_one(
    links: tuple[tuple[str, str], ...], invoice: str | None, lines: int
) -> None:
    """`invoice` is filled when all lines of invoices name the same one; `lines` carry each of them."""
    values = values_of(view("Payment"), _payment(*links), no_text)
    assert values["invoice"] == invoice
    held = values["lines"]
    assert isinstance(held, tuple)
    assert [line["invoice"] for line in held] == [i for i, t in links if t == "Invoice"]
    assert len(held) == lines
    assert values["number"] == "4"


def test_a_version_changes_with_the_token_and_with_the_time() -> None:
    """Posting to a customer moves its time but not its token; both make another version. The token can be had back."""
    one = version_of({"SyncToken": "3", "MetaData": META})
    moved = version_of({"SyncToken": "3", "MetaData": {"LastUpdatedTime": "2026-01-05T10:00:01-08:00"}})
    same_moment = version_of({"SyncToken": "3", "MetaData": {"LastUpdatedTime": "2026-01-05T18:00:00Z"}})
    assert one != moved
    assert one == same_moment
    assert sync_token(one) == "3"


def test_what_was_sent_is_compared_with_what_is_held() -> None:
    """Numbers by value, empty as empty, lines in the fields that were sent."""
    assert same(Decimal("1.50"), Decimal("1.5"))
    assert same(None, None)
    assert not same("a", "A")
    assert same(({"amount": Decimal(1)},), ({"amount": Decimal("1.0"), "item": "3"},))
    assert not same(({"amount": Decimal(1)},), ())


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("DisplayName", "name"),
        ("PrimaryEmailAddr", "email"),
        ("Address", "email"),
        ("City", ""),
        ("Line", ""),
        ("", ""),
    ],
)
def test_an_element_is_told_as_the_mappings_own_word(element: str, name: str) -> None:
    """A whole path, its first or its last part finds the field; one that could be several finds none."""
    assert by_native(view("Customer"), element) == name
