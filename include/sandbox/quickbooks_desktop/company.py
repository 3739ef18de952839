"""The company file: its rows and clock, and what QuickBooks does when something is saved, changed or deleted."""

from __future__ import annotations

import datetime as dt
import time
import zoneinfo
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.common.faults import Faults
from sandbox.quickbooks_desktop import errors, schema, totals
from sandbox.quickbooks_desktop.options import Options
from sandbox.quickbooks_desktop.schema import Field, Table
from sandbox.quickbooks_desktop.store import Row, Store
from sandbox.quickbooks_desktop.tree import Literal
from sandbox.quickbooks_desktop.values import stored

FAULTS = frozenset(
    {
        "modal_dialog",
        "single_user",
        "company_closed",
        "licence",
        "no_permission",
        "wrong_version",
        "drop_in_group",
        "drop_before",
        "drop_middle",
    }
    | {"drop_after_commit", "stale", "locked_list", "slow", "error"}
)
LISTS_THAT_SHARE_NAMES = (
    ("Customer", "Vendor", "Employee"),
    ("StandardTerms", "DateDrivenTerms"),
    (
        *("ItemService", "ItemNonInventory", "ItemOtherCharge", "ItemInventory", "ItemDiscount", "ItemGroup"),
        *("ItemSubtotal", "ItemPayment", "ItemSalesTax", "ItemSalesTaxGroup"),
    ),
)
FIRST_LIST_ID = 0x80010000  # below it are the ids that a seed gives out itself
FIRST_TXN_ID = 0x10000


class CompanyFile:
    """One company file. Its methods are called under `lock`."""

    def __init__(self, options: Options, path: Path | None = None) -> None:
        self.options = options
        self.schema = schema.load(options.fields_of(), options.country)
        self.tax_code = schema.tax_code(options.country)
        self.tax_total = "SalesTaxTotal" if options.country == "US" else "Tax1Total"
        self.store = Store(self.schema, path)
        self.lock = self.store.lock
        self.faults = Faults(FAULTS)
        self.counts: Counter[str] = Counter()
        self.zone = zoneinfo.ZoneInfo(options.time_zone)
        self.frozen: dt.datetime | None = None  # while seeding: the time that everything is made at

    # --- clock and ids

    def now(self) -> dt.datetime:
        """Return the QuickBooks host's time."""
        moment = self.frozen or dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.options.clock_shift)
        return moment.astimezone(self.zone).replace(microsecond=0, tzinfo=None)

    def stamp(self) -> str:
        """Return the time to the second as rows carry it."""
        return self.now().isoformat(" ")

    def epoch(self) -> int:
        """Return the time as ids and edit sequences carry it."""
        if self.frozen:
            return int(self.frozen.timestamp())
        return int(time.time() + self.options.clock_shift)

    def new_id(self, kind: str) -> str:
        """Return an id as Desktop makes them: a hexadecimal number, a hyphen, the second of its making."""
        if kind == "txn":
            return f"{FIRST_TXN_ID + self.store.count('txn'):X}-{self.epoch()}"
        return f"{FIRST_LIST_ID + self.store.count(kind):X}-{self.epoch()}"

    # --- values

    def values(self, table: Table, given: Mapping[str, Literal], verb: str) -> Row:
        """Return what is to be stored for what a statement writes, references resolved. Raises `BackendError`."""
        row: Row = {}
        for name, literal in given.items():
            field = table.find(name)
            if field is None:
                raise errors.no_column(name)
            if field.name == "FQSaveToCache":
                continue
            if field.computed or (verb == "updateable" and field.insert_only):
                raise errors.not_writable(field.name, verb)
            row[field.name] = stored(field, Literal("ts", self.stamp()) if literal.kind == "clock" else literal)
        return row

    def resolve(self, table: Table, row: Row) -> None:
        """Fill in both halves of each reference that the row gives one half of. Raises `BackendError` (3140)."""
        for ref, target in {(f.ref, f.ref_table) for f in table.fields.values() if f.ref}:
            by_id, by_name = f"{ref}ListID", f"{ref}FullName"
            if by_id not in row and by_name not in row:
                continue
            wanted_id, wanted_name = row.get(by_id), row.get(by_name)
            if wanted_id is None and wanted_name is None:
                row[by_id] = row[by_name] = None
                continue
            found = self.find(target, wanted_id, wanted_name)
            if found is None:
                what, shown = self._label(target), wanted_id or wanted_name
                raise errors.refusal(3140, what, shown, self._label(table.name), quickbooks=errors.NO_RECORD)
            row[by_id], row[by_name] = found

    def find(self, table: str, list_id: str | None, name: str | None) -> tuple[str, str] | None:
        """Return a list element's id and full name by either; the id counts where both are given."""
        described = self.schema[table.lower()]
        column = described.named
        if list_id:
            row = self.store.one(described.name, "ListID = ?", [list_id])
        else:
            row = self.store.one(described.name, f"{column} = ? COLLATE NOCASE", [name])
        return (row["ListID"], row[column]) if row else None

    def _label(self, table: str) -> str:
        return {"StandardTerms": "Terms", "Entity": "Name"}.get(table, "Item" if table.startswith("Item") else table)

    def require(self, table: Table, row: Row, fields: Sequence[Field]) -> None:
        """Raise `BackendError` (3150) for a field that has to be there and is not; one half of a reference will do."""
        del table
        for field in fields:
            names = [field.name] if not field.ref else [f"{field.ref}ListID", f"{field.ref}FullName"]
            if field.required and all(row.get(name) is None for name in names):
                raise errors.refusal(3150, field.ref or field.name)

    # --- lists

    def add_list(self, table: Table, row: Row, row_id: str = "") -> str:
        """Save a new list element; return its ListID. Raises `BackendError`.

        :param row_id: an id that it has to have.
        """
        self.locked(table)
        own = [field for field in table.fields.values() if field.name not in ("ListID", "TimeCreated", "TimeModified")]
        self.require(table, row, own)
        self.resolve(table, row)
        self._compose(table, row)
        self.unique(table, row, "")
        if "isactive" in table.fields and row.get("IsActive") is None:
            row["IsActive"] = 1
        return self.put(table, row, row_id)

    def put(self, table: Table, row: Row, row_id: str = "") -> str:
        """Store a new row of a list or transaction with its id and times; return the id."""
        stamp = self.stamp()
        row_id = row_id or self.new_id("txn" if table.kind == "txn" else self._counter(table.name))
        row |= {table.key: row_id, "TimeCreated": stamp, "TimeModified": stamp, "EditSequence": str(self.epoch())}
        totals.defaults(table, row)
        self.store.add(table.name, row)
        self.counts[f"add {table.name}"] += 1
        return row_id

    def _counter(self, table: str) -> str:
        return next((group[0] for group in LISTS_THAT_SHARE_NAMES if table in group), table)

    def _compose(self, table: Table, row: Row) -> None:
        """Fill in what QuickBooks makes of a name: its full name, its level."""
        if table.name == "Employee":
            parts = (row.get(part) for part in ("FirstName", "MiddleName", "LastName"))
            row["Name"] = " ".join(part for part in parts if part)
            if not row["Name"]:
                raise errors.refusal(3150, "FirstName")
            return
        name = row.get("Name")
        if name and ":" in name:
            raise errors.refusal(3210, "Name", name, quickbooks="A name cannot contain a colon.")
        if "fullname" not in table.fields:
            return
        parent = row.get("ParentRefListID")
        above = self.store.one(table.name, "ListID = ?", [parent]) if parent else None
        row["FullName"] = f"{above['FullName']}:{name}" if above else name
        row["Sublevel"] = (above["Sublevel"] or 0) + 1 if above else 0
        if len(row["FullName"]) > table.fields["fullname"].size:
            raise errors.refusal(3070, row["FullName"], "FullName", table.fields["fullname"].size)

    def unique(self, table: Table, row: Row, row_id: str) -> None:
        """Raise `BackendError` (3100) if another element has the name."""
        column = table.named
        if not column or row.get(column) is None:
            return
        group = next((group for group in LISTS_THAT_SHARE_NAMES if table.name in group), (table.name,))
        for name in group:
            other = self.schema[name.lower()].named
            taken = self.store.one(name, f"{other} = ? COLLATE NOCASE AND ListID <> ?", [row[column], row_id])
            if taken:
                raise errors.refusal(3100, row.get("Name") or row[column])

    def modify(self, table: Table, old: Row, changes: Row) -> None:
        """Save changes of a list element or a transaction's header. Raises `BackendError`."""
        self.locked(table)
        if self.faults.take("stale", f"UPDATE {table.name}"):
            raise errors.refusal(3200, old["EditSequence"])
        row_id = old[table.key]
        self.resolve(table, changes)
        for name, value in changes.items():
            field = table.find(name)
            if value is None and field and field.required and not field.ref:
                raise errors.refusal(3150, field.name)
        row = {**old, **changes}
        if table.kind == "list":
            self._compose(table, row)
            self.unique(table, row, row_id)
        else:
            self.open_period(table.name, old.get("TxnDate"))
            self.open_period(table.name, row.get("TxnDate"))
        self.touch(table, row)
        if table.kind == "list" and old.get("FullName") != row.get("FullName"):
            self._rename(table, row)
        if table.kind == "txn":
            totals.settle(self, table, row_id, before=old)
        self.counts[f"modify {table.name}"] += 1

    def touch(self, table: Table, row: Row) -> None:
        """Store a row as changed now: a new edit sequence, later than the last one."""
        row["TimeModified"] = self.stamp()
        row["EditSequence"] = str(max(self.epoch(), int(row["EditSequence"]) + 1))
        self.store.change(table.name, table.key, row[table.key], row)

    def _rename(self, table: Table, row: Row) -> None:
        """A renamed element shows its new name wherever it is referred to; its children carry it in their own."""
        for child in self.store.all(table.name, "ParentRefListID = ?", [row["ListID"]]):
            child["ParentRefFullName"] = row["FullName"]
            child["FullName"] = f"{row['FullName']}:{child['Name']}"
            self.touch(table, child)
            self._rename(table, child)
        self.renamed(table, row)

    def renamed(self, table: Table, row: Row) -> None:
        """Put an element's new full name into all references to it."""
        unions = [u.name for u in self.schema.values() if u.kind == "union" and table.name in u.of]
        targets = {table.name, *unions}
        for other in self.schema.values():
            if other.kind not in ("list", "txn", "line"):
                continue
            for field in other.fields.values():
                if field.ref_table not in targets or not field.name.endswith("ListID"):
                    continue
                if other.kind == "line" and field.name not in other.own:
                    continue
                kept = f"_{other.name}" if other.kind == "line" else other.name
                self.store.query(
                    f'UPDATE "{kept}" SET "{field.ref}FullName" = ? WHERE "{field.name}" = ?',
                    [row[table.named], row["ListID"]],
                )

    # --- what is refused

    def locked(self, table: Table) -> None:
        """Raise `BackendError` (3175) while the fault says that somebody has the list open."""
        if self.faults.take("locked_list", f"WRITE {table.name}"):
            text = "The list is being used by another user.  Close it there and try again."
            raise errors.refusal(3175, table.name, quickbooks=text)

    def open_period(self, table: str, day: object, *, delete: bool = False) -> None:
        """Raise `BackendError` (3171, or 3161 of a deletion) for a date on or before the closing date."""
        closed = self.options.closed_until
        if day and closed and str(day) <= closed and self.frozen is None:
            raise errors.refusal(3161) if delete else errors.refusal(3171, table)

    def close(self) -> None:
        """Close the file."""
        self.store.close()
