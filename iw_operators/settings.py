"""The one module that reads Airflow's configuration for this package: section `[interweave]`.

The options and their defaults are listed in `iw_operators.provider`; each can be set as
`AIRFLOW__INTERWEAVE__<OPTION>`. Everything else about a flow stands in its spec.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
from pathlib import Path

from airflow.sdk.configuration import conf

from iw_operators.errors import FixConfiguration
from iw_operators.provider import OPTIONS, SECTION


def _get(option: str) -> str | None:
    return os.environ.get(f"AIRFLOW__{SECTION.upper()}__{option.upper()}") or _configured(option)


@functools.cache  # asked for several times a flow while a DAG file is read; the configuration does not change
def _configured(option: str) -> str | None:
    value: str | None = conf.get(SECTION, option, fallback=None)
    return value or OPTIONS[option]["default"]


def _number(option: str, least: float) -> float:
    text = _get(option)
    try:
        value = float(text or "")
    except ValueError:
        value = least - 1
    if not value >= least:
        msg = f"[{SECTION}] {option} has to be a number of at least {least:g}, not {text!r}."
        raise FixConfiguration(msg, advice=f"Correct AIRFLOW__{SECTION.upper()}__{option.upper()}.")
    return value


def mappings_folder(dag_file: str | Path | None = None) -> Path:
    """Return the folder of the specs.

    :param dag_file: a file in the DAGs folder; without the option, `mappings` is looked for beside that folder, so
        that DAGs and specs of one bundle version stay together. None stands for `[core] dags_folder`.
    """
    if folder := _get("mappings_folder"):
        return Path(folder).expanduser()
    return _dags_folder(dag_file).parent / "mappings"


def _dags_folder(dag_file: str | Path | None) -> Path:
    return Path(dag_file).resolve().parent if dag_file else Path(conf.get("core", "dags_folder"))


def templates_folder(dag_file: str | Path | None = None) -> Path:
    """Return the folder of the templates of mails.

    :param dag_file: a file in the DAGs folder; without the option, `include/email` is looked for beside that folder,
        and where it is not there, beside `[core] dags_folder`.
    """
    if folder := _get("templates_folder"):
        return Path(folder).expanduser()
    own = _dags_folder(dag_file).parent / "include" / "email"
    return own if own.is_dir() else _dags_folder(None).parent / "include" / "email"


def smtp_conn_id() -> str:
    """Return the id of the connection through which mails are sent."""
    return _get("smtp_conn_id") or "smtp_default"


def mail_from() -> str:
    """Return the address that mails come from; empty where the connection says it."""
    return _get("mail_from") or ""


def base_url() -> str:
    """Return the address of Airflow's pages, without a slash at the end; empty where it is no address of the web."""
    url = _get("base_url") or conf.get("api", "base_url", fallback="") or ""
    return url.rstrip("/") if url.startswith(("https://", "http://")) else ""


def ledger_conn_id() -> str:
    """Return the id of the ledger's connection."""
    return _get("ledger_conn_id") or "iw_ledger"


def retries() -> int:
    """Return how often a task is tried again."""
    return int(_number("retries", 0))


def retry_delay() -> dt.timedelta:
    """Return the wait before the first retry."""
    return dt.timedelta(seconds=_number("retry_delay", 0))


def max_retry_delay() -> dt.timedelta:
    """Return the longest wait between two tries."""
    return dt.timedelta(seconds=_number("max_retry_delay", 0))


def pool_slots() -> int:
    """Return the number of slots with which a company's pool is made."""
    return int(_number("pool_slots", 1))


def poll_interval() -> float:
    """Return the seconds between two looks of the `ready` sensor."""
    return _number("poll_interval", 0.1)
