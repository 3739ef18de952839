"""`airflow iw mails`: the mails of a company, those that have gone and those that wait or were refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iw_operators.shown import shown

if TYPE_CHECKING:
    from iw_operators.ledger.mails import QueuedMail

WIDE = 200  # columns of a table that goes into a file or pipe


def mails(args: Any) -> None:
    """Show mails, newest first, with what became of each and what the mail server said. Bodies are not shown."""
    from iw_operators import settings
    from iw_operators.ledger.connect import open_ledger

    ledger = open_ledger(settings.ledger_conn_id())
    try:
        found = ledger.mails(args.company, limit=args.limit, unsent=args.unsent)
    finally:
        ledger.close()
    _show(found, "No mail waits." if args.unsent else "There are no mails.")


def _show(found: list[QueuedMail], nothing: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    if not found:
        console.print(nothing)
        return
    table = Table("queued", "state", "about", "to", "subject", "the server")
    for each in found:
        people = ", ".join((*each.mail.to, *each.mail.cc, *each.mail.bcc))
        cells = (f"{each.queued_at:%Y-%m-%d %H:%M} UTC", state(each), each.mail.kind, people, each.mail.subject)
        table.add_row(*(escape(shown(cell)) for cell in (*cells, each.error)))
    console.print(table)


def state(queued: QueuedMail) -> str:
    """Return what became of a mail."""
    from iw_operators.ledger.mails import MOST_TRIES

    if queued.sent_at is not None:
        return f"sent {queued.sent_at:%H:%M}"
    if queued.tries >= MOST_TRIES:
        return "given up"
    return f"refused {queued.tries}x" if queued.tries else "waits"
