"""`airflow iw release`: a person's word about records that wait since they were unbound."""

from __future__ import annotations

import pytest

from iw_operators.engine.model import Action, Unbind
from iw_operators.ledger.store import Ledger
from tests.ledger.kit import begin, made, quiet
from tests.test_cli import run

pytestmark = [pytest.mark.ledger, pytest.mark.feature("B6")]


def test_release_says_what_became_of_each(
    ledger: Ledger, ledger_connection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each id is answered; one that does not wait for a person makes the command end with 1."""
    ref = begin(ledger)
    made(ledger, ref, "a", "b")
    for each in ("a", "b"):
        unbind = Unbind("target", "deleted", hold=True)
        ledger.record(ref, [quiet(Action.HOLD, each, target_id=f"T{each}", unbind=unbind)])
    run("release", "acme", "customers", "crm", "a")
    assert capsys.readouterr().out == "a: released; the next flow looks at it\n"
    with pytest.raises(SystemExit) as caught:
        run("release", "acme", "customers", "books", "Ta", "Tb")
    assert caught.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "Ta: does not wait for a person",
        "Tb: released; the next flow looks at it",
    ]
    assert ledger.waiting("acme", "customers", "crm") == ["a", "b"]
