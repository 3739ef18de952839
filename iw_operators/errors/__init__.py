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
        └── Yielded             it was asked to stop and did, at the end of a page

Retry rules in Airflow follow from the class: `RetryLater` is retried with backoff, everything else is not.
Messages never hold secrets. They may hold customer data, therefore nobody logs them above DEBUG for a record.
"""

from __future__ import annotations


class InterWeaveError(Exception):
    """Root of all errors of this package.

    :param message: what happened, one sentence, with names and limits.
    :param code: the vendor's code (`6240`) or ours (`iw.too_long`); empty when there is none.
    :param advice: who does what about it. Where none is given, `advice` is what the error catalogue says of the code.
    :param field: the neutral field that it is about, if it is about one.
    """

    def __init__(self, message: str, *, code: str = "", advice: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self._advice = advice
        self.field = field

    @property
    def advice(self) -> str:
        """Who does what about it: what was given, else what the catalogue says of the code; empty if neither."""
        if self._advice or not self.code:
            return self._advice
        from iw_operators.errors.catalogue import advice_for  # it knows the classes of this module

        return advice_for(self.code)

    @advice.setter
    def advice(self, advice: str) -> None:
        self._advice = advice

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


class Yielded(StopFlow):
    """The work was asked to stop and has ended its page; what it has done is recorded."""
