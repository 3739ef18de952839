"""Names: built from parts, unique, in a hierarchy, marked when inactive."""

from __future__ import annotations

from sandbox.quickbooks_online import errors
from sandbox.quickbooks_online.books import Books
from sandbox.quickbooks_online.columns import columns
from sandbox.quickbooks_online.entities import ENTITIES
from sandbox.quickbooks_online.refs import value_of
from sandbox.quickbooks_online.schema import Entity, Kind
from sandbox.quickbooks_online.store import Row

NAME_PARTS = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
NAME_SPACE = ("Customer", "Vendor", "Employee")
DELETED = " (deleted)"
DEEPEST = 4  # levels under a top-level parent
_SUB_FLAGS = {"Customer": "Job", "Item": "SubItem", "Account": "SubAccount", "Class": "SubClass"}
SUB_FLAGS = {**_SUB_FLAGS, "Department": "SubDepartment"}


def settle(books: Books, entity: Entity, row: Row, current: Row | None) -> None:
    """Give `row` its names. Raises `Fault` 2020 without any, 6240 for one that is taken, 6000 for a bad hierarchy."""
    field = entity.name_field
    if not field or entity.kind in (Kind.TXN, Kind.SINGLE):
        return
    if entity.kind is Kind.NAME:
        _build(row, current)
    row[field] = row[field].strip()
    _mark(entity, row, current)
    _place(books, entity, row)
    _refuse_duplicate(books, entity, row)


def _build(row: Row, current: Row | None) -> None:
    if not str(row.get("DisplayName", "")).strip():
        built = " ".join(str(row[part]).strip() for part in NAME_PARTS if row.get(part))
        if not built:
            raise errors.Fault(errors.required("DisplayName"))
        if ":" in built or "\t" in built or "\n" in built:
            raise errors.Fault(errors.illegal_characters("DisplayName"))
        row["DisplayName"] = built
    printed = row.get("PrintOnCheckName")
    if not printed or (current is not None and printed == current.get("DisplayName", "")[:110]):
        row["PrintOnCheckName"] = row["DisplayName"].strip()[:110]


def _mark(entity: Entity, row: Row, current: Row | None) -> None:
    """An inactive row is called `X (deleted)`; made active again it is X."""
    if not entity.has_active or (entity.kind is Kind.LIST and "FullyQualifiedName" not in entity.fields):
        return
    field = entity.name_field
    limit = entity.fields[field].limit
    if not row.get("Active", True):
        if not row[field].endswith(DELETED):
            row[field] = row[field][: limit - len(DELETED)] + DELETED
    elif current is not None and not current.get("Active", True) and row[field] == current.get(field):
        row[field] = row[field].removesuffix(DELETED)


def _place(books: Books, entity: Entity, row: Row) -> None:
    """Set FullyQualifiedName and Level from the parent."""
    if "FullyQualifiedName" not in entity.fields:
        return
    name = row[entity.name_field]
    parent_id = value_of(row, "ParentRef")
    sub_flag = SUB_FLAGS[entity.name]
    if not parent_id:
        if row.get(sub_flag):
            raise errors.Fault(errors.required("ParentRef"))
        row["FullyQualifiedName"] = name
        row.pop("Level", None)
        return
    row[sub_flag] = True
    level, above = 1, parent_id
    while above:
        if above == row.get("Id"):
            raise errors.business("A parent cannot be its own sub-account, sub-customer or sub-item.")
        parent = books.get(entity.name, above)
        above = value_of(parent, "ParentRef")
        level += bool(above)
    if level > DEEPEST:
        raise errors.business(f"You can only have up to {DEEPEST} levels under a parent.")
    parent = books.get(entity.name, parent_id)
    row["FullyQualifiedName"] = f"{parent.get('FullyQualifiedName') or parent[entity.name_field]}:{name}"
    if "Level" in entity.fields:
        row["Level"] = level


def _refuse_duplicate(books: Books, entity: Entity, row: Row) -> None:
    if entity.kind is Kind.NAME:
        spaces = [(name, "DisplayName", row["DisplayName"]) for name in NAME_SPACE]
    elif "FullyQualifiedName" in entity.fields:
        spaces = [(entity.name, "FullyQualifiedName", row["FullyQualifiedName"])]
    else:
        spaces = [(entity.name, entity.name_field, row[entity.name_field])]
    for name, field, value in spaces:
        for row_id in books.store.find(name, field, value):
            if (name, row_id) != (entity.name, row.get("Id")):
                raise errors.duplicate_name()


def rename_below(books: Books, entity: Entity, row: Row, before: Row) -> None:
    """After a row got another full name: give its descendants theirs, and customers' transactions the new name."""
    field = "FullyQualifiedName"
    if field not in entity.fields or row[field] == before.get(field):
        return
    ids = books.store.rows(f'SELECT id FROM "{entity.name}" WHERE "p_ParentRef" = ?', (row["Id"],))
    for (child_id,) in ids:
        child = books.get(entity.name, str(child_id))
        old = dict(child)
        child[field] = f"{row[field]}:{child[entity.name_field]}"
        child["ParentRef"] = {**child["ParentRef"], "name": row[field]}
        books.touch(entity, child, bump=False)
        rename_below(books, entity, child, old)
    if entity.name == "Customer":
        _rename_in_transactions(books, row["Id"], row[field])


def _rename_in_transactions(books: Books, customer_id: str, label: str) -> None:
    for other in ENTITIES.values():
        column = columns(other.name).get("customerref")
        if other.kind is not Kind.TXN or column is None:
            continue
        for (row_id,) in books.store.rows(f'SELECT id FROM "{other.name}" WHERE {column.name} = ?', (customer_id,)):
            txn = books.get(other.name, str(row_id))
            txn["CustomerRef"] = {**txn["CustomerRef"], "name": label}
            books.store.save(other, txn)
