"""The tables of a company file, read from `schema.yaml`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from iw_operators.systems.quickbooks_desktop.connector.backend import Column, Kind

FILE: Final = Path(__file__).with_name("schema.yaml")
NUMBERS: Final = {"m": (13, 2), "p": (13, 5), "q": (12, 5), "%": (9, 5), "n": (19, 5)}  # n: what a query computes
ADDRESS: Final = (
    *(f"Addr{n} s41" for n in range(1, 6)),
    *("City s31", "State s21", "Province s21", "County s21", "PostalCode s13", "Country s31", "Note s41"),
)
_SPEC: Final = re.compile(r"(?P<name>\w+) (?P<type>s\d+|[mpq%dtbi])(?P<flags>(?: [!~+])*)\Z")
_REF: Final = re.compile(r"ref:(?P<name>\w+) (?P<size>\d+) (?P<table>\w+)(?P<flags>(?: [!~+])*)\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `type` is s, m, p, q, %, d, t, b or i; `ref` the reference it belongs to."""

    name: str
    type: str
    size: int = 0
    required: bool = False
    computed: bool = False
    insert_only: bool = False
    ref: str = ""
    ref_table: str = ""
    custom: bool = False

    @property
    def numeric(self) -> bool:
        """Return whether it holds a decimal number."""
        return self.type in NUMBERS

    @property
    def column(self) -> Column:
        """Return it as the connector describes a column."""
        if self.type in NUMBERS:
            return Column(self.name, Kind.NUMERIC, *NUMBERS[self.type])
        kinds = {"d": Kind.DATE, "t": Kind.TIMESTAMP, "b": Kind.BOOL, "i": Kind.INTEGER}
        return Column(self.name, kinds.get(self.type, Kind.VARCHAR), self.size)


@dataclass(frozen=True, slots=True)
class Table:
    """One table or view.

    :param kind: list, txn, line, union, lines (a union of lines), single or trail.
    :param head: of a line table, the table whose columns it carries.
    :param prefix: of a line table, what its own columns begin with.
    :param own: of a line table, the columns that are its own.
    :param of: of a union, its members.
    :param members: of a union of lines, its members and what each is called.
    :param sources: of a union, which of a member's columns (the first that is set) make a column.
    """

    name: str
    kind: str
    fields: Mapping[str, Field]
    head: str = ""
    prefix: str = ""
    own: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Field | None:
        """Return a column by its name in any case."""
        return self.fields.get(name.lower())

    @property
    def key(self) -> str:
        """Return the column with the record's id."""
        return "ListID" if "listid" in self.fields else "TxnID"

    @property
    def named(self) -> str:
        """Return the column that has to be unique in a list."""
        return next((name for name in ("FullName", "Name", "Initial") if name.lower() in self.fields), "")


Schema = Mapping[str, Table]


def load(custom: Mapping[str, Iterable[str]], country: str = "US") -> Schema:
    """Return the tables by their names in lower case.

    :param custom: a company file's custom fields by table. :param country: whose edition of QuickBooks it is.
    """
    return _tables(tuple(sorted((table, tuple(names)) for table, names in custom.items())), country)


def tax_code(country: str) -> str:
    """Return the list of tax codes, which also names the references to it: TaxCode outside the US."""
    return "SalesTaxCode" if country == "US" else "TaxCode"


@functools.cache
def _tables(custom: tuple[tuple[str, tuple[str, ...]], ...], country: str) -> Schema:
    text = FILE.read_text(encoding="utf-8")
    if country != "US":
        text = text.replace("CustomerSalesTaxCode", "CustomerTaxCode").replace("SalesTaxCode", "TaxCode")
        text = text.replace("SalesTaxTotal m ~", "Tax1Total m ~\n    - Tax2Total m ~")
        text = text.replace("IsTaxable b !, Desc s31", 'IsTaxable b !, Desc s31, "ref:ItemSalesTaxRef 31 Item"')
    raw = yaml.safe_load(text)
    shared = {**raw["shared"], "journal_line": raw["journal_line"]}
    extra = dict(custom)
    made: dict[str, Table] = {}

    def add(name: str, kind: str, specs: Any, **more: Any) -> Table:
        fields = {f.name.lower(): f for f in _fields(specs, shared, name)}
        for label in extra.get(name, ()):
            made_field = Field(f"CustomField{label}", "s", 30, custom=True)
            fields[made_field.name.lower()] = made_field
        table = Table(name, kind, fields, **more)
        made[name.lower()] = table
        return table

    def lines(name: str, head: Table, specs: Any, prefix: str) -> None:
        own = {}
        for f in _fields(specs, shared, name):
            own[(prefix + f.name).lower()] = replace(f, name=prefix + f.name, ref=prefix + f.ref if f.ref else "")
        for label in extra.get(name, ()):
            own[f"customfield{label}".lower()] = Field(f"CustomField{label}", "s", 30, custom=True)
        tail = {f.name.lower(): f for f in _fields(raw["line_columns"], shared, name)}
        mine = tuple(f.name for f in own.values())
        made[name.lower()] = Table(
            name, "line", {**head.fields, **own, **tail}, head=head.name, prefix=prefix, own=mine
        )

    for name, specs in raw["lists"].items():
        add(name, "list", [raw["list_columns"], *specs])
    for name, content in raw["list_lines"].items():
        lines(name, made[content["head"].lower()], content["columns"], "")
    for name, content in raw["transactions"].items():
        head = add(name, "txn", [raw["txn_columns"], *content["head"]])
        for line, spec in content.get("lines", {}).items():
            columns = spec.get("columns") or [f"use:{spec['use']}", *spec.get("more", ())]
            lines(line, head, columns, spec["prefix"])
    for name, content in raw["unions"].items():
        sources = {key: tuple(value) for key, value in content.get("from", {}).items()}
        add(name, "union", [raw["list_columns"], *content["columns"]], of=tuple(content["of"]), sources=sources)
    for name, content in raw["line_unions"].items():
        columns = ["Type s6 ~", f"use:{content['use']}"]
        lines(name, made[content["head"].lower()], columns, content["prefix"])
        made[name.lower()] = replace(made[name.lower()], kind="lines", members=content["of"])
    for name, specs in raw["singles"].items():
        add(name, "single", specs)
    for name, specs in raw["trails"].items():
        add(name, "trail", specs)
    return made


def _fields(specs: Any, shared: Mapping[str, Any], table: str) -> Iterator[Field]:
    for spec in specs if isinstance(specs, list) else [specs]:
        if isinstance(spec, list):
            yield from _fields(spec, shared, table)
        elif spec.startswith("use:"):
            yield from _fields(shared[spec[4:]], shared, table)
        elif spec.startswith("address:"):
            for part in ADDRESS:
                yield from _fields(spec[8:] + part, shared, table)
        elif match := _REF.match(spec):
            flags = _flags(match["flags"])
            target = table if match["table"] == "SELF" else match["table"]
            common = {"ref": match["name"], "ref_table": target, **flags}
            yield Field(match["name"] + "ListID", "s", 36, **common)
            yield Field(match["name"] + "FullName", "s", int(match["size"]), **common)
        else:
            plain = _SPEC.match(spec)
            if plain is None:
                msg = f"{FILE.name}: {table}: {spec!r} is no column"
                raise ValueError(msg)
            kind = plain["type"]
            yield Field(plain["name"], kind[0], int(kind[1:] or 0), **_flags(plain["flags"]))


def _flags(text: str) -> dict[str, Any]:
    return {"required": "!" in text, "computed": "~" in text, "insert_only": "+" in text}
