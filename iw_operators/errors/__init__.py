"""Errors are classes by what to do about them.

    InterWeaveError
    ├── RetryLater              wait and try again; nothing is wrong with the record
    │   ├── ConnectionFailure   the other side cannot be reached or does not answer in time
    │   └── Throttled           too many requests; carries how long to wait
    ├── SignInAgain             the session or access token has ended; sign in once and repeat
    ├── FixRecord               this record cannot go as it is; the others go on
    │   └── StaleRecord         the target's record changed since it was read; read again and plan again
    ├── FixConfiguration        a connection, permission, spec or set-up is wrong; no retry helps
    └── StopFlow                going on could do harm; a person has to look

Retry rules in Airflow follow from the class: `RetryLater` is retried with backoff, everything else is not.
Messages never hold secrets. They may hold customer data, therefore nobody logs them above DEBUG for a record.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person reads beside an error: the code as the vendor writes it, what it means, who does what."""

    code: str
    meaning: str
    action: str


class InterWeaveError(Exception):
    """Root of all errors of this package.

    :param message: what happened, one sentence, with names and limits.
    :param code: the vendor's code (`6240`) or ours (`iw.too_long`); empty when there is none.
    :param advice: who does what about it; empty when `message` says it all.
    :param field: the neutral field that it is about, if it is about one.
    """

    def __init__(self, message: str, *, code: str = "", advice: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.advice = advice
        self.field = field

    def __str__(self) -> str:
        head = f"[{self.code}] {self.message}" if self.code else self.message
        return f"{head} {self.advice}" if self.advice else head


class RetryLater(InterWeaveError):
    """Wait and try again."""


class ConnectionFailure(RetryLater):
    """The other side cannot be reached, does not answer in time, or answers with something that is not its own.

    :param sent: whether the request may have reached the other side. A write for which `sent` is true has an
        unknown outcome and must be looked up before it is sent again.
    """

    def __init__(self, message: str, *, sent: bool = True, code: str = "", advice: str = "") -> None:
        super().__init__(message, code=code, advice=advice)
        self.sent = sent


class Throttled(RetryLater):
    """Too many requests. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float, code: str = "", advice: str = "") -> None:
        super().__init__(message, code=code, advice=advice)
        self.retry_after = retry_after


class SignInAgain(InterWeaveError):
    """The session or access token has ended."""


class FixRecord(InterWeaveError):
    """This record cannot go as it is."""


class StaleRecord(FixRecord):
    """The target's record has changed since it was read."""


class FixConfiguration(InterWeaveError):
    """A connection, permission, spec or set-up is wrong."""


class StopFlow(InterWeaveError):
    """Going on could do harm."""
