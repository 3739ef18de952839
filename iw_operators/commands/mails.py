"""`airflow iw mails`: the mails of a company, those that have gone and those that wait or were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iw_operators.commands.console import opened_ledger, say, table

if TYPE_CHECKING:
    from iw_operators.ledger.mails import QueuedMail


def mails(args: Any) -> None:
    """Show mails, newest first, with what became of each and what the mail server said. Bodies are not shown."""
    with opened_ledger(args.company) as ledger:
        found = ledger.mails(args.company, limit=args.limit, unsent=args.unsent)
    if found:
        table(("queued", "state", "about", "to", "subject", "the server"), map(_cells, found))
    else:
        say("No mail waits." if args.unsent else "There are no mails.")


def _cells(queued: QueuedMail) -> tuple[str, ...]:
    mail = queued.mail
    people = ", ".join((*mail.to, *mail.cc, *mail.bcc))
    return f"{queued.queued_at:%Y-%m-%d %H:%M} UTC", _state(queued), mail.kind, people, mail.subject, queued.error


def _state(queued: QueuedMail) -> str:
    from iw_operators.ledger.mails import MOST_TRIES

    if queued.sent_at is not None:
        return f"sent {queued.sent_at:%H:%M}"
    if queued.tries >= MOST_TRIES:
        return "given up"
    return f"refused {queued.tries}x" if queued.tries else "waits"
