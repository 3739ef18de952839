"""Creatio's columns and our typed values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from iw_operators.engine.model import Scalar
from iw_operators.errors import FixConfiguration, FixRecord
from iw_operators.spec.catalogue import FieldDef, FieldType, LookupDef
from iw_operators.systems.creatio.codec import column_of, decode, encode, facts_of, reader, shown
from iw_operators.systems.creatio.comparing import same
from iw_operators.systems.http import json_dumps, json_loads
from tests.systems.creatio.helpers import catalogue, view_of

ZERO = "00000000-0000-0000-0000-000000000000"
YEAR_ONE = "0001-01-01T00:00:00Z"
NEW_YORK = ZoneInfo("America/New_York")


def field(kind: str, native: str = "X", **more: Any) -> FieldDef:
    """Return a field of a type."""
    return FieldDef(native=native, type=FieldType(kind), **more)


@pytest.mark.feature("S1")
@pytest.mark.parametrize("kind", list(FieldType))
@pytest.mark.parametrize("empty", [None, "", ZERO, YEAR_ONE, "0001-01-01T05:00:00-05:00"])
def test_every_kind_of_empty_is_none(kind: FieldType, empty: str | None) -> None:
    """The zero GUID, the year 1 and the empty text are read as none, whatever the field's type."""
    assert decode(empty, field(kind.value)) is None


@pytest.mark.parametrize(
    ("kind", "native", "value"),
    [
        ("text", " O'Brien ", " O'Brien "),
        ("integer", 7, 7),
        ("money", Decimal("10.10"), Decimal("10.10")),
        ("money", 0, Decimal(0)),
        ("decimal", Decimal("1.0875"), Decimal("1.0875")),
        ("boolean", True, True),
        ("datetime", "2026-03-01T10:11:12.1234567Z", dt.datetime(2026, 3, 1, 10, 11, 12, 123456, dt.UTC)),
        ("date", "2026-03-01T00:00:00Z", dt.date(2026, 3, 1)),
        ("ref", "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ],
)
def test_values_are_read_as_their_type(kind: str, native: Any, value: Scalar) -> None:
    """Numbers are Decimal, stamps are aware, ids are in lower case."""
    found = decode(native, field(kind), NEW_YORK)
    assert found == value
    assert type(found) is type(value)


def test_dates_in_columns_with_a_time_of_day_are_the_companys() -> None:
    """A moment that is local midnight is that local day; midnight UTC is a plain date."""
    assert decode("2026-03-01T05:00:00Z", field("date"), NEW_YORK) == dt.date(2026, 3, 1)
    assert decode("2026-03-01T02:00:00Z", field("date"), NEW_YORK) == dt.date(2026, 2, 28)
    assert decode("2026-03-01T00:00:00Z", field("date"), NEW_YORK) == dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    ("kind", "native"), [("money", "much"), ("boolean", "yes"), ("integer", Decimal("1.5")), ("date", "1.3.26")]
)
def test_a_wrong_type_is_a_configuration_error(kind: str, native: Any) -> None:
    """A column that holds something else names itself and the type."""
    with pytest.raises(FixConfiguration, match=f"column X .* {kind}"):
        decode(native, field(kind))


def test_what_a_record_holds_of_another_type_is_read_as_its_text() -> None:
    """Text and numbers reach the engine, which refuses that record; a column of another kind fails all."""
    assert shown("much", field("money")) == "much"
    assert shown(Decimal("1.5"), field("integer")) == "1.5"
    assert shown("9999-12-31T23:59:59-05:00", field("date"), ZoneInfo("Asia/Tokyo")) == "9999-12-31T23:59:59-05:00"
    assert shown("2026-03-01T00:00:00Z", field("date"), NEW_YORK) == dt.date(2026, 3, 1)
    for other in (True, {"Name": "x"}):
        with pytest.raises(FixConfiguration, match=r"column X .* money"):
            shown(other, field("money"))
    read = reader(view_of("Account", ("name", "balance")))
    row = {"Id": ZERO, "Name": "Acme", "ModifiedOn": "2026-03-01T10:00:00Z", "UsrQBBalance": "much"}
    assert read.record(row).values == {"name": "Acme", "balance": "much"}


@pytest.mark.parametrize(
    ("kind", "value", "native"),
    [
        ("text", None, ""),
        ("ref", None, None),
        ("datetime", None, None),
        ("date", None, None),
        ("money", None, 0),
        ("boolean", None, False),
        ("text", "x", "x"),
        ("money", Decimal("10.10"), Decimal("10.10")),
        ("date", dt.date(2026, 3, 1), "2026-03-01T00:00:00Z"),
        ("datetime", dt.datetime(2026, 3, 1, 5, tzinfo=NEW_YORK), "2026-03-01T10:00:00Z"),
    ],
)
def test_values_are_written_as_creatio_takes_them(kind: str, value: Scalar, native: Any) -> None:
    """None is what Creatio takes for empty in a column of that type."""
    assert encode(value, field(kind)) == native


def test_what_does_not_fit_is_a_record_error() -> None:
    """A value of another type than the field's is refused before anything is sent."""
    with pytest.raises(FixRecord, match="column X"):
        encode("text", field("money"))


def test_opposite_booleans() -> None:
    """`!IsArchive` is active: read and written as its opposite."""
    active = field("boolean", "!IsArchive")
    assert (decode(False, active), decode(True, active)) == (True, False)
    assert (encode(True, active), encode(False, active)) == (False, True)
    assert column_of(active) == "IsArchive"


def test_lookups_are_read_by_path_and_written_by_id_column() -> None:
    """A lookup's path becomes its Id column; a column of another record is refused, as Creatio would ignore it."""
    assert column_of(field("text", "City/Name", lookup=LookupDef(set="City", by="Name"))) == "CityId"
    with pytest.raises(FixConfiguration, match="another record"):
        column_of(field("text", "PrimaryContact/Email"))


@pytest.mark.feature("E3")
@pytest.mark.parametrize(
    "text", ["! @ # $ % ^ & * + { } [ ] ? > < ' \" \\ /", "Łódź 東京 שלום", "🙂👩‍👩‍👧", "a\r\nb\tc"]
)
def test_characters_stay(text: str) -> None:
    """All characters go to the wire and come back unchanged."""
    assert decode(json_loads(json_dumps(encode(text, field("memo")))), field("memo")) == text


def test_a_row_becomes_a_record() -> None:
    """Values by neutral names, version of stamps as written, label, inactivity."""
    read = reader(view_of("Account", ("name", "email", "billing.city", "balance")))
    record = read.record(
        {
            "Id": "3F2504E0-4F89-11D3-9A0C-0305E82C3301",
            "Name": "Acme",
            "ModifiedOn": "2026-03-01T10:00:00.1234567Z",
            "PrimaryContact": {"Email": "a@b.test", "ModifiedOn": "2026-02-01T00:00:00Z"},
            "City": None,
            "UsrQBBalance": Decimal("5.50"),
            "UsrActive": False,
        }
    )
    assert record.id == "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    assert record.values == {
        "name": "Acme",
        "email": "a@b.test",
        "billing.city": None,
        "balance": Decimal("5.50"),
    }
    assert record.version == "2026-03-01T10:00:00.1234567Z+2026-02-01T00:00:00Z"
    assert (record.label, record.active, record.complete) == ("Acme", False, True)


def test_facts_of_stages() -> None:
    """Each related record counts as created, its stage by name, and the winning ones as won."""
    related = catalogue().objects["Account"].related["opportunity"]
    assert facts_of(related, []) == frozenset()
    assert facts_of(related, [None]) == {"created"}
    assert facts_of(related, ["Proposal", "Closed won"]) == {"created", "Proposal", "Closed won", "won"}


@pytest.mark.parametrize(
    ("sent", "held", "of", "equal"),
    [
        (Decimal("1.08755"), Decimal("1.0876"), field("decimal", scale=4), True),
        (Decimal("1.0875"), Decimal("1.0876"), field("decimal", scale=4), False),
        (Decimal(5), 5, field("money", scale=2), True),
        (Decimal(5), "five", field("money", scale=2), False),
        (None, Decimal(0), field("money"), True),
        (None, False, field("boolean"), True),
        (None, "x", field("text"), False),
        ("x", None, field("text"), False),
        ("x", "X", field("text"), False),
        ("usd", "USD", field("text", "C/N", lookup=LookupDef(set="Currency", by="ShortName")), True),
        (dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 1, 0, 0, 0, 9, dt.UTC), field("datetime"), True),
        (dt.date(2026, 3, 1), dt.date(2026, 3, 2), field("date"), False),
    ],
)
def test_what_was_sent_and_what_is_held(sent: Scalar, held: Scalar, of: FieldDef, equal: bool) -> None:
    """Rounding, empty numbers and a list's spelling are Creatio's own; everything else has to agree."""
    assert same(sent, held, of) is equal
