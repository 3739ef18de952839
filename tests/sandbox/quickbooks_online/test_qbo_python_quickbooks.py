"""An independent client, python-quickbooks, against the sandbox over its socket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    UnsupportedException,
    ValidationException,
)
from quickbooks.objects.account import Account
from quickbooks.objects.base import Address, CustomField, EmailAddress, PhoneNumber, Ref
from quickbooks.objects.bill import Bill
from quickbooks.objects.billpayment import BillPayment, BillPaymentLine, CheckPayment
from quickbooks.objects.company_info import CompanyInfo
from quickbooks.objects.creditmemo import CreditMemo
from quickbooks.objects.customer import Customer
from quickbooks.objects.department import Department
from quickbooks.objects.deposit import Deposit, DepositLine, DepositLineDetail
from quickbooks.objects.detailline import (
    AccountBasedExpenseLine,
    AccountBasedExpenseLineDetail,
    SalesItemLine,
    SalesItemLineDetail,
)
from quickbooks.objects.employee import Employee
from quickbooks.objects.estimate import Estimate
from quickbooks.objects.exchangerate import ExchangeRate
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item
from quickbooks.objects.journalentry import JournalEntry, JournalEntryLine, JournalEntryLineDetail
from quickbooks.objects.payment import Payment, PaymentLine
from quickbooks.objects.paymentmethod import PaymentMethod
from quickbooks.objects.preferences import Preferences
from quickbooks.objects.purchase import Purchase
from quickbooks.objects.purchaseorder import PurchaseOrder
from quickbooks.objects.refundreceipt import RefundReceipt
from quickbooks.objects.salesreceipt import SalesReceipt
from quickbooks.objects.taxagency import TaxAgency
from quickbooks.objects.taxcode import TaxCode
from quickbooks.objects.taxrate import TaxRate
from quickbooks.objects.taxservice import TaxRateDetails, TaxService
from quickbooks.objects.term import Term
from quickbooks.objects.timeactivity import TimeActivity
from quickbooks.objects.trackingclass import Class
from quickbooks.objects.transfer import Transfer
from quickbooks.objects.vendor import Vendor
from quickbooks.objects.vendorcredit import VendorCredit

from sandbox.common.serve import Running
from sandbox.quickbooks_online import QuickBooksOnline
from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REALM, REFRESH_TOKEN
from tests.sandbox.quickbooks_online.qbo_api import Api

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S2")]


@pytest.fixture
def qb(running: Running[QuickBooksOnline], api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A signed-in client; the sandbox is as it was seeded."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    auth = AuthClient(CLIENT_ID, CLIENT_SECRET, "http://localhost", environment=f"{running.url}/discovery")
    client = QuickBooks(auth_client=auth, refresh_token=REFRESH_TOKEN, company_id=REALM, minorversion=75)
    client.api_url_v3 = f"{running.url}/v3"
    yield client
    client.session.close()
    auth.close()


def ref(value: str) -> Any:
    """Return a reference as the library builds one."""
    made = Ref()
    made.value = value
    return made


def sales_line(amount: Any, **detail: Any) -> Any:
    """Return a line as the library's README builds one."""
    line = SalesItemLine()
    line.Amount = amount
    line.Description = "line"
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = ref("1")
    for name, value in detail.items():
        setattr(line.SalesItemLineDetail, name, value)
    return line


def expense_line(amount: Any) -> Any:
    """Return a line on an expense account."""
    line = AccountBasedExpenseLine()
    line.Amount = amount
    line.AccountBasedExpenseLineDetail = AccountBasedExpenseLineDetail()
    line.AccountBasedExpenseLineDetail.AccountRef = ref("20")
    return line


def test_customers(qb: Any) -> None:
    """Customers are made, read, listed, filtered, counted, saved as a whole and made inactive."""
    customer = Customer()
    customer.Title, customer.GivenName, customer.FamilyName = "Ms.", "Ada", "O'Neil"
    customer.DisplayName = 'Ada\'s "Shop" & Söhne 🎉'
    customer.PrimaryPhone = PhoneNumber()
    customer.PrimaryPhone.FreeFormNumber = "(555) 0100"
    customer.PrimaryEmailAddr = EmailAddress()
    customer.PrimaryEmailAddr.Address = "ada@shop.example"
    customer.BillAddr = Address()
    customer.BillAddr.Line1, customer.BillAddr.City = "1 Main", "Oslo"
    saved = customer.save(qb=qb)
    assert (saved.SyncToken, saved.BillAddr.City, saved.PrimaryPhone.FreeFormNumber) == ("0", "Oslo", "(555) 0100")
    assert Customer.get(saved.Id, qb=qb).DisplayName == customer.DisplayName
    assert [c.Id for c in Customer.filter(DisplayName=customer.DisplayName, qb=qb)] == [saved.Id]
    assert [c.Id for c in Customer.choose(["Amy's Birds", "Aviary"], field="DisplayName", qb=qb)] == ["1", "3"]
    assert len(Customer.all(qb=qb, order_by="DisplayName", start_position=2, max_results=2)) == 2
    assert [c.Id for c in Customer.where("Active = true AND Balance > '1'", order_by="Id DESC", qb=qb)] == ["1"]
    assert Customer.count("Active IN (true, false)", qb=qb) == 5
    saved.CompanyName = "Shop Ltd"
    again = saved.save(qb=qb)
    assert (again.SyncToken, again.CompanyName, again.GivenName) == ("1", "Shop Ltd", "Ada")
    again.Active = False
    assert again.save(qb=qb).DisplayName.endswith(" (deleted)")


def test_invoice_and_payment(qb: Any) -> None:
    """An invoice is made, paid in part, changed, the payment voided, the invoice voided and deleted."""
    invoice = Invoice()
    invoice.CustomerRef = Customer.get(1, qb=qb).to_ref()
    invoice.Line = [sales_line(100), sales_line(Decimal("66.70"), Qty=Decimal(2), UnitPrice=Decimal("33.35"))]
    field = CustomField()
    field.DefinitionId, field.Name, field.Type, field.StringValue = "1", "Crew #", "StringType", "9"
    invoice.CustomField.append(field)
    invoice = invoice.save(qb=qb)
    assert (invoice.TotalAmt, invoice.Balance, invoice.DocNumber) == (166.7, 166.7, "1003")
    assert [line.DetailType for line in invoice.Line] == ["SalesItemLineDetail"] * 2 + ["SubTotalLineDetail"]
    assert invoice.CustomField[0].StringValue == "9"
    payment = Payment()
    payment.CustomerRef, payment.TotalAmt = invoice.CustomerRef, 70
    line = PaymentLine()
    line.Amount = 60
    line.LinkedTxn.append(invoice.to_linked_txn())
    payment.Line.append(line)
    payment = payment.save(qb=qb)
    assert payment.UnappliedAmt == 10
    stale = invoice
    stale.PrivateNote = "x"
    with pytest.raises(QuickbooksException) as caught:
        stale.save(qb=qb)
    assert caught.value.error_code == 5010
    invoice = Invoice.get(invoice.Id, qb=qb)
    assert (invoice.Balance, invoice.SyncToken, invoice.LinkedTxn[0].TxnId) == (106.7, "1", payment.Id)
    invoice.CustomerMemo = None
    invoice.PrivateNote = "x"
    invoice = invoice.save(qb=qb)
    assert (invoice.Balance, invoice.PrivateNote, invoice.TotalAmt) == (106.7, "x", 166.7)
    payment.void(qb=qb)
    assert Payment.get(payment.Id, qb=qb).PrivateNote == "Voided"
    invoice = Invoice.get(invoice.Id, qb=qb)
    assert invoice.Balance == 166.7
    invoice.void(qb=qb)
    invoice = Invoice.get(invoice.Id, qb=qb)
    assert (invoice.TotalAmt, invoice.PrivateNote) == (0, "Voided")
    assert invoice.delete(qb=qb)["Invoice"]["status"] == "Deleted"
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(invoice.Id, qb=qb)


@pytest.mark.parametrize("kind", [Estimate, SalesReceipt, CreditMemo, RefundReceipt])
def test_other_sales(qb: Any, kind: Any) -> None:
    """Estimates, receipts, credits and refunds as the library sends them, with all its defaults."""
    sale = kind()
    sale.CustomerRef = ref("1")
    sale.Line = [sales_line(100)]
    if kind is RefundReceipt:
        sale.DepositToAccountRef = ref("1")
    saved = sale.save(qb=qb)
    assert saved.TotalAmt == 100
    saved.PrivateNote = "seen"
    assert saved.save(qb=qb).PrivateNote == "seen"
    assert [s.Id for s in kind.all(qb=qb)] == [saved.Id]
    saved = kind.get(saved.Id, qb=qb)
    assert saved.delete(qb=qb)[kind.qbo_object_name]["status"] == "Deleted"


def test_purchases(qb: Any) -> None:
    """Vendors, bills, bill payments, credits, purchases and orders as the library sends them."""
    vendor = Vendor()
    vendor.DisplayName = "Parts"
    vendor = vendor.save(qb=qb)
    made = []
    for kind in (Bill, VendorCredit, Purchase, PurchaseOrder):
        txn = kind()
        if kind is Purchase:
            txn.AccountRef, txn.PaymentType, txn.EntityRef = ref("1"), "Check", vendor.to_ref()
        else:
            txn.VendorRef = vendor.to_ref()
        if kind is PurchaseOrder:
            txn.APAccountRef = ref("9")
        txn.Line = [expense_line(40)]
        saved = txn.save(qb=qb)
        assert saved.TotalAmt == 40
        saved.PrivateNote = "seen"
        made.append(saved.save(qb=qb))
    payment = BillPayment()
    payment.VendorRef, payment.PayType, payment.TotalAmt = vendor.to_ref(), "Check", 25
    payment.CheckPayment = CheckPayment()
    payment.CheckPayment.BankAccountRef = ref("1")
    line = BillPaymentLine()
    line.Amount = 25
    line.LinkedTxn.append(made[0].to_linked_txn())
    payment.Line.append(line)
    payment = payment.save(qb=qb)
    assert Bill.get(made[0].Id, qb=qb).Balance == 15
    payment.void(qb=qb)
    assert Bill.get(made[0].Id, qb=qb).Balance == 40
    for txn in made:
        fresh = type(txn).get(txn.Id, qb=qb)
        assert fresh.delete(qb=qb)[fresh.qbo_object_name]["status"] == "Deleted"


def test_ledger_entries(qb: Any) -> None:
    """Journal entries, deposits, transfers and hours worked as the library sends them."""
    entry = JournalEntry()
    for side, account in (("Debit", "20"), ("Credit", "1")):
        line = JournalEntryLine()
        line.Amount = 12.5
        line.JournalEntryLineDetail = JournalEntryLineDetail()
        line.JournalEntryLineDetail.PostingType = side
        line.JournalEntryLineDetail.AccountRef = ref(account)
        entry.Line.append(line)
    assert entry.save(qb=qb).TotalAmt == 12.5
    deposit = Deposit()
    deposit.DepositToAccountRef = ref("1")
    cash = DepositLine()
    cash.Amount = 8
    cash.DepositLineDetail = DepositLineDetail()
    cash.DepositLineDetail.AccountRef = ref("15")
    deposit.Line.append(cash)
    assert deposit.save(qb=qb).TotalAmt == 8
    transfer = Transfer()
    transfer.Amount, transfer.FromAccountRef, transfer.ToAccountRef = 5, ref("1"), ref("2")
    assert transfer.save(qb=qb).Amount == 5
    employee = Employee()
    employee.GivenName, employee.FamilyName = "Nina", "New"
    employee = employee.save(qb=qb)
    hours = TimeActivity()
    hours.NameOf, hours.EmployeeRef, hours.Hours, hours.Minutes = "Employee", employee.to_ref(), 1, 30
    hours.TxnDate = "2026-05-01"
    assert hours.save(qb=qb).Minutes == 30


def test_lists(qb: Any) -> None:
    """Items, accounts, classes, departments, terms, methods, taxes and rates as the library sends them."""
    income, asset = (
        Account.where("AccountType = 'Income'", qb=qb)[0],
        Account.where("Name = 'Inventory Asset'", qb=qb)[0],
    )
    item = Item()
    item.Name, item.Type, item.TrackQtyOnHand, item.QtyOnHand, item.Sku = "Cup", "Inventory", True, 10, "C-1"
    item.InvStartDate = "2026-01-01"
    item.IncomeAccountRef, item.AssetAccountRef = income.to_ref(), asset.to_ref()
    assert item.save(qb=qb).FullyQualifiedName == "Cup"
    assert [i.Sku for i in Item.all(qb=qb) if i.Name == "Cup"] == ["C-1"]
    account = Account()
    account.Name, account.AccountSubType = "Till", "Checking"
    assert account.save(qb=qb).AccountType == "Bank"
    for kind in (Class, Department, PaymentMethod):
        row = kind()
        row.Name = "North"
        assert row.save(qb=qb).Active is True
        assert [r.Name for r in kind.filter(Name="North", qb=qb)] == ["North"]
    term = Term()
    term.Name, term.DueDays = "Net 9", 9
    assert term.save(qb=qb).DueDays == 9
    agency = TaxAgency()
    agency.DisplayName = "Town"
    agency = agency.save(qb=qb)
    service, rate = TaxService(), TaxRateDetails()
    service.TaxCode = "Town"
    rate.TaxRateName, rate.RateValue, rate.TaxAgencyId = "Town", 2.5, agency.Id
    service.TaxRateDetails.append(rate)
    service.save(qb=qb)
    assert [c.Name for c in TaxCode.all(qb=qb)] == ["California", "Tucson", "Town"]
    assert [r.RateValue for r in TaxRate.filter(Name="Town", qb=qb)] == [2.5]
    day = ExchangeRate()
    day.AsOfDate, day.SourceCurrencyCode, day.Rate, day.TargetCurrencyCode = "2026-05-01", "EUR", 1.5, "USD"
    assert day.save(qb=qb).Rate == 1.5
    assert CompanyInfo.get(REALM, qb=qb).CompanyName == "Acme Books"
    assert Preferences.get(qb=qb).CurrencyPrefs.MultiCurrencyEnabled is True


def test_batches(qb: Any) -> None:
    """The library's batches of 30, with its long bIds, report successes and faults one by one."""
    rows = []
    for number in range(40):
        row = Customer()
        row.DisplayName = f"Batch {number}" if number != 5 else "Amy's Birds"
        rows.append(row)
    made = batch_create(rows, qb=qb)
    assert (len(made.successes), len(made.faults)) == (39, 1)
    assert made.faults[0].Error[0].code == "6240"
    for row in made.successes:
        row.Notes = "n"
    assert len(batch_update(made.successes, qb=qb).successes) == 39
    invoices = [Invoice.get(11, qb=qb)]
    assert batch_delete(invoices, qb=qb).successes[0].status == "Deleted"


def test_change_feed(qb: Any) -> None:
    """The library reads changed rows and deleted ones from the feed."""
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
    Invoice.get(11, qb=qb).delete(qb=qb)
    customer = Customer()
    customer.DisplayName = "Fresh"
    customer.save(qb=qb)
    answer = change_data_capture([Customer, Invoice, Item], since, qb=qb)
    assert {c.DisplayName for c in answer.Customer} == {"Fresh", "Amy's Birds"}
    assert [(i.Id, i.status) for i in answer.Invoice] == [("11", "Deleted")]
    assert not hasattr(answer, "Item")


def test_errors(qb: Any, api: Api) -> None:
    """Faults arrive as the exceptions that the library has for their codes."""
    duplicate = Customer()
    duplicate.DisplayName = "Amy's Birds"
    with pytest.raises(QuickbooksException) as caught:
        duplicate.save(qb=qb)
    assert caught.value.error_code == 6240
    with pytest.raises(ValidationException) as bad:
        Customer.where("Shoe = 1", qb=qb)
    assert bad.value.error_code == 4001
    with pytest.raises(UnsupportedException):
        qb.get(f"{qb.api_url}/company/{REALM}/salesorder/1")
    api.arm("throttle")
    with pytest.raises(QuickbooksException) as throttled:
        Customer.get(1, qb=qb)
    assert (throttled.value.error_code, "003001" in throttled.value.message) == (10000, True)
    api.arm("expire_token")
    with pytest.raises(AuthorizationException):
        Customer.get(1, qb=qb)
    qb.auth_client.refresh()
    qb.session.access_token = qb.auth_client.access_token
    assert Customer.get(1, qb=qb).Id == "1"


def test_request_ids(qb: Any) -> None:
    """A save under a request id is done once."""
    customer = Customer()
    customer.DisplayName = "Once"
    first = customer.save(qb=qb, request_id="once-1")
    customer.Id = None
    assert customer.save(qb=qb, request_id="once-1").Id == first.Id
    assert Customer.count("DisplayName = 'Once'", qb=qb) == 1


def test_revoke(qb: Any) -> None:
    """The library's sign-out ends its tokens."""
    assert qb.auth_client.revoke() is True
    with pytest.raises(AuthorizationException):
        Customer.get(1, qb=qb)
