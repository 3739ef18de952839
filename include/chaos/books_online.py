"""QuickBooks Online: a bookkeeper with a browser, and what the company holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx

import sandbox.quickbooks_online
from chaos import rows
from chaos.books import HTTP, READ_TIMEOUT, Document, Entry, Held, Line, Mischief, Paid
from sandbox.quickbooks_online.options import CLIENT_ID, REALM

if TYPE_CHECKING:
    from chaos.house import House

LISTS: Final = {"customers": "Customer", "items": "Item"}


class Online:
    """See `chaos.books.Books`."""

    system = "quickbooks_online"
    size = 4
    item_name = 79
    modules: Sequence[str] = ("system",)
    mischief = Mischief(
        {
            **HTTP,
            "throttle": 1.0,
            "expire_token": 2.0,
            "stale": 2.0,
            "refresh_lost": 0.3,
            "old_refresh_dies": 0.5,
        },
        ("", "/batch", "/query", "/cdc", "/tokens/bearer"),
        {"half_batch": ("",), "stale": ("",)},
        needs={"refresh_lost": "expire_token", "old_refresh_dies": "expire_token"},
    )
    ended: Sequence[Mapping[str, Any]] = ({"kind": "expire_token"},)
    plain = "chaos.plain_online"
    after_sale: Mapping[str, Any] = {"kind": "drop_after", "match": "/invoice"}

    def __init__(self, house: House) -> None:
        self._house = house
        self._url = house.sandboxes.url(self.system)
        self._client = httpx.Client(base_url=self._url, timeout=30)
        self._refresh_token = ""

    def started(self) -> None:
        """Switch its quotas off; its faults throttle."""
        self._house.control(self.system, "reset", {"throttle": False})

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection as it is now."""
        body = sandbox.quickbooks_online.airflow_connection(self._url)
        body["extra"] = {**body.get("extra", {}), "read_timeout": READ_TIMEOUT}
        if self._refresh_token:
            body["extra"]["refresh_token"] = self._refresh_token
        return body

    def heal(self, code: str) -> None:
        """Authorise anew and correct the connection when the refresh token is dead."""
        if code == "invalid_grant":
            self._refresh_token = self._grant()["refresh_token"]

    def _grant(self) -> dict[str, str]:
        """Return tokens of an authorisation of its own."""
        where = {"client_id": CLIENT_ID, "redirect_uri": "http://localhost/", "state": "x", "response_type": "code"}
        back = httpx.get(f"{self._url}/connect/oauth2", params=where, timeout=30).headers["location"]
        login = sandbox.quickbooks_online.airflow_connection(self._url)
        answer = httpx.post(
            f"{self._url}/oauth2/v1/tokens/bearer",
            data={"grant_type": "authorization_code", "code": httpx.URL(back).params["code"]},
            auth=(login["login"], login["password"]),
            timeout=30,
        )
        answer.raise_for_status()
        found: dict[str, str] = answer.json()
        return found

    def held(self) -> Held:
        """Return everything."""
        found = {name: self._rows(name) for name in ("Customer", "Item", "Invoice", "Payment")}
        lists = {
            mapping: {
                ident: Entry(ident, str(row.get("DisplayName") or row.get("Name") or ""), _phone(row))
                for ident, row in found[name].items()
            }
            for mapping, name in LISTS.items()
        }
        payments = {ident: Paid(ident, ident, Decimal(row["TotalAmt"])) for ident, row in found["Payment"].items()}
        return Held(lists, {"invoices": {ident: _document(row) for ident, row in found["Invoice"].items()}}, payments)

    def _rows(self, entity: str) -> dict[str, rows.Row]:
        """Return rows by id, as the books show them."""
        database = sqlite3.connect(f"file:{self._house.data(self.system)}?mode=ro", uri=True, timeout=30)
        try:
            bodies = database.execute(f'SELECT body FROM "{entity}"')  # noqa: S608  a constant of the caller
            return {str(row["Id"]): row for (body,) in bodies for row in [json.loads(body, parse_float=Decimal)]}
        finally:
            database.close()

    def call(self, customer: str, phone: str) -> None:
        """Correct a customer's telephone number."""
        row = self._rows("Customer")[customer]
        head = {"Id": row["Id"], "SyncToken": row["SyncToken"], "sparse": True}
        self._enter("customer", {**head, "PrimaryPhone": {"FreeFormNumber": phone}})

    def unpaid(self) -> list[Document]:
        """Return invoices in dollars of which more than ten are still to be paid."""
        found = [i for i in self._rows("Invoice").values() if i["Balance"] > 10 and i["CurrencyRef"]["value"] == "USD"]
        return [_document(each) for each in sorted(found, key=lambda each: int(each["Id"]))]

    def pay(self, invoice: Document, amount: Decimal) -> str:
        """Enter a payment; return its id."""
        line = {"Amount": str(amount), "LinkedTxn": [{"TxnId": invoice.id, "TxnType": "Invoice"}]}
        body = {"CustomerRef": {"value": invoice.party}, "TotalAmt": str(amount), "Line": [line]}
        return str(self._enter("payment", body)["Payment"]["Id"])

    def _enter(self, entity: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"/v3/company/{REALM}/{entity}?minorversion=75"
        for _ in range(2):
            answer = self._client.post(path, json=body)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
            self._client.headers["Authorization"] = f"Bearer {self._grant()['access_token']}"
            self._client.headers["Accept"] = "application/json"
        if answer.is_error:
            msg = f"POST {path}: {answer.status_code} {answer.text}"
            raise RuntimeError(msg)
        found: dict[str, Any] = answer.json()
        return found

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _phone(row: Mapping[str, Any]) -> str:
    return str((row.get("PrimaryPhone") or {}).get("FreeFormNumber") or "")


def _document(row: Mapping[str, Any]) -> Document:
    details = [line for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"]
    lines = sorted(map(_line, details))
    total = Decimal(row["TotalAmt"])
    ident, number = str(row["Id"]), str(row.get("DocNumber", ""))
    return Document(ident, number, row["CustomerRef"]["value"], tuple(lines), total, total, Decimal(row["Balance"]))


def _line(line: Mapping[str, Any]) -> Line:
    detail = line["SalesItemLineDetail"]
    number = Decimal(detail["Qty"]), Decimal(detail["UnitPrice"])
    return detail["ItemRef"]["value"], *number, Decimal(line["Amount"])
