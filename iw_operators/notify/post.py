"""Sending through the SMTP connection of Airflow's provider: one session for all mails of a flush.

The provider's hook reads the connection and signs in (TLS, STARTTLS, password, OAuth). It repeats a sending whatever
the reason, which sends mails twice, and sends HTML alone; therefore a mail is put together and handed over here.
"""

from __future__ import annotations

import datetime as dt
import smtplib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from airflow.providers.smtp.hooks.smtp import SmtpHook

from iw_operators.errors import ConnectionFailure, FixConfiguration
from iw_operators.ledger.mails import QueuedMail
from iw_operators.notify.mime import ascii_address, message

LONGEST_WAIT: Final = 15  # seconds for one answer: a task waits here
AWAY, SIGN_IN, CONNECTION, SENDER = "iw.mail_away", "iw.mail_sign_in", "iw.mail_connection", "iw.mail_sender"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the server took a mail: taken, or refused for good. `note` says whom or why it refused."""

    taken: bool
    note: str = ""


class _Hook(SmtpHook):
    """The provider's hook with a bounded patience, and its client for our own messages."""

    @property
    def timeout(self) -> int:
        return min(super().timeout, LONGEST_WAIT)

    @property
    def smtp_retry_limit(self) -> int:
        return min(super().smtp_retry_limit, 1)

    @property
    def client(self) -> smtplib.SMTP:
        """The client that is signed in."""
        assert isinstance(self._smtp_client, smtplib.SMTP)  # noqa: S101  `get_conn` has made it
        return self._smtp_client

    def hang_up(self) -> None:
        """Close the connection, if there is one: the provider leaves it open when signing in fails."""
        if isinstance(self._smtp_client, smtplib.SMTP):
            self._smtp_client.close()


class Post:
    """A session with the mail server; a context manager.

    Entering raises ConnectionFailure (the server is away) or FixConfiguration (connection, sign-in, sender).
    """

    def __init__(self, conn_id: str, sender: str = "") -> None:
        """`sender`: the address that mails come from; else what the connection says (`from_email`, or its login)."""
        self.conn_id = conn_id
        self.sender = sender
        self._hook = _Hook(smtp_conn_id=conn_id)

    def __enter__(self) -> Self:
        try:
            self._enter()
        except BaseException:
            self._hook.hang_up()
            raise
        return self

    def _enter(self) -> None:
        try:
            self._hook.get_conn()
        except smtplib.SMTPAuthenticationError as error:
            # Its text is left out: a server may repeat in it what it was sent.
            msg = f"The mail server refuses the sign-in of connection {self.conn_id!r} ({error.smtp_code})."
            raise FixConfiguration(msg, code=SIGN_IN) from None
        except (OSError, smtplib.SMTPException) as error:
            raise self._away(error) from None
        except Exception as error:  # noqa: BLE001  the provider raises one class for everything
            raise self._unusable(error) from None
        self.sender = self.sender or self._hook.from_email or self._hook.smtp_user
        try:
            self.sender = ascii_address(self.sender)
        except ValueError:
            msg = (
                f"There is no address that mails come from: neither an option nor connection {self.conn_id!r} has one."
            )
            raise FixConfiguration(msg, code=SENDER) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._hook.client.quit()
        except (OSError, smtplib.SMTPException):
            self._hook.hang_up()

    def send(self, queued: QueuedMail) -> Delivery:
        """Hand a mail over. Raises ConnectionFailure when the server goes away, or wants it later."""
        mail = queued.mail
        try:
            recipients = [ascii_address(each) for each in (*mail.to, *mail.cc, *mail.bcc)]
            body = message(mail, self.sender, dt.datetime.now(dt.UTC), queued.id)
        except ValueError as error:
            return Delivery(taken=False, note=str(error))
        try:
            refused = self._hook.client.sendmail(self.sender, recipients, body)
        except smtplib.SMTPRecipientsRefused as error:
            if any(400 <= code < 500 for code, _ in error.recipients.values()):
                raise self._away(error) from None
            return Delivery(taken=False, note=_whom(error.recipients))
        except smtplib.SMTPResponseException as error:  # the mail itself, or its sender
            if error.smtp_code < 500:
                raise self._away(error) from None
            return Delivery(taken=False, note=f"{error.smtp_code} {self._clean(error.smtp_error)}")
        except (OSError, smtplib.SMTPException) as error:
            raise self._away(error) from None
        return Delivery(taken=True, note=_whom(refused))

    def _away(self, error: Exception) -> ConnectionFailure:
        said = self._clean(getattr(error, "smtp_error", "") or str(error))
        msg = f"The mail server of connection {self.conn_id!r} takes no mails: {type(error).__name__} {said}".rstrip()
        return ConnectionFailure(msg, sent=False, code=AWAY)

    def _unusable(self, error: Exception) -> Exception:
        """Return what to raise for the provider's own errors, which all are of one class."""
        if self._hook.smtp_connection is None:
            msg = f"There is no Airflow connection {self.conn_id!r}, through which mails are sent."
            return FixConfiguration(msg, code=CONNECTION)
        if "connect to smtp server" in str(error):
            return self._away(error)
        msg = f"Connection {self.conn_id!r} cannot be used for mails: {self._clean(str(error))}"
        return FixConfiguration(msg, code=CONNECTION)

    def _clean(self, said: Any) -> str:
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        try:
            password = self._hook.smtp_password
        except Exception:  # noqa: BLE001  there is no connection yet
            password = ""
        text = text.replace(password, "***") if password else text
        return " ".join(text.split())[:300]


def _whom(refused: Any) -> str:
    told = (f"{address}: {code} {answer.decode('utf-8', 'replace')}" for address, (code, answer) in refused.items())
    return "; ".join(told)[:1_000]
