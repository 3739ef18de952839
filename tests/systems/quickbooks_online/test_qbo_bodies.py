"""What is sent for a write."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Line, Value
from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldDef
from iw_operators.systems.base import Op, View, Write
from iw_operators.systems.quickbooks_online.bodies import Names, body_of, needs_current
from tests.systems.quickbooks_online.fakes import view

TODAY = dt.date(2026, 3, 1)
NAMES = Names({("Term", "net 30"): "3", ("Account", "sales"): "79", ("Account", "stock"): "81"}, {"Region": "2"})


def create(of: View, **values: Value) -> Write:
    return Write("k", Op.CREATE, of, {name.replace("__", "."): value for name, value in values.items()})


def update(of: View, **values: Value) -> Write:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Write("k", Op.UPDATE, of, named, target_id="5", version="3@2026-01-01T00:00:00Z")


def _body(write: Write, current: dict[str, Any] | None = None) -> dict[str, Any]:
    return body_of(write, current, NAMES, TODAY)


@pytest.mark.feature("S2", "O1")
def test_a_new_customer_carries_what_it_has_and_nothing_else() -> None:
    """A create has the values that are there, nested as Intuit nests them; what is empty is left out."""
    write = create(
        view("Customer"),
        name="Acme",
        phone="1",
        email=None,
        terms="NET 30",
        currency="USD",
        billing__street="a\nb",
        billing__city="Rome",
        active=True,
    )
    assert not needs_current(write)
    assert _body(write) == {
        "DisplayName": "Acme",
        "PrimaryPhone": {"FreeFormNumber": "1"},
        "SalesTermRef": {"value": "3"},
        "CurrencyRef": {"value": "USD"},
        "BillAddr": {"Line1": "a", "Line2": "b", "City": "Rome"},
        "Active": True,
    }


@pytest.mark.feature("S2")
def test_an_update_is_sparse_and_carries_only_what_changed() -> None:
    """Id, SyncToken, sparse and the changed fields; a text is emptied by an empty text."""
    write = update(view("Customer"), phone="2", notes=None)
    assert not needs_current(write)
    assert _body(write) == {
        "Id": "5",
        "SyncToken": "3",
        "sparse": True,
        "PrimaryPhone": {"FreeFormNumber": "2"},
        "Notes": "",
    }


@pytest.mark.feature("S2")
def test_part_of_an_address_is_sent_with_the_rest_of_it() -> None:
    """Intuit takes an address whole: the parts that did not change come from the record, old coordinates do not."""
    write = update(view("Customer"), billing__city="Turin", billing__street="only one")
    assert needs_current(write)
    address = {
        "Id": "7",
        "Line1": "old 1",
        "Line2": "old 2",
        "City": "Rome",
        "PostalCode": "1",
        "Lat": "x",
        "Long": "y",
    }
    assert _body(write, {"BillAddr": address})["BillAddr"] == {
        "Id": "7",
        "Line1": "only one",
        "Line2": "",
        "City": "Turin",
        "PostalCode": "1",
    }


@pytest.mark.feature("M25")
@pytest.mark.parametrize("street", ["1\n2\n3\n4\n5\n6", "x" * 501])
def test_an_address_that_does_not_fit_is_refused_with_the_limit(street: str) -> None:
    """More than five lines, or a line of more than 500, is the record's fault and says both numbers."""
    with pytest.raises(FixRecord, match="5 lines of 500") as caught:
        _body(create(view("Customer"), name="A", billing__street=street))
    assert caught.value.field == "billing.street"


@pytest.mark.feature("S2")
def test_emptying_a_reference_sends_the_whole_record_without_it() -> None:
    """A sparse update cannot empty a reference: the record goes back whole, without it and without read-only parts."""
    current = {
        "Id": "5",
        "SyncToken": "3",
        "domain": "QBO",
        "sparse": False,
        "DisplayName": "Acme",
        "FullyQualifiedName": "Acme",
        "Balance": Decimal(5),
        "SalesTermRef": {"value": "3"},
        "Notes": "n",
        "MetaData": {},
        "Extra": {"kept": 1},
    }
    write = update(view("Customer"), terms=None, notes="m")
    assert needs_current(write)
    assert _body(write, current) == {
        "DisplayName": "Acme",
        "Notes": "m",
        "Extra": {"kept": 1},
        "Id": "5",
        "SyncToken": "3",
        "sparse": False,
    }


def test_a_text_that_the_list_does_not_have_is_named() -> None:
    """Terms that QuickBooks Online does not know are the record's fault, with the field and the text."""
    with pytest.raises(FixRecord, match="'Net 90'") as caught:
        _body(create(view("Customer"), name="A", terms="Net 90"))
    assert (caught.value.field, caught.value.code) == ("terms", "iw.missing_lookup")


@pytest.mark.feature("O5")
def test_an_inventory_item_gets_its_stock_and_no_other_item_an_asset_account() -> None:
    """Inventory begins today with nothing in stock; a service leaves the asset account out."""
    values: dict[str, Value] = {
        "name": "I",
        "income_account": "Sales",
        "asset_account": "Stock",
        "price": Decimal("9.90"),
    }
    stock = _body(create(view("Item"), kind="Inventory", **values))
    assert (stock["TrackQtyOnHand"], stock["QtyOnHand"], stock["InvStartDate"]) == (True, 0, "2026-03-01")
    assert stock["AssetAccountRef"] == {"value": "81"}
    service = _body(create(view("Item"), kind="Service", **values))
    assert service == {
        "Name": "I",
        "Type": "Service",
        "IncomeAccountRef": {"value": "79"},
        "UnitPrice": Decimal("9.90"),
    }


LINES: tuple[Line, ...] = (
    {"item": "8", "description": "d", "quantity": Decimal(2), "price": Decimal("1.50"), "amount": Decimal("3.00")},
    {"item": "9", "description": None, "quantity": Decimal(1), "price": Decimal(4), "amount": Decimal(4)},
)


@pytest.mark.feature("O6")
def test_a_new_invoice_has_its_lines_as_intuit_writes_them() -> None:
    """Each line has its DetailType, item, quantity, price and amount; dates are ISO dates."""
    body = _body(create(view("Invoice"), customer="5", date=dt.date(2026, 1, 2), lines=LINES))
    assert body["CustomerRef"] == {"value": "5"}
    assert body["TxnDate"] == "2026-01-02"
    assert body["Line"] == [
        {
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "8"}, "Qty": Decimal(2), "UnitPrice": Decimal("1.50")},
            "Description": "d",
            "Amount": Decimal("3.00"),
        },
        {
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "9"}, "Qty": Decimal(1), "UnitPrice": Decimal(4)},
            "Amount": Decimal(4),
        },
    ]


def _old(ident: str, item: str, **detail: Any) -> dict[str, Any]:
    return {
        "Id": ident,
        "LineNum": int(ident),
        "Amount": Decimal(1),
        "Description": "old",
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": item, "name": "N"}, "Qty": 1, **detail},
    }


DISCOUNT = {"Id": "7", "Amount": Decimal(1), "DetailType": "DiscountLineDetail", "DiscountLineDetail": {}}
SUBTOTAL = {"Id": "3", "Amount": Decimal(1), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
OWN_SUBTOTAL = {"Amount": Decimal(1), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}


@pytest.mark.feature("S2", "O6")
def test_lines_of_other_kinds_survive_in_their_place() -> None:
    """New lines take the old ones' places around subtotals and discounts; the subtotal that Intuit adds goes."""
    current = {"Line": [_old("1", "8"), SUBTOTAL, _old("4", "9"), DISCOUNT, OWN_SUBTOTAL]}
    third: Line = {"item": "10", "amount": Decimal(5)}
    write = update(view("Invoice"), lines=(*LINES, third))
    assert needs_current(write)
    sent = _body(write, current)["Line"]
    kinds = [line["DetailType"].removesuffix("LineDetail") for line in sent]
    assert kinds == ["SalesItem", "SubTotal", "SalesItem", "SalesItem", "Discount"]
    assert [line["SalesItemLineDetail"]["ItemRef"]["value"] for line in sent if "SalesItemLineDetail" in line] == [
        "8",
        "9",
        "10",
    ]


def test_what_a_line_has_beyond_the_mapping_goes_on_with_its_item() -> None:
    """Tax code and class of the old line stay with the line of the same item, though the order changes."""
    current = {"Line": [_old("1", "8", TaxCodeRef={"value": "TAX"}), _old("2", "9", ClassRef={"value": "5"})]}
    sent = _body(update(view("Invoice"), lines=LINES[::-1]), current)["Line"]
    assert sent[0]["SalesItemLineDetail"]["ClassRef"] == {"value": "5"}
    assert sent[1]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": "TAX"}
    assert "Description" not in sent[0]


def test_fewer_lines_and_none() -> None:
    """Lines that are gone are not sent; without any of ours only the other kinds are left."""
    current = {"Line": [_old("1", "8"), _old("2", "9"), DISCOUNT]}
    one = _body(update(view("Invoice"), lines=LINES[:1]), current)["Line"]
    assert [line.get("Id") for line in one] == ["1", "7"]
    assert _body(update(view("Invoice"), lines=()), current)["Line"] == [DISCOUNT]


def test_first_lines_come_before_what_is_there() -> None:
    """An invoice that had only a discount gets its lines before it."""
    sent = _body(update(view("Invoice"), lines=LINES), {"Line": [DISCOUNT]})["Line"]
    assert [line["DetailType"] for line in sent][-1] == "DiscountLineDetail"
    assert len(sent) == 3


PAID: Line = {"invoice": "30", "amount": Decimal(7)}


@pytest.mark.feature("O14")
def test_a_payment_links_its_invoices() -> None:
    """A line of a payment is an amount and a link to an invoice; lines of credit memos stay."""
    credit = {"Amount": Decimal(1), "LinkedTxn": [{"TxnId": "6", "TxnType": "CreditMemo"}]}
    new = _body(create(view("Payment"), customer="5", total=Decimal(7), lines=(PAID,)))
    assert new["Line"] == [{"LinkedTxn": [{"TxnId": "30", "TxnType": "Invoice"}], "Amount": Decimal(7)}]
    kept = _body(update(view("Payment"), lines=(PAID,)), {"Line": [credit]})
    assert credit in kept["Line"]
    assert len(kept["Line"]) == 2


def test_a_custom_field_keeps_its_neighbours() -> None:
    """The list of custom fields goes whole; a new one gets its definition, an unknown one is refused by name."""
    extra = {"region": FieldDef(native="CustomField.Region"), "odd": FieldDef(native="CustomField.Odd")}
    of = view("Invoice", "number", extra=extra)
    crew = {"DefinitionId": "1", "Name": "Crew", "Type": "StringType", "StringValue": "B"}
    region = {"DefinitionId": "2", "Name": "Region", "Type": "StringType"}
    write = update(of, region="North")
    assert needs_current(write)
    assert _body(write, {"CustomField": [crew, region]})["CustomField"] == [crew, {**region, "StringValue": "North"}]
    assert _body(create(of, region="West"))["CustomField"] == [{**region, "StringValue": "West"}]
    with pytest.raises(FixRecord, match="'Odd'"):
        _body(create(of, odd="x"))
