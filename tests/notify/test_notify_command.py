"""`airflow iw mails`."""

from __future__ import annotations

import argparse

import pytest

from iw_operators.commands.mails import mails as show_mails
from iw_operators.ledger.mails import NewMail
from iw_operators.ledger.store import Ledger

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R8")]


@pytest.fixture
def connected(ledger: Ledger, ledger_connection: None) -> Ledger:
    """The ledger behind Airflow's connection."""
    return ledger


def show(capsys: pytest.CaptureFixture[str], *, unsent: bool = False) -> str:
    """Run the command; return what it printed."""
    show_mails(argparse.Namespace(company="acme", unsent=unsent, limit=20))
    return capsys.readouterr().out


def test_it_shows_what_became_of_each_mail(connected: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Sent, waiting, refused and given up, with what the server said; another company's are not shown."""
    mails = [
        NewMail(f"k{n}", "error", ("ops@acme.example",), (), (), f"Subject {n}\x1b[31m", "SECRET BODY", "h")
        for n in range(4)
    ]
    connected.queue_mails("acme", mails)
    connected.queue_mails("zeta", [NewMail("z", "error", ("z@zeta.example",), (), (), "Zeta", "t", "h")])
    first, second, third, _ = (each.id for each in connected.due_mails("acme"))
    connected.mail_sent("acme", first)
    connected.mail_refused("acme", second, "550 unknown")
    for _ in range(10):
        connected.mail_refused("acme", third, "554 never")
    everything = show(capsys)
    for words in (
        "sent ",
        "refused 1x",
        "given up",
        "waits",
        "550 unknown",
        "554 never",
        "ops@acme.example",
        "\\u001b",
    ):
        assert words in everything
    assert "SECRET BODY" not in everything
    assert "Zeta" not in everything
    left = show(capsys, unsent=True)
    assert "Subject 0" not in left
    assert "Subject 1" in left


def test_it_says_when_there_is_nothing(connected: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """No mails is a sentence, not an empty table."""
    assert show(capsys) == "There are no mails.\n"
    assert show(capsys, unsent=True) == "No mail waits.\n"
