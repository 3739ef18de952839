"""QODBC's stored procedures. Columns of their answers as qodbc.com's stored procedure reference has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError, Column, Kind
from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.company import CompanyFile
from sandbox.quickbooks_desktop.schema import NUMBERS, Field
from sandbox.quickbooks_desktop.tree import Procedure

Answer = tuple[Sequence[Column], Sequence[Sequence[Any]]]

_TEXT: Final = Kind.VARCHAR
TABLES: Final = tuple(
    Column(name, _TEXT, 128) for name in ("QUALIFIERNAME", "OWNERNAME", "TABLENAME", "TABLETYPE", "REMARKS")
)
COLUMNS: Final = tuple(
    Column(name, kind, 128 if kind is _TEXT else 0)
    for name, kind in (
        *((n, _TEXT) for n in ("QUALIFIERNAME", "OWNERNAME", "TABLENAME", "COLUMNNAME")),
        ("TYPE", Kind.INTEGER),
        ("TYPENAME", _TEXT),
        *((n, Kind.INTEGER) for n in ("PRECISION", "LENGTH", "SCALE", "RADIX", "NULLABLE")),
        ("REMARKS", _TEXT),
        ("DEFAULT", _TEXT),
        *((n, Kind.INTEGER) for n in ("DATATYPE", "SQL_DATETIME_SUB", "CHAR_OCTET_LENGTH", "ORDINAL_POSITION")),
        ("IS_NULLABLE", _TEXT),
        *((n, Kind.INTEGER) for n in ("QUERYABLE", "UPDATEABLE", "INSERTABLE", "REQUIRED_ON_INSERT")),
        *((n, _TEXT) for n in ("FORMAT", "RELATES_TO", "JUMPIN_TYPE", "CUSTOM_FIELD_NAME")),
    )
)
LAST_ID: Final = (Column("LastInsertID", _TEXT, 36), Column("Status", Kind.INTEGER), Column("Message", _TEXT, 255))
KEYS: Final = (
    *(Column(name, _TEXT, 128) for name in ("QUALIFIERNAME", "OWNERNAME", "TABLENAME", "COLUMNNAME")),
    Column("KEYSEQ", Kind.INTEGER),
    Column("PKNAME", _TEXT, 128),
)
# What keeps QODBC's own copy of a company file up to date; there is none here.
NOTHING_TO_DO: Final = frozenset({"sp_optimizefullsync", "sp_optimizeupdatesync", "sp_fqsavetocacherollback"})
_TYPES: Final = {
    "s": (12, "VARCHAR"),
    "d": (9, "DATE"),
    "t": (11, "TIMESTAMP"),
    "b": (-7, "BIT"),
    "i": (4, "INTEGER"),
    **dict.fromkeys(NUMBERS, (3, "DECIMAL")),
}
_LENGTHS: Final = {"d": (10, 6), "t": (23, 16), "b": (1, 1), "i": (10, 4)}


def run(file: CompanyFile, procedure: Procedure, last: Mapping[str, str]) -> Answer:
    """Return a procedure's answer. :param last: the connection's last ids by table. Raises `BackendError`."""
    match procedure.name:
        case "sp_tables":
            names = sorted(table.name for table in file.schema.values())
            return TABLES, [("QODBC", None, name, "TABLE", None) for name in names]
        case "sp_columns":
            return COLUMNS, _columns(file, _argument(procedure))
        case "sp_lastinsertid":
            name = _argument(procedure)
            if name.lower() not in file.schema:
                raise errors.no_table(name)
            made = last.get(name.lower())
            return LAST_ID, [(made, 0, "Status OK")] if made else []
        case "sp_primarykeys":
            return KEYS, _keys(file, _argument(procedure))
        case known if known in NOTHING_TO_DO:
            _argument(procedure)
            return (), []
    raise BackendError(f"[QODBC] Stored procedure is not known here: {procedure.name}", "HY000")


def _argument(procedure: Procedure) -> str:
    if not procedure.arguments:
        raise errors.syntax("<table name>")
    return procedure.arguments[0]


def _keys(file: CompanyFile, name: str) -> list[Sequence[Any]]:
    table = file.schema.get(name.lower())
    if table is None:
        raise errors.no_table(name)
    if table.kind == "single":
        return []
    key = "FQPrimaryKey" if table.kind in ("line", "lines") else table.key
    return [("QODBC", None, table.name, key, 1, None)]


def _columns(file: CompanyFile, name: str) -> list[Sequence[Any]]:
    table = file.schema.get(name.lower())
    if table is None:
        raise errors.no_table(name)
    rows: list[Sequence[Any]] = []
    for number, field in enumerate(table.fields.values(), start=1):
        kind, label = _TYPES[field.type]
        precision, length, scale = _sizes(field)
        writable = table.kind in ("list", "txn", "line") and not field.computed
        row = (
            *("QODBC", None, table.name, field.name, kind, label, precision, length, scale, 10),
            *(int(not field.required), None, None, kind, None, length, number, "NO" if field.required else "YES"),
            *(1, int(writable and not field.insert_only), int(writable)),
            *(int(field.required), "%s", field.ref_table or None, None, field.name[11:] if field.custom else None),
        )
        rows.append(row)
    return rows


def _sizes(field: Field) -> tuple[int, int, int]:
    if field.type in NUMBERS:
        digits, places = NUMBERS[field.type]
        return digits, digits + 2, places
    precision, length = _LENGTHS.get(field.type, (field.size, field.size))
    return precision, length, 0
