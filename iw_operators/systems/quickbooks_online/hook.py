"""The Airflow connection of QuickBooks Online and its Test button."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import requests
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.ledger.connect import open_ledger
from iw_operators.ledger.store import Ledger
from iw_operators.settings import ledger_conn_id
from iw_operators.state import AirflowSecretState
from iw_operators.systems.base import SecretState
from iw_operators.systems.http import Timeouts, check_address, transport_over, trusted
from iw_operators.systems.quickbooks_online.client import Client
from iw_operators.systems.quickbooks_online.errors import LABEL
from iw_operators.systems.quickbooks_online.limiter import Quota, quotas_from, shared
from iw_operators.systems.quickbooks_online.tokens import Credentials, SignIn

INTUIT_TOKEN_URL: Final = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105  an address, no secret
BASE_URLS: Final[Mapping[str, str]] = {
    "production": "https://quickbooks.api.intuit.com",
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
}
CUSTOM: Final = "custom"
READ_TIMEOUT: Final = 130.0  # Intuit gives up after 120 seconds; its own answer is better than none


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection says, checked."""

    realm: str
    base_url: str
    credentials: Credentials
    timeouts: Timeouts
    verify: bool | str
    allow_http: bool
    quotas: tuple[Quota, ...]

    @classmethod
    def of(cls, connection: Connection) -> Access:
        """Read an Airflow connection; FixConfiguration naming each field that is missing or wrong."""
        if connection.conn_type and connection.conn_type != QuickBooksOnlineHook.conn_type:
            kind = QuickBooksOnlineHook.conn_type
            msg = f"The connection {connection.conn_id!r} is of the type {connection.conn_type}, not {kind}."
            raise FixConfiguration(msg, code="iw.connection_type", advice="Name another connection in company.yaml.")
        extra: Mapping[str, Any] = connection.extra_dejson
        environment = extra.get("environment") or "production"
        realm = str(extra.get("realm_id") or "").replace(" ", "")
        base_url = BASE_URLS.get(environment, str(extra.get("base_url") or ""))
        token_url = str(extra.get("oauth_url") or "") if environment == CUSTOM else INTUIT_TOKEN_URL
        wrong = [
            what
            for what, right in (
                ("Client id (login)", connection.login),
                ("Client secret (password)", connection.password),
                ("First refresh token", extra.get("refresh_token")),
                ("Company id (realm), a number", realm.isascii() and realm.isdigit()),
                ("Environment (production, sandbox or custom)", environment in {*BASE_URLS, CUSTOM}),
                ("Base URL (custom)", base_url or environment != CUSTOM),
                ("OAuth token URL (custom)", token_url or environment != CUSTOM),
            )
            if not right
        ]
        if wrong:
            msg = f"The connection {connection.conn_id} lacks or has wrong: {', '.join(wrong)}."
            raise FixConfiguration(msg, code="iw.connection", advice="Correct it under Admin, Connections.")
        credentials = Credentials(
            client_id=str(connection.login),
            client_secret=str(connection.password),
            refresh_token=str(extra["refresh_token"]).strip(),
            token_url=token_url,
        )
        allow_http = extra.get("allow_http") is True
        for url in (base_url, token_url):
            check_address(url, LABEL, allow_http=allow_http)
        return cls(
            realm=realm,
            base_url=base_url.rstrip("/"),
            credentials=credentials,
            timeouts=Timeouts.from_extra(
                {"read_timeout": READ_TIMEOUT, **{k: v for k, v in extra.items() if v not in (None, "")}}
            ),
            verify=trusted(extra),
            allow_http=allow_http,
            quotas=quotas_from(extra),
        )

    @property
    def state_key(self) -> str:
        """Name of the state that keeps these tokens: the same for every connection with the same first token.

        Airflow's Test button gives a connection a random id; its refresh has to reach the tasks all the same, since
        24 hours after it the token that they know would be dead.
        """
        return f"quickbooks_online.{self.realm}.{self.credentials.fingerprint[:16]}"

    def client(self, state: SecretState) -> Client:
        """Return the client; nothing is sent yet.

        :param state: where the tokens are kept; one of Airflow's is used under `state_key`.
        """
        state = state.named(self.state_key) if isinstance(state, AirflowSecretState) else state
        session = requests.Session()
        session.verify = self.verify
        return Client(
            company_id=self.realm,
            base_url=self.base_url,
            sign_in=SignIn(self.credentials, state, mask=mask_secret),
            limiter=shared(f"{self.base_url} {self.realm}", self.quotas),
            transport=transport_over(session, self.timeouts, LABEL, allow_http=self.allow_http),
        )


class QuickBooksOnlineHook(BaseHook):
    """Hook of connection type `quickbooks_online`.

    :param state: where tokens are kept; without one an encrypted Airflow variable, locked by the ledger.
    """

    conn_name_attr = "quickbooks_online_conn_id"
    default_conn_name = "quickbooks_online_default"
    conn_type = "quickbooks_online"
    hook_name = "QuickBooks Online"

    def __init__(self, quickbooks_online_conn_id: str = default_conn_name, state: SecretState | None = None) -> None:
        super().__init__()
        self.quickbooks_online_conn_id = quickbooks_online_conn_id
        self._state = state

    def access(self) -> Access:
        """Return what the connection says; FixConfiguration when there is none or it lacks something."""
        try:
            connection = self.get_connection(self.quickbooks_online_conn_id)
        except AirflowNotFoundException:
            msg = f"There is no Airflow connection {self.quickbooks_online_conn_id!r}."
            advice = "Make it (Admin, Connections) with the type QuickBooks Online."
            raise FixConfiguration(msg, code="iw.connection", advice=advice) from None
        return Access.of(connection)

    def get_conn(self) -> Client:
        """Return a python-quickbooks client (`qb=`) that signs in, refreshes, waits and times out by itself.

        FixConfiguration when the connection lacks something, or the ledger that guards the tokens is not there.
        """
        access = self.access()
        return access.client(self._state or _kept_state(access, open_ledger(ledger_conn_id())))

    def test_connection(self) -> tuple[bool, str]:
        """Sign in, read the company and count its customers; say what is wrong and what to do about it."""
        try:
            access = self.access()
            with ExitStack() as stack:
                state = self._state
                if state is None:
                    ledger = open_ledger(ledger_conn_id())
                    stack.callback(ledger.close)
                    state = _kept_state(access, ledger)
                return _tried(access.client(state))
        except InterWeaveError as error:
            return False, str(error)


def _kept_state(access: Access, ledger: Ledger) -> SecretState:
    return AirflowSecretState(access.state_key, ledger)


def _tried(client: Client) -> tuple[bool, str]:
    info = client.company_info()
    if not info.get("CompanyName"):
        return False, f"{LABEL} has no company {client.company_id}. Correct the company id (realm)."
    count = client.query("SELECT COUNT(*) FROM Customer")["QueryResponse"].get("totalCount", 0)
    return True, f"Signed in to {info['CompanyName']} (company {client.company_id}), {count} active customers."
