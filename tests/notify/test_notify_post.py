"""Sending through Airflow's SMTP connection to the local mail server, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError
from iw_operators.ledger.mails import NewMail
from iw_operators.notify.post import AWAY, CONNECTION, SENDER, SIGN_IN, Post
from local.airflow import free_port
from sandbox.mail import Options, RunningMail, airflow_connection, serve_mail
from tests.certificates import certificate
from tests.notify.kit import ODD, queued

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("R8")]

Connect = Callable[..., None]
MAIL = NewMail("k", "error", ("ops@acme.example",), ("cc@acme.example",), ("quiet@acme.example",), ODD, ODD, ODD)


@pytest.fixture
def mail() -> Iterator[RunningMail]:
    """A mail server."""
    with serve_mail() as running:
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A function that makes the Airflow connection `smtp_default`."""

    def make(port: int, **changes: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(airflow_connection(port, **changes)))

    return make


def fails() -> InterWeaveError:
    """Return the error with which nothing can be sent."""
    with pytest.raises(InterWeaveError) as caught, Post("smtp_default"):
        pass
    return caught.value


@pytest.mark.feature("E3")
def test_a_mail_arrives_as_it_was_queued(mail: RunningMail, connect: Connect) -> None:
    """Every character of subject and bodies; BCC gets it and stands in no header; the sender has signed in."""
    connect(mail.smtp_port)
    with Post("smtp_default") as post:
        assert post.send(queued(MAIL)).taken
        assert post.send(queued(MAIL, 2)).taken
    row, second = mail.sandbox.store.all()
    assert (row["subject"], row["text"], row["html"]) == (ODD, ODD, ODD)
    assert row["recipients"] == ["ops@acme.example", "cc@acme.example", "quiet@acme.example"]
    assert "quiet@" not in str(row["headers"]) + str(mail.sandbox.store.raw(row["id"]))
    assert row["signed_in"] == "iw-mail"
    assert row["from"] == "interweave@sandbox.example"
    assert mail.sandbox.handler.counts["connections"] == 1
    assert second["id"] == 2


def test_the_sender_is_an_option_or_the_connections(mail: RunningMail, connect: Connect) -> None:
    """The option wins; then the connection's address; then its login; with none of them nothing is sent."""
    for sender, changes, wanted in (
        ("own@acme.example", {}, "own@acme.example"),
        ("", {}, "interweave@sandbox.example"),
        ("", {"extra": {"from_email": None}, "login": "login@acme.example", "password": ""}, "login@acme.example"),
    ):
        connect(mail.smtp_port, **changes)
        with Post("smtp_default", sender) as post:
            post.send(queued(MAIL))
        assert mail.sandbox.store.all()[-1]["sender"] == wanted
    connect(mail.smtp_port, extra={"from_email": None})
    error = fails()
    assert isinstance(error, FixConfiguration)
    assert error.code == SENDER
    assert error.advice


def test_starttls(tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a certificate that is trusted gets mails over TLS; one that nobody vouches for gets none."""
    files = certificate(tmp_path)
    with serve_mail(Options(tls=files)) as mail:
        connect(mail.smtp_port, starttls=True)
        assert fails().code == AWAY
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        with Post("smtp_default") as post:
            post.send(queued(MAIL))
        assert mail.sandbox.store.all()[0]["encrypted"] is True


def test_a_server_that_is_away_is_a_connection_failure(mail: RunningMail, connect: Connect) -> None:
    """Nothing listens, or it hangs up at once; the error has a code and advice, and no secret."""
    connect(free_port())
    error = fails()
    assert isinstance(error, ConnectionFailure)
    assert error.code == AWAY
    mail.arm("smtp_away", times=-1)
    connect(mail.smtp_port)
    again = fails()
    assert isinstance(again, ConnectionFailure)
    assert again.code == AWAY
    assert "wait in the ledger" in again.advice
    assert mail.sandbox.handler.counts["hung up"] == 2


def test_a_slow_server_is_not_waited_for_without_end(mail: RunningMail, connect: Connect) -> None:
    """The connection's patience counts."""
    connect(mail.smtp_port, extra={"timeout": 1})
    mail.arm("smtp_slow", seconds=60.0)
    with Post("smtp_default") as post, pytest.raises(ConnectionFailure):
        post.send(queued(MAIL))


def test_a_wrong_password_is_a_matter_of_configuration(mail: RunningMail, connect: Connect) -> None:
    """It is named without the password."""
    connect(mail.smtp_port, password="WRONG-s3cr3t-word")
    error = fails()
    assert isinstance(error, FixConfiguration)
    assert error.code == SIGN_IN
    assert "WRONG" not in str(error)
    assert mail.sandbox.handler.counts["sign-ins refused"]


def test_no_connection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which one is missing, and who makes it."""
    monkeypatch.delenv("AIRFLOW_CONN_NOT_THERE", raising=False)
    with pytest.raises(FixConfiguration, match="not_there") as caught, Post("not_there"):
        pass
    assert caught.value.code == CONNECTION
    assert "smtp_conn_id" in caught.value.advice


@pytest.mark.parametrize(("kind", "code"), [("smtp_refuse", "554"), ("smtp_reject", "550")])
def test_a_mail_that_is_refused_for_good(mail: RunningMail, connect: Connect, kind: str, code: str) -> None:
    """It is told with the server's words, and the next mail goes in the same session."""
    connect(mail.smtp_port)
    mail.arm(kind, times=3 if kind == "smtp_reject" else 1)
    with Post("smtp_default") as post:
        delivery = post.send(queued(MAIL))
        assert not delivery.taken
        assert code in delivery.note
        assert post.send(queued(MAIL, 2)).taken


def test_one_recipient_of_several_is_refused(mail: RunningMail, connect: Connect) -> None:
    """The mail goes to the others, and it is told whom it did not reach."""
    connect(mail.smtp_port)
    mail.arm("smtp_reject", match="cc@acme.example")
    with Post("smtp_default") as post:
        delivery = post.send(queued(MAIL))
    assert delivery.taken
    assert "cc@acme.example: 550" in delivery.note


def test_a_server_that_wants_it_later_is_away(mail: RunningMail, connect: Connect) -> None:
    """Greylisting is no refusal: the mail waits."""
    connect(mail.smtp_port)
    mail.arm("smtp_later")
    with Post("smtp_default") as post, pytest.raises(ConnectionFailure, match="Greylisted"):
        post.send(queued(MAIL))


def test_an_address_that_no_server_takes_is_refused_here(mail: RunningMail, connect: Connect) -> None:
    """It is told like a refusal of the server, and ends no session."""
    connect(mail.smtp_port)
    bad = NewMail("k", "error", ("jürgen@acme.example",), (), (), "s", "t", "h")
    with Post("smtp_default") as post:
        assert not post.send(queued(bad)).taken
        assert post.send(queued(MAIL)).taken
