"""The SMTP side: a server of aiosmtpd in a thread of its own, with faults.

Sign-in is offered and, where somebody signs in, checked; `require_sign_in` asks everybody for it. STARTTLS is offered
where there is a certificate. Faults, beside those of the HTTP side; `match` is a piece of what is named in brackets:

    smtp_away        the connection is closed before the greeting [CONNECT]
    smtp_sign_in     sign-in is refused with 535 [AUTH user]
    smtp_reject      a recipient is refused with 550 [RCPT address]
    smtp_later       the mail is refused for now with 451 [DATA sender]
    smtp_refuse      the mail is refused for good with 554 [DATA sender]
    smtp_slow        `seconds` pass before the mail is taken [DATA sender]
    smtp_drop_after  the mail is taken, and the connection is closed without an answer [DATA sender]
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.common.faults import Faults
from sandbox.mail.store import MailStore

SMTP_FAULTS = frozenset(
    {"smtp_away", "smtp_sign_in", "smtp_reject", "smtp_later", "smtp_refuse", "smtp_slow", "smtp_drop_after"}
)
START_SECONDS, STOP_SECONDS = 10.0, 10.0
logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells each command, and warns of itself


class Handler:
    """What happens to each mail; the names of the methods are aiosmtpd's."""

    def __init__(self, store: MailStore, faults: Faults, user: str, password: str, require_sign_in: bool) -> None:
        self.store = store
        self.faults = faults
        self.user = user
        self.password = password
        self.require_sign_in = require_sign_in
        self.counts: collections.Counter[str] = collections.Counter()

    def authenticate(self, _server: SMTP, session: Session, _envelope: Envelope, _kind: str, data: Any) -> AuthResult:
        """Check user and password."""
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (
            self.user.encode(),
            self.password.encode(),
        )
        who = data.login.decode("utf-8", "replace") if isinstance(data, LoginPassword) else ""
        # Clients try one way of signing in after the other: a fault lasts for the session.
        if getattr(session, "refused", False) or self.faults.take("smtp_sign_in", f"AUTH {who}"):
            session.refused = True  # type: ignore[attr-defined]  # ours
            known = False
        if not known:
            self.counts["sign-ins refused"] += 1
            return AuthResult(success=False, handled=False)
        self.counts["signed in"] += 1
        return AuthResult(success=True, auth_data=who)

    async def handle_MAIL(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender, or ask for sign-in first."""
        if self.require_sign_in and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or refuse it."""
        if self.faults.take("smtp_reject", f"RCPT {address}"):
            self.counts["recipients refused"] += 1
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  as above
        """Take a mail, or refuse it."""
        line = f"DATA {envelope.mail_from}"
        if fault := self.faults.take("smtp_slow", line):
            await asyncio.sleep(fault.seconds)
        if self.faults.take("smtp_later", line):
            self.counts["mails put off"] += 1
            return "451 4.7.1 Greylisted, please try again later"
        if self.faults.take("smtp_refuse", line):
            self.counts["mails refused"] += 1
            return "554 5.7.1 Message rejected due to local policy"
        raw = envelope.content or b""
        self.store.add(
            envelope.mail_from or "",
            envelope.rcpt_tos,
            raw if isinstance(raw, bytes) else raw.encode(),
            signed_in=str(session.auth_data or ""),
            encrypted=session.ssl is not None,
        )
        self.counts["mails taken"] += 1
        if self.faults.take("smtp_drop_after", line):
            server.transport.abort()  # type: ignore[union-attr]  # there is one while a mail is taken
        return "250 OK"


class _Away(asyncio.Protocol):
    """A server that hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@contextlib.contextmanager
def serve_smtp(
    handler: Handler, port: int = 0, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None
) -> Iterator[int]:
    """Serve SMTP while the with-block lasts; yield the port. Raises OSError when it is taken."""
    listening = socket.create_server((host, port))
    loop = asyncio.new_event_loop()
    connected: list[SMTP] = []

    def connection() -> asyncio.Protocol:
        if handler.faults.take("smtp_away", "CONNECT"):
            handler.counts["hung up"] += 1
            return _Away()
        handler.counts["connections"] += 1
        connected.append(
            SMTP(
                handler,
                hostname="mail.sandbox.example",
                loop=loop,
                tls_context=tls,
                authenticator=handler.authenticate,
                auth_require_tls=False,  # on the loopback interface only
            )
        )
        return connected[-1]

    started = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(connection, sock=listening))
        started.set()
        loop.run_forever()
        server.close()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        for each in connected:
            if isinstance(each.transport, asyncio.Transport):
                each.transport.abort()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, name=f"sandbox-smtp-{port}", daemon=True)
    thread.start()
    if not started.wait(START_SECONDS):
        msg = f"the mail server on {host}:{port} did not start"
        raise OSError(msg)
    try:
        yield int(listening.getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS)
        listening.close()
