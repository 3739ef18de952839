"""The outbox in the ledger: queued, sent in order, marked; nothing is lost, the same news goes once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from iw_operators.errors import ConnectionFailure, FixConfiguration, StopFlow
from iw_operators.ledger.alarms import Alarm
from iw_operators.ledger.flow_tables import mail as mail_table
from iw_operators.ledger.mails import NewMail, QueuedMail
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.notify import outbox
from iw_operators.notify.outbox import flush
from iw_operators.notify.post import Delivery
from tests.notify.kit import ODD

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R8")]


def news(key: str, **more: Any) -> NewMail:
    """Return a mail."""
    fields: dict[str, Any] = {"to": ("a@x.example",), "cc": (), "bcc": ("b@x.example",), "text": ODD, "html": "h"}
    return NewMail(key=key, kind="error", subject=f"{key} {ODD}", **{**fields, **more})


@dataclass
class Server:
    """A mail server in memory. `answers`: what happens to the next mails; afterwards all are taken."""

    got: list[str] = field(default_factory=list)
    answers: list[Delivery | BaseException] = field(default_factory=list)
    away: Exception | None = None
    sessions: int = 0

    def __call__(self) -> Self:
        """Begin a session."""
        return self

    def __enter__(self) -> Self:
        if self.away:
            raise self.away
        self.sessions += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""

    def send(self, queued: QueuedMail) -> Delivery:
        """Take a mail, or do what was asked for."""
        answer = self.answers.pop(0) if self.answers else Delivery(taken=True)
        if isinstance(answer, BaseException):
            raise answer
        if answer.taken:
            self.got.append(queued.mail.key)
        return answer


def pass_hours(ledger: Ledger, hours: float) -> None:
    """Let time pass for everything that was tried."""
    with ledger.engine.begin() as connection:
        back = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
        connection.execute(sa.update(mail_table).where(mail_table.c.tried_at.is_not(None)).values(tried_at=back))


def test_mails_go_in_order_and_once(ledger: Ledger) -> None:
    """One session sends all that waits, oldest first; what has gone does not go again."""
    server = Server()
    assert ledger.queue_mails("acme", [news("1"), news("2")]) == 2
    ledger.queue_mails("acme", [news("3")])
    assert flush(ledger, "acme", server) == 3
    assert server.got == ["1", "2", "3"]
    assert flush(ledger, "acme", server) == 0
    assert server.sessions == 1
    assert [each.sent_at is None for each in ledger.mails("acme")] == [False] * 3


def test_a_mail_comes_out_as_it_went_in(ledger: Ledger) -> None:
    """Every character of every part, and all recipients."""
    wanted = news("1", cc=("c@x.example",), html=f"<p>{ODD}</p>\r\n")
    ledger.queue_mails("acme", [wanted])
    assert [each.mail for each in ledger.due_mails("acme")] == [wanted]


def test_text_that_cannot_be_stored_is_made_visible(ledger: Ledger) -> None:
    """A NUL or half a character loses no mail."""
    ledger.queue_mails("acme", [news("1", text="a\x00b\ud800")])
    assert ledger.due_mails("acme")[0].mail.text == "a␀b�"


def test_the_same_news_is_queued_once_in_each_company(ledger: Ledger) -> None:
    """A key counts once, also after its mail has gone; another company's is its own."""
    ledger.queue_mails("acme", [news("1")])
    assert ledger.queue_mails("acme", [news("1"), news("2")]) == 1
    flush(ledger, "acme", Server())
    assert ledger.queue_mails("acme", [news("1")]) == 0
    assert ledger.queue_mails("zeta", [news("1")]) == 1
    assert [each.mail.key for each in ledger.due_mails("zeta")] == ["1"]


@pytest.mark.parametrize(
    "why", [ConnectionFailure("The mail server is away.", code="iw.mail_away"), FixConfiguration("No connection.")]
)
def test_a_server_that_is_away_loses_nothing(ledger: Ledger, why: Exception) -> None:
    """Mails wait with the reason, and go in their order when it is back."""
    server = Server(away=why)
    ledger.queue_mails("acme", [news("1"), news("2")])
    with capture_logs() as logs:
        assert flush(ledger, "acme", server) == 0
    assert [each["event"] for each in logs] == ["mails wait"]
    assert ledger.due_mails("acme")[0].error in str(why)
    server.away = None
    assert flush(ledger, "acme", server) == 2
    assert server.got == ["1", "2"]


def test_a_server_that_goes_away_in_the_middle(ledger: Ledger) -> None:
    """What has gone is marked, the rest waits, in order."""
    server = Server(answers=[Delivery(taken=True), ConnectionFailure("gone")])
    ledger.queue_mails("acme", [news(str(number)) for number in range(4)])
    assert flush(ledger, "acme", server) == 1
    assert flush(ledger, "acme", server) == 3
    assert server.got == ["0", "1", "2", "3"]


def test_a_mail_that_is_refused_keeps_no_other_back(ledger: Ledger) -> None:
    """It is tried again once an hour, ten times in all, and stays in the ledger with the reason."""
    server = Server(answers=[Delivery(taken=False, note="550 unknown")])
    ledger.queue_mails("acme", [news("1"), news("2")])
    assert flush(ledger, "acme", server) == 1
    assert server.got == ["2"]
    assert flush(ledger, "acme", server) == 0
    for _ in range(20):
        pass_hours(ledger, 1.1)
        server.answers = [Delivery(taken=False, note="550 still unknown")]
        flush(ledger, "acme", server)
    (left,) = ledger.mails("acme", unsent=True)
    assert (left.mail.key, left.tries, left.error) == ("1", 10, "550 still unknown")
    assert server.answers, "it was not tried any more"


def test_a_refused_mail_goes_when_the_server_takes_it(ledger: Ledger) -> None:
    """An hour later the address may exist."""
    server = Server(answers=[Delivery(taken=False, note="550 unknown")])
    ledger.queue_mails("acme", [news("1")])
    flush(ledger, "acme", server)
    pass_hours(ledger, 1.1)
    assert flush(ledger, "acme", server) == 1


def test_who_was_refused_is_kept_with_a_mail_that_went(ledger: Ledger) -> None:
    """One of several recipients that does not exist is told, and the mail counts as sent."""
    ledger.queue_mails("acme", [news("1")])
    flush(ledger, "acme", Server(answers=[Delivery(taken=True, note="b@x.example: 550 unknown")]))
    (gone,) = ledger.mails("acme")
    assert gone.sent_at is not None
    assert gone.error == "b@x.example: 550 unknown"


def test_a_crash_between_sending_and_marking_sends_again_and_loses_nothing(ledger: Ledger) -> None:
    """The process dies when the server has the mail: it goes once more, the others once."""
    server = Server()

    def die(queued: QueuedMail) -> Delivery:
        server.got.append(queued.mail.key)
        raise SystemExit

    ledger.queue_mails("acme", [news("1"), news("2")])
    dying = Server()
    dying.send = die  # type: ignore[method-assign]  # a process that is killed after the call
    with pytest.raises(SystemExit):
        flush(ledger, "acme", dying)
    assert flush(ledger, "acme", server) == 2
    assert server.got == ["1", "1", "2"]


def test_two_processes_send_nothing_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one sends, the other waits, and then finds what is left; one that waits in vain leaves it."""
    inside, go = threading.Event(), threading.Event()
    server = Server()

    def slow(queued: QueuedMail) -> Delivery:
        inside.set()
        assert go.wait(20)
        server.got.append(queued.mail.key)
        return Delivery(taken=True)

    first = Server()
    first.send = slow  # type: ignore[method-assign]  # a server that takes its time
    ledger.queue_mails("acme", [news("1")])
    working = threading.Thread(target=flush, args=(ledger, "acme", first))
    working.start()
    assert inside.wait(20)
    monkeypatch.setattr(outbox, "PATIENCE", 0.0)
    assert flush(ledger, "acme", server) == 0
    monkeypatch.undo()
    other = threading.Thread(target=flush, args=(ledger, "acme", server))
    other.start()
    go.set()
    working.join(20)
    other.join(20)
    assert server.got == ["1"]
    assert server.sessions == 0


def test_old_mails_are_deleted(ledger: Ledger) -> None:
    """Those of before a time, sent or not, of the one company."""
    ledger.queue_mails("acme", [news("1")])
    ledger.queue_mails("zeta", [news("1")])
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    assert ledger.prune_mails("acme", later - dt.timedelta(days=2)) == 0
    assert ledger.prune_mails("acme", later) == 1
    assert len(ledger.mails("zeta")) == 1


@pytest.mark.feature("S6")
def test_a_company_sees_its_own_mails_alone(ledger: Ledger) -> None:
    """Asking for another company's mails or alarms is an error."""
    own = OwnLedger.of(ledger, "acme")
    calls: list[Callable[[], object]] = [
        lambda: own.mails("zeta"),
        lambda: own.due_mails("zeta"),
        lambda: own.queue_mails("zeta", [news("1")]),
        lambda: own.mail_sent("zeta", 1),
        lambda: own.alarms("zeta"),
        lambda: own.begin_alarm("zeta", "k", "", lambda _: []),
        lambda: own.activity("zeta", dt.datetime.now(dt.UTC), dt.datetime.now(dt.UTC)),
    ]
    for call in calls:
        with pytest.raises(StopFlow):
            call()


class TestAlarms:
    """What lasts."""

    def test_it_begins_once_and_ends_once_with_a_mail_each(self, ledger: Ledger) -> None:
        """However often it is noticed; the mails are queued together with the change."""

        def lost(alarm: Alarm) -> list[NewMail]:
            return [news(f"lost {alarm.began_at}")]

        def back(alarm: Alarm) -> list[NewMail]:
            assert alarm.ended_at is not None
            return [news(f"back {alarm.began_at}")]

        assert ledger.end_alarm("acme", "k", back) is None
        begun = [ledger.begin_alarm("acme", "k", f"try {number}", lost) for number in range(5)]
        assert [each is not None for each in begun] == [True, False, False, False, False]
        assert ledger.alarms("acme")[0].detail == "try 0"
        ended = [ledger.end_alarm("acme", "k", back) is not None for _ in range(3)]
        assert ended == [True, False, False]
        assert len(ledger.mails("acme")) == 2
        assert ledger.alarms("acme") == []
        assert ledger.begin_alarm("acme", "k", "again", lost)
        assert len(ledger.mails("acme")) == 3

    def test_many_at_the_same_time_begin_one(self, ledger: Ledger) -> None:
        """Of ten runs that notice it in the same moment one sends the mail."""
        ready, begun = threading.Barrier(10), []

        def notice() -> None:
            ready.wait()
            begun.append(ledger.begin_alarm("acme", "k", "", lambda alarm: [news(f"lost {alarm.began_at}")]))

        threads = [threading.Thread(target=notice) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sum(each is not None for each in begun) == 1
        assert len(ledger.mails("acme")) == 1

    def test_a_mail_that_cannot_be_made_begins_nothing(self, ledger: Ledger) -> None:
        """The alarm and its mail are one: when the one fails, the other has not happened."""

        def fails(_alarm: Alarm) -> list[NewMail]:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            ledger.begin_alarm("acme", "k", "", fails)
        assert ledger.alarms("acme") == []

    def test_another_reason_begins_anew_where_that_is_wanted(self, ledger: Ledger) -> None:
        """A flow that fails for another reason is told again; a connection is not."""
        assert ledger.begin_alarm("acme", "k", "one", lambda _: [], anew=True)
        assert ledger.begin_alarm("acme", "k", "one", lambda _: [], anew=True) is None
        assert ledger.begin_alarm("acme", "k", "two", lambda _: [], anew=True)
        assert ledger.begin_alarm("acme", "k", "three", lambda _: []) is None

    def test_who_looked_before_it_began_does_not_end_it(self, ledger: Ledger) -> None:
        """A run that reached the system, and then took long, says nothing about an outage that began meanwhile."""
        looked = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
        ledger.begin_alarm("acme", "k", "", lambda _: [])
        assert ledger.end_alarm("acme", "k", lambda _: [], begun_before=looked) is None
        later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        assert ledger.end_alarm("acme", "k", lambda _: [], begun_before=later)
        (ended,) = ledger.alarms("acme", since=looked)
        assert ended.ended_at is not None
