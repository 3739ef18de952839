"""The catalogue's advice stands where errors are read: the error itself, task logs, the record log, the command."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from iw_operators.engine.model import Action
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord, StopFlow, Throttled
from iw_operators.errors.catalogue import advice_for, known
from iw_operators.ledger.store import Ledger
from iw_operators.retry import ERROR_KEY, describe, told
from iw_operators.systems.creatio.errors import failure
from tests.errors.conftest import Scenes
from tests.errors.test_errors_characters import WORLD, guid
from tests.ledger.kit import begin, quiet


class Pushed:
    """A task instance that keeps what is pushed."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep it."""
        self.values[key] = value


@pytest.mark.feature("E2")
def test_an_error_with_a_code_and_no_advice_has_the_catalogues() -> None:
    """Meaning, person and action of the code stand in `advice` and in the text; what was given stays."""
    error = FixRecord("The name is taken.", code="6240")
    assert error.advice == advice_for("6240") == known("6240", "quickbooks_online").advice
    assert str(error).endswith(error.advice)
    assert FixRecord("x", code="6240", advice="Mine.").advice == "Mine."
    error.advice = "Later."
    assert error.advice == "Later."
    assert FixRecord("x").advice == ""
    assert StopFlow("x", code="nobody.knows").advice == ""
    assert "status page" in ConnectionFailure("x", code="http.503").advice


@pytest.mark.feature("E2")
def test_creatios_errors_take_their_advice_from_the_data() -> None:
    """A refusal and throttling without words of their own get what errors.yaml says of their codes."""
    refused = failure(500, {"error": {"code": "", "message": "An error has occurred."}}, "saving Account")
    assert (refused.code, refused.advice) == ("creatio.refused", known("creatio.refused", "creatio").advice)
    busy = failure(429, None, "reading Account")
    assert isinstance(busy, Throttled)
    assert busy.advice == known("creatio.throttled", "creatio").advice


def _raise_within(block: told, error: Exception) -> None:
    with block:
        raise error


@pytest.mark.feature("E2")
def test_a_tasks_log_and_its_xcom_carry_the_advice() -> None:
    """An error without advice is logged, and left for `report`, with the catalogue's."""
    pushed = Pushed()
    context: Any = {"ti": pushed}
    error = FixConfiguration("No connection.", code="iw.no_connection")
    with capture_logs() as logs, pytest.raises(FixConfiguration):
        _raise_within(told(context), error)
    advice = known("iw.no_connection", "iw").advice
    assert [entry["advice"] for entry in logs if entry["log_level"] == "error"] == [advice]
    assert pushed.values[ERROR_KEY]["advice"] == advice
    assert describe(FixRecord("x", code="iw.too_long"))["advice"] == known("iw.too_long", "iw").advice


@pytest.mark.feature("E2")
@pytest.mark.ledger
def test_a_row_of_the_record_log_with_a_code_has_advice(ledger: Ledger) -> None:
    """A decision with a code alone is recorded with the catalogue's advice; own advice and rows without code stay."""
    run = begin(ledger)
    ledger.record(
        run,
        [
            quiet(Action.REJECT, "a", code="iw.required"),
            quiet(Action.REJECT, "b", code="iw.required", advice="Mine."),
            quiet(Action.SKIP, "c"),
            quiet(Action.HOLD, "d", code="nobody.knows"),
        ],
    )
    rows = {row.source_id: row.advice for row in ledger.log(company="acme")}
    assert rows == {"a": known("iw.required", "iw").advice, "b": "Mine.", "c": "", "d": ""}


@pytest.mark.feature("E1", "E2")
@pytest.mark.sandbox
@pytest.mark.ledger
def test_what_the_books_refuse_is_a_row_with_the_catalogues_advice(scenes: Scenes) -> None:
    """A customer whose name a vendor has is rejected with 6240, its meaning and who does what; the others go."""
    for scene in scenes.of(WORLD):
        scene.books.vendor(WORLD.accounts[0].name)
        done = scene.run("CRAcctOpp2QBCustInv")
        assert done["customers"].counts == {"created": len(WORLD.accounts) - 1, "rejected": 1}
        (row,) = scene.stage.ledger.log(company="acme", mapping="customers", action=Action.REJECT)
        expected = known("6240", "quickbooks_online")
        assert (row.source_id, row.code) == (guid(1, 0), "6240")
        assert expected.meaning in row.advice
        assert f"Record owner: {expected.action}" in row.advice
        (told_of,) = scene.stage.ledger.rejections([row.run_id], 3)
        assert told_of.advice == row.advice


@pytest.mark.feature("E1", "E2")
@pytest.mark.sandbox
@pytest.mark.ledger
def test_what_the_crm_refuses_is_a_row_with_the_catalogues_advice(scenes: Scenes) -> None:
    """A town that none of Creatio's lists holds is held with its field, a code and what to do."""
    for scene in scenes.of(WORLD):
        scene.run("CRAcctOpp2QBCustInv")
        customer = scene.books.query("SELECT * FROM Customer MAXRESULTS 100")["Customer"][0]
        address = {**customer["BillAddr"], "City": "A town that no list holds"}
        scene.books.save(
            "Customer",
            {"Id": customer["Id"], "SyncToken": customer["SyncToken"], "sparse": True, "BillAddr": address},
        )
        scene.run("QBCustInvoices2CRAcctOpp")
        (row,) = scene.stage.ledger.log(company="acme", mapping="customers", action=Action.HOLD)
        assert row.code
        assert row.advice
        assert row.field == "billing.city"


def explained(capsys: pytest.CaptureFixture[str], *words: str, system: str | None = None) -> str:
    """Return what the command prints."""
    from iw_operators.commands.explain import explain

    explain(SimpleNamespace(code=list(words), system=system))
    return capsys.readouterr().out


@pytest.mark.feature("E1")
def test_the_command_explains_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Code, name, origin, meaning, person, action, retry, flow and source are shown."""
    shown = " ".join(explained(capsys, "3140").split())
    one = known("3140", "quickbooks_desktop")
    for part in (one.code, one.title, one.label, one.meaning, one.who, one.action, one.effect.flow, one.source):
        assert part in shown


@pytest.mark.feature("E1")
def test_the_command_shows_all_systems_or_one(capsys: pytest.CaptureFixture[str]) -> None:
    """6000 is a code of several systems; --system leaves one."""
    everywhere = explained(capsys, "6000")
    assert "QuickBooks Online" in everywhere
    assert "QuickBooks Desktop" in everywhere
    assert "QuickBooks Desktop" not in explained(capsys, "6000", system="quickbooks_online")


@pytest.mark.feature("E1")
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["[QODBC] Error: 3140 - x\nQuickBooks error message: y"], "Reference not found"),
        (["You", "have", "an", "error", "in", "your", "SQL", "syntax"], "SQL syntax error"),
        (["-6190,", "-83"], "in use elsewhere"),
        (["3999"], "3100 to 9099"),
        (["3150-3153"], "Elements conflict"),
        (["0x8004040a"], "Another company file"),
    ],
)
def test_the_command_takes_ranges_and_pasted_messages(
    capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    """A pair of numbers, a range, a code in any spelling and a whole message are understood."""
    assert part in explained(capsys, *words)


@pytest.mark.feature("E1")
def test_the_command_suggests_codes_that_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown code ends with status 1 and names its neighbours; an unknown system is told."""
    with pytest.raises(SystemExit, match=r"(?s)Nothing is known.*look alike.*iw\.too_long"):
        explained(capsys, "iw.toolong")
    with pytest.raises(SystemExit, match=r"No system 'x'"):
        explained(capsys, "3140", system="x")


def test_the_command_is_one_of_airflows() -> None:
    """`airflow iw explain` takes words and --system."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    from iw_operators.cli import get_commands

    (group,) = get_commands()
    assert isinstance(group, GroupCommand)
    (command,) = (each for each in group.subcommands if each.name == "explain")
    assert isinstance(command, ActionCommand)
    flags = [flag for arg in command.args for flag in arg.flags]
    assert flags == ["code", "--system"]


def test_the_document_is_current() -> None:
    """docs/errors.md is what `make docs` writes from the data of today."""
    from iw_operators.errors import docs

    assert docs.TARGET.read_text("utf-8") == docs.render(), "run make docs"


def test_the_document_names_every_entry() -> None:
    """Each code is a row, and no text breaks its table."""
    from iw_operators.errors import docs
    from iw_operators.errors.catalogue import catalogue

    rows = [line for line in docs.render().splitlines() if line.startswith("| ")]
    entries = list(catalogue().entries)
    for entry in entries:
        assert any(line.startswith(f"| {docs._cell(entry.shown)} |") for line in rows), entry.code
    unescaped = [line.replace("\\|", "").count("|") for line in rows if not line.startswith("|---")]
    assert set(unescaped) <= {4, 7}
