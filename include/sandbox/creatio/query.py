"""Reading: the query options of a request against an object, into rows ready for JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.creatio import errors
from sandbox.creatio.grammar import Shape, parse_expand, parse_filter, parse_orderby, parse_select
from sandbox.creatio.model import Entity, Model
from sandbox.creatio.sql import Condition, Translator
from sandbox.creatio.store import Row, Store
from sandbox.creatio.values import to_json

KNOWN = frozenset({"$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$count", "$format"})
ALWAYS = Condition("1")
_CHECKED_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one read; `top` None is all rows."""

    entity: Entity
    source: str
    where: Condition
    order: str
    shape: Shape
    top: int | None
    skip: int
    count: bool


def _number(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        msg = (
            f"Invalid value '{text}' for {name} query option found. The {name} query option requires a non-negative "
            "integer value."
        )
        raise errors.bad_query(msg)
    return int(text)


def read_options(model: Model, entity: Entity, options: Mapping[str, str]) -> Options:
    """Check and translate a request's query options; raises `Refused` for what Creatio refuses.

    Options without a dollar sign are ignored, as everywhere in OData.
    """
    for name in options:
        if name.startswith("$") and name not in KNOWN:
            msg = f"The query parameter '{name}' is not supported."
            raise errors.bad_query(msg)
    if options.get("$count", "false") not in {"true", "false"}:
        msg = f"Invalid value '{options['$count']}' for $count query option found. Valid values are 'true', 'false'."
        raise errors.bad_query(msg)
    translator = Translator(model, entity)
    where = translator.where(parse_filter(options["$filter"])) if "$filter" in options else ALWAYS
    order = translator.order(parse_orderby(options["$orderby"]) if options.get("$orderby", "").strip() else [])
    return Options(
        entity=entity,
        source=translator.source,
        where=where,
        order=order,
        shape=read_shape(model, entity, options),
        top=_number(options, "$top"),
        skip=_number(options, "$skip") or 0,
        count=options.get("$count") == "true",
    )


def read_shape(model: Model, entity: Entity, options: Mapping[str, str]) -> Shape:
    """Return what $select and $expand ask for, checked."""
    shape = Shape(
        parse_select(options["$select"]) if options.get("$select", "").strip() else None,
        parse_expand(options["$expand"]) if options.get("$expand", "").strip() else {},
    )
    _check(model, entity, shape, 0)
    return shape


def _check(model: Model, entity: Entity, shape: Shape, depth: int) -> None:
    if depth > _CHECKED_DEPTH:
        msg = f"The request includes a $expand path which is too deep. The maximum depth allowed is {_CHECKED_DEPTH}."
        raise errors.bad_query(msg)
    for name in shape.select or ():
        if name not in entity.columns and name not in entity.navigations:
            raise errors.unknown_property(name, entity.type_name)
    for name, inner in shape.expand.items():
        if name in entity.columns:
            msg = f"Property '{name}' on type '{entity.type_name}' is not a navigation property or complex property."
            raise errors.bad_query(msg)
        if name not in entity.navigations:
            raise errors.unknown_property(name, entity.type_name)
        _check(model, model[entity.navigations[name].target], inner, depth + 1)


class Reader:
    """Reads rows and gives them the shape that was asked for."""

    def __init__(self, model: Model, store: Store) -> None:
        self._model = model
        self._store = store

    def page(self, options: Options, limit: int, *, numbers_as_text: bool) -> list[dict[str, object]]:
        """Return at most `limit` rows after `options.skip`."""
        rows = self._store.select(
            self._columns(options.entity, options.shape),
            options.source,
            options.where,
            options.order,
            limit,
            options.skip,
        )
        return self.shaped(options.entity, rows, options.shape, numbers_as_text)

    def count(self, options: Options) -> int:
        """Return the number of rows that fulfil the filter, whatever $top and $skip say."""
        return self._store.count(options.source, options.where)

    def one(self, entity: Entity, key: str, shape: Shape, *, numbers_as_text: bool) -> dict[str, object] | None:
        """Return one record in its shape."""
        rows = self._store.by_id(entity, [key], self._columns(entity, shape))
        if key not in rows:
            return None
        return self.shaped(entity, [rows[key]], shape, numbers_as_text)[0]

    def raw(self, entity: Entity, key: str) -> Row | None:
        """Return one row as it is stored."""
        return self._store.by_id(entity, [key], list(entity.columns)).get(key)

    def _columns(self, entity: Entity, shape: Shape) -> list[str]:
        if shape.select is None:
            return list(entity.columns)
        needed = {*shape.select, *(entity.navigations[name].name for name in shape.expand)}
        return [name for name in entity.columns if name in needed] or ["Id"]

    def shaped(self, entity: Entity, rows: list[Row], shape: Shape, numbers_as_text: bool) -> list[dict[str, object]]:
        """Return rows as JSON content, with what is expanded inside of them."""
        shown = [
            column
            for column in entity.columns.values()
            if (shape.select is None or column.name in shape.select) and (not rows or column.name in rows[0])
        ]
        result = [{c.name: to_json(c, row[c.name], numbers_as_text=numbers_as_text) for c in shown} for row in rows]
        for name, inner in shape.expand.items():
            lookup = entity.navigations[name]
            target = self._model[lookup.target]
            ids = {str(row[lookup.name]) for row in rows if row[lookup.name] is not None}
            found = self._store.by_id(target, ids, self._columns(target, inner))
            keys = list(found)
            expanded = dict(zip(keys, self.shaped(target, list(found.values()), inner, numbers_as_text), strict=True))
            for row, content in zip(rows, result, strict=True):
                content[name] = expanded.get(str(row[lookup.name]))
        return result
