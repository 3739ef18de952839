"""What goes over the wire is what was composed: every character, and no header but those that are meant."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iw_operators.ledger.mails import NewMail
from iw_operators.notify.composing import one_line
from iw_operators.notify.mime import ascii_address, encoded, message
from tests.notify.kit import NOW, ODD, body, read

pytestmark = pytest.mark.feature("R8", "E3")

MAIL = NewMail("key:1", "error", ("ops@acme.example",), ("cc@acme.example",), ("quiet@acme.example",), ODD, ODD, ODD)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def test_every_character_arrives() -> None:
    """Subject and both bodies are read at the other end as they were written."""
    found = read(MAIL)
    assert found["subject"] == ODD
    assert body(found, "plain") == ODD
    assert body(found, "html") == ODD


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_arrives(text: str) -> None:
    """Any subject on one line and any body, other scripts, emoji and blanks in a row included."""
    subject = one_line(text) or "x"
    found = read(dataclasses.replace(MAIL, subject=subject, text=text))
    assert found["subject"] == subject
    payload = found.get_body(("plain",)).get_payload(decode=True)  # type: ignore[union-attr]  # there is one
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == text.replace("\r\n", "\n")


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_the_wire_is_plain(text: str) -> None:
    """Only ASCII in lines of at most 998 characters that end in CRLF, whatever the texts hold."""
    raw = message(
        dataclasses.replace(MAIL, subject=one_line(text) or "x", text=text, html=text), "us@x.example", NOW, 1
    )
    assert raw.isascii()
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_headers_are_those_that_are_meant() -> None:
    """Sender, To and Cc are told, those of BCC are not; nobody's holiday notice answers; a Message-ID of its own."""
    found = read(MAIL)
    assert found["from"] == "interweave@acme.example"
    assert (found["to"], found["cc"]) == ("ops@acme.example", "cc@acme.example")
    assert "quiet@" not in message(MAIL, "interweave@acme.example", NOW, 1).decode()
    assert found["auto-submitted"] == "auto-generated"
    assert found["message-id"] == "<interweave.1.key-1@acme.example>"
    assert found.get_content_type() == "multipart/alternative"
    hidden = read(dataclasses.replace(MAIL, to=(), cc=()))
    assert hidden["to"] == "undisclosed-recipients:;"
    copied = read(dataclasses.replace(MAIL, to=()))
    assert (copied["to"], copied["cc"]) == (None, "cc@acme.example")


@pytest.mark.parametrize("evil", ["x\r\nBcc: thief@x.example", "x\nSubject: y", "x\x00y", "x\ry"])
def test_a_header_holds_no_line_break(evil: str) -> None:
    """A subject that would begin another header is refused; composing never makes one."""
    with pytest.raises(ValueError, match="line break"):
        encoded(evil)
    assert encoded(one_line(evil))


@pytest.mark.parametrize(
    "address",
    [
        "a@b\r\nBcc: x@y",
        "a@b, c@d",
        "<a@b>",
        "a b@c",
        "a",
        "@b",
        "a@",
        "jürgen@b.example",
        "a@" + "ü" * 70 + ".example",
    ],
)
def test_an_address_is_one_address(address: str) -> None:
    """What would be two addresses, end a header, or what a server does not take, is refused."""
    with pytest.raises(ValueError, match="not an address"):
        ascii_address(address)


def test_a_domain_of_another_script_goes_as_servers_take_it() -> None:
    """Its letters are written as the name system has them."""
    assert ascii_address("ops@bücher.example") == "ops@xn--bcher-kva.example"
