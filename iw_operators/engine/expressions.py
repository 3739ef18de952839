"""Computed fields: Jinja expressions in a sandbox that only computes.

An expression is compiled once for its mapping and evaluated for each record. It sees the record's neutral fields
(`billing.city`), `value` (the field itself), `lines` in a header field, and `header.<field>` in a field of a line.

Differences from plain Jinja, all on the safe side:

* Nothing can be called, and text has no methods: there are filters for what makes sense. So no expression can loop,
  reach into Python or ask for a large piece of memory; `*`, `%` and the like work on numbers alone, `**` not at all.
* Numbers are Decimal, literals with a point and division included; there is no binary floating point.
* An empty field is empty text where it is joined, false in a condition, and an error in arithmetic; but where
  `value` itself is empty, arithmetic gives nothing.
* A name that the record does not have is an error when the mapping is compiled, not an empty value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from jinja2 import TemplateError, Undefined, nodes
from jinja2.parser import Parser

from iw_operators.engine.model import LINES, Line, Scalar, Value, Values, lines_of
from iw_operators.engine.sandbox import EMPTY, LARGEST, Empty, EmptyOperand, environment
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.expressions import chains

__all__ = ["Expression", "ExpressionError", "environment"]

LONGEST: Final = 2_000  # characters of one expression
DEEPEST: Final = 60  # operations within one another, such as filters after one another
HEADER: Final = "header"
VALUE: Final = "value"


class ExpressionError(FixRecord):
    """An expression could not be computed for one record. The message says why."""


class Expression:
    """A compiled expression.

    :param source: the expression, without braces.
    :param own: names of the section's fields, dotted (`billing.city`).
    :param header: in a field of a line, names of the header's fields (`header.date`); None in a header field.
    :param line_names: in a header field, names of a line's fields, under `lines`.
    :raises FixConfiguration: it is not an expression, names what does not exist, or calls something.
    """

    def __init__(
        self,
        source: str,
        own: Collection[str],
        *,
        header: Collection[str] | None = None,
        line_names: Collection[str] = (),
    ) -> None:
        self.source = source
        tree = _parse(source)
        used = set(chains(tree))
        self.fields: tuple[str, ...]
        self.header_fields: tuple[str, ...]
        self.uses_value = False
        self.uses_lines = False
        self.fields, self.header_fields = self._names(used, own, header, bool(line_names))
        self._line_paths = tuple((name, tuple(name.split("."))) for name in line_names) if self.uses_lines else ()
        self._paths = tuple((name, tuple(name.split("."))) for name in self.fields)
        self._header_paths = tuple((name, tuple(name.split("."))) for name in self.header_fields)
        self._compiled: Callable[..., Any] = environment().compile_expression(
            _decimal_literals(source), undefined_to_none=False
        )

    def _names(
        self, used: Collection[str], own: Collection[str], header: Collection[str] | None, lines: bool
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        fields: set[str] = set()
        header_fields: set[str] = set()
        for chain in sorted(used):
            first, _, rest = chain.partition(".")
            if first == VALUE:
                self.uses_value = True
            elif found := _longest(chain, own):
                fields.add(found)
            elif first == LINES and lines and not rest:
                self.uses_lines = True
            elif first == HEADER and header is not None and (found := _longest(rest, header)):
                header_fields.add(found)
            else:
                known = sorted(
                    {*own, VALUE, *([LINES] if lines else []), *(f"{HEADER}.{name}" for name in header or ())}
                )
                msg = f"The expression `{self.source}` names `{chain}`, which is not a field here."
                raise FixConfiguration(msg, code="iw.expression", advice=f"Known names: {', '.join(known)}.")
        return tuple(sorted(fields)), tuple(sorted(header_fields))

    def evaluate(self, values: Mapping[str, Value], own: Value, header: Values | None = None) -> Value:
        """Compute the value for one record or line.

        :raises ExpressionError: it cannot be computed from what the record holds.
        """
        context: dict[str, Any] = {}
        if self.uses_value:
            context[VALUE] = EMPTY if own is None else own
        for name, path in self._paths:
            _put(context, path, values.get(name))
        if self._header_paths and header is not None:
            for name, path in self._header_paths:
                _put(context.setdefault(HEADER, {}), path, header.get(name))
        if self.uses_lines:
            context[LINES] = [self._line(line) for line in lines_of(values)]
        try:
            result = self._compiled(context)
        except EmptyOperand as error:
            if own is None and self.uses_value:
                return None
            raise ExpressionError(str(error)) from None
        except RecursionError:
            msg = "is nested too deeply"
            raise ExpressionError(msg) from None
        except Exception as error:  # noqa: BLE001 - whatever a record's values make it raise concerns that record alone
            raise ExpressionError(_reason(error)) from None
        return _plain(result)

    def _line(self, line: Line) -> dict[str, Any]:
        nested: dict[str, Any] = {}
        for name, path in self._line_paths:
            _put(nested, path, line.get(name))
        return nested


def _put(context: dict[str, Any], path: tuple[str, ...], value: Value) -> None:
    for part in path[:-1]:
        inner = context.get(part)
        if not isinstance(inner, dict):
            inner = context[part] = {}
        context = inner
    context[path[-1]] = EMPTY if value is None else value


def _plain(result: Any) -> Scalar:
    """Return what an expression gave as a value of the model."""
    if isinstance(result, Undefined):
        try:
            str(result)
        except TemplateError as error:
            raise ExpressionError(_reason(error)) from None
    if isinstance(result, Empty) or result is None:
        return None
    if isinstance(result, float):
        return Decimal(repr(result))
    if isinstance(result, str) and len(result) > LARGEST:
        msg = f"gives more than {LARGEST} characters"
        raise ExpressionError(msg)
    if isinstance(result, bool | int | str | Decimal | dt.date):
        return result
    msg = f"gives a {type(result).__name__}, not a single value"
    raise ExpressionError(msg)


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidOperation):
        return "computes with something that is not a number"
    if isinstance(error, ZeroDivisionError):
        return "divides by zero"
    return str(error).strip().rstrip(".") or type(error).__name__


def _longest(chain: str, names: Collection[str]) -> str:
    """Return the longest name that a dotted chain starts with."""
    while chain:
        if chain in names:
            return chain
        chain = chain.rpartition(".")[0]
    return ""


def _parse(source: str) -> nodes.Expr:
    problem = ""
    if len(source) > LONGEST:
        problem = f"is longer than {LONGEST} characters"
    elif "{{" in source or "{%" in source:
        problem = "has braces"
    else:
        try:
            parser = Parser(environment(), source, state="variable")
            tree = parser.parse_expression()
            if parser.stream.eos:
                problem = "is nested too deeply" if is_deep(tree) else _refused(tree)
                if not problem:
                    return tree
            else:
                problem = f"is not an expression: unexpected {parser.stream.current.value!r}"
        except TemplateError as error:
            problem = f"is not an expression: {error.message}"
        except RecursionError:
            problem = "is nested too deeply"
    msg = f"The expression `{source[:200]}` {problem}."
    raise FixConfiguration(msg, code="iw.expression")


def is_deep(tree: nodes.Node) -> bool:
    """Tell whether it goes deeper than anybody writes by hand; compiling takes the fourth power of the depth."""
    level: list[nodes.Node] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return False
    return True


def _refused(tree: nodes.Expr) -> str:
    if isinstance(tree, nodes.Call) or tree.find(nodes.Call) is not None:
        return "calls something; use filters instead, such as value | upper"
    if isinstance(tree, nodes.Pow) or tree.find(nodes.Pow) is not None:
        return "uses **, which is not available"
    known = environment()
    for node in [tree, *tree.find_all((nodes.Filter, nodes.Test))]:
        if isinstance(node, nodes.Filter) and node.name not in known.filters:
            return f"uses the unknown filter {node.name!r}"
        if isinstance(node, nodes.Test) and node.name not in known.tests:
            return f"uses the unknown test {node.name!r}"
    return ""


def _decimal_literals(source: str) -> str:
    """Return the expression with numbers that have a point turned into exact decimals."""
    opened = "{{ "
    parts = [
        f"('{text}'|decimal)" if kind == "float" else text
        for _, kind, text in environment().lex(f"{opened}{source} }}}}")
    ]
    return "".join(parts)[len(opened) : -len(" }}")]
