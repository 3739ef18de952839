"""The Airflow connection to a Creatio, on Airflow's HTTP provider."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import requests
import yaml
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.providers.http.hooks.http import HttpHook

from iw_operators.errors import FixConfiguration, InterWeaveError
from iw_operators.state import MemorySecretState
from iw_operators.systems.base import SecretState
from iw_operators.systems.creatio.auth import Auth, Forms, OAuth
from iw_operators.systems.creatio.client import ROOTS, Client
from iw_operators.systems.creatio.codec import KEY
from iw_operators.systems.creatio.query import Expand, Query
from iw_operators.systems.creatio.system import PLATFORMS, PROBE, CreatioSystem
from iw_operators.systems.http import Timeouts, Transport, check_address, transport_over, trusted
from iw_operators.systems.registry import catalogue_path

CLOUD: Final = ".creatio.com"


class CreatioHook(HttpHook):
    """Session, sign-in and client for one Airflow connection of type `creatio`.

    :param creatio_conn_id: host is the site (a name or a whole address), login and password a user's, or an OAuth
        client's with `auth: oauth`; the other keys of extra are those in `connection.yaml`.
    """

    conn_name_attr = "creatio_conn_id"
    default_conn_name = "creatio_default"
    conn_type = "creatio"
    hook_name = "Creatio"

    def __init__(self, creatio_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(http_conn_id=creatio_conn_id, **kwargs)
        self.creatio_conn_id = creatio_conn_id

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session with the provider's adapters, proxies and certificates, and nothing secret in its headers.

        The provider sets basic authentication where there is a login, and sends every key of extra as a header;
        Creatio wants neither.
        """
        connection = self._connection()
        session = super().get_conn(None, extra_options)
        session.auth = None
        session.headers = requests.Session().headers
        session.headers.update(headers or {})
        session.verify = trusted(connection.extra_dejson)
        return session

    def transport(self) -> Transport:
        """Return what sends requests, with the connection's timeouts."""
        extra = self._connection().extra_dejson
        session = self.get_conn()
        return transport_over(
            session, Timeouts.from_extra(extra), "Creatio", allow_http=extra.get("allow_http") is True
        )

    def site(self) -> str:
        """Return the site's address; FixConfiguration if the connection has none."""
        connection = self._connection()
        host = (connection.host or "").strip().rstrip("/")
        if not host:
            msg = f"The connection {self.creatio_conn_id!r} has no site (host)."
            raise FixConfiguration(msg, code="iw.connection", advice="Put the address of Creatio in its field Site.")
        if "://" not in host:
            host = f"{connection.schema or 'https'}://{host}"
        check_address(host, "Creatio", allow_http=connection.extra_dejson.get("allow_http") is True)
        parts = urlsplit(host)
        if connection.port and parts.port is None:
            parts = parts._replace(netloc=f"{parts.netloc}:{connection.port}")
        return parts._replace(path=parts.path.removesuffix("/0"), query="", fragment="").geturl()

    def auth(self) -> Auth:
        """Return the way of signing in; FixConfiguration if something for it is missing."""
        connection = self._connection()
        extra = connection.extra_dejson
        way = extra.get("auth") or "forms"
        if way not in ("forms", "oauth"):
            msg = f"The connection's sign-in is {way!r}; it is forms or oauth."
            raise FixConfiguration(msg, code="iw.connection")
        if not connection.login or not connection.password:
            msg = f"The connection {self.creatio_conn_id!r} has no login or no password."
            raise FixConfiguration(msg, code="iw.connection", advice="Fill both in the connection.")
        site = self.site()
        if way == "forms":
            return Forms(site, connection.login, connection.password)
        identity = (extra.get("identity_url") or _cloud_identity(site)).rstrip("/")
        if not identity:
            msg = f"The connection {self.creatio_conn_id!r} has no address of the identity service."
            raise FixConfiguration(msg, code="iw.connection", advice="Fill its field Identity service.")
        return OAuth(site, identity, connection.login, connection.password)

    def client(self, state: SecretState, platform: str = "") -> Client:
        """Return a client; nothing is sent yet. :param platform: instead of the connection's."""
        platform = platform or self._connection().extra_dejson.get("platform") or "core"
        return Client(self.transport(), self.auth(), state, site=self.site(), platform=platform)

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and read one record of each object that we work with; say what is wrong and what to do about it."""
        state = MemorySecretState()  # each test signs in anew
        try:
            client = self.client(state)
            try:
                line = CreatioSystem(client).check()
            except FixConfiguration as error:
                if error.code != "creatio.not_here":
                    raise
                return False, self._other_platform(client, state) or str(error)
            refused, missing = _readable(client)
        except InterWeaveError as error:
            return False, str(error)
        if refused:
            return False, f"{line}, but this user has no right to read {', '.join(refused)}."
        return True, f"{line}; not there: {', '.join(missing)}." if missing else f"{line}."

    def _other_platform(self, client: Client, state: SecretState) -> str:
        """Return advice if the site answers as the other platform, otherwise an empty text."""
        other = next(name for name in ROOTS if name != client.platform)
        try:
            CreatioSystem(self.client(state, other)).check()
        except InterWeaveError:
            return ""
        return (
            f"This Creatio runs on {PLATFORMS[other]}, not on {PLATFORMS[client.platform]}: its data is under "
            f"{ROOTS[other]}. Choose {other} in the connection's field Platform."
        )

    def _connection(self) -> Any:
        try:
            connection = self.get_connection(self.creatio_conn_id)
        except AirflowNotFoundException as error:
            msg = f"There is no Airflow connection {self.creatio_conn_id!r}."
            raise FixConfiguration(
                msg, code="iw.connection", advice="Make it (Admin, Connections) with the type Creatio."
            ) from error
        if connection.conn_type and connection.conn_type != self.conn_type:
            msg = (
                f"The connection {self.creatio_conn_id!r} is of the type {connection.conn_type}, not {self.conn_type}."
            )
            raise FixConfiguration(msg, code="iw.connection_type", advice="Name another connection in company.yaml.")
        return connection


def _cloud_identity(site: str) -> str:
    host = urlsplit(site).netloc
    return f"https://{host.removesuffix(CLOUD)}-is{CLOUD}" if host.endswith(CLOUD) else ""


def _readable(client: Client) -> tuple[list[str], list[str]]:
    """Return which of our objects the user may not read, and which are not there."""
    with catalogue_path("creatio").open("rb") as stream:
        objects = yaml.load(stream, Loader=yaml.CSafeLoader)["objects"]
    refused: list[str] = []
    missing: list[str] = []
    for name in objects:
        if name == PROBE:
            continue
        try:
            client.read(Query(name, Expand(frozenset({KEY})), top=1))
        except FixConfiguration as error:
            (refused if error.code == "creatio.rights" else missing).append(name)
    return refused, missing
