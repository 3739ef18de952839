"""The OData service below its root: routes of one request, without sign-in and without $batch."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sandbox.creatio import errors, metadata
from sandbox.creatio.clock import Clock
from sandbox.creatio.grammar import Shape
from sandbox.creatio.http import Request, Response, odata
from sandbox.creatio.model import Column, Entity, Kind, Model
from sandbox.creatio.query import Options, Reader, read_options, read_shape
from sandbox.creatio.seed import SUPERVISOR
from sandbox.creatio.store import Row, Store
from sandbox.creatio.values import GUID, ZERO_GUID, default, ticks, to_json, to_stored

KEPT_BY_THE_SERVER = frozenset({"CreatedOn", "CreatedById", "ModifiedOn", "ModifiedById"})
_KEYED = re.compile(r"(\w+)\((?:Id=)?([^()]*)\)")
_MANY = 1_000_000_000

Hook = Callable[[str], bool]


class Service:
    """Reads and writes records.

    :param max_rows: the most rows of an answer (MaxEntityRowCount).
    :param next_link: whether an answer that has been cut carries `@odata.nextLink`; without, it is a 500.
    :param fails_after: asked with the request line after each insert; true makes it answer 500 nevertheless.
    """

    def __init__(
        self, model: Model, store: Store, clock: Clock, *, max_rows: int, next_link: bool, fails_after: Hook
    ) -> None:
        self._model = model
        self._store = store
        self._clock = clock
        self._max_rows = max_rows
        self._next_link = next_link
        self._fails_after = fails_after
        self._reader = Reader(model, store)
        self.calls: Counter[str] = Counter()

    def handle(self, request: Request, root: str) -> Response:
        """Answer a request below `root` (a path such as `/odata`); raises `Refused`."""
        path = request.path.removeprefix(root).strip("/")
        segments = path.split("/") if path else []
        self.calls["read" if request.method == "GET" else "write"] += 1
        base = request.base + root
        if not segments:
            self._only(request, "GET")
            return odata(200, metadata.service_document(self._model, base))
        if segments[-1] == "$metadata" and len(segments) <= 2:
            self._only(request, "GET")
            content = metadata.edmx(self._model).encode()
            return Response(200, content, [("Content-Type", "application/xml"), ("OData-Version", "4.0")])
        entity, key, rest = self._resolve(request, segments)
        if key is None:
            return self._set(request, base, entity, rest)
        return self._record(request, base, entity, key, rest)

    def _only(self, request: Request, *methods: str) -> None:
        if request.method not in methods:
            raise errors.method_not_allowed(request.method)

    def _resolve(self, request: Request, segments: list[str]) -> tuple[Entity, str | None, list[str]]:
        first, rest = segments[0], segments[1:]
        keyed = _KEYED.fullmatch(first)
        name, key = (keyed[1], keyed[2]) if keyed else (first, None)
        entity = self._model.get(name)
        if entity is None:
            raise errors.no_entity_set(request.uri, name)
        if key is None and rest and GUID.fullmatch(rest[0]):  # key as a segment: Account/3f2504e0-...
            key, rest = rest[0], rest[1:]
        if key is not None and not GUID.fullmatch(key):
            msg = f"The key value '{key}' of type '{entity.type_name}' is not a valid 'Edm.Guid'."
            raise errors.bad_query(msg)
        return entity, key.lower() if key else None, rest

    def _set(self, request: Request, base: str, entity: Entity, rest: list[str]) -> Response:
        if rest == ["$count"]:
            self._only(request, "GET")
            total = self._reader.count(read_options(self._model, entity, request.options))
            return Response(200, str(total).encode(), [("Content-Type", "text/plain"), ("OData-Version", "4.0")])
        if rest:
            raise errors.no_entity_set(request.uri, "/".join([entity.name, *rest]))
        self._only(request, "GET", "POST")
        return self._insert(request, base, entity) if request.method == "POST" else self._list(request, base, entity)

    def _list(self, request: Request, base: str, entity: Entity) -> Response:
        options = read_options(self._model, entity, request.options)
        limit = min(_MANY if options.top is None else options.top, self._max_rows)
        # One row more than is answered tells whether an unlimited read has been cut.
        uncut = options.top is None
        rows = self._reader.page(options, limit + 1 if uncut else limit, numbers_as_text=request.numbers_as_text)
        cut = len(rows) > limit
        if cut and not self._next_link:
            msg = f"The number of rows exceeds MaxEntityRowCount ({self._max_rows}) for {entity.name}"
            raise errors.exception(500, msg, "Terrasoft.Common.InvalidObjectStateException")
        content: dict[str, Any] = {"@odata.context": _context(base, options)}
        if options.count:
            content["@odata.count"] = self._reader.count(options)
        content["value"] = rows[:limit]
        if cut:
            content["@odata.nextLink"] = _next(request, options.skip + limit)
        return odata(200, content)

    def _record(self, request: Request, base: str, entity: Entity, key: str, rest: list[str]) -> Response:
        if rest:
            self._only(request, "GET")
            return self._property(request, base, entity, key, rest)
        self._only(request, "GET", "PATCH", "DELETE")
        if request.method == "GET":
            shape = read_shape(self._model, entity, request.options)
            content = self._reader.one(entity, key, shape, numbers_as_text=request.numbers_as_text)
            if content is None:
                raise errors.no_row(entity.name, key)
            return odata(200, {"@odata.context": f"{base}/$metadata#{entity.name}{_names(shape)}/$entity", **content})
        if request.method == "DELETE":
            found = self._store.delete(entity, key)
        else:
            row = self._values(request, entity)
            row.pop("Id", None)
            row |= {"ModifiedOn": ticks(self._clock.now()), "ModifiedById": SUPERVISOR}
            found = self._store.update(entity, key, row)
        if not found:
            raise errors.no_row(entity.name, key)
        return Response(204, b"", [("OData-Version", "4.0")])

    def _property(self, request: Request, base: str, entity: Entity, key: str, rest: list[str]) -> Response:
        row = self._reader.raw(entity, key)
        if row is None:
            raise errors.no_row(entity.name, key)
        lookup = entity.navigations.get(rest[0])
        if lookup is not None:
            target, other = self._model[lookup.target], row[lookup.name]
            if other is None:
                return Response(204, b"", [("OData-Version", "4.0")])
            return self._record(request, base, target, str(other), rest[1:])
        column = entity.columns.get(rest[0])
        if column is None or rest[1:] not in ([], ["$value"]):
            raise errors.no_entity_set(request.uri, "/".join([entity.name, *rest]))
        value = to_json(column, row[column.name])
        if rest[1:]:
            text = value if isinstance(value, str) else odata(200, value).body.decode()
            return Response(200, text.encode(), [("Content-Type", "text/plain"), ("OData-Version", "4.0")])
        context = f"{base}/$metadata#{entity.name}({key})/{column.name}"
        return odata(200, {"@odata.context": context, "value": value})

    def _insert(self, request: Request, base: str, entity: Entity) -> Response:
        now = ticks(self._clock.now())
        row: Row = {column.name: default(column) for column in entity.columns.values()}
        row |= self._values(request, entity)
        row["Id"] = row["Id"] or str(uuid.uuid4())
        row |= {"CreatedOn": now, "CreatedById": SUPERVISOR, "ModifiedOn": now, "ModifiedById": SUPERVISOR}
        self._store.insert(entity, row)
        if self._fails_after(request.line):
            raise AfterInsert(errors.failed("Object reference not set to an instance of an object."))
        content = self._reader.shaped(entity, [row], Shape(), request.numbers_as_text)[0]
        location = {"Location": f"{base}/{entity.name}({row['Id']})"}
        return odata(201, {"@odata.context": f"{base}/$metadata#{entity.name}/$entity", **content}, location)

    def _values(self, request: Request, entity: Entity) -> Row:
        """Return the columns that a body sets. Navigations in it are ignored without a word, as Creatio does."""
        body = request.content
        try:
            body = body if body is not None else json.loads(request.body or b"null", parse_float=Decimal)
        except ValueError as error:
            msg = f"An unexpected end of input or an invalid token was found: {error}"
            raise errors.bad_body(msg) from error
        if not isinstance(body, dict):
            msg = "A JSON object was expected."
            raise errors.bad_body(msg)
        texts = request.says("content-type", "ieee754compatible=true")
        row: Row = {}
        for name, value in body.items():
            if "@" in name or name.partition("/")[0] in entity.navigations:
                continue
            column = entity.columns.get(name)
            if column is None:
                msg = (
                    f"The property '{name}' does not exist on type '{entity.type_name}'. Make sure to only use "
                    "property names that are defined by the type."
                )
                raise errors.bad_body(msg)
            stored = to_stored(column, value, numbers_as_text=texts)
            if name not in KEPT_BY_THE_SERVER and not _dropped(request, column, value):
                row[name] = stored
        return row


class AfterInsert(Exception):
    """The insert is done and stays, the answer is an error."""

    def __init__(self, refused: errors.Refused) -> None:
        super().__init__(refused)
        self.refused = refused


def _dropped(request: Request, column: Column, value: object) -> bool:
    """A PATCH with the zero GUID leaves a lookup as it is; null empties it."""
    return request.method == "PATCH" and column.kind is Kind.GUID and value == ZERO_GUID


def _names(shape: Shape) -> str:
    parts = list(shape.select or ())
    parts += [f"{name}{_names(inner) or '()'}" for name, inner in shape.expand.items()]
    return f"({','.join(parts)})" if parts else ""


def _context(base: str, options: Options) -> str:
    return f"{base}/$metadata#{options.entity.name}{_names(options.shape)}"


def _next(request: Request, skip: int) -> str:
    rest = [part for part in request.query.split("&") if not re.match(r"(\$|%24)skip=", part)]
    query = "&".join([*(part for part in rest if part), f"$skip={skip}"])
    return f"{request.base}{request.path}?{query}"
