"""What must be there in the end, found from outside: from both sandboxes' files and the notes of who worked in them.

The ledger is asked only for what it has to answer for itself: that nothing is open, and that what is not there is
reported with a reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import psycopg2

from chaos import crm, rows
from chaos.books import Document, Entry, Held, Line
from chaos.business import Notes
from chaos.house import House
from chaos.paper import PAPERS, SUPPLIER, Paper

OBJECTS: Final = {  # of the CRM, by mapping
    "customers": "Account",
    "vendors": "Account",
    "items": "Product",
    **{paper.mapping: paper.crm for paper in PAPERS.values()},
}
PAYMENT: Final = "UsrPaymentQB"
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
    strange: list[str] = field(default_factory=list)  # creates whose total came out as another one than was sent


class Oracle:
    """Compares. `began`: seconds since 1970 of the harness's start."""

    def __init__(self, house: House, notes: Notes, began: float) -> None:
        self.house = house
        self.notes = notes
        self.began = began
        self.verdict = Verdict()
        self.crm: dict[str, dict[str, rows.Row]] = {}
        self.books = Held({}, {}, {})
        mappings = house.spec.mappings
        self.papers = [paper for name, paper in PAPERS.items() if name in mappings]
        self.buys = "vendors" in mappings
        self.paired = [name for name in OBJECTS if name in mappings and name != "vendors"]  # each side knows the other

    def judge(self, *, ledger: bool = True) -> Verdict:
        """Return what is wrong. :param ledger: False for a writer that has none."""
        objects = {OBJECTS[name] for name in self.paired} | {PAYMENT} | {paper.lines for paper in self.papers}
        self.crm = rows.crm(self.house.data(crm.SYSTEM), *objects)
        self.books = self.house.books.held()
        told = self._ledger() if ledger else _Ledger({}, [], 0)
        self.verdict = Verdict(records=told.records, duplicates=told.strange, unresolved=told.problems)
        for mapping in self.paired:
            self._once(mapping)
        for mapping, entries in self.books.lists.items():
            self._names(mapping, entries)
        for paper in self.papers:
            self._paper(paper, told if ledger else None)
        if ledger:
            if self.buys:
                self._vendors()
            self._telephones(told)
            self._brought_back()
            self._payments()
            self._reported(told)
        return self.verdict

    # --- once

    def _once(self, mapping: str) -> None:
        """Each record that the books have got belongs to exactly one record of the CRM, which knows it."""
        claims: dict[str, list[str]] = defaultdict(list)
        for ident, row in self.crm[OBJECTS[mapping]].items():
            if row["UsrQBId"]:
                claims[row["UsrQBId"]].append(ident)
        for books_id, idents in claims.items():
            if len(idents) > 1:
                self.verdict.duplicates.append(f"{mapping}: {books_id} is claimed by {', '.join(idents)}")
        for books_id, held in self.books.of(mapping).items():
            if books_id not in self.notes.seeded[mapping] and books_id not in claims:
                label = held.name if isinstance(held, Entry) else held.number
                said = f"{mapping}: {books_id} ({label!r}) belongs to no {OBJECTS[mapping]}"
                self.verdict.duplicates.append(said)

    def _names(self, mapping: str, entries: Mapping[str, Entry]) -> None:
        made = [entry for ident, entry in entries.items() if ident not in self.notes.seeded[mapping]]
        for name, number in Counter(entry.name.casefold() for entry in made).items():
            if number > 1:
                self.verdict.duplicates.append(f"{mapping}: {number} are called {name!r}")

    def _vendors(self) -> None:
        """Each vendor that the books have got is one supplier, each supplier one vendor."""
        suppliers = {ident: row for ident, row in self.crm["Account"].items() if row["TypeId"] == SUPPLIER}
        codes = Counter(row["Code"] for row in suppliers.values())
        vendors = self.books.lists["vendors"]
        for ident, vendor in vendors.items():
            if ident not in self.notes.seeded["vendors"] and codes[vendor.code] != 1:
                self.verdict.duplicates.append(f"vendors: {ident} ({vendor.name!r}) belongs to no supplier")
        for ident, row in suppliers.items():
            number = sum(vendor.name.casefold() == row["Name"].casefold() for vendor in vendors.values())
            if number != 1:
                found = self.verdict.duplicates if number else self.verdict.lost
                found.append(f"vendors: supplier {ident} ({row['Name']!r}) is there {number} times")

    # --- sales and bills

    def _paper(self, paper: Paper, told: _Ledger | None) -> None:
        lines = paper.amounts(self.crm["Product"], self.crm[paper.lines])
        for ident, row in self.crm[paper.crm].items():
            held = self.books.documents[paper.mapping].get(row["UsrQBId"])
            if not paper.due(row):
                continue
            if held is None:
                self._missing(paper, ident, told)
            elif ident in self.notes.due[paper.mapping] or held.id not in self.notes.seeded[paper.mapping]:
                self._compare(paper, ident, held, lines[ident])

    def _missing(self, paper: Paper, ident: str, told: _Ledger | None) -> None:
        action, why, _ = (told.last if told else {}).get((paper.mapping, "crm", ident), ("", "", 0.0))
        said = f"{paper.crm} {ident} is not in the books; the ledger says {action or 'nothing'}: {why}"
        if ident in self.notes.due[paper.mapping]:
            self.verdict.lost.append(said)
        elif told is not None and action not in TOLD:
            self.verdict.unreported.append(said)

    def _compare(self, paper: Paper, ident: str, held: Document, lines: Iterable[Line]) -> None:
        wanted = tuple(sorted(lines))
        account = self.crm["Account"][self.crm[paper.crm][ident][paper.party]]
        total = sum((amount for *_, amount in wanted), Decimal(0))
        for what, is_held, is_wanted in (
            ("party", held.party, self._vendor(account) if paper.party == "UsrVendorId" else account["UsrQBId"]),
            ("lines", held.lines, wanted),
            ("sum", held.net, total),
        ):
            if is_held != is_wanted:
                said = f"{held.id} of {paper.crm} {ident} has the {what} {is_held}, not {is_wanted}"
                self.verdict.lost.append(f"{paper.mapping}: {said}")

    def _vendor(self, account: rows.Row) -> str:
        name = account["Name"].casefold()
        return next((e.id for e in self.books.lists["vendors"].values() if e.name.casefold() == name), "")

    # --- what was typed, and what came back

    def _telephones(self, told: _Ledger) -> None:
        for account, phone in self.notes.phones.items():
            row = self.crm["Account"][account]
            customer = self.books.lists["customers"].get(row["UsrQBId"])
            if customer is None:
                action, why, _ = told.last.get(("customers", "crm", account), ("nothing", "", 0.0))
                said = f"has no customer; the ledger says {action}: {why}"
                self.verdict.lost.append(f"Account {account} ({row['Name']!r}) {said}")
                continue
            if not row["Phone"] == customer.phone == phone:
                here = f"{row['Phone']!r} in the CRM and {customer.phone!r} in the books"
                self.verdict.lost.append(f"Account {account} has the phone {here}, not {phone!r}")
            if customer.balance is not None and customer.balance != row["UsrQBBalance"]:
                said = f"owes {customer.balance}, in the CRM {row['UsrQBBalance']}"
                self.verdict.lost.append(f"Account {account} {said}")

    def _brought_back(self) -> None:
        """What the books have computed is in the CRM."""
        for paper in self.papers:
            for ident, row in self.crm[paper.crm].items():
                held = self.books.documents[paper.mapping].get(row["UsrQBId"])
                if held is None:
                    continue
                pairs: list[tuple[str, object, object]] = []
                if paper.number:
                    pairs.append(("number", held.number, row[paper.number]))
                if paper.mapping == "invoices":
                    pairs += [("total", held.total, row["UsrQBTotal"]), ("balance", held.balance, row["UsrQBBalance"])]
                for what, theirs, mine in pairs:
                    if theirs != mine:
                        said = f"{held.id} has the {what} {theirs}, {paper.crm} {ident} has {mine}"
                        self.verdict.lost.append(f"{paper.mapping}: {said}")

    def _payments(self) -> None:
        found: dict[str, list[rows.Row]] = defaultdict(list)
        for row in self.crm[PAYMENT].values():
            found[row["UsrPaymentNumber"]].append(row)
        for ident, payment in self.books.payments.items():
            mine = found.pop(payment.number, [])
            if not mine:
                self.verdict.lost.append(f"Payment {ident} is not in the CRM")
            elif len(mine) > 1:
                self.verdict.duplicates.append(f"Payment {ident} is {len(mine)} times in the CRM")
            elif mine[0]["UsrTotalAmount"] != payment.total:
                said = f"{payment.total}, in the CRM {mine[0]['UsrTotalAmount']}"
                self.verdict.lost.append(f"Payment {ident} is about {said}")
        for gone in self.notes.payments - self.books.payments.keys():
            self.verdict.lost.append(f"Payment {gone} is not in the books any more")
        for number, mine in found.items():
            self.verdict.duplicates += [f"payments: {row['Id']} of the CRM, number {number!r}, is none" for row in mine]

    # --- the ledger

    def _reported(self, told: _Ledger) -> None:
        """Each record has a row in the ledger that is not older than the record's last change."""
        for mapping, side in sorted(self.house.mappings()):
            if side == "crm":
                changes = {i: row["ModifiedOn"] / rows.TICKS for i, row in self.crm[OBJECTS[mapping]].items()}
            else:
                changes = {ident: held.changed for ident, held in self.books.of(mapping).items()}
            for ident, changed in changes.items():
                last = told.last.get((mapping, side, ident))
                if last is None:
                    self.verdict.unreported.append(f"{mapping}: {side} {ident} was never recorded")
                elif changed > self.began and last[2] < changed:
                    late = f"{changed - last[2]:.1f} s after its last row ({last[0]}: {last[1]})"
                    self.verdict.unreported.append(f"{mapping}: {side} {ident} has changed {late}")

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
                    " WHERE write_back <> 'done' AND mapping = ANY(%s)",
                    (self.paired,),
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
                # Lines left over from a dead worker's group; the next run may have put it right since.
                cursor.execute(
                    "SELECT mapping, source_id, target_id, why FROM iw_log"
                    " WHERE action = 'created' AND code = 'iw.total_differs'"
                )
                strange = [f"made with other lines than were sent: {row}" for row in cursor]
        finally:
            connection.close()
        return _Ledger(last, problems, len(last), strange)

    def _bound(self, bindings: Iterable[tuple[str, str, str]]) -> list[str]:
        """Return what the ledger says is bound while the records themselves say something else."""
        wrong = []
        for mapping, crm_id, books_id in bindings:
            if mapping not in self.paired:
                continue
            held = self.crm[OBJECTS[mapping]].get(crm_id, {}).get("UsrQBId")
            if held != books_id or books_id not in self.books.of(mapping):
                wrong.append(f"{mapping}: {crm_id} is bound to {books_id}, but says {held!r}")
        return wrong
