"""Hostile expressions: a computed field computes. It reaches no attribute of Python, calls nothing and stays small."""

from __future__ import annotations

import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iw_operators.engine.expressions import Expression, ExpressionError
from iw_operators.engine.model import Value
from iw_operators.errors import FixConfiguration

FIELDS = ("name", "total", "lines", "notes")
VALUES: dict[str, Value] = {
    "name": "Acme {0.__class__} %s %(x)s",
    "total": Decimal("12.50"),
    "notes": "a" * 20_000,
    "lines": ({"amount": Decimal(1), "description": "x"}, {"amount": Decimal(2), "description": None}),
}
SECONDS, MEGABYTES = 3.0, 60


def result(source: str) -> object:
    """Compile and evaluate; return the value, or the error's class name and text."""
    try:
        made = Expression(source, [n for n in FIELDS if n != "lines"], line_names=("amount", "description"))
        return made.evaluate(VALUES, "own")
    except (FixConfiguration, ExpressionError) as error:
        return error


REFUSED = [
    "''.__class__.__mro__[1].__subclasses__()",
    "name.__class__",
    "name['__class__']",
    "name|attr('__class__')",
    "name.__init__.__globals__",
    "lines[0].__class__.__base__",
    "lines.__iter__",
    "(lines|first).__class__",
    "value.__reduce_ex__(2)",
    "lines|map(attribute='__class__')|list|string",
    "lines|sum(attribute='__class__')",
    "lines|sort(attribute='__class__.__name__')|first",
    "name.format(name)",
    "'{0.__class__}'.format(name)",
    "'%s' % name",
    "name|format(name)",
    "name|xmlattr",
    "name|pprint",
    "name|tojson",
    "name|map('attr', '__class__')|list",
    "lines|map('format', 'x')|list",
    "self",
    "self._TemplateReference__context",
    "request",
    "config",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "joiner()",
    "namespace()",
    "lipsum()",
    "range(10**9)|list",
    "dict(a=1)",
    "loop",
    "caller()",
    "{{ name }}",
    "{% for x in range(10) %}{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "name }}{{ name.__class__ }}{{ name",
    "'a' * 10**9",
    "name * 1000000",
    "10**10**10",
    "9 ** 999999999",
    "[0] * 10**9",
    "notes|list|map('replace', 'a', notes)|list|length",
    "notes|list|map('replace', 'a', notes)|join",
    "notes|replace('a', notes)",
    "notes|center(10**9)",
    "notes|indent(10**9)",
    "name|wordwrap(1)",
    "name|urlize",
    "name|filesizeformat",
    "1e999999999 * 10",
    "1/0",
    "total // 0",
    "(" * 1_000 + "1" + ")" * 1_000,
    "not " * 1_500 + "1",
    "-" * 1_900 + "1",
    "name" + "|upper" * 300,
    "x" * 3_000,
]


@pytest.mark.feature("M8")
@pytest.mark.parametrize("source", REFUSED, ids=lambda source: source[:40])
def test_no_expression_reaches_out_or_grows(source: str) -> None:
    """Attribute walks, calls, format strings, statements, bombs: each is a clear error, or the plain value it names."""
    tracemalloc.start()
    began = time.process_time()
    try:
        found = result(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < SECONDS
    assert peak < MEGABYTES * 2**20
    if isinstance(found, Exception):
        assert str(found)
    else:
        assert isinstance(found, str | int | Decimal | None)
        assert "<class" not in str(found)
        assert "object at 0x" not in str(found)


WORDS = (
    "name value total lines notes self '' 1 2.5 none true [1] {'a':1} (1,2) __class__ __globals__ __builtins__ _ os "
    "range . | ( ) [ ] { } , : ~ + - * / // % ** == < ' \" |list |map('upper') |map(attribute='amount') |join "
    "|replace('a',notes) |first |sum |attr('x') defined string [0] [:5] |default(1) \\ \x00 {{ }} {% %} {# #} é \ud800"
)
PIECES = st.sampled_from([*WORDS.split(" "), " if ", " else ", " is ", " in ", " not ", " and ", "\n", "\u202e"])


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=60)))
def test_any_text_is_an_expression_or_an_error(source: str) -> None:
    """Whatever is written: a plain value, or one of the two errors; never another exception, never an object."""
    found = result(source)
    assert isinstance(found, str | int | Decimal | FixConfiguration | ExpressionError | None)
    assert "object at 0x" not in str(found)
