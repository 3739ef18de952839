"""The objects that the sandbox serves: read once from `model.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

NAMESPACE = "Terrasoft.Configuration.OData"


class Kind(StrEnum):
    """What a column holds; the value is the type's name in the service's metadata."""

    GUID = "Edm.Guid"
    TEXT = "Edm.String"
    INT = "Edm.Int32"
    DECIMAL = "Edm.Decimal"
    BOOL = "Edm.Boolean"
    DATETIME = "Edm.DateTimeOffset"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `size` is the most characters of a text (0: unlimited), `scale` the places of a decimal.

    `target` is the object that a lookup points to and `navigation` the name of the way there. `day` columns drop the
    time of day.
    """

    name: str
    kind: Kind
    size: int = 0
    scale: int = 0
    day: bool = False
    unique: bool = False
    target: str = ""
    navigation: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """One object: its columns in the order of an answer, by name and by navigation."""

    name: str
    columns: Mapping[str, Column]
    navigations: Mapping[str, Column]

    @property
    def type_name(self) -> str:
        """The type's full name, as in error messages and metadata."""
        return f"{NAMESPACE}.{self.name}"


Model = Mapping[str, Entity]


def _column(name: str, text: str) -> Column:
    words = text.split()
    if words[0] == "->":
        return Column(name + "Id", Kind.GUID, target=words[1], navigation=name)
    unique = words[-1] == "unique"
    size = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    match words[0]:
        case "text":
            return Column(name, Kind.TEXT, size=size, unique=unique)
        case "memo":
            return Column(name, Kind.TEXT)
        case "money":
            return Column(name, Kind.DECIMAL, scale=2)
        case "decimal":
            return Column(name, Kind.DECIMAL, scale=size)
        case "int":
            return Column(name, Kind.INT)
        case "bool":
            return Column(name, Kind.BOOL)
        case "datetime" | "date":
            return Column(name, Kind.DATETIME, day=words[0] == "date")
    msg = f"unknown type {text!r} of column {name}"
    raise ValueError(msg)


def build(definition: Mapping[str, Mapping[str, str]]) -> Model:
    """Return the model of a definition as in `model.yaml`; raises ValueError when a lookup leads nowhere."""
    base = {"CreatedOn": "datetime", "CreatedBy": "-> Contact", "ModifiedOn": "datetime", "ModifiedBy": "-> Contact"}
    model = {}
    for name, own in definition.items():
        columns = [Column("Id", Kind.GUID)]
        columns += [_column(column, text) for column, text in {**base, **own, "ProcessListeners": "int"}.items()]
        model[name] = Entity(name, {c.name: c for c in columns}, {c.navigation: c for c in columns if c.navigation})
    for entity in model.values():
        for column in entity.navigations.values():
            if column.target not in model:
                msg = f"{entity.name}.{column.name} points to the unknown object {column.target}"
                raise ValueError(msg)
    return model


@functools.cache
def load() -> Model:
    """Return the sandbox's model."""
    return build(yaml.safe_load((Path(__file__).parent / "model.yaml").read_text(encoding="utf-8")))
