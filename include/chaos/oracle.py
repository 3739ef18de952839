"""What must be there in the end, found from outside: from both sandboxes' files and the notes of who worked in them.

The ledger is asked only for what it has to answer for itself: that nothing is open, and that what is not there is
reported with a reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import psycopg2

from chaos import rows
from chaos.business import Notes, rounded
from chaos.house import House
from sandbox.creatio.seed import list_id

PAIRS: Final = (
    ("customers", "Account", "Customer"),
    ("items", "Product", "Item"),
    ("invoices", "Opportunity", "Invoice"),
)
READ: Final = (  # mapping, side, object: what flows that follow changes have read
    ("customers", "crm", "Account"),
    ("items", "crm", "Product"),
    ("invoices", "crm", "Opportunity"),
    ("customers", "books", "Customer"),
    ("items", "books", "Item"),
    ("invoices", "books", "Invoice"),
    ("payments", "books", "Payment"),
)
TOLD: Final = ("held", "rejected", "skipped")


@dataclass(slots=True)
class Verdict:
    """What is wrong, one sentence a finding."""

    records: int = 0
    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unreported: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.duplicates or self.lost or self.unreported or self.unresolved)

    def findings(self) -> list[str]:
        """Return all of them."""
        kinds = ("duplicates", "lost", "unreported", "unresolved")
        return [f"{kind}: {text}" for kind in kinds for text in getattr(self, kind)]


@dataclass(slots=True)
class _Ledger:
    """What the ledger says, by plain SQL."""

    last: Mapping[tuple[str, str, str], tuple[str, str, float]]  # mapping, side, id -> action, why, seconds
    problems: list[str]
    records: int


class Oracle:
    """Compares. `began`: seconds since 1970 of the harness's start."""

    def __init__(self, house: House, notes: Notes, began: float) -> None:
        self.house = house
        self.notes = notes
        self.began = began
        self.verdict = Verdict()
        self.crm: dict[str, dict[str, rows.Row]] = {}
        self.books: dict[str, dict[str, rows.Row]] = {}

    def judge(self, *, ledger: bool = True) -> Verdict:
        """Return what is wrong. :param ledger: False for a writer that has none."""
        crm = ("Account", "Product", "Opportunity", "OpportunityProductInterest", "UsrPaymentQB")
        self.crm = rows.crm(self.house.data("creatio"), *crm)
        self.books = rows.books(self.house.data("quickbooks_online"), "Customer", "Item", "Invoice", "Payment")
        told = self._ledger() if ledger else _Ledger({}, [], 0)
        self.verdict = Verdict(records=told.records, unresolved=told.problems)
        for mapping, mine, theirs in PAIRS:
            self._once(mapping, mine, theirs)
        self._invoices(told if ledger else None)
        if ledger:
            self._telephones(told)
            self._brought_back()
            self._payments()
            self._reported(told)
        return self.verdict

    def _once(self, mapping: str, mine: str, theirs: str) -> None:
        """Each record that the books have got belongs to exactly one record of the CRM, which knows it."""
        claims: dict[str, list[str]] = defaultdict(list)
        for ident, row in self.crm[mine].items():
            if row["UsrQBId"]:
                claims[row["UsrQBId"]].append(ident)
        for books_id, idents in claims.items():
            if len(idents) > 1:
                self.verdict.duplicates.append(f"{mapping}: {theirs} {books_id} is claimed by {', '.join(idents)}")
        for books_id in self.books[theirs]:
            if books_id not in self.notes.seeded[theirs] and books_id not in claims:
                row = self.books[theirs][books_id]
                label = row.get("DisplayName") or row.get("Name") or row.get("DocNumber")
                self.verdict.duplicates.append(f"{mapping}: {theirs} {books_id} ({label!r}) belongs to no {mine}")
        names = Counter(
            str(row.get("DisplayName") or row.get("Name")).casefold()
            for ident, row in self.books[theirs].items()
            if theirs != "Invoice" and ident not in self.notes.seeded[theirs]
        )
        for name, number in names.items():
            if number > 1:
                self.verdict.duplicates.append(f"{mapping}: {number} of {theirs} are called {name!r}")

    def _invoices(self, told: _Ledger | None) -> None:
        won = list_id("OpportunityStage", "Closed won")
        lines: dict[str, list[rows.Row]] = defaultdict(list)
        for line in self.crm["OpportunityProductInterest"].values():
            lines[line["OpportunityId"]].append(line)
        for ident, deal in self.crm["Opportunity"].items():
            if deal["StageId"] != won:
                continue
            invoice = self.books["Invoice"].get(deal["UsrQBId"])
            if invoice is None:
                self._without_invoice(ident, deal, told)
            elif ident in self.notes.won or deal["UsrQBId"] not in self.notes.seeded["Invoice"]:
                self._compare(ident, deal, invoice, lines[ident])

    def _without_invoice(self, ident: str, deal: rows.Row, told: _Ledger | None) -> None:
        action, why, _ = (told.last if told else {}).get(("invoices", "crm", ident), ("", "", 0.0))
        said = f"the ledger says {action or 'nothing'}: {why}"
        if ident in self.notes.won:
            self.verdict.lost.append(f"Opportunity {ident} ({deal['Title']!r}) has no invoice; {said}")
        elif told is not None and action not in TOLD:
            self.verdict.unreported.append(f"Opportunity {ident} has no invoice; {said}")

    def _compare(self, ident: str, deal: rows.Row, invoice: rows.Row, lines: Iterable[rows.Row]) -> None:
        customer = self.crm["Account"][deal["AccountId"]]["UsrQBId"]
        wanted: list[tuple[Any, ...]] = sorted(
            (self.crm["Product"][line["ProductId"]]["UsrQBId"], line["Quantity"], line["Price"]) for line in lines
        )
        listed = [line for line in invoice["Line"] if line["DetailType"] == "SalesItemLineDetail"]
        held: list[tuple[Any, ...]] = sorted(
            (detail["ItemRef"]["value"], Decimal(detail["Qty"]), Decimal(detail["UnitPrice"]))
            for detail in (line["SalesItemLineDetail"] for line in listed)
        )
        total = sum((rounded(quantity * price) for _, quantity, price in wanted), Decimal(0))
        for what, is_held, is_wanted in (
            ("customer", invoice["CustomerRef"]["value"], customer),
            ("lines", held, wanted),
            ("total", Decimal(invoice["TotalAmt"]), total),
        ):
            if is_held != is_wanted:
                self.verdict.lost.append(
                    f"Invoice {invoice['Id']} of opportunity {ident} has the {what} {is_held}, not {is_wanted}"
                )

    def _telephones(self, told: _Ledger) -> None:
        for account, phone in self.notes.phones.items():
            row = self.crm["Account"][account]
            customer = self.books["Customer"].get(row["UsrQBId"], {})
            number = (customer.get("PrimaryPhone") or {}).get("FreeFormNumber")
            if not customer:
                action, why, _ = told.last.get(("customers", "crm", account), ("nothing", "", 0.0))
                said = f"has no customer; the ledger says {action}: {why}"
                self.verdict.lost.append(f"Account {account} ({row['Name']!r}) {said}")
            elif not row["Phone"] == number == phone:
                here = f"{row['Phone']!r} in the CRM and {number!r} in the books"
                self.verdict.lost.append(f"Account {account} has the phone {here}, not {phone!r}")

    def _brought_back(self) -> None:
        """What the books have computed is in the CRM."""
        for ident, deal in self.crm["Opportunity"].items():
            invoice = self.books["Invoice"].get(deal["UsrQBId"])
            if invoice is None:
                continue
            for mine, theirs in (("UsrQBTotal", "TotalAmt"), ("UsrQBBalance", "Balance")):
                if deal[mine] != Decimal(invoice[theirs]):
                    said = f"{theirs} {invoice[theirs]}, the opportunity {ident} has {deal[mine]}"
                    self.verdict.lost.append(f"Invoice {invoice['Id']} has the {said}")
            if deal["UsrInvoiceNumber"] != invoice.get("DocNumber", ""):
                said = f"{invoice.get('DocNumber')!r}, the opportunity {ident} has {deal['UsrInvoiceNumber']!r}"
                self.verdict.lost.append(f"Invoice {invoice['Id']} has the number {said}")

    def _payments(self) -> None:
        found: dict[str, list[rows.Row]] = defaultdict(list)
        for row in self.crm["UsrPaymentQB"].values():
            found[row["UsrPaymentNumber"]].append(row)
        for ident, payment in self.books["Payment"].items():
            mine = found.pop(ident, [])
            if not mine:
                self.verdict.lost.append(f"Payment {ident} is not in the CRM")
            elif len(mine) > 1:
                self.verdict.duplicates.append(f"Payment {ident} is {len(mine)} times in the CRM")
            elif mine[0]["UsrTotalAmount"] != Decimal(payment["TotalAmt"]):
                said = f"{payment['TotalAmt']}, in the CRM {mine[0]['UsrTotalAmount']}"
                self.verdict.lost.append(f"Payment {ident} is about {said}")
        for number, mine in found.items():
            self.verdict.duplicates += [f"payments: {row['Id']} of the CRM, number {number!r}, is none" for row in mine]

    def _reported(self, told: _Ledger) -> None:
        """Each record has a row in the ledger that is not older than the record's last change."""
        for mapping, side, name in READ:
            table = self.crm[name] if side == "crm" else self.books[name]
            for ident, row in table.items():
                changed = row["ModifiedOn"] / rows.TICKS if side == "crm" else self.began
                last = told.last.get((mapping, side, ident))
                if last is None:
                    self.verdict.unreported.append(f"{mapping}: {name} {ident} was never recorded")
                elif changed > self.began and last[2] < changed:
                    late = f"{changed - last[2]:.1f} s after its last row ({last[0]}: {last[1]})"
                    self.verdict.unreported.append(f"{mapping}: {name} {ident} has changed {late}")

    def _ledger(self) -> _Ledger:
        problems: list[str] = []
        url = self.house.ledger_url.replace("+psycopg2", "")
        connection = psycopg2.connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT DISTINCT ON (mapping, side, source_id) mapping, side, source_id, action, why,"
                    " extract(epoch FROM at)::float8 FROM iw_log WHERE operation <> 'write_back'"
                    " ORDER BY mapping, side, source_id, id DESC"
                )
                last = {(m, s, i): (action, why, at) for m, s, i, action, why, at in cursor}
                cursor.execute(
                    "SELECT b.mapping, b.kind, b.side, b.key, i.op, i.target_id, i.state, i.decision->>'source_id'"
                    " FROM iw_batch b JOIN iw_intent i ON i.batch_id = b.id"
                    " WHERE b.open OR i.state IN ('sent', 'unknown')"
                )
                problems += [f"a write is open: {row}" for row in cursor]
                cursor.execute(
                    "SELECT mapping, crm_id, books_id, write_back FROM iw_binding"
                    " WHERE write_back <> 'done' AND mapping <> 'payments'"
                )
                problems += [f"an id is not written back: {row}" for row in cursor]
                cursor.execute("SELECT mapping, side, source_id FROM iw_waiting WHERE await_mapping = ''")
                problems += [f"a record still waits for the next run: {row}" for row in cursor]
                cursor.execute(
                    "SELECT run_id, mapping, attempt, read, counts::text FROM iw_run_mapping"
                    " WHERE ended_at IS NOT NULL AND NOT balanced"
                )
                problems += [f"a run does not balance: {row}" for row in cursor]
                cursor.execute("SELECT mapping, crm_id, books_id FROM iw_binding")
                problems += self._bound(list(cursor))
        finally:
            connection.close()
        return _Ledger(last, problems, len(last))

    def _bound(self, bindings: Iterable[tuple[str, str, str]]) -> list[str]:
        """Return what the ledger says is bound while the records themselves say something else."""
        wrong = []
        for mapping, mine, theirs in PAIRS:
            for name, crm_id, books_id in bindings:
                if name != mapping:
                    continue
                held = self.crm[mine].get(crm_id, {}).get("UsrQBId")
                if held != books_id or books_id not in self.books[theirs]:
                    wrong.append(f"{mapping}: {crm_id} is bound to {theirs} {books_id}, but says {held!r}")
        return wrong
