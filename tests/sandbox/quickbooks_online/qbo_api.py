"""A raw client for the tests: one session, one realm, JSON with Decimals, and worlds of a few rows."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import requests

from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REALM, REFRESH_TOKEN
from sandbox.seed.world import (
    Address,
    BooksCustomer,
    BooksInvoice,
    BooksInvoiceLine,
    BooksItem,
    BooksPayment,
    World,
)

Json = dict[str, Any]
OLD = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


class Api:
    """Calls one sandbox over its socket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        pair = self.refresh(REFRESH_TOKEN).json()
        self.token, self.refresh_token = pair["access_token"], pair["refresh_token"]

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def refresh(self, token: str) -> requests.Response:
        """Ask the token endpoint for a new pair."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        url = f"{self.url}/oauth2/v1/tokens/bearer"
        return self.http.post(url, data=form, auth=(CLIENT_ID, CLIENT_SECRET), timeout=20)

    def call(self, method: str, path: str, *, realm: str = REALM, **given: Any) -> requests.Response:
        """Send one request below the company's address."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **given.pop("headers", {})}
        if "json" in given and given["json"] is not None:
            given["data"] = json.dumps(given.pop("json"), default=str).encode()  # Decimals go as text
            headers["Content-Type"] = "application/json"
        url = f"{self.url}/v3/company/{realm}/{path}"
        return self.http.request(method, url, headers=headers, timeout=30, **given)

    def write(self, entity: str, content: Any, **params: str) -> requests.Response:
        """Post an entity."""
        return self.call("POST", entity.lower(), json=content, params=params)

    def save(self, entity: str, content: Any, **params: str) -> Json:
        """Post an entity and return what became of it."""
        response = self.write(entity, content, **params)
        assert response.status_code == 200, response.text
        found: Json = read(response)[entity]
        return found

    def get(self, entity: str, row_id: str) -> Json:
        """Read one row."""
        response = self.call("GET", f"{entity.lower()}/{row_id}")
        assert response.status_code == 200, response.text
        found: Json = read(response)[entity]
        return found

    def query(self, text: str) -> Json:
        """Run a query and return its QueryResponse."""
        response = self.call("GET", "query", params={"query": text})
        assert response.status_code == 200, response.text
        found: Json = read(response)["QueryResponse"]
        return found

    def batch(self, items: list[Json], **params: str) -> list[Json]:
        """Send a batch and return the answers to its items."""
        response = self.call("POST", "batch", json={"BatchItemRequest": items}, params=params)
        assert response.status_code == 200, response.text
        found: list[Json] = read(response)["BatchItemResponse"]
        return found

    def fault(self, response: requests.Response, status: int = 400) -> list[tuple[str, str]]:
        """Return codes and elements of a fault, after checking its shape."""
        assert response.status_code == status, response.text
        content = read(response)
        assert set(content) == {"Fault", "time"}
        assert content["Fault"]["type"] == "ValidationFault"
        for error in content["Fault"]["Error"]:
            assert set(error) == {"Message", "Detail", "code", "element"}
        return [(error["code"], error["element"]) for error in content["Fault"]["Error"]]

    def codes(self, response: requests.Response) -> list[str]:
        """Return the codes of a fault."""
        return [code for code, _ in self.fault(response)]

    def control(self, action: str, content: Any = None) -> Json:
        """Use the sandbox's own endpoints."""
        url = f"{self.url}/_sandbox/{action}"
        response = self.http.get(url, timeout=20) if content is None else self.http.post(url, json=content, timeout=20)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def arm(self, kind: str, **spec: Any) -> None:
        """Arm a fault."""
        self.control("faults", {"kind": kind, **spec})

    # Makers of valid rows

    def customer(self, name: str, **more: Any) -> Json:
        """Make a customer."""
        return self.save("Customer", {"DisplayName": name, **more})

    def vendor(self, name: str = "Parts & Co", **more: Any) -> Json:
        """Make a vendor."""
        return self.save("Vendor", {"DisplayName": name, **more})

    def account(self, kind: str) -> Json:
        """Return a reference to the first account of a type."""
        found = self.query(f"SELECT * FROM Account WHERE AccountType = '{kind}' MAXRESULTS 1")["Account"][0]  # noqa: S608 - not SQL
        return {"value": found["Id"]}

    def invoice(self, customer_id: str, *amounts: str, **more: Any) -> Json:
        """Make an invoice of plain lines."""
        return self.save("Invoice", {"CustomerRef": {"value": customer_id}, "Line": sales_lines(*amounts), **more})

    def payment(self, customer_id: str, total: str, applied: dict[str, str], **more: Any) -> Json:
        """Make a payment that is applied to invoices."""
        return self.save("Payment", payment_of(customer_id, total, applied) | more)


def payment_of(customer_id: str, total: str, applied: dict[str, str]) -> Json:
    """Return a payment to post."""
    lines = [
        {"Amount": amount, "LinkedTxn": [{"TxnId": txn_id, "TxnType": "Invoice"}]} for txn_id, amount in applied.items()
    ]
    return {"CustomerRef": {"value": customer_id}, "TotalAmt": total, "Line": lines}


def sales_lines(*amounts: str, item: str = "1") -> list[Json]:
    """Return lines with these amounts, one piece each."""
    return [
        {
            "Amount": amount,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": {"ItemRef": {"value": item}, "Qty": 1, "UnitPrice": amount},
        }
        for amount in amounts
    ]


def expense_lines(account: Json, *amounts: str) -> list[Json]:
    """Return lines on an account."""
    return [
        {
            "Amount": amount,
            "DetailType": "AccountBasedExpenseLineDetail",
            "AccountBasedExpenseLineDetail": {"AccountRef": account},
        }
        for amount in amounts
    ]


def read(response: requests.Response) -> Json:
    """Read an answer with its numbers exact."""
    found: Json = json.loads(response.text, parse_float=Decimal)
    return found


def small_world() -> World:
    """Return two customers, a job, two items, two invoices and a payment; one invoice was deleted."""
    line = BooksInvoiceLine("1", Decimal(3), Decimal("33.35"), Decimal("100.05"), "Work")
    invoice = BooksInvoice(
        id="11",
        number="1001",
        customer_id="1",
        date=dt.date(2026, 1, 5),
        due_date=dt.date(2026, 2, 4),
        currency="USD",
        exchange_rate=Decimal(1),
        lines=(line,),
        modified=OLD,
    )
    return World(
        books_customers=(
            BooksCustomer(
                "1", "Amy's Birds", phone="555-0100", email="amy@birds.example", terms="Net 30", modified=OLD
            ),
            BooksCustomer("2", "Zürich Käse", currency="EUR", address=Address("Weg 1\nHof", "Zürich"), modified=OLD),
            BooksCustomer("3", "Aviary", parent_id="1", modified=OLD + dt.timedelta(days=1)),
            BooksCustomer("4", "Gone", active=False, modified=OLD),
        ),
        books_items=(
            BooksItem("1", "Work", sku="W-1", price=Decimal("33.35"), modified=OLD),
            BooksItem("2", "Cage", kind="Inventory", price=Decimal(80), modified=OLD),
            BooksItem("3", "Old thing", active=False, modified=OLD),
        ),
        books_invoices=(
            invoice,
            BooksInvoice(
                id="12",
                number="1002",
                customer_id="1",
                date=dt.date(2026, 1, 6),
                due_date=dt.date(2026, 2, 5),
                currency="USD",
                exchange_rate=Decimal(1),
                lines=(line,),
                deleted=True,
                modified=OLD,
            ),
        ),
        books_payments=(
            BooksPayment("13", "1", dt.date(2026, 1, 7), "CHK 5", Decimal(50), {"11": Decimal(40)}, modified=OLD),
        ),
    )
