"""The $filter grammar by itself: what it understands, what it refuses and how, compared with plain Python."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.creatio.errors import Refused
from sandbox.creatio.grammar import Call, Compare, Literal, Logic, Not, Path, parse_expand, parse_filter, parse_orderby
from sandbox.creatio.model import Kind, load
from sandbox.creatio.sql import Translator
from sandbox.creatio.store import Row, Store
from sandbox.creatio.values import format_moment, ticks

MODEL = load()
A_GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def detail(error: Refused) -> str:
    """The innermost message of a refusal."""
    return str(error.body["error"]["innererror"]["message"])


def refused(entity: str, text: str) -> Refused:
    """The refusal of a filter."""
    with pytest.raises(Refused) as caught:
        Translator(MODEL, MODEL[entity]).where(parse_filter(text))
    return caught.value


def test_and_binds_closer_than_or() -> None:
    """a or b and c is a or (b and c)."""
    tree = parse_filter("IsArchive or Price gt 1 and Price lt 2")
    assert isinstance(tree, Logic)
    assert tree.operator == "or"
    assert isinstance(tree.operands[1], Logic)
    assert tree.operands[1].operator == "and"


def test_parentheses_and_not() -> None:
    """Parentheses group, not takes what follows it."""
    tree = parse_filter("not (Name eq 'a' or contains(Name,'b'))")
    assert isinstance(tree, Not)
    assert isinstance(tree.operand, Logic)
    assert tree.operand.operands[1] == Call("contains", (Path(("Name",)), Literal(Kind.TEXT, "b")))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("'O''Brien'", Kind.TEXT, "O'Brien"),
        ("''", Kind.TEXT, ""),
        ("'a) and (b'", Kind.TEXT, "a) and (b"),
        ("'🚀 שלום'", Kind.TEXT, "🚀 שלום"),
        (A_GUID.upper(), Kind.GUID, A_GUID),
        ("12", Kind.DECIMAL, Decimal(12)),
        ("-12.50", Kind.DECIMAL, Decimal("-12.50")),
        ("12.5M", Kind.DECIMAL, Decimal("12.5")),
        ("1e3", Kind.DECIMAL, Decimal(1000)),
        ("true", Kind.BOOL, True),
        ("null", None, None),
        ("2026-01-01T00:00:00Z", Kind.DATETIME, ticks(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))),
        ("2026-01-01T02:00:00.5+02:00", Kind.DATETIME, ticks(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) + 5_000_000),
        ("2026-01-01T00:00:00.1234567Z", Kind.DATETIME, ticks(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) + 1_234_567),
        ("2026-01-01", Kind.DATETIME, ticks(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))),
    ],
)
def test_literals(text: str, kind: Kind | None, value: object) -> None:
    """Each kind of literal is read with its type."""
    assert parse_filter(f"X eq {text}") == Compare("eq", Path(("X",)), Literal(kind, value))  # type: ignore[arg-type]  # parametrized


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Name",
        "Name eq",
        "eq 'a'",
        "Name eq 'a",
        "Name eq 'a' and",
        "(Name eq 'a'",
        "Name eq 'a')",
        "Name == 'a'",
        "Name eq a b",
        "Name in ('a','b')",
        "Name eq guid'3f2504e0-4f89-11d3-9a0c-0305e82c3301'",
        "Price add 1 eq 2",
        'Name eq "a"',
        "contains(Name)",
        "contains(Name,'a','b')",
        "contains(Price,'1')",
        "tolower(Name) eq 'a'",
        "year(ModifiedOn) eq 2026",
        "substringof('a',Name)",
        "Products/any(p: p/Price gt 1)",
        "ModifiedOn gt 2026-01-01T00:00:00",
        "ModifiedOn gt 2026-13-01T00:00:00Z",
        "ModifiedOn gt datetime'2026-01-01'",
        "not Name eq 'a'",
        "Name eq 'a' AND Name eq 'b'",
        "Name/ eq 'a'",
        "Currency/",
        "true eq",
        "Name has 'a'",
        "(" * 150 + "Name eq 'a'" + ")" * 150,
    ],
)
def test_what_is_not_in_the_grammar_is_400(text: str) -> None:
    """Everything else is a 400 in the error shape of queries."""
    error = refused("Product", text)
    assert error.status == 400
    assert error.body["error"]["code"] == ""
    assert error.body["error"]["message"] == f"The query specified in the URI is not valid. {detail(error)}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ModifiedOn gt '2026-01-01T00:00:00Z'",
            "A binary operator with incompatible types was detected. Found operand types 'Edm.DateTimeOffset' and "
            "'Edm.String' for operator kind 'GreaterThan'.",
        ),
        (
            f"Id eq '{A_GUID}'",
            "A binary operator with incompatible types was detected. Found operand types 'Edm.Guid' and 'Edm.String' "
            "for operator kind 'Equal'.",
        ),
        ("Foo eq 1", "Could not find a property named 'Foo' on type 'Terrasoft.Configuration.OData.Product'."),
        (
            "Currency/Foo eq 1",
            "Could not find a property named 'Foo' on type 'Terrasoft.Configuration.OData.Currency'.",
        ),
        ("Foo/Id eq 1", "Could not find a property named 'Foo' on type 'Terrasoft.Configuration.OData.Product'."),
    ],
)
def test_refusals_name_what_is_wrong(text: str, message: str) -> None:
    """Type errors and unknown properties are worded as in recorded exchanges."""
    assert detail(refused("Product", text)) == message


@pytest.mark.parametrize("text", [f"CurrencyId eq {A_GUID}", "CurrencyId ne null", f"Currency/CreatedById eq {A_GUID}"])
def test_a_lookup_column_cannot_be_filtered(text: str) -> None:
    """A lookup is filtered by its navigation path; its own column is a 500."""
    error = refused("Product", text)
    assert error.status == 500
    assert error.body["error"]["message"] == "An error has occurred."
    assert detail(error).startswith("Column by path C")
    assert "not found in schema" in detail(error)


def test_a_path_to_an_id_needs_no_join_and_a_longer_one_joins_once() -> None:
    """Navigation paths become joins, each only once."""
    translator = Translator(MODEL, MODEL["Opportunity"])
    translator.where(parse_filter(f"Account/Id eq {A_GUID}"))
    assert "JOIN" not in translator.source
    translator.where(
        parse_filter("Account/PrimaryContact/Email ne '' and Account/Name ne 'x' and Account/City/Name ne 'y'")
    )
    assert translator.source.count("JOIN") == 3


def test_order_and_expand() -> None:
    """$orderby gives directions, $expand nests, and unbalanced brackets are refused."""
    assert parse_orderby("Name, ModifiedOn desc,Account/Name asc") == [
        (Path(("Name",)), False),
        (Path(("ModifiedOn",)), True),
        (Path(("Account", "Name")), False),
    ]
    shape = parse_expand("Account($select=Name;$expand=City($select=Name),Owner),Stage")["Account"]
    assert shape.select == ["Name"]
    assert set(shape.expand) == {"City", "Owner"}
    for text in ("Account($select=Name", "Account)", "Account($top=1)"):
        with pytest.raises(Refused):
            parse_expand(text)
    with pytest.raises(Refused):
        parse_orderby("Name descending")


# A differential test: random filters over a small table, in SQL and in Python.

NAMES = ["", "a", "A", "ab", "b%", "_b", "a'b", "\\", "é", "100%", "a_b"]
_FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROWS: list[Row] = [
    {
        "Id": f"00000000-0000-4000-8000-{number:012d}",
        "Name": NAMES[number % len(NAMES)],
        "Price": (number * 37) % 500 - 100,
        "IsArchive": number % 2,
        "UsrQBLastModified": None if number % 3 == 0 else ticks(_FIRST + dt.timedelta(hours=number)),
    }
    for number in range(30)
]

Predicate = Callable[[Row], bool]
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _fold(text: object) -> str:
    """Texts compare without regard to the case of ASCII letters."""
    return "".join(c.lower() if c.isascii() else c for c in str(text))


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Predicate]:
    """One comparison or call as text, and the same in Python."""
    op = draw(st.sampled_from(list(_COMPARE)))
    compare = _COMPARE[op]
    match draw(st.sampled_from(["text", "number", "flag", "moment", "null", "call"])):
        case "text":
            text = draw(st.sampled_from(NAMES))
            return f"Name {op} {_quoted(text)}", lambda row: compare(_fold(row["Name"]), _fold(text))
        case "number":
            units = draw(st.integers(-110, 410))
            tenths = draw(st.booleans())  # a literal between two cents
            value = Decimal(units) / 100 + (Decimal("0.001") if tenths else 0)
            return f"Price {op} {value}", lambda row: compare(Decimal(int(row["Price"] or 0)) / 100, value)
        case "flag":
            flag = draw(st.booleans())
            op = draw(st.sampled_from(["eq", "ne"]))
            return f"IsArchive {op} {str(flag).lower()}", lambda row: _COMPARE[op](bool(row["IsArchive"]), flag)
        case "moment":
            moment = ticks(_FIRST + dt.timedelta(hours=draw(st.integers(-1, 31))))

            def at(row: Row) -> bool:
                stored = row["UsrQBLastModified"]
                return op == "ne" if stored is None else compare(stored, moment)

            return f"UsrQBLastModified {op} {format_moment(moment)}", at
        case "null":
            op = draw(st.sampled_from(["eq", "ne"]))
            name = draw(st.sampled_from(["Name", "UsrQBLastModified"]))
            return f"{name} {op} null", lambda row: (row[name] in (None, "")) == (op == "eq")
    function = draw(st.sampled_from(["contains", "startswith", "endswith"]))
    part = draw(st.sampled_from(NAMES))

    def called(row: Row) -> bool:
        name = _fold(row["Name"])
        if function == "contains":
            return _fold(part) in name
        return bool(getattr(name, function)(_fold(part)))

    return f"{function}(Name,{_quoted(part)})", called


def _joined(inner: st.SearchStrategy[tuple[str, Predicate]]) -> st.SearchStrategy[tuple[str, Predicate]]:
    def many(word: str, check: Callable[[Any], bool]) -> st.SearchStrategy[tuple[str, Predicate]]:
        return st.lists(inner, min_size=2, max_size=4).map(
            lambda parts: (
                "(" + f" {word} ".join(text for text, _ in parts) + ")",
                lambda row: check(predicate(row) for _, predicate in parts),
            )
        )

    denied = inner.map(lambda part: (f"not ({part[0]})", lambda row: not part[1](row)))
    return st.one_of(many("and", all), many("or", any), denied)


@pytest.fixture(scope="module")
def store() -> Store:
    """The small table."""
    result = Store(MODEL)
    result.fill({"Product": ROWS})
    return result


@settings(max_examples=400, deadline=None)
@given(st.recursive(comparisons(), _joined, max_leaves=8))
def test_a_filter_means_in_sql_what_it_says(store: Store, case: tuple[str, Predicate]) -> None:
    """Random filters select the very rows for which the same condition holds in Python."""
    text, predicate = case
    translator = Translator(MODEL, MODEL["Product"])
    where = translator.where(parse_filter(text))
    found = store.select(["Id"], translator.source, where, translator.order([]), -1, 0)
    assert [row["Id"] for row in found] == [row["Id"] for row in ROWS if predicate(row)]


def test_thousands_of_alternatives_are_no_problem(store: Store) -> None:
    """A filter of very many alternatives runs: they become lists or a balanced tree."""
    for text in (
        " or ".join(f"Id eq {row['Id']}" for row in ROWS * 100),
        " or ".join(f"(Price eq {number} and IsArchive eq true)" for number in range(3000)),
    ):
        translator = Translator(MODEL, MODEL["Product"])
        store.select(["Id"], translator.source, translator.where(parse_filter(text)), "", -1, 0)
