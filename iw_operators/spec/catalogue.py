"""What a system's catalogue says: how its native objects and fields correspond to neutral ones.

A catalogue is data (`systems/<system>/catalogue.yaml`); these models check its form. Neutral objects and fields
are listed once in `spec/neutral.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SHORT = r"^([A-Z][A-Za-z0-9]{0,19})?$"  # short names begin with a capital, so that ids of flows can be read


class Model(BaseModel):
    """Base of all specs: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FieldType(StrEnum):
    """Types of neutral values and their Python types."""

    TEXT = "text"  # str, one line
    MEMO = "memo"  # str, line breaks allowed
    PHONE = "phone"  # str
    EMAIL = "email"  # str
    INTEGER = "integer"  # int
    DECIMAL = "decimal"  # Decimal
    MONEY = "money"  # Decimal with two places unless `scale` says otherwise
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # datetime.date
    DATETIME = "datetime"  # datetime.datetime with a zone
    REF = "ref"  # str: the id of another record in the same system


class LookupDef(Model):
    """A field whose text stands in a list of its own (terms, countries): read as that text, written as its id."""

    set: str  # native name of the list
    by: str  # its field that holds the text
    key: str = "Id"  # its field that holds the id


class FieldDef(Model):
    """One native field under a neutral name.

    `native` is a path in the native record as the system's own code understands it (`BillAddr.City`,
    `PrimaryContact/Email`, `CustomField.Region`).
    """

    native: str
    type: FieldType = FieldType.TEXT
    label: str = ""
    length: int | None = None
    scale: int | None = None
    required: bool = False  # a create without it is refused by the system
    writable: bool = True
    create_only: bool = False
    forbidden: str = ""  # characters that the system refuses in this field
    ref: str | None = None  # neutral object that a REF points at
    lookup: LookupDef | None = None


class LinesDef(Model):
    """Lines of a transaction: fields of one line, `native` relative to the line."""

    native: str  # path of the list, or name of the child set
    link: str = ""  # child set only: the column that holds the parent's id
    required: bool = False
    fields: Mapping[str, FieldDef]


class CustomDef(Model):
    """Names by which custom fields are known, beyond those listed.

    `pattern`, where there is one, is what such a name has to match as a whole: names become part of queries.
    """

    prefix: str
    length: int = 250
    pattern: str = ""

    def names(self, native: str) -> bool:
        """Tell whether this could be the name of a custom field."""
        return native.startswith(self.prefix) and native != self.prefix and native.isprintable()

    def wrong(self, native: str) -> bool:
        """Tell whether a name that begins like a custom field's has characters that such a name cannot have."""
        return bool(self.pattern) and re.fullmatch(self.pattern, native) is None


class RelatedDef(Model):
    """Where a fact about a record is found in other records, for `create_when`.

    The fact `opportunity` of an account, for example: set `Opportunity`, linked by `Account/Id`, stage at
    `Stage/Name`. `link` is empty when the record itself is the opportunity.
    """

    set: str
    link: str = ""
    stage: str
    won: tuple[str, ...] = ()  # names of the stages that mean won
    modified: str = "ModifiedOn"


class ObjectDef(Model):
    """One native object."""

    neutral: tuple[str, ...]
    label: str = ""
    short: str = Field(default="", pattern=SHORT)  # in the ids of flows, such as Acct; "" is the object's own name
    key: str = "Id"
    modified: str
    active: str | None = None  # boolean field; inactive records count as such
    deletes: bool = False  # deletions are seen by `changes`
    removal: tuple[Literal["void", "delete"], ...] = ()  # what can be done to a record besides making it inactive
    creatable: bool = True
    name: str = "name"  # neutral field that names the record to people
    fields: Mapping[str, FieldDef]
    lines: LinesDef | None = None
    custom: CustomDef | None = None
    related: Mapping[str, RelatedDef] = Field(default_factory=dict)


class Catalogue(Model):
    """A whole system."""

    system: str
    label: str
    short: str = Field(default="", pattern=SHORT)  # in the ids of flows, such as QB; "" is the label's capital letters
    role: str = Field(pattern="^(crm|books)$")
    objects: Mapping[str, ObjectDef]
