"""`airflow iw query-starts`: set by a person, and what it refuses."""

from __future__ import annotations

import pytest

from iw_operators.ledger.store import Ledger
from tests.stage import MAPPINGS
from tests.test_cli import run

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R2")]

FLOW = "CRAcctOpp2QBCustInv"


def test_it_is_set_as_on_the_page(
    ledger: Ledger, ledger_connection: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a deed and a line of its history; a time that is yet to come is refused, and nothing is changed."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(MAPPINGS))
    monkeypatch.setattr("getpass.getuser", lambda: "Ann")
    run("query-starts", "acme", FLOW, "2026-01-02T12:00:00Z")
    assert "-> 2026-01-02T12:00:00+00:00  by Ann" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="cannot lie in the future"):
        run("query-starts", "acme", FLOW, "2062-01-02T12:00:00Z")
    (move,) = ledger.query_starts_history("acme", FLOW)
    assert move.by == "Ann"
    assert [(deed.by, deed.what, deed.subject) for deed in ledger.deeds("acme")] == [("Ann", "query starts set", FLOW)]
