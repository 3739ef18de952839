"""The connector's configuration: one company file, one port."""

from __future__ import annotations

import configparser
import dataclasses
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, counts, bytes.

    :param open_seconds: how long opening the data source may take; QODBC may have to start QuickBooks.
    :param statement_seconds: a statement that takes longer is given up; what it wrote is then unknown.
    :param cancel_seconds: how long the driver gets to end it.
    :param health_seconds: how long the small statement of `sp_health` may take; for its turn it waits a second.
    :param refusal_seconds: how long a client waits that gave a wrong password.
    :param turn_seconds: how long a writer waits for another one.
    :param group_seconds: how long a group may stay open without a further statement.
    :param send_seconds: how long a client may leave rows lying.
    :param login_seconds: how long the sign-in may take.
    :param stop_seconds: how long Stop waits for a group or statement.
    :param idle_seconds: how long the company file stays open after the last client has left; 0: it is closed at once.
    """

    open_seconds: float = 120.0
    statement_seconds: float = 600.0
    cancel_seconds: float = 5.0
    health_seconds: float = 30.0
    refusal_seconds: float = 1.0
    turn_seconds: float = 60.0
    group_seconds: float = 120.0
    send_seconds: float = 120.0
    login_seconds: float = 15.0
    stop_seconds: float = 30.0
    idle_seconds: float = 0.0
    fetch_rows: int = 500
    sessions: int = 40
    query_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Config:
    """What the connector is told.

    :param data_source: what pyodbc connects with: `DSN=QuickBooks Data` or `Driver={...};DFQ=...;OpenMode=M`.
    :param secret: the password, or its verifier (`--verifier` makes one).
    :param allow: who may connect; empty allows the loopback interface alone.
    :param plain_text: whether a connection without TLS is served; only where the address is a loopback one.
    :param probe: the statement that `sp_health` tries.
    :param encoding: of a driver that is not Unicode, for instance cp1252.
    :param one_at_a_time: let one statement's rows be read before the next begins, whatever the driver says of itself.
    :param log_file: where the log goes, ten files of 10 MB; without it, to the program's error output.
    """

    data_source: str
    secret: str
    user: str = "interweave"
    database: str = "company"
    host: str = "127.0.0.1"
    port: int = 5433
    allow: tuple[Network, ...] = ANY_LOOPBACK
    certificate: Path | None = None
    key: Path | None = None
    plain_text: bool = False
    read_only: bool = False
    probe: str = "SELECT CompanyName FROM Company"
    encoding: str = ""
    log_file: Path | None = None
    log_statements: bool = True
    one_at_a_time: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for wrong, what in (
            (not self.secret, "a password is needed (password, password_file, password_env or verifier)"),
            (not self.plain_text and not (self.certificate and self.key), "certificate and key are needed for TLS"),
            (self.plain_text and not _loopback(self.host), "plain_text is for loopback addresses only"),
        ):
            if wrong:
                raise ValueError(what)

    def tls(self) -> ssl.SSLContext | None:
        """Return what TLS needs, None without a certificate. Raises OSError for files that cannot be used."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(path: Path) -> Config:
    """Read a configuration, `.ini` with a section [connector] and one [limits], or YAML with the same names.

    Raises ValueError that names what is wrong, OSError for a file that cannot be read.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml  # only a configuration in YAML needs it

        content: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    else:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        content = {name: dict(parser[name]) for name in parser.sections()}
    if not isinstance(content, Mapping) or not isinstance(content.get("connector"), Mapping):
        msg = f"{path}: a section [connector] is needed"
        raise ValueError(msg)
    try:
        return parse(content["connector"], content.get("limits") or {}, base=path.parent)
    except (ValueError, TypeError) as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from None


def parse(given: Mapping[str, Any], limits: Mapping[str, Any], *, base: Path) -> Config:
    """Return the configuration of these settings. Raises ValueError."""
    settings = dict(given)
    values: dict[str, Any] = {"secret": _secret(settings, base), "limits": _limits(limits)}
    if not settings.get("data_source"):
        msg = "data_source is needed, for instance DSN=QuickBooks Data"
        raise ValueError(msg)
    for name, value in settings.items():
        match name:
            case "data_source" | "user" | "database" | "host" | "probe" | "encoding":
                values[name] = str(value)
            case "port":
                values[name] = int(value)
            case "certificate" | "key" | "log_file":
                values[name] = base / str(value)
            case "plain_text" | "read_only" | "log_statements" | "one_at_a_time":
                values[name] = _flag(name, value)
            case "allow":
                listed = value if isinstance(value, list) else str(value).replace(",", " ").split()
                values[name] = tuple(ipaddress.ip_network(str(one), strict=False) for one in listed)
            case _:
                known = sorted({f.name for f in dataclasses.fields(Config)} - {"secret", "limits"})
                secrets = "password, password_file, password_env, verifier"
                msg = f"unknown setting {name!r}; known: {', '.join(known)}, {secrets}"
                raise ValueError(msg)
    return Config(**values)


def _flag(name: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("yes", "no", "true", "false", "on", "off", "1", "0"):
        msg = f"{name} is yes or no, not {value!r}"
        raise ValueError(msg)
    return text in ("yes", "true", "on", "1")


def _secret(settings: dict[str, Any], base: Path) -> str:
    password, verifier = settings.pop("password", ""), settings.pop("verifier", "")
    file, variable = settings.pop("password_file", ""), settings.pop("password_env", "")
    if file:
        return (base / str(file)).read_text(encoding="utf-8-sig").strip()
    if variable:
        return os.environ.get(str(variable), "")
    return str(verifier or password)


def _limits(given: Mapping[str, Any]) -> Limits:
    known = dataclasses.asdict(Limits())
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            msg = f"unknown limit {name!r}; known: {', '.join(known)}"
            raise ValueError(msg)
        values[name] = type(known[name])(value)
        if values[name] < 0 or (not values[name] and known[name]):
            msg = f"{name} has to be above 0"
            raise ValueError(msg)
    return Limits(**values)
