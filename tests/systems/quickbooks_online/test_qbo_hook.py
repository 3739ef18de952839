"""The Airflow connection: what it may lack, where it leads, and what the Test button says."""

from __future__ import annotations

import json
from typing import Any

import certifi
import pytest
import yaml
from airflow.sdk import Connection

from iw_operators.errors import FixConfiguration
from iw_operators.state import AirflowSecretState, MemorySecretState
from iw_operators.systems.quickbooks_online.hook import Access, QuickBooksOnlineHook
from iw_operators.systems.quickbooks_online.limiter import QUOTAS
from iw_operators.systems.registry import FOLDER

GOOD: dict[str, Any] = {
    "conn_type": "quickbooks_online",
    "login": "id",
    "password": "secret",
    "extra": {"realm_id": "9130 3500 0000 0001", "refresh_token": "r0"},
}


def _connection(**changes: Any) -> Connection:
    extra = {**GOOD["extra"], **changes.pop("extra", {})}
    fields = {**GOOD, **changes}
    return Connection(
        conn_id="books",
        login=fields["login"],
        password=fields["password"],
        conn_type=fields["conn_type"],
        extra=json.dumps(extra),
    )


@pytest.mark.feature("S2")
@pytest.mark.parametrize(
    ("extra", "base", "token"),
    [
        ({}, "https://quickbooks.api.intuit.com", "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"),
        (
            {"environment": "sandbox"},
            "https://sandbox-quickbooks.api.intuit.com",
            "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        ),
        (
            {"environment": "custom", "base_url": "http://127.0.0.1:1/", "oauth_url": "http://127.0.0.1:1/t"},
            "http://127.0.0.1:1",
            "http://127.0.0.1:1/t",
        ),
    ],
)
def test_the_environment_says_where_to_go(extra: dict[str, str], base: str, token: str) -> None:
    """Production, Intuit's sandbox and a local one each have their addresses; a realm may be written with spaces."""
    access = Access.of(_connection(extra=extra))
    assert (access.base_url, access.credentials.token_url, access.realm) == (base, token, "9130350000000001")
    assert access.timeouts.read > 120


@pytest.mark.feature("S2")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"login": ""}, "Client id"),
        ({"password": ""}, "Client secret"),
        ({"extra": {"refresh_token": ""}}, "First refresh token"),
        ({"extra": {"realm_id": "acme"}}, "Company id"),
        ({"extra": {"environment": "prod"}}, "Environment"),
        ({"extra": {"environment": "custom", "oauth_url": "http://h"}}, "Base URL"),
        ({"extra": {"environment": "custom", "base_url": "http://h"}}, "OAuth token URL"),
    ],
)
def test_what_a_connection_lacks_is_named_as_the_form_names_it(changes: dict[str, Any], named: str) -> None:
    """Each missing or wrong field is FixConfiguration with the label of the form."""
    with pytest.raises(FixConfiguration, match=named):
        Access.of(_connection(**changes))


def test_the_form_has_each_field_that_is_read() -> None:
    """Every key of the form's extra is one that `Access` or the calls read; tokens are password fields."""
    form = yaml.safe_load((FOLDER / "quickbooks_online" / "connection.yaml").read_text())
    fields = form["conn-fields"]
    known = {"realm_id", "refresh_token", "environment", "base_url", "oauth_url", "verify", "ca_file", "allow_http"}
    assert set(fields) == known | {"connect_timeout", "read_timeout", "verifier_token", *QUOTAS}
    assert all(field["label"] for field in fields.values())
    assert {fields[name]["schema"]["format"] for name in ("refresh_token", "verifier_token")} == {"password"}
    assert form["connection-type"] == QuickBooksOnlineHook.conn_type


def test_certificates_can_be_left_unchecked_or_come_from_a_file() -> None:
    """Verify off, a file of an authority (which counts more), and the default."""
    file = certifi.where()
    assert Access.of(_connection(extra={"verify": False})).verify is False
    assert Access.of(_connection(extra={"verify": False, "ca_file": file})).verify == file
    assert Access.of(_connection(extra={"ca_file": file})).verify == file
    assert Access.of(_connection()).verify is True


@pytest.mark.feature("S2")
def test_connections_with_the_same_first_token_share_their_tokens() -> None:
    """The state's name follows from company and first token, whatever the connection is called."""
    assert Access.of(_connection()).state_key == Access.of(_connection()).state_key
    other = Access.of(_connection(extra={"refresh_token": "r1"}))
    assert other.state_key != Access.of(_connection()).state_key
    assert "r0" not in Access.of(_connection()).state_key.split(".")


@pytest.mark.feature("S2")
def test_airflows_state_is_used_under_the_tokens_own_name() -> None:
    """A state that was opened under a connection's id is read under the name that the Test button uses as well."""
    asked: list[str] = []

    class Named(AirflowSecretState):
        def named(self, key: str) -> AirflowSecretState:
            asked.append(key)
            return super().named(key)

    access = Access.of(_connection())
    access.client(Named("acme_books", None))
    assert asked == [access.state_key]


def test_a_connection_that_is_not_there_is_named() -> None:
    """A missing connection is FixConfiguration with its name; the Test button says the same."""
    hook = QuickBooksOnlineHook("nowhere_at_all", state=MemorySecretState())
    with pytest.raises(FixConfiguration, match="nowhere_at_all"):
        hook.get_conn()
    ok, text = hook.test_connection()
    assert not ok
    assert "nowhere_at_all" in text
