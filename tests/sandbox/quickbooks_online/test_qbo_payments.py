"""Payments and credits: what they are applied to, and what that does to balances."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.sandbox.quickbooks_online.qbo_api import Api, Json, expense_lines, payment_of, sales_lines

pytestmark = pytest.mark.sandbox


def open_on(api: Api, invoice_id: str) -> tuple[str, str]:
    """Return an invoice's balance and SyncToken."""
    row = api.get("Invoice", invoice_id)
    return str(row["Balance"]), row["SyncToken"]


@pytest.mark.feature("O14")
def test_payment_lowers_what_is_open(api: Api) -> None:
    """A payment lowers the invoice's balance and bumps its SyncToken; the rest of it stays unapplied."""
    first, second = api.invoice("1", "100"), api.invoice("1", "50")
    balance = api.get("Customer", "1")["Balance"]
    payment = api.payment("1", "130", {first["Id"]: "100", second["Id"]: "20"})
    assert payment["UnappliedAmt"] == Decimal("10.00")
    assert open_on(api, first["Id"]) == ("0.00", "1")
    assert open_on(api, second["Id"]) == ("30.00", "1")
    assert api.get("Invoice", first["Id"])["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    customer = api.get("Customer", "1")
    assert (customer["Balance"], customer["SyncToken"]) == (balance - 130, "0")


def test_changed_voided_and_deleted_payments(api: Api) -> None:
    """What a payment no longer pays is open again, whether it was changed, voided or deleted."""
    invoice, other = api.invoice("1", "100"), api.invoice("1", "100")
    payment = api.payment("1", "60", {invoice["Id"]: "60"})
    change = payment_of("1", "60", {other["Id"]: "25"}) | {"Id": payment["Id"], "SyncToken": "0", "sparse": True}
    assert api.save("Payment", change)["UnappliedAmt"] == Decimal("35.00")
    assert (open_on(api, invoice["Id"]), open_on(api, other["Id"])) == (("100.00", "2"), ("75.00", "1"))
    head = {"Id": payment["Id"], "SyncToken": "1", "sparse": True}
    voided = api.save("Payment", head, operation="update", include="void")
    assert (voided["TotalAmt"], voided["UnappliedAmt"], voided["Line"], voided["PrivateNote"]) == (0, 0, [], "Voided")
    assert open_on(api, other["Id"]) == ("100.00", "2")
    again = api.payment("1", "5", {other["Id"]: "5"})
    assert api.write("Payment", {"Id": again["Id"], "SyncToken": "0"}, operation="delete").status_code == 200
    assert open_on(api, other["Id"]) == ("100.00", "4")


@pytest.mark.parametrize(
    ("customer", "total", "applied"),
    [
        ("1", "10", {"11": "10.01"}),
        ("1", "500", {"11": "60.06"}),
        ("2", "10", {"11": "10"}),
        ("1", "-1", {}),
        ("1", "10", {"11": "-5"}),
    ],
)
def test_over_application(api: Api, customer: str, total: str, applied: dict[str, str]) -> None:
    """More than the payment has, more than is open, another customer's invoice or a negative amount is 6000."""
    content: Json = payment_of(customer, total, applied)
    if customer == "2":
        content["CurrencyRef"] = {"value": "EUR"}
    assert api.codes(api.write("Payment", content)) == ["6000"]
    assert open_on(api, "11") == ("60.05", "0")


def test_a_parent_pays_for_its_job(api: Api) -> None:
    """A payment of the parent may be applied to an invoice of its job."""
    job = api.invoice("3", "10")
    api.payment("1", "10", {job["Id"]: "10"})
    assert open_on(api, job["Id"]) == ("0.00", "1")


def test_lowered_invoice_frees_the_payment(api: Api) -> None:
    """An invoice that becomes less than what was paid on it gives the difference back to the payment."""
    invoice = api.invoice("1", "100")
    payment = api.payment("1", "90", {invoice["Id"]: "90"})
    head = {"Id": invoice["Id"], "SyncToken": "1", "sparse": True}
    after = api.save("Invoice", head | {"Line": sales_lines("70")})
    assert (after["TotalAmt"], after["Balance"]) == (Decimal("70.00"), 0)
    row = api.get("Payment", payment["Id"])
    assert (row["UnappliedAmt"], row["Line"][0]["Amount"], row["SyncToken"]) == (
        Decimal("20.00"),
        Decimal("70.00"),
        "1",
    )


def test_credit_memo_is_used_by_a_payment(api: Api) -> None:
    """A payment of 0 can put a credit memo against an invoice."""
    invoice = api.invoice("1", "40")
    credit = api.save("CreditMemo", {"CustomerRef": {"value": "1"}, "Line": sales_lines("30")})
    assert (credit["Balance"], credit["RemainingCredit"]) == (Decimal("30.00"), Decimal("30.00"))
    content = payment_of("1", "0", {invoice["Id"]: "30"})
    content["Line"].append({"Amount": 30, "LinkedTxn": [{"TxnId": credit["Id"], "TxnType": "CreditMemo"}]})
    assert api.save("Payment", content)["UnappliedAmt"] == 0
    assert open_on(api, invoice["Id"]) == ("10.00", "1")
    assert api.get("CreditMemo", credit["Id"])["RemainingCredit"] == 0


def test_currencies_do_not_mix(api: Api) -> None:
    """A payment is in the currency of what it pays."""
    euro = {"CurrencyRef": {"value": "EUR"}, "ExchangeRate": "1.1"}
    invoice = api.invoice("2", "100", **euro)
    assert api.codes(api.write("Payment", payment_of("2", "100", {invoice["Id"]: "100"}))) == ["2020"]
    api.payment("2", "100", {invoice["Id"]: "100"}, **euro)
    row = api.get("Invoice", invoice["Id"])
    assert (row["Balance"], row["HomeBalance"]) == (0, 0)


def test_bills_and_bill_payments(api: Api) -> None:
    """Bills and credits of a vendor are paid by a check or a card, and the vendor's balance follows."""
    vendor = {"value": api.vendor()["Id"]}
    lines = expense_lines(api.account("Expense"), "70")
    bill = api.save("Bill", {"VendorRef": vendor, "Line": lines, "TxnDate": "2026-05-01"})
    assert (bill["Balance"], bill["DueDate"], bill["APAccountRef"]["name"]) == (
        Decimal("70.00"),
        "2026-05-01",
        "Accounts Payable (A/P)",
    )
    credit = api.save("VendorCredit", {"VendorRef": vendor, "Line": expense_lines(api.account("Expense"), "20")})
    assert api.get("Vendor", vendor["value"])["Balance"] == Decimal("50.00")
    pay = {
        "VendorRef": vendor,
        "PayType": "Check",
        "CheckPayment": {"BankAccountRef": api.account("Bank")},
        "TotalAmt": 50,
        "Line": [
            {"Amount": 70, "LinkedTxn": [{"TxnId": bill["Id"], "TxnType": "Bill"}]},
            {"Amount": 20, "LinkedTxn": [{"TxnId": credit["Id"], "TxnType": "VendorCredit"}]},
        ],
    }
    assert api.fault(api.write("BillPayment", pay | {"CheckPayment": {}})) == [("2020", "BankAccountRef")]
    made = api.save("BillPayment", pay)
    assert api.get("Bill", bill["Id"])["Balance"] == 0
    assert api.get("Bill", bill["Id"])["LinkedTxn"] == [{"TxnId": made["Id"], "TxnType": "BillPaymentCheck"}]
    assert api.get("VendorCredit", credit["Id"])["Balance"] == 0
    assert api.get("Vendor", vendor["value"])["Balance"] == 0
    api.save("BillPayment", {"Id": made["Id"], "SyncToken": "0", "sparse": True}, operation="update", include="void")
    assert api.get("Bill", bill["Id"])["Balance"] == Decimal("70.00")


def test_deposited_payment_is_locked(api: Api) -> None:
    """A payment that lies in a deposit cannot be changed or deleted until the deposit lets go of it."""
    payment = api.payment("1", "30", {})
    line = {"Amount": 30, "LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment", "TxnLineId": "0"}]}
    deposit = api.save("Deposit", {"DepositToAccountRef": api.account("Bank"), "Line": [line]})
    assert deposit["TotalAmt"] == Decimal("30.00")
    token = api.get("Payment", payment["Id"])["SyncToken"]
    head = {"Id": payment["Id"], "SyncToken": token}
    assert api.codes(api.write("Payment", head, operation="delete")) == ["6540"]
    assert api.codes(api.write("Payment", head | {"sparse": True, "PrivateNote": "x"})) == ["6540"]
    api.write("Deposit", {"Id": deposit["Id"], "SyncToken": "0"}, operation="delete")
    token = api.get("Payment", payment["Id"])["SyncToken"]
    assert api.write("Payment", head | {"SyncToken": token}, operation="delete").status_code == 200


def test_accounts_follow(api: Api) -> None:
    """Receivables, undeposited funds and the bank move with invoice, payment, deposit, transfer and journal."""

    def balance(name: str) -> Decimal:
        (row,) = api.query(f"SELECT * FROM Account WHERE Name = '{name}'")["Account"]  # noqa: S608 - not SQL
        return Decimal(row["CurrentBalance"])

    start = {name: balance(name) for name in ("Accounts Receivable (A/R)", "Undeposited Funds", "Checking", "Savings")}
    api.invoice("1", "100")
    payment = api.payment("1", "40", {})
    assert balance("Accounts Receivable (A/R)") - start["Accounts Receivable (A/R)"] == 60
    assert balance("Undeposited Funds") - start["Undeposited Funds"] == 40
    line = {"Amount": 40, "LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment"}]}
    api.save("Deposit", {"DepositToAccountRef": {"value": "1"}, "Line": [line]})
    assert balance("Undeposited Funds") == start["Undeposited Funds"]
    api.save("Transfer", {"Amount": 15, "FromAccountRef": {"value": "1"}, "ToAccountRef": {"value": "2"}})
    assert balance("Checking") - start["Checking"] == 25
    assert balance("Savings") - start["Savings"] == 15
