"""Writing over the wire: what is taken, what is silently ignored, what the database refuses."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.creatio.model import Column, Kind
from sandbox.creatio.values import format_decimal, format_moment, parse_moment, ticks, to_stored

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

ZERO = "00000000-0000-0000-0000-000000000000"


def inner(response: Any) -> str:
    """The innermost message of a refusal."""
    message: str = response.json()["error"]["innererror"]["message"]
    return message


def test_a_post_answers_201_with_the_record_and_its_address(site: Any) -> None:
    """The answer holds the whole record; Location is its address."""
    response = site.post("Account", Name="New", Phone="1")
    assert response.status_code == 201
    row = response.json()
    assert response.headers["Location"] == f"{site.odata}/Account({row['Id']})"
    assert row == site.session.get(response.headers["Location"]).json()


def test_a_client_made_id_is_kept_and_a_second_one_refused(site: Any) -> None:
    """A POST may carry its own Id, once: the database's text tells of the second."""
    mine = str(uuid.uuid4())
    assert site.create("Account", Id=mine.upper(), Name="A")["Id"] == mine
    again = site.post("Account", Id=mine, Name="B")
    assert again.status_code == 500
    assert again.json()["error"]["message"] == "An error has occurred."
    assert "duplicate key value violates unique constraint" in inner(again)
    assert site.one("Account")["Name"] == "A"


def test_a_navigation_path_in_an_insert_is_silently_ignored(site: Any) -> None:
    """Whatever way a navigation is written in a body, the lookup stays empty and the status is a success."""
    account = site.create("Account", Name="A")
    for body in (
        {"Account/Id": account["Id"]},
        {"Account": {"Id": account["Id"]}},
        {"Account@odata.bind": f"Account({account['Id']})"},
    ):
        assert site.create("Contact", Name="C", **body)["AccountId"] == ZERO
    assert site.create("Contact", Name="C", AccountId=account["Id"])["AccountId"] == account["Id"]


def test_patch_and_delete_answer_204(site: Any) -> None:
    """A change and a deletion answer without a body; what is gone is a 404 afterwards."""
    row = site.create("Account", Name="A", Phone="1")
    response = site.patch("Account", row["Id"], Name="B")
    assert (response.status_code, response.content) == (204, b"")
    changed = site.one("Account")
    assert (changed["Name"], changed["Phone"]) == ("B", "1")
    assert changed["ModifiedOn"] > row["ModifiedOn"]
    assert changed["CreatedOn"] == row["CreatedOn"]
    url = f"{site.odata}/Account({row['Id']})"
    assert site.session.delete(url).status_code == 204
    assert site.session.delete(url).status_code == 404
    assert site.patch("Account", row["Id"], Name="C").status_code == 404
    assert site.rows("Account") == []


def test_a_text_too_long_is_a_500_with_the_databases_text(site: Any) -> None:
    """The limit is in the message; the row stays as it was."""
    assert site.post("UsrPaymentQB", UsrPaymentNumber="x" * 13).status_code == 201
    response = site.post("UsrPaymentQB", UsrPaymentNumber="x" * 14)
    assert response.status_code == 500
    assert "value too long for type character varying(13)" in inner(response)
    assert site.get("UsrPaymentQB/$count").text == "1"


def test_payment_numbers_are_unique_unless_empty(site: Any) -> None:
    """The unique column refuses a second row with its value; empty values do not count."""
    site.create("UsrPaymentQB", UsrPaymentNumber="P1")
    second = site.create("UsrPaymentQB", UsrPaymentNumber="")
    site.create("UsrPaymentQB")
    assert "duplicate key value" in inner(site.post("UsrPaymentQB", UsrPaymentNumber="P1"))
    assert "duplicate key value" in inner(site.patch("UsrPaymentQB", second["Id"], UsrPaymentNumber="P1"))


def test_lookups_have_to_lead_to_a_row(site: Any) -> None:
    """A lookup that leads nowhere is refused by the database, and so is deleting what others refer to."""
    response = site.post("Contact", Name="C", AccountId=str(uuid.uuid4()))
    assert response.status_code == 500
    assert 'insert or update on table "Contact" violates foreign key constraint "FKContactAccount"' in inner(response)
    account = site.create("Account", Name="A")
    contact = site.create("Contact", Name="C", AccountId=account["Id"])
    assert site.patch("Contact", contact["Id"], AccountId=str(uuid.uuid4())).status_code == 500
    response = site.session.delete(f"{site.odata}/Account({account['Id']})")
    assert response.status_code == 500
    assert 'update or delete on table "Account" violates foreign key constraint' in inner(response)
    own = site.create("Account", Name="Own parent", Id=(key := str(uuid.uuid4())), ParentId=key)
    assert own["ParentId"] == key


def test_null_empties_a_lookup_and_the_zero_guid_leaves_it(site: Any) -> None:
    """In a PATCH only null empties a lookup; in a POST the zero GUID is an empty one."""
    account = site.create("Account", Name="A", ParentId=ZERO)
    contact = site.create("Contact", Name="C", AccountId=account["Id"])
    assert site.patch("Contact", contact["Id"], AccountId=ZERO).status_code == 204
    assert site.one("Contact", filter="Name eq 'C'")["AccountId"] == account["Id"]
    assert site.patch("Contact", contact["Id"], AccountId=None).status_code == 204
    assert site.one("Contact", filter="Name eq 'C'")["AccountId"] == ZERO


@pytest.mark.parametrize(
    "body",
    [
        {"Name": 1},
        {"Name": ["a"]},
        {"UsrQBBalance": "abc"},
        {"UsrQBBalance": "1.5"},
        {"UsrQBBalance": True},
        {"UsrActive": "true"},
        {"UsrActive": 1},
        {"UsrQBLastModified": "yesterday"},
        {"UsrQBLastModified": "2026-01-01"},
        {"UsrQBLastModified": "2026-01-01T00:00:00"},
        {"UsrQBLastModified": 5},
        {"OwnerId": "x"},
        {"OwnerId": 5},
        {"Id": "x"},
        {"NoSuchColumn": 1},
        {"NoSuch/Id": 1},
    ],
)
def test_a_value_of_the_wrong_type_is_400(site: Any, body: dict[str, Any]) -> None:
    """Bodies are checked against the object's columns before anything is written."""
    response = site.session.post(f"{site.odata}/Account", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "The request is invalid."
    assert inner(response).startswith("item : ")
    assert site.get("Account/$count").text == "0"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"null"])
def test_a_body_that_is_no_object_is_400(site: Any, body: bytes) -> None:
    """Broken JSON is the client's fault."""
    assert site.session.post(f"{site.odata}/Account", data=body).status_code == 400


def test_numbers_as_text_are_taken_where_the_content_type_says_so(site: Any) -> None:
    """IEEE754Compatible=true in the content type allows decimals as text."""
    headers = {"Content-Type": "application/json; IEEE754Compatible=true"}
    body = '{"Name": "x", "UsrQBBalance": "12.345"}'
    assert site.session.post(f"{site.odata}/Account", data=body, headers=headers).json()["UsrQBBalance"] == 12.35


def test_a_number_that_overflows_is_refused_by_the_database(site: Any) -> None:
    """Amounts have eighteen digits."""
    response = site.post("Account", UsrQBBalance=10**17)
    assert response.status_code == 500
    assert "numeric field overflow" in inner(response)


def test_stamps_are_the_servers_own(make_site: Any) -> None:
    """CreatedOn and ModifiedOn come from the server's clock, which the Date header tells."""
    site = make_site(clock="2026-11-02T08:00:00+00:00")
    response = site.post("Account", Name="A", CreatedOn="2020-01-01T00:00:00Z", ModifiedOn="2020-01-01T00:00:00Z")
    row = response.json()
    assert row["CreatedOn"] == row["ModifiedOn"]
    assert row["CreatedOn"].startswith("2026-11-02T08:0")
    told = parsedate_to_datetime(response.headers["Date"])
    assert abs(told - dt.datetime.fromisoformat(row["ModifiedOn"])) < dt.timedelta(seconds=10)
    site.sandbox.clock.set(dt.datetime(2026, 12, 24, tzinfo=dt.UTC))
    site.patch("Account", row["Id"], ModifiedOn="2020-01-01T00:00:00Z")
    assert site.one("Account")["ModifiedOn"].startswith("2026-12-24T00:0")
    assert site.one("Account", filter="ModifiedOn ge 2026-12-24T00:00:00Z")["CreatedOn"] == row["CreatedOn"]


def test_dates_drop_their_time_and_zones_are_understood(site: Any) -> None:
    """A moment keeps its point in time whatever zone it is written in; a date keeps only its day."""
    row = site.create(
        "UsrPaymentQB", UsrTransactionDate="2026-05-01T17:30:00Z", UsrTotalAmount=5, UsrAppliedTo="a\nb\u2028c"
    )
    assert row["UsrTransactionDate"] == "2026-05-01T00:00:00Z"
    assert row["UsrAppliedTo"] == "a\nb\u2028c"
    account = site.create("Account", UsrQBLastModified="2026-05-01T02:00:00.1234567+02:00")
    assert account["UsrQBLastModified"] == "2026-05-01T00:00:00.123456Z"
    assert (
        site.create("Account", UsrQBLastModified="0001-01-01T00:00:00Z")["UsrQBLastModified"] == "0001-01-01T00:00:00Z"
    )


@pytest.mark.feature("E3")
def test_troublesome_characters_arrive_unchanged(site: Any) -> None:
    """Punctuation, other scripts, emoji and line breaks survive the way in, a filter and the way out."""
    text = "! @ # $ % ^ & * + { } [ ] ? > < ' \" שלום مرحبا 東京 👨‍👩‍👧\r\n\t\\ / \u00a0é"
    key = site.create("Account", Name=text, Notes=text)["Id"]
    quoted = text.replace("'", "''")
    for row in (site.one("Account", filter=f"Name eq '{quoted}'"), site.get(f"Account({key})").json()):
        assert (row["Name"], row["Notes"]) == (text, text)
    assert site.one("Account", filter="contains(Name,'% ^ & * + {')")["Id"] == key


MONEY = Column("M", Kind.DECIMAL, scale=2)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_money_is_exact_to_the_cent(value: Decimal) -> None:
    """What goes in comes out, to the last cent."""
    stored = to_stored(MONEY, value)
    assert isinstance(stored, int)
    assert Decimal(format_decimal(stored, 2)) == value


@given(st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)))  # noqa: DTZ001  the zone is added below
def test_moments_are_exact_to_the_microsecond(naive: dt.datetime) -> None:
    """A moment is written and read without loss over the whole calendar."""
    moment = naive.replace(tzinfo=dt.UTC)
    text = format_moment(ticks(moment))
    assert parse_moment(text) == ticks(moment)
    assert text.endswith("Z")
    assert not text.endswith("0Z") or "." not in text
