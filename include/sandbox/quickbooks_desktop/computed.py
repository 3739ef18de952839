"""Values that a query computes: sums, functions, the host's time; and how two kinds of values go together.

Decimals are whole numbers of hundred-thousandths here (`values`), counts are not: where the two meet, the count is made
one of hundred-thousandths.
"""

from __future__ import annotations

from typing import Any

from sandbox.quickbooks_desktop import errors
from sandbox.quickbooks_desktop.functions import CLOCKS, FUNCTIONS, NOTHING, TARGETS
from sandbox.quickbooks_desktop.options import DATABASE, USER
from sandbox.quickbooks_desktop.schema import NUMBERS, Field
from sandbox.quickbooks_desktop.tree import Call, Expression, Literal, Name, Query, Select, Sum
from sandbox.quickbooks_desktop.values import SCALE, compared

COUNTED = Field("COUNT", "i")
ONE = 10**SCALE
LITERALS = {"text": "s", "d": "d", "ts": "t", "bool": "b"}
Typed = tuple[str, Field]


class Computed:
    """Puts values into SQLite's words. `values` are those of the question marks, in their order.

    :param now: the host's time.
    """

    def __init__(self, now: str) -> None:
        self._now = now
        self.values: list[Any] = []

    def _find(self, name: Name) -> Typed:
        raise NotImplementedError

    def _queried(self, query: Select) -> Typed:
        raise NotImplementedError

    def _text(self, expression: Expression) -> Typed:
        """Return an expression that stands for a value, and what it holds."""
        match expression:
            case Name():
                return self._find(expression)
            case Call():
                return self._call(expression)
            case Sum():
                return self._sum(expression)
            case Query(query, False):
                return self._queried(query)
            case Literal():
                whole = "i" if "." not in expression.value and "e" not in expression.value.lower() else "p"
                field = Field("EXPR", LITERALS.get(expression.kind, whole), len(expression.value))
                self.values.append(compared(field, expression, "="))
                return "?", field
        raise errors.syntax("<column>")

    def _sum(self, found: Sum) -> Typed:
        left, right = self._text(found.left), self._text(found.right)
        sign, kinds = found.operator, (left[1].type, right[1].type)
        if kinds[0] in ("d", "t") and kinds[1] == "i" and sign in "+-":
            return f"iw_later({left[0]}, {'-' if sign == '-' else ''}({right[0]}))", Field("EXPR", kinds[0])
        if kinds[0] in ("d", "t") and kinds[1] in ("d", "t") and sign == "-":
            return f"iw_between({left[0]}, {right[0]})", Field("EXPR", "i")
        if kinds == ("s", "s") and sign == "+":
            return f"({left[0]} || {right[0]})", Field("EXPR", "s", left[1].size + right[1].size)
        if not all(kind == "i" or kind in NUMBERS for kind in kinds):
            raise errors.operand(sign)
        one, other, kind = self._matched(left, right)
        if sign == "/":
            one, other = (one, other) if kind != "i" else (f"({one} * {ONE})", f"({other} * {ONE})")
            return f"iw_over({one}, {other})", Field("EXPR", "n")
        if sign == "*" and kind != "i":
            return f"iw_times({one}, {other})", Field("EXPR", "n")
        return f"({one} {sign} {other})", Field("EXPR", kind if kind == "i" or kinds[0] == kinds[1] else "n")

    def _matched(self, left: Typed, right: Typed) -> tuple[str, str, str]:
        """Return two values so that they can be compared or added, and of which kind they then are."""
        (one, field), (other, kind) = left, right
        if field.type in NUMBERS and kind.type == "i":
            return one, f"({other} * {ONE})", field.type
        if field.type == "i" and kind.type in NUMBERS:
            return f"({one} * {ONE})", other, kind.type
        if field.type == "d" and kind.type == "t":
            return f"({one} || ' 00:00:00')", other, "t"
        if field.type == "t" and kind.type == "d":
            return one, f"({other} || ' 00:00:00')", "t"
        return one, other, field.type

    def _alike(self, text: str, field: Field, like: Field) -> Typed:
        """Return a column of a further SELECT in the kind of the first one's. Raises `BackendError`."""
        if field.type == like.type or (text == "?" and self.values[-1:] == [None]):
            return text, like
        if field.type == "i" and like.type in NUMBERS:
            return f"({text} * {ONE})", like
        if field.type == "d" and like.type == "t":
            return f"({text} || ' 00:00:00')", like
        if field.type in NUMBERS and like.type in NUMBERS:
            return text, like
        raise errors.operand("UNION")

    # --- functions

    def _call(self, call: Call) -> Typed:
        name = call.function
        if kind := CLOCKS.get(name):
            self.values.append(self._now if kind == "t" else self._now[:10])
            return "?", Field(name, kind)
        if name in NOTHING:
            self.values.append(DATABASE if name == "DATABASE" else USER)
            return "?", Field(name, "s", 64)
        if name in FUNCTIONS:
            return self._function(name, call.arguments)
        if not call.arguments:
            if name != "COUNT":
                raise errors.syntax("<column>")
            return "COUNT(*)", COUNTED
        return self._aggregate(call)

    def _aggregate(self, call: Call) -> Typed:
        name = call.function
        text, field = self._text(call.arguments[0])
        if name == "COUNT":
            return f"COUNT({'DISTINCT ' if call.distinct else ''}{text})", COUNTED
        if name in ("SUM", "AVG") and not (field.numeric or field.type == "i"):
            raise errors.operand(name)
        label = Field(name, field.type, field.size)
        if name == "AVG":
            return f"CAST(ROUND(AVG({text})) AS INTEGER)", label
        return f"{name}({text})", label

    def _function(self, name: str, arguments: tuple[Expression, ...]) -> Typed:
        kind, counts = FUNCTIONS[name]
        if len(arguments) not in counts:
            raise errors.syntax(")")
        if name == "CONVERT":
            return self._converted(*arguments)
        given = [self._text(argument) for argument in arguments]
        text, field = given[0]
        if name == "IFNULL":
            one, other, found = self._matched(given[0], given[1])
            return f"IFNULL({one}, {other})", Field(name, found, max(field.size, given[1][1].size))
        if not kind and not (field.numeric or field.type == "i"):
            raise errors.operand(name)
        if name == "MOD":
            one, other, found = self._matched(given[0], given[1])
            return f"({one} % {other})", Field(name, found)
        if not kind and name != "ABS" and field.type == "i":
            return text, field
        size = field.size if kind == "s" and name not in ("CONCAT", "SPACE", "REPEAT", "REPLACE") else 255
        made = ", ".join(one for one, _ in given)
        return f"iw_{name}({made})", Field(name, kind or field.type, size if kind == "s" else 0)

    def _converted(self, value: Expression, target: Expression) -> Typed:
        wanted = TARGETS.get(target.name.upper()) if isinstance(target, Name) else None
        if wanted is None:
            raise errors.syntax("<data type>")
        text, field = self._text(value)
        have = field.type
        made = Field("CONVERT", wanted, 255 if wanted == "s" else 0)
        if have in NUMBERS:
            ways = {"s": f"iw_shown({text}, {NUMBERS[have][1]})", "i": f"iw_whole({text})", "n": text}
        elif have == "i":
            ways = {"s": f"CAST({text} AS TEXT)", "i": text, "n": f"({text} * {ONE})"}
        elif have == "s":
            ways = {"s": text, "i": f"iw_whole(iw_number({text}))", "n": f"iw_number({text})"}
        else:
            short = f"SUBSTR({text}, 1, 10)"
            ways = {"s": text, "d": short, "t": f"({text} || ' 00:00:00')" if have == "d" else text}
        if wanted not in ways:
            raise errors.operand("CONVERT")
        return ways[wanted], made
