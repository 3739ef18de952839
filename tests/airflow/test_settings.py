"""The options of section [interweave]."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from iw_operators import settings
from iw_operators.errors import FixConfiguration

REPOSITORY = Path(__file__).resolve().parents[2]


def test_defaults() -> None:
    """Without configuration everything has a sensible value."""
    assert settings.mappings_folder() == REPOSITORY / "mappings"
    assert settings.ledger_conn_id() == "iw_ledger"
    assert settings.retries() == 5
    assert settings.retry_delay() == dt.timedelta(seconds=15)
    assert settings.max_retry_delay() == dt.timedelta(minutes=15)
    assert settings.pool_slots() == 1
    assert settings.poll_interval() == 10


def test_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option can be set in the environment."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", "~/specs")
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__LEDGER_CONN_ID", "other")
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__RETRY_DELAY", "0.5")
    assert settings.mappings_folder(__file__) == Path.home() / "specs"
    assert settings.ledger_conn_id() == "other"
    assert settings.retry_delay() == dt.timedelta(milliseconds=500)


def test_the_folder_lies_beside_the_dags(tmp_path: Path) -> None:
    """A DAG file finds the specs of its own bundle."""
    assert settings.mappings_folder(tmp_path / "dags" / "interweave.py") == tmp_path / "mappings"


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        ("RETRIES", "-1", settings.retries),
        ("RETRY_DELAY", "soon", settings.retry_delay),
        ("POOL_SLOTS", "0", settings.pool_slots),
        ("POLL_INTERVAL", "nan", settings.poll_interval),
    ],
)
def test_nonsense_is_named(
    option: str, value: str, read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value is refused with the option, the value and the variable to correct."""
    monkeypatch.setenv(f"AIRFLOW__INTERWEAVE__{option}", value)
    with pytest.raises(FixConfiguration) as caught:
        read()
    assert option.lower() in str(caught.value)
    assert value in str(caught.value)
    assert f"AIRFLOW__INTERWEAVE__{option}" in str(caught.value)
