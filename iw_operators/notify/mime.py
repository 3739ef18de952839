"""A mail as it goes over the wire: text and HTML, every character as it was, nothing in a header but its own value.

The subject is cut into encoded words by ourselves: the library's own folding loses blanks between words of other
scripts. Bodies are base64, so that no server along the way changes anything in them.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from email import policy
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from typing import Final

from iw_operators.ledger.mails import NewMail

WORD: Final = 45  # bytes of text in an encoded word: 60 characters of base64 and 12 around them, of 75 (RFC 2047)
NOBODY: Final = "undisclosed-recipients:;"
_PLAIN = re.compile(r"[ -~]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_POLICY = policy.compat32.clone(linesep="\r\n", max_line_length=0)  # lines are folded here and nowhere else


def message(mail: NewMail, sender: str, sent_at: dt.datetime, number: int) -> bytes:
    """Return a mail as bytes. Those of BCC stand in no header.

    :param sender: one address. :param number: of the mail in the outbox: a mail that is sent twice has one Message-ID.
    :raises ValueError: an address holds a character that would end its header, or is not ASCII.
    """
    made = MIMEMultipart("alternative", policy=_POLICY)
    made["From"] = _address(sender)
    made["To"] = ", ".join(map(_address, mail.to)) or ("" if mail.cc else NOBODY)
    if not made["To"]:
        del made["To"]
    if mail.cc:
        made["Cc"] = ", ".join(map(_address, mail.cc))
    made["Subject"] = encoded(mail.subject)
    made["Date"] = format_datetime(sent_at)
    queue = sender.rpartition("@")[2]
    made["Message-ID"] = f"<interweave.{number}.{_token(mail.key)}@{_address('x@' + queue).rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice is to answer
    for body, kind in ((mail.text, "plain"), (mail.html, "html")):
        made.attach(_part(body, kind))
    return made.as_bytes(policy=_POLICY)


def _part(body: str, kind: str) -> Message:
    part = MIMEText("", kind, "utf-8", policy=_POLICY)
    lines = base64.encodebytes(_canonical(body).encode("utf-8")).decode("ascii")
    part.set_payload(lines)
    return part


def _canonical(body: str) -> str:
    """Return text with line ends as mails have them."""
    return re.sub(r"\r\n|\n", "\r\n", body)


def encoded(text: str) -> str:
    """Return a header's text: as it is where it is short ASCII, in encoded words where it is not.

    :raises ValueError: it holds a character that would end the header.
    """
    if _CONTROL.search(text):
        msg = "A header cannot hold a line break or a control character."
        raise ValueError(msg)
    if _PLAIN.fullmatch(text) and "=?" not in text and len(text) <= 60 and text == text.strip():
        return text
    words, current, size = [], "", 0
    for character in text:
        length = len(character.encode("utf-8"))
        if size + length > WORD:
            words.append(current)
            current, size = "", 0
        current, size = current + character, size + length
    words.append(current)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word.encode()).decode()}?=" for word in words)


def ascii_address(address: str) -> str:
    """Return an address as servers take it, its domain in ASCII.

    :raises ValueError: its local part is not ASCII, or it holds what would end a header or begin another address.
    """
    local, _, domain = address.rpartition("@")
    if not local or not domain or not local.isascii() or re.search(r"[\x00-\x20\x7f,;<>]", address):
        msg = "not an address that a mail server takes"
        raise ValueError(msg)
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        msg = "not an address that a mail server takes"
        raise ValueError(msg) from None


_address = ascii_address


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:80]
