"""Characters that the former platform choked on arrive unchanged, both ways, in every text field, and in the ledger."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from iw_operators.engine.model import Action
from iw_operators.spec.catalogue import FieldType
from iw_operators.spec.loader import load_company
from sandbox.seed.world import (
    Account,
    Address,
    Contact,
    Opportunity,
    OpportunityLine,
    Product,
    World,
)
from tests.errors.conftest import Crm, Scene, Scenes
from tests.stage import MAPPINGS

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger]

E3 = "!@#$%^&*+{}[]?><'\""
# Each is at most 20 characters long, so that it fits the shortest text field whole.
SAMPLES = (
    E3,
    "'\"--; DROP/*{{7*7}}",
    "{% raw %}&amp;<b>\\n",
    "Ünï ελ 日本 ру हि",
    "عرب עב ไทย 한국어",
    "👩‍👧 🇨🇦 e\u0301 ﬁ 𝔘 ✓",
    "%20+%s\\'\\\\ $(x)`y`",
    "=1+2 @SUM ,;|\u00a0\u2028.",
)
EMAIL = "a!#$%&'*+-/=?^_`{|}~z@amys-birds.example"  # every special character that an address may have
BREAKS = "{0}\nsecond {0}\ttab\n\nfourth"
NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def guid(kind: int, number: int) -> str:
    """Return a fixed id."""
    return str(uuid.UUID(int=(kind << 64) + number + 1))


def account(number: int, text: str) -> Account:
    """Return an account with the text in every field."""
    return Account(
        id=guid(1, number),
        name=f"{number} {text}",
        code=text,
        phone=f"617555010{number}",
        web=text,
        address=Address(f"{text}\n2nd {text}", text, f"R{text}"[:20], text, f"C{text}"[:20]),
        primary_contact_id=guid(2, number),
        terms=text,
        notes=BREAKS.format(text),
        modified=NOW,
    )


def contact(number: int, text: str) -> Contact:
    """Return the primary contact of an account."""
    return Contact(
        guid(2, number), text, text, guid(1, number), email=EMAIL, middle_name=text, job_title=text, modified=NOW
    )


def opportunity(number: int, text: str) -> Opportunity:
    """Return a won opportunity with one line."""
    line = OpportunityLine(guid(5, number), guid(3, number), Decimal(2), Decimal("10.50"), Decimal(21), NOW)
    return Opportunity(
        id=guid(4, number),
        title=f"{number} {text}",
        account_id=guid(1, number),
        stage="Closed won",
        contact_id=guid(2, number),
        amount=Decimal(21),
        due_date=dt.date(2026, 6, 1),
        currency="USD",
        exchange_rate=Decimal(1),
        lines=(line,),
        modified=NOW,
    )


WORLD = World(
    accounts=tuple(account(*each) for each in enumerate(SAMPLES)),
    contacts=tuple(contact(*each) for each in enumerate(SAMPLES)),
    products=tuple(
        Product(guid(3, n), f"{n} {text}", text, Decimal("10.50"), BREAKS.format(text), modified=NOW)
        for n, text in enumerate(SAMPLES)
    ),
    opportunities=tuple(opportunity(*each) for each in enumerate(SAMPLES)),
    terms=dict.fromkeys(SAMPLES, 30),
)


@contextmanager
def played(scenes: Scenes) -> Iterator[Scene]:
    """Give the world with its memos set and everything brought to the books."""
    for scene in scenes.of(WORLD):
        for number, text in enumerate(SAMPLES):
            scene.crm.change("Opportunity", guid(4, number), UsrMemo=BREAKS.format(text))
        done = scene.run("CRAcctOpp2QBCustInv")
        assert [dict(summary.counts) for summary in done.values()] == [{"created": len(SAMPLES)}] * 3
        yield scene


def by_number(rows: list[dict[str, object]], name: str) -> dict[int, dict[str, object]]:
    """Return rows by the number that their name begins with."""
    return {int(str(row[name]).split(" ", 1)[0]): row for row in rows if str(row[name])[:1].isdigit()}


@pytest.mark.feature("E3")
def test_every_text_field_reaches_the_books_and_the_ledger_unchanged(scenes: Scenes) -> None:
    """Customer, item and invoice hold each text as it was typed; so do the ledger's rows of what was sent."""
    with played(scenes) as scene:
        customers = by_number(scene.books.query("SELECT * FROM Customer MAXRESULTS 100")["Customer"], "DisplayName")
        items = by_number(scene.books.query("SELECT * FROM Item MAXRESULTS 100")["Item"], "Name")
        terms = {row["Id"]: row["Name"] for row in scene.books.query("SELECT * FROM Term MAXRESULTS 100")["Term"]}
        invoices = scene.books.query("SELECT * FROM Invoice MAXRESULTS 100")["Invoice"]
        of_customer = {row["CustomerRef"]["value"]: row for row in invoices}
        for number, text in enumerate(SAMPLES):
            row, made = customers[number], WORLD.accounts[number]
            assert row["DisplayName"] == row["CompanyName"] == made.name
            assert (row["GivenName"], row["MiddleName"], row["FamilyName"]) == (text, text, text)
            assert row["WebAddr"] == {"URI": text}
            assert row["Notes"] == BREAKS.format(text)
            assert row["PrimaryEmailAddr"] == {"Address": EMAIL}
            assert terms[row["SalesTermRef"]["value"]] == text  # type: ignore[index]  # JSON
            billing = row["BillAddr"]
            assert isinstance(billing, dict)
            assert (billing["Line1"], billing["Line2"]) == (text, f"2nd {text}")
            parts = (billing["City"], billing["CountrySubDivisionCode"], billing["PostalCode"], billing["Country"])
            assert parts == (text, made.address.region, text, made.address.country)
            item = items[number]
            assert (item["Name"], item["Sku"], item["Description"]) == (f"{number} {text}", text, BREAKS.format(text))
            invoice = of_customer[row["Id"]]
            assert invoice["CustomerMemo"] == {"value": BREAKS.format(text)}
            assert invoice["Line"][0]["Description"] == BREAKS.format(text)
        sent = {
            (row.mapping, row.source_id): {change.field: change.new for change in row.changes}
            for row in scene.stage.ledger.log(company="acme", action=Action.CREATE, limit=1000)
        }
        for number, text in enumerate(SAMPLES):
            fields = sent["customers", guid(1, number)]
            assert fields["name"] == f"{number} {text}"
            assert fields["notes"] == BREAKS.format(text)
            assert fields["billing.city"] == fields["given_name"] == text
            assert sent["items", guid(3, number)]["description"] == BREAKS.format(text)
            assert sent["invoices", guid(4, number)]["memo"] == BREAKS.format(text)
        bound = scene.stage.ledger.bindings("acme", "customers", "crm", [guid(1, n) for n in range(len(SAMPLES))])
        for number, text in enumerate(SAMPLES):
            held = bound[guid(1, number)]
            assert held.base_source["notes"] == held.base_target["notes"] == BREAKS.format(text)


@pytest.mark.feature("E3", "B3")
def test_nothing_comes_back_as_a_change(scenes: Scenes) -> None:
    """What was written is read back from both sides as equal, so that no character starts an echo."""
    with played(scenes) as scene:
        brought = scene.run("QBCustInvoices2CRAcctOpp")  # balances and numbers, which the books make
        assert [dict(summary.counts) for summary in brought.values()] == [{"updated": len(SAMPLES)}] * 2
        for flow in ("CRAcctOpp2QBCustInv", "QBCustInvoices2CRAcctOpp", "QBItem2CRProd"):
            for summary in scene.run(flow).values():
                assert set(summary.counts) <= {"unchanged"}, (flow, summary)


@pytest.mark.feature("E3")
def test_every_text_field_comes_back_from_the_books_unchanged(scenes: Scenes) -> None:
    """Texts that a bookkeeper types arrive in the CRM as they are, each field with another sample than before."""
    with played(scenes) as scene:
        customers = by_number(scene.books.query("SELECT * FROM Customer MAXRESULTS 100")["Customer"], "DisplayName")
        items = by_number(scene.books.query("SELECT * FROM Item MAXRESULTS 100")["Item"], "Name")
        terms = {row["Name"]: row["Id"] for row in scene.books.query("SELECT * FROM Term MAXRESULTS 100")["Term"]}
        for number in range(len(SAMPLES)):
            text = SAMPLES[(number + 1) % len(SAMPLES)]
            other = WORLD.accounts[(number + 1) % len(SAMPLES)].address
            held = customers[number]
            scene.books.save(
                "Customer",
                {
                    "Id": held["Id"],
                    "SyncToken": held["SyncToken"],
                    "sparse": True,
                    "DisplayName": f"{number} new {text}",
                    "WebAddr": {"URI": text},
                    "Notes": BREAKS.format(text),
                    "SalesTermRef": {"value": terms[text]},
                    "BillAddr": {
                        **held["BillAddr"],  # type: ignore[dict-item]  # JSON
                        "Line1": text,
                        "Line2": f"2nd {text}",
                        "City": text,
                        "CountrySubDivisionCode": other.region,
                        "PostalCode": text,
                        "Country": other.country,
                    },
                },
            )
            item = items[number]
            scene.books.save(
                "Item",
                {
                    "Id": item["Id"],
                    "SyncToken": item["SyncToken"],
                    "sparse": True,
                    "Name": f"{number} new {text}",
                    "Sku": text,
                    "Description": BREAKS.format(text),
                },
            )
        done = scene.run("QBCustInvoices2CRAcctOpp")
        assert done["customers"].counts == {"updated": len(SAMPLES)}
        assert scene.run("QBItem2CRProd")["items"].counts["updated"] == len(SAMPLES)
        accounts = _accounts(scene.crm)
        products = {row["Id"]: row for row in scene.crm.rows("Product")}
        for number in range(len(SAMPLES)):
            text = SAMPLES[(number + 1) % len(SAMPLES)]
            other = WORLD.accounts[(number + 1) % len(SAMPLES)].address
            row = accounts[guid(1, number)]
            assert row["Name"] == f"{number} new {text}"
            assert row["UsrQBFullName"] == f"{number} new {text}"
            assert (row["Web"], row["Notes"], row["UsrPaymentTerms"]) == (text, BREAKS.format(text), text)
            assert (row["Address"], row["Zip"]) == (f"{text}\n2nd {text}", text)
            assert [_name(row[column]) for column in ("City", "Region", "Country")] == [
                text,
                other.region,
                other.country,
            ]
            product = products[guid(3, number)]
            assert (product["Name"], product["Code"]) == (f"{number} new {text}", text)
            assert product["Description"] == BREAKS.format(text)
        changes = {
            (row.source_id, change.field): (change.old, change.new)
            for row in scene.stage.ledger.log(company="acme", mapping="customers", action=Action.UPDATE, limit=1000)
            for change in row.changes
        }
        for number in range(len(SAMPLES)):
            old, new = SAMPLES[number], SAMPLES[(number + 1) % len(SAMPLES)]
            assert changes[str(customers[number]["Id"]), "web"] == (old, new)


@pytest.mark.feature("E3")
def test_references_of_payments_arrive_unchanged(scenes: Scenes) -> None:
    """A payment's reference, which is typed by hand, comes to the CRM as it is."""
    with played(scenes) as scene:
        invoices = scene.books.query("SELECT * FROM Invoice MAXRESULTS 100")["Invoice"]
        wanted = {}
        for text, invoice in zip(SAMPLES, invoices, strict=True):
            customer = invoice["CustomerRef"]["value"]
            paid = scene.books.payment(customer, "21.00", {invoice["Id"]: "21.00"}, PaymentRefNum=text)
            wanted[paid["Id"]] = text
        assert scene.run("QBPmt2CRPmt")["payments"].counts == {"created": len(SAMPLES)}
        found = {row["UsrPaymentNumber"]: row["UsrRefNumber"] for row in scene.crm.rows("UsrPaymentQB")}
        assert found == wanted


@pytest.mark.feature("E3")
def test_the_test_leaves_no_text_field_out() -> None:
    """Each text or memo field that the mappings bring over is looked at above, or is not a free text."""
    spec, errors = load_company(MAPPINGS / "acme")
    assert spec is not None, errors
    free = {
        f"{name}.{field.name}"
        for name, mapping in spec.mappings.items()
        for field in mapping.fields
        if field.crm and field.books and field.crm.type in (FieldType.TEXT, FieldType.MEMO, FieldType.EMAIL)
    }
    looked_at = {
        *(f"customers.{n}" for n in ("name", "full_name", "company_name", "web", "notes", "terms", "email")),
        *(f"customers.{n}" for n in ("given_name", "middle_name", "family_name")),
        *(f"customers.billing.{n}" for n in ("street", "city", "region", "postal_code", "country")),
        *(f"items.{n}" for n in ("name", "code", "description")),
        *("invoices.memo", "invoices.email", "payments.reference"),
    }
    not_free = {"customers.currency", "invoices.currency", "payments.currency", "items.kind"}
    numbered_by_the_books = {"invoices.number", "payments.number"}
    assert free - looked_at - not_free - numbered_by_the_books == set()


def _accounts(crm: Crm) -> dict[str, dict[str, object]]:
    expand = "City($select=Name),Region($select=Name),Country($select=Name)"
    return {str(row["Id"]): row for row in crm.rows("Account", expand=expand)}


def _name(row: object) -> object:
    assert isinstance(row, dict)
    return row["Name"]
