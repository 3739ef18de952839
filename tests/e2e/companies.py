"""The specs of the end-to-end tests: a copy of acme, and companies of which each has one thing wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from iw_operators.spec.models import NotifyMode
from local.airflow import REPOSITORY
from sandbox import creatio, quickbooks_online

FLOW: Final = "QBItem2CRProd"
WRONG: Final = ("noconn", "nopass", "nosecret", "down", "htmlcrm", "htmlbooks")
BROKEN: Final = "broken"
DAY_MS: Final = 86_400_000  # so that no run begins by itself in the middle of a test, and stands before the test's own
_ONE: Final = {"mappings": ["items"], "direction": "to_crm"}
_DAILY: Final = {**_ONE, "interval_ms": DAY_MS}


def write_specs(folder: Path) -> None:
    """Fill a mappings folder: `acme`, those of `WRONG`, and one whose specs have errors."""
    copy_company("acme", folder)
    for company in (*WRONG, BROKEN):
        (folder / company).mkdir()
        items = (folder / "acme" / "items.yaml").read_text("utf-8")
        (folder / company / "items.yaml").write_text(f"{items}\nutilities: false\n", "utf-8")
        spec = _read(folder / "acme" / "company.yaml")
        spec["company"] = company
        spec.pop("notify", None)
        if company == "down":
            spec["stop_scheduled"] = "after_connection_failure"
        for side in ("crm", "books"):
            spec[side]["connection"] = f"{company}_{side}"
        _write(folder / company / "company.yaml", spec)
        _write(folder / company / "flows.yaml", {"flows": {FLOW: _DAILY}})
    for mode in NotifyMode:
        _write_mode(folder, mode)
    mistaken = (folder / BROKEN / "items.yaml").read_text("utf-8").replace("bind: {by: id,", "bind: {bye: id,")
    (folder / BROKEN / "items.yaml").write_text(mistaken, "utf-8")


def copy_company(company: str, folder: Path, **changes: Any) -> None:
    """Copy a company into a mappings folder, its scheduled flows once a day, with `changes` to its company.yaml."""
    made = shutil.copytree(REPOSITORY / "mappings" / company, folder / company)
    if changes:
        _write(made / "company.yaml", _read(made / "company.yaml") | changes)
    flows = _read(made / "flows.yaml")
    for flow in flows["flows"].values():
        if "interval_ms" in flow:
            flow["interval_ms"] = DAY_MS
    _write(made / "flows.yaml", flows)


def mode_company(mode: NotifyMode) -> str:
    """Return the name of the company that has a mode of e-mail."""
    return f"mail_{mode.value}"[:40]


def mode_address(mode: NotifyMode) -> str:
    """Return the address of its administrator."""
    return f"{mode.value}@mail.example"


def _write_mode(folder: Path, mode: NotifyMode) -> None:
    """Write a company with one mapping, a flow of one record, and one that has a minute's time and never runs."""
    company = mode_company(mode)
    (folder / company).mkdir()
    items = (folder / "acme" / "items.yaml").read_text("utf-8")
    (folder / company / "items.yaml").write_text(f"{items}\nutilities: false\n", "utf-8")
    spec = _read(folder / "acme" / "company.yaml")
    spec["company"] = company
    spec["notify"] = {"mode": mode.value, "admin": mode_address(mode), "bcc": f"bcc.{mode_address(mode)}"}
    for side in ("crm", "books"):
        spec[side]["connection"] = f"{company}_{side}"
    _write(folder / company / "company.yaml", spec)
    _write(folder / company / "flows.yaml", {"flows": {f"{FLOW}NF": _ONE, FLOW: {**_DAILY, "deadline_minutes": 1}}})


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content), "utf-8")


def wrong_connections(crm_url: str, books_url: str, *, down: int, html: str) -> dict[str, dict[str, Any]]:
    """Return the connections of the companies in `WRONG`.

    :param down: a port that nothing listens on.
    :param html: one that answers everything with an HTML page.
    """
    made = {}
    for company in WRONG:
        made[f"{company}_crm"] = creatio.airflow_connection(crm_url)
        made[f"{company}_books"] = quickbooks_online.airflow_connection(books_url)
    del made["noconn_books"]
    made["nopass_crm"]["password"] = "not the password"
    made["nosecret_books"]["password"] = "not the secret"
    made["down_crm"]["port"] = down
    made["htmlcrm_crm"]["port"] = urlsplit(html).port
    made["htmlbooks_books"]["extra"]["base_url"] = html
    return made
