"""What holds for any history: sums, balances, updates."""

from __future__ import annotations

import contextlib
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.quickbooks_online import QuickBooksOnline, make, writes
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.errors import Fault
from sandbox.quickbooks_online.select import run
from sandbox.quickbooks_online.wire import dumps, loads
from tests.sandbox.quickbooks_online.qbo_api import Json, payment_of, sales_lines, small_world

CENT = Decimal("0.01")
money = st.decimals("0.00", "9999.99", places=2)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def books() -> QuickBooksOnline:
    """A sandbox that is called without HTTP."""
    return make(small_world(), throttle=False)


def save(books: QuickBooksOnline, entity: str, content: Json) -> Json:
    """Create or update a row."""
    with books.store.transaction():
        row = writes.write(books.books, ENTITIES[entity], content).row
    found: Json = loads(dumps(row))
    return found


def rows(books: QuickBooksOnline, entity: str) -> list[Json]:
    """Return all rows, up to 1,000."""
    found = run(books.store, f"SELECT * FROM {entity} MAXRESULTS 1000").get(entity, [])  # noqa: S608 - not SQL
    return [loads(dumps(row)) for row in found]


@quick
@given(
    st.lists(
        st.tuples(st.decimals("0.01", "99", places=3), st.decimals("0.01", "99", places=4)), min_size=1, max_size=6
    ),
    st.decimals("0", "100", places=2),
    money,
)
def test_totals_add_up(
    books: QuickBooksOnline, pieces: list[tuple[Decimal, Decimal]], percent: Decimal, tax: Decimal
) -> None:
    """Total = lines - discount + tax, each to the cent, halves up, and the home total is total times rate."""
    amounts = [(quantity * price).quantize(CENT, ROUND_HALF_UP) for quantity, price in pieces]
    lines: list[Json] = [
        {
            "Amount": amount,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": "1"}, "Qty": quantity, "UnitPrice": price},
        }
        for amount, (quantity, price) in zip(amounts, pieces, strict=True)
    ]
    detail = {"PercentBased": True, "DiscountPercent": percent}
    lines.append({"DetailType": "DiscountLineDetail", "DiscountLineDetail": detail})
    content = {
        "CustomerRef": {"value": "2"},
        "CurrencyRef": {"value": "EUR"},
        "ExchangeRate": Decimal("1.0875"),
        "Line": lines,
        "TxnTaxDetail": {"TotalTax": tax},
    }
    row = save(books, "Invoice", loads(dumps(content)))
    subtotal = sum(amounts, Decimal(0))
    discount = (subtotal * percent / 100).quantize(CENT, ROUND_HALF_UP)
    assert row["TotalAmt"] == subtotal - discount + tax
    assert row["HomeTotalAmt"] == (row["TotalAmt"] * Decimal("1.0875")).quantize(CENT, ROUND_HALF_UP)
    assert [line["Amount"] for line in row["Line"] if line["DetailType"] == "SubTotalLineDetail"] == [subtotal]
    assert row["Balance"] == row["TotalAmt"]


class History:
    """A random history of invoices and payments of two customers and a job."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.books = make(small_world(), throttle=False)

    def pick(self, entity: str) -> Json:
        """Draw a row; where there is none, the step is refused."""
        there = rows(self.books, entity)
        if not there:
            raise Fault
        found: Json = self.data.draw(st.sampled_from(there))
        return found

    def step(self) -> None:
        """Do something that may be refused."""
        kind = self.data.draw(st.sampled_from(["invoice", "pay", "repay", "relines", "void", "delete", "move"]))
        customer = self.data.draw(st.sampled_from(["1", "3"]))
        amount = str(self.data.draw(st.decimals("0.01", "50", places=2)))
        if kind == "invoice":
            content = {"CustomerRef": {"value": customer}, "Line": sales_lines(amount)}
            save(self.books, "Invoice", content)
        elif kind == "pay":
            save(self.books, "Payment", payment_of(customer, amount, {self.pick("Invoice")["Id"]: amount}))
        elif kind == "repay":
            payment = self.pick("Payment")
            change = payment_of("1", amount, {self.pick("Invoice")["Id"]: amount})
            save(
                self.books, "Payment", change | {"Id": payment["Id"], "SyncToken": payment["SyncToken"], "sparse": True}
            )
        elif kind == "relines":
            invoice = self.pick("Invoice")
            head = {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"], "sparse": True}
            save(self.books, "Invoice", head | {"Line": sales_lines(amount)})
        elif kind == "move":
            invoice = self.pick("Invoice")
            head = {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"], "sparse": True}
            save(self.books, "Invoice", head | {"CustomerRef": {"value": customer}})
        else:
            entity = self.data.draw(st.sampled_from(["Invoice", "Payment"]))
            row = self.pick(entity)
            with self.books.store.transaction():
                getattr(writes, kind)(self.books.books, ENTITIES[entity], row)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(1, 12))
def test_balances_add_up(data: Any, steps: int) -> None:
    """After any history an invoice's balance is its total less what is applied, a customer's is what is open less
    what is unapplied, receivables are the sum of all customers, and nothing is below zero that cannot be."""
    history = History(data)
    for _ in range(steps):
        with contextlib.suppress(Fault):
            history.step()
    invoices, payments = rows(history.books, "Invoice"), rows(history.books, "Payment")
    customers = {row["Id"]: row for row in rows(history.books, "Customer")}
    applied: dict[str, Decimal] = {}
    for payment in payments:
        used = Decimal(0)
        for line in payment["Line"]:
            used += line["Amount"]
            txn_id = line["LinkedTxn"][0]["TxnId"]
            applied[txn_id] = applied.get(txn_id, Decimal(0)) + line["Amount"]
        assert payment["UnappliedAmt"] == payment["TotalAmt"] - used >= 0
    for invoice in invoices:
        assert invoice["Balance"] == invoice["TotalAmt"] - applied.get(invoice["Id"], 0) >= 0
    assert set(applied) <= {invoice["Id"] for invoice in invoices}
    for customer_id, customer in customers.items():
        due = sum(i["Balance"] for i in invoices if i["CustomerRef"]["value"] == customer_id)
        free = sum(p["UnappliedAmt"] for p in payments if p["CustomerRef"]["value"] == customer_id)
        paid_for_others = sum(
            line["Amount"] * (1 if payment["CustomerRef"]["value"] == customer_id else -1)
            for payment in payments
            for line in payment["Line"]
            for owner in [next(i for i in invoices if i["Id"] == line["LinkedTxn"][0]["TxnId"])["CustomerRef"]["value"]]
            if owner != payment["CustomerRef"]["value"] and customer_id in (owner, payment["CustomerRef"]["value"])
        )
        assert customer["Balance"] == due - free - paid_for_others
    assert customers["1"]["BalanceWithJobs"] == customers["1"]["Balance"] + customers["3"]["Balance"]
    (receivable,) = [row for row in rows(history.books, "Account") if row["Name"] == "Accounts Receivable (A/R)"]
    assert receivable["CurrentBalance"] == customers["1"]["BalanceWithJobs"]


words = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=":"), min_size=1, max_size=30)
FIELDS = {"GivenName": words, "Notes": words, "ResaleNum": st.text("0123456789", max_size=9), "Taxable": st.booleans()}


@quick
@given(st.fixed_dictionaries({}, optional=FIELDS), st.fixed_dictionaries({}, optional=FIELDS), st.integers())
def test_sparse_and_full_updates(books: QuickBooksOnline, first: Json, second: Json, number: int) -> None:
    """A sparse update is a merge, a full update a replacement, and either again changes nothing but the token."""
    name = f"P{number}-{len(rows(books, 'Customer'))}"
    made = save(books, "Customer", first | {"DisplayName": name})
    head = {"Id": made["Id"], "SyncToken": made["SyncToken"], "DisplayName": name}
    merged = save(books, "Customer", head | second | {"sparse": True})
    expected = {key: value for key, value in (first | second).items() if value != ""}
    assert {key: merged[key] for key in FIELDS if key in merged and (key in expected or key != "Taxable")} == expected
    again = save(books, "Customer", head | second | {"sparse": True, "SyncToken": merged["SyncToken"]})
    assert again == merged
    replaced = save(books, "Customer", head | second | {"SyncToken": merged["SyncToken"]})
    kept = {key: value for key, value in second.items() if value != ""}
    assert {key: replaced[key] for key in FIELDS if key in replaced and (key in kept or key != "Taxable")} == kept
    assert int(replaced["SyncToken"]) == int(merged["SyncToken"]) + 1


@quick
@given(words)
def test_any_name_is_found_again(books: QuickBooksOnline, name: str) -> None:
    """Whatever a customer is called, a query with its name, escaped, finds it and it alone."""
    try:
        made = save(books, "Customer", {"DisplayName": name})
    except Fault as fault:
        assert fault.problems[0].code in {"6240", "2020", "2040"}  # noqa: PT017 - either way is right
        return
    literal = made["DisplayName"].replace("\\", "\\\\").replace("'", "\\'")
    text = f"SELECT * FROM Customer WHERE DisplayName = '{literal}'"  # noqa: S608 - not SQL
    assert [loads(dumps(row))["Id"] for row in run(books.store, text)["Customer"]] == [made["Id"]]
