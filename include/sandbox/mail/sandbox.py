"""The mail server as a sandbox: what it holds, what it offers, how it is served."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.common.app import TRANSPORT_FAULTS
from sandbox.common.faults import Faults
from sandbox.common.serve import serve
from sandbox.mail.smtp import SMTP_FAULTS, Handler, serve_smtp
from sandbox.mail.store import MailStore
from sandbox.mail.web import web

SENDER = "interweave@sandbox.example"


@dataclass(frozen=True, slots=True)
class Options:
    """What the server asks for. `tls`: files with certificate and key, which make it offer STARTTLS."""

    user: str = "iw-mail"
    password: str = "iw-mail-secret"
    require_sign_in: bool = False
    tls: tuple[Path, Path] | None = None


class MailSandbox:
    """Mails in memory, or in the file `path`, which is kept from one start to the next."""

    def __init__(self, options: Options | None = None, *, path: Path | None = None) -> None:
        self.options = options or Options()
        self.store = MailStore(path)
        self.faults = Faults(TRANSPORT_FAULTS | SMTP_FAULTS)
        its = self.options
        self.handler = Handler(self.store, self.faults, its.user, its.password, its.require_sign_in)
        self._web = web(self.store)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request of the HTTP side."""
        await self._web(scope, receive, send)

    def reset(self, options: dict[str, Any]) -> dict[str, Any]:
        """Delete all mails; a mail server has no seed."""
        del options
        self.handler.counts.clear()
        return {"deleted": self.store.delete()}

    def stats(self) -> dict[str, Any]:
        """Return how many mails there are, and what has happened on the SMTP side."""
        return {"mails": self.store.count(), "smtp": dict(self.handler.counts)}


@dataclass(frozen=True, slots=True)
class RunningMail:
    """A mail server that is being served: `url` of its HTTP side, without a slash at the end."""

    url: str
    smtp_port: int
    sandbox: MailSandbox

    def arm(self, kind: str, **spec: Any) -> None:
        """Arm a fault."""
        self.sandbox.faults.arm({"kind": kind, **spec})


@contextlib.contextmanager
def serve_mail(
    options: Options | None = None, *, port: int = 0, web_port: int = 0, path: Path | None = None
) -> Iterator[RunningMail]:
    """Serve both sides while the with-block lasts; a port of 0 takes a free one. Raises OSError."""
    sandbox = MailSandbox(options, path=path)
    tls = None
    if sandbox.options.tls:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*sandbox.options.tls)
    try:
        with (
            serve_smtp(sandbox.handler, port, tls=tls) as smtp_port,
            serve(sandbox, port=web_port) as running,
        ):
            yield RunningMail(running.url, smtp_port, sandbox)
    finally:
        sandbox.store.close()


def airflow_connection(smtp_port: int, *, starttls: bool = False, **changes: Any) -> dict[str, Any]:
    """Return the Airflow connection to the server, as the content of `--conn-json`; `changes` go over it.

    The provider's hook speaks TLS from the first byte, and STARTTLS after that, unless it is told not to.
    """
    defaults = Options()
    extra = {"disable_ssl": True, "disable_tls": not starttls, "from_email": SENDER, "timeout": 10, "retry_limit": 1}
    return {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": smtp_port,
        "login": defaults.user,
        "password": defaults.password,
        **changes,
        "extra": {**extra, **changes.get("extra", {})},
    }
