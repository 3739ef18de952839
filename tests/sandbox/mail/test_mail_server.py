"""The local mail server as an ordinary SMTP client and a browser see it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from sandbox.mail import Options, RunningMail, serve_mail
from tests import web
from tests.certificates import certificate

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("R8")]

ODD = "! @ # $ % ^ & * + { } [ ] ? > < ' \" Ångström 北京 😀"


@pytest.fixture
def mail() -> Iterator[RunningMail]:
    """A mail server."""
    with serve_mail() as running:
        yield running


def letter(subject: str = "Hello", text: str = "Body\n") -> EmailMessage:
    """Return a mail with both bodies."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "us@example.com", "ops@acme.example", subject
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    return message


def send(mail: RunningMail, message: EmailMessage | None = None, *recipients: str) -> dict[str, tuple[int, bytes]]:
    """Send a mail as a program does; return who was refused."""
    with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=10) as client:
        return client.send_message(message or letter(), to_addrs=recipients or None)


def test_a_mail_can_be_read_as_it_was_sent(mail: RunningMail) -> None:
    """Subject, bodies and the envelope come back character for character."""
    send(mail, letter(ODD, ODD + "\n"), "ops@acme.example", "hidden@acme.example")
    (row,) = web.get(f"{mail.url}/messages").json()
    assert row["subject"] == ODD
    assert row["text"] == ODD + "\n"
    assert row["html"] == f"<p>{ODD}\n</p>\n"
    assert row["recipients"] == ["ops@acme.example", "hidden@acme.example"]
    assert (row["sender"], row["to"], row["signed_in"], row["encrypted"]) == (
        "us@example.com",
        "ops@acme.example",
        "",
        False,
    )
    assert "hidden" not in web.get(f"{mail.url}/messages/{row['id']}/raw").text


def test_mails_are_found_by_who_got_them_and_deleted(mail: RunningMail) -> None:
    """`?to=` is about the envelope; DELETE takes one mail or all; what is not there is 404."""
    for to in ("a@example.com", "b@example.com", "b@example.com"):
        send(mail, None, to)
    assert [row["id"] for row in web.get(f"{mail.url}/messages", params={"to": "b@example.com"}).json()] == [2, 3]
    assert httpx.delete(f"{mail.url}/messages/2").json() == {"deleted": 1}
    assert httpx.delete(f"{mail.url}/messages/2").status_code == 404
    assert web.get(f"{mail.url}/messages/2").status_code == 404
    assert httpx.delete(f"{mail.url}/messages").json() == {"deleted": 2}
    assert web.get(f"{mail.url}/messages").json() == []


def test_the_page_shows_mails_and_executes_nothing(mail: RunningMail) -> None:
    """What a mail holds is text on the list, and its HTML is shown under a policy that lets nothing run."""
    send(mail, letter("<script>alert(1)</script>", "<b>x</b>"))
    page = web.get(mail.url).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page
    shown = web.get(f"{mail.url}/messages/1/html")
    assert "<b>x</b>" in shown.text
    assert shown.headers["content-security-policy"].startswith("default-src 'none'")


def test_sign_in_is_checked_where_somebody_signs_in(mail: RunningMail) -> None:
    """The right password is taken and named, a wrong one refused; without sign-in mails are taken as well."""
    options = Options()
    with smtplib.SMTP("127.0.0.1", mail.smtp_port) as client:
        client.login(options.user, options.password)
        client.send_message(letter())
    assert web.get(f"{mail.url}/messages").json()[0]["signed_in"] == options.user
    with smtplib.SMTP("127.0.0.1", mail.smtp_port) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(options.user, "wrong")
    assert web.get(f"{mail.url}/_sandbox/stats").json()["smtp"]["sign-ins refused"] >= 1


def test_sign_in_can_be_required() -> None:
    """A server that asks for it takes nothing from somebody who has not signed in."""
    with serve_mail(Options(require_sign_in=True)) as mail, pytest.raises(smtplib.SMTPSenderRefused) as caught:
        send(mail)
    assert caught.value.smtp_code == 530


def test_starttls_is_offered_where_there_is_a_certificate(tmp_path: Path) -> None:
    """A mail that came over TLS says so."""
    files = certificate(tmp_path)
    with serve_mail(Options(tls=files)) as mail:
        with smtplib.SMTP("127.0.0.1", mail.smtp_port) as client:
            client.starttls(context=ssl.create_default_context(cafile=files[0]))
            client.send_message(letter())
        assert web.get(f"{mail.url}/messages").json()[0]["encrypted"] is True


@pytest.mark.parametrize(
    ("kind", "match", "error", "taken"),
    [
        ("smtp_away", "", smtplib.SMTPServerDisconnected, 0),
        ("smtp_later", "", smtplib.SMTPDataError, 0),
        ("smtp_refuse", "us@example.com", smtplib.SMTPDataError, 0),
        ("smtp_reject", "ops@acme.example", smtplib.SMTPRecipientsRefused, 0),
        ("smtp_drop_after", "", smtplib.SMTPServerDisconnected, 1),
    ],
)
def test_faults_hit_once_and_are_over(
    mail: RunningMail, kind: str, match: str, error: type[Exception], taken: int
) -> None:
    """Each fault shows as what a client calls it; the next mail goes through."""
    web.post(f"{mail.url}/_sandbox/faults", json={"kind": kind, "match": match}).raise_for_status()
    with pytest.raises(error):
        send(mail)
    assert mail.sandbox.store.count() == taken
    assert send(mail) == {}
    assert mail.sandbox.store.count() == taken + 1


def test_one_of_several_recipients_is_refused(mail: RunningMail) -> None:
    """The mail goes to the others, and the sender learns of the one."""
    mail.arm("smtp_reject", match="gone@acme.example")
    refused = send(mail, None, "ops@acme.example", "gone@acme.example")
    assert refused["gone@acme.example"][0] == 550
    assert mail.sandbox.store.all()[0]["recipients"] == ["ops@acme.example"]


def test_a_refused_sign_in_and_a_slow_answer(mail: RunningMail) -> None:
    """Both happen to who is named; a client with less patience gives up."""
    mail.arm("smtp_sign_in", match="iw-mail")
    mail.arm("smtp_slow", seconds=30.0)
    with smtplib.SMTP("127.0.0.1", mail.smtp_port) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("iw-mail", "iw-mail-secret")
    gives_up = pytest.raises(smtplib.SMTPServerDisconnected, match="timed out")
    with smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=1) as client, gives_up:
        client.send_message(letter())
    assert mail.sandbox.store.count() == 0


def test_reset_and_stats(mail: RunningMail) -> None:
    """The control endpoint counts mails and forgets them."""
    send(mail)
    assert web.get(f"{mail.url}/_sandbox/stats").json()["mails"] == 1
    assert web.post(f"{mail.url}/_sandbox/reset", json={}).json() == {"deleted": 1}
    assert web.get(f"{mail.url}/_sandbox/stats").json() == {"requests": 0, "by_request": {}, "faults": []} | {
        "mails": 0,
        "smtp": {},
    }


def test_mails_are_kept_in_a_file(tmp_path: Path) -> None:
    """A server that is started again has the mails of before."""
    for number in (1, 2):
        with serve_mail(path=tmp_path / "mail.sqlite") as mail:
            send(mail)
            assert mail.sandbox.store.count() == number
