"""The configuration file, and what refusals mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from iw_operators.systems.quickbooks_desktop.connector.config import load
from iw_operators.systems.quickbooks_desktop.connector.health import ADVICE, State, state_of

INI = """
[connector]
data_source = DSN=QuickBooks Data
password = 50%percent
host = 0.0.0.0
port = 5434
allow = 10.0.0.0/8, 192.0.2.7
certificate = connector.crt
key = connector.key
read_only = yes
[limits]
turn_seconds = 5
sessions = 3
"""
YAML = """
connector:
  data_source: Driver={QODBC Driver for QuickBooks};DFQ=.;OpenMode=M
  password_env: QBD_PASSWORD
  plain_text: true
  allow: [127.0.0.1, "::1"]
"""


def test_an_ini_file_is_read(tmp_path: Path) -> None:
    """Names, numbers, addresses, flags and limits are read; files stand beside the configuration."""
    path = tmp_path / "connector.ini"
    path.write_text(INI, encoding="utf-8-sig")
    config = load(path)
    assert (config.data_source, config.secret, config.port) == ("DSN=QuickBooks Data", "50%percent", 5434)
    assert [str(network) for network in config.allow] == ["10.0.0.0/8", "192.0.2.7/32"]
    assert (config.certificate, config.read_only) == (tmp_path / "connector.crt", True)
    assert (config.limits.turn_seconds, config.limits.sessions) == (5.0, 3)


def test_a_yaml_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names in YAML; the password may come from the environment."""
    monkeypatch.setenv("QBD_PASSWORD", "secret")
    path = tmp_path / "connector.yaml"
    path.write_text(YAML)
    assert (load(path).secret, load(path).plain_text, len(load(path).allow)) == ("secret", True, 2)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[connector]", "[other]", "a section [connector] is needed"),
        ("data_source = DSN=QuickBooks Data", "", "data_source is needed"),
        ("password = 50%percent", "", "a password is needed"),
        ("certificate = connector.crt", "", "certificate and key are needed"),
        ("certificate = connector.crt", "plain_text = yes", "plain_text is for loopback addresses only"),
        ("allow = 10.0.0.0/8, 192.0.2.7", "allow = everybody", "everybody"),
        ("read_only = yes", "read_only = maybe", "read_only is yes or no"),
        ("port = 5434", "colour = red", "unknown setting 'colour'"),
        ("sessions = 3", "session = 3", "unknown limit 'session'"),
        ("sessions = 3", "sessions = 0", "sessions has to be above 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, text: str) -> None:
    """A configuration that would not work, or not be safe, is refused with the reason and the file's name."""
    path = tmp_path / "connector.ini"
    path.write_text(INI.replace(old, new))
    with pytest.raises(ValueError, match=r"connector\.ini") as raised:
        load(path)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("[QODBC] Error: 80040414 - A modal dialog box is showing in the QuickBooks user interface.", "modal_dialog"),
        ("[QODBC] Error: 80040416 - ...", "company_file_closed"),
        ("[QODBC] Error: 8004040a - ...", "single_user_mode"),
        ("The company file is open in single-user mode", "single_user_mode"),
        ("[QODBC] Error: 80040410 - ...", "single_user_mode"),
        ("[QODBC] Error: 80040422 - ...", "single_user_mode"),
        ("[QODBC] Error: 80040409 - ...", "wrong_version"),
        ("[QODBC] Error: 8004041D - ...", "no_permission"),
        ("QODBC evaluation has ended", "licence"),
        ("[unixODBC][Driver Manager]Data source name not found, and no default driver specified", "driver_missing"),
        ("[QODBC] Error: 80040408 - Could not start QuickBooks.", "quickbooks_not_installed"),
        ('[QODBC] Error: 3100 - The name "abc" of the list element is already in use.', "unknown"),
    ],
)
def test_a_refusal_means_a_state(text: str, state: str) -> None:
    """Codes and words tell what is wrong with the company file; each state but two has its advice."""
    found = state_of(text)
    assert found == state
    assert bool(ADVICE[found]) is (found not in (State.OPEN, State.UNKNOWN))


def test_words_of_a_record_mean_nothing() -> None:
    """A statement's refusal is known by its code alone: a customer may be called after a modal dialog."""
    text = '[QODBC] Error: 3100 - The name "Modal Dialog Ltd, permission denied" is already in use.'
    assert state_of(text, connecting=False) is State.UNKNOWN
