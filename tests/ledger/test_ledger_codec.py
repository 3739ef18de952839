"""Values survive the ledger exactly as they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine.model import Action, Await, Candidate, Change, Decision, Values
from iw_operators.errors import FixRecord
from iw_operators.ledger import codec

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(st.characters(codec=None)),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.replace(fold=0)),
)
lines = st.lists(st.dictionaries(st.text("abc.", min_size=1), scalars, max_size=3), max_size=3).map(tuple)
records = st.dictionaries(st.text("abc.", min_size=1, max_size=6), st.one_of(scalars, lines), max_size=5)


def exact(value: Any) -> Any:
    """Return a value with what `==` does not tell apart made visible."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(exact(each) for each in value)
    if isinstance(value, dt.datetime):
        return ("datetime", value.astimezone(dt.UTC), value.utcoffset())
    return (type(value).__name__, str(value) if isinstance(value, Decimal) else value)


@given(records)
def test_any_record_survives_json(values: dict[str, Any]) -> None:
    """Types, places of decimals, offsets, odd characters and lines come back as they were."""
    data = orjson.loads(orjson.dumps(codec.encode_values(values)))
    assert exact(codec.decode_values(data)) == exact(values)


def test_plain_values_read_as_json() -> None:
    """The form in the database is the documented one."""
    values: Values = {"a": Decimal("12.50"), "b": dt.date(2026, 1, 31), "c": "Ö", "d": True, "lines": ({"q": 2},)}
    assert codec.encode_values(values) == {
        "a": {"d": "12.50"},
        "b": {"D": "2026-01-31"},
        "c": "Ö",
        "d": True,
        "lines": [{"q": 2}],
    }


def test_floats_are_refused() -> None:
    """Money never becomes a float on its way through the ledger (law 5)."""
    with pytest.raises(TypeError, match="float"):
        codec.encode_value(1.5)  # type: ignore[arg-type]  # the point of the test


def test_a_decision_survives() -> None:
    """A decision can be rebuilt by a later process, down to its changes."""
    decision = Decision(
        Action.UPDATE,
        "a1",
        "the balance differs",
        label="Müller & Söhne",
        target_id="7",
        target_version="3",
        source_version="2026",
        changes=(Change("balance", Decimal("1.10"), None), Change("lines", (), ({"sku": "x"},))),
        send={"balance": None},
        source={"balance": None},
        target={"balance": None, "lines": ({"sku": "x"},)},
        binds=True,
        generation=4,
    )
    data = orjson.loads(orjson.dumps(codec.encode_decision(decision)))
    assert codec.decode_decision(data) == decision


def test_lists_for_people_survive() -> None:
    """Candidates and awaited references come back as they were."""
    candidates = (Candidate("1", "One", None), Candidate("2", "Two", "x"))
    awaits = (Await("items", "p1"),)
    assert codec.decode_candidates(codec.encode_candidates(candidates)) == candidates
    assert codec.decode_awaits(codec.encode_awaits(awaits)) == awaits


def test_text_for_people_shows_what_cannot_be_stored() -> None:
    """NUL and half surrogate pairs become visible signs; an id with one is refused."""
    assert codec.storable("a\x00b\ud800c") == "a␀b�c"
    with pytest.raises(FixRecord, match="cannot be stored"):
        codec.identifier("a\x00b")
