"""Our connection types in Airflow: the form and the Test button, as the UI gets them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.airflow import free_port
from sandbox import creatio, quickbooks_online
from tests.e2e.running import BOOKS, CRM, Site

pytestmark = pytest.mark.e2e


def _forms(site: Site) -> dict[str, dict[str, Any]]:
    answer = site.airflow.request("GET", "/ui/connections/hook_meta")
    assert answer.status_code == 200, answer.text
    return {form["connection_type"]: form for form in answer.json()}


@pytest.mark.feature("S1", "S2")
@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        (CRM, "Creatio", {"auth", "identity_url", "platform", "connect_timeout", "read_timeout", "verify", "ca_file"}),
        (BOOKS, "QuickBooks Online", {"realm_id", "refresh_token", "environment", "base_url", "oauth_url"}),
    ],
)
def test_the_form_offers_our_types_with_their_fields(site: Site, kind: str, name: str, fields: set[str]) -> None:
    """Airflow's connection form knows both types, with a label for each of our fields."""
    form = _forms(site)[kind]
    assert form["hook_name"] == name
    assert fields <= set(form["extra_fields"])
    for field in form["extra_fields"].values():
        assert field["schema"]["title"]


def _test_button(site: Site, body: dict[str, Any], **changes: Any) -> tuple[bool, str]:
    """Press Test with a form that differs from the sandbox's own connection in `changes` (extras: with `extra_`)."""
    extra = dict(body.get("extra", {}))
    extra |= {name.removeprefix("extra_"): value for name, value in changes.items() if name.startswith("extra_")}
    plain = {name: value for name, value in changes.items() if not name.startswith("extra_")}
    form = {**body, **plain, "connection_id": "being_made", "extra": json.dumps(extra)}
    answer = site.airflow.api("POST", "/connections/test", json=form)
    assert answer.status_code == 200, answer.text
    return answer.json()["status"], answer.json()["message"]


@pytest.mark.feature("S1")
@pytest.mark.parametrize(
    ("changes", "good", "words"),
    [
        ({}, True, r"signed in as Supervisor"),
        ({"password": "wrong"}, False, r"(?i)password"),
        ({"port": "{free}"}, False, r"nothing answers on this port.*host and port"),
        ({"schema": "https", "host": "nowhere.invalid"}, False, r"(?i)cannot be reached.*(host|name)"),
    ],
    ids=["good", "sign-in", "nothing there", "host"],
)
def test_creatios_button_says_what_is_wrong(site: Site, changes: dict[str, str], good: bool, words: str) -> None:
    """A good connection says who is signed in where; others name sign-in or host."""
    body = creatio.airflow_connection(site.stack.sandboxes.url(CRM))
    filled = {name: value.format(free=free_port()) for name, value in changes.items()}
    status, message = _test_button(site, body, **filled)
    assert status is good, message
    assert re.search(words, message), message


@pytest.mark.feature("S2")
@pytest.mark.parametrize(
    ("changes", "good", "words"),
    [
        ({}, True, r"Acme Books.*9130350000000001.*active customers"),
        ({"extra_realm_id": "123"}, False, r"not authorised for this company.*Check the company id"),
        ({"password": "wrong"}, False, r"(?i)client id|client secret|invalid_client"),
        ({"extra_refresh_token": "another"}, False, r"(?i)refresh token|authori"),
        ({"extra_base_url": "http://127.0.0.1:{free}"}, False, r"(?i)refused|reached|answer"),
    ],
    ids=["good", "company id", "client secret", "refresh token", "nothing there"],
)
def test_quickbooks_button_says_what_is_wrong(site: Site, changes: dict[str, str], good: bool, words: str) -> None:
    """A good connection names the company; others name company id, sign-in or address."""
    body = quickbooks_online.airflow_connection(site.stack.sandboxes.url(BOOKS))
    filled = {name: value.format(free=free_port()) for name, value in changes.items()}
    status, message = _test_button(site, body, **filled)
    assert status is good, message
    assert re.search(words, message), message
