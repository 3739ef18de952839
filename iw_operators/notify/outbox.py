"""Sending what is queued: in order, each mail marked as soon as the server has taken it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from iw_operators import settings
from iw_operators.errors import InterWeaveError

if TYPE_CHECKING:
    from iw_operators.ledger.mails import QueuedMail
    from iw_operators.ledger.store import Ledger
    from iw_operators.notify.post import Delivery

log = structlog.get_logger(__name__)

PATIENCE: Final = 20.0  # seconds that somebody waits who finds another process sending this company's mails
ROUNDS: Final = 10  # of a page of mails, in one flush


class Sender(Protocol):
    """What hands mails over; `post.Post` is the one."""

    def send(self, queued: QueuedMail) -> Delivery:
        """Hand one over. Raises InterWeaveError when the server takes nothing now."""


def flush(ledger: Ledger, company: str, open_post: Callable[[], AbstractContextManager[Sender]] | None = None) -> int:
    """Send what a company has queued, as far as the mail server takes it; return how many mails went.

    A server that is away is told in the log, and leaves everything queued for the next flush. A mail that it refuses
    for good keeps no other mail back. Two processes never send at the same time for one company.

    :raises ConnectionFailure: the ledger does not answer.
    """
    if not ledger.due_mails(company, limit=1):
        return 0
    deadline = time.monotonic() + PATIENCE
    while True:
        with ledger.lock(f"mail:{company}", wait=False) as mine:
            if mine:
                return _flush(ledger, company, open_post or _post)
        if time.monotonic() > deadline:
            log.warning("mails wait: another process is sending", company=company)
            return 0
        time.sleep(0.2)


def _post() -> AbstractContextManager[Sender]:
    from iw_operators.notify.post import Post  # the provider's hook takes a while to import

    return Post(settings.smtp_conn_id(), settings.mail_from())


def _flush(ledger: Ledger, company: str, open_post: Callable[[], AbstractContextManager[Sender]]) -> int:
    sent = 0
    waiting = ledger.due_mails(company)  # again: somebody may have sent them while the lock was waited for
    if not waiting:
        return 0
    try:
        with open_post() as post:
            for _ in range(ROUNDS):
                for queued in waiting:
                    sent += _send(ledger, company, post, queued)
                waiting = ledger.due_mails(company)
                if not waiting:
                    break
    except InterWeaveError as error:
        left = ledger.due_mails(company, limit=1)
        if left:
            ledger.mail_waits(company, left[0].id, error.message)
        log.warning("mails wait", company=company, code=error.code, why=error.message, advice=error.advice)
    if sent:
        log.info("mails sent", company=company, mails=sent)
    return sent


def _send(ledger: Ledger, company: str, post: Sender, queued: QueuedMail) -> int:
    delivery = post.send(queued)
    if not delivery.taken:
        log.error("mail refused", company=company, mail=queued.id, kind=queued.mail.kind)
        ledger.mail_refused(company, queued.id, delivery.note)
        return 0
    if delivery.note:
        log.warning("mail refused for some recipients", company=company, mail=queued.id, kind=queued.mail.kind)
    ledger.mail_sent(company, queued.id, delivery.note)
    return 1
