"""Which mode tells what, whom, and in which words: events to mails, without a clock or a network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from iw_operators.notify.composing import compose, key, one_line
from iw_operators.notify.events import ConnectionLost, Stopped, Trouble
from iw_operators.notify.rendering import EXTENSIONS
from iw_operators.notify.routing import TOLD, recipients
from iw_operators.spec.models import Company, NotifyMode
from tests.notify.kit import HOUR, NOW, ODD, PLACE, TEMPLATES, company, events, record

ALL: Final = (
    *("lost", "back", "trouble", "records", "recovered", "stopped", "counter"),
    *("deadline", "full report", "error report"),
)
EITHER_WAY: Final = {"stopped", "counter", "deadline"}
WANTED: Final = {
    NotifyMode.NONE: set(),
    NotifyMode.CONNECTION_FAILURES: {"lost", "back"} | EITHER_WAY,
    NotifyMode.EVERY_ERROR: {"lost", "back", "trouble", "records", "recovered"} | EITHER_WAY,
    NotifyMode.CONNECTION_FAILURES_AND_FULL_DAILY_REPORT: {"lost", "back", "full report"} | EITHER_WAY,
    NotifyMode.CONNECTION_FAILURES_AND_ERROR_DAILY_REPORT: {"lost", "back", "error report"} | EITHER_WAY,
    NotifyMode.ERROR_DAILY_REPORT: {"error report"} | EITHER_WAY,
    NotifyMode.FULL_DAILY_REPORT: {"full report"} | EITHER_WAY,
}
pytestmark = pytest.mark.feature("R8")


def wanting(name: str) -> Company:
    """Return a company whose mode tells an event."""
    return company(next(mode for mode, names in WANTED.items() if name in names))


@pytest.mark.parametrize("mode", list(NotifyMode))
def test_each_mode_tells_what_it_is_to_tell(mode: NotifyMode) -> None:
    """Every event under every mode: one mail or none."""
    made = {name for name, event in events().items() if compose(event, company(mode), TEMPLATES)}
    assert made == WANTED[mode]
    assert mode in TOLD


@pytest.mark.parametrize("name", ALL)
def test_who_gets_what(name: str) -> None:
    """Administrator, CC and BCC get everything; the hosting provider what is about connections, and nothing else."""
    (mail,) = compose(events()[name], wanting(name), TEMPLATES)
    assert mail.to == ("ops@acme.example",)
    assert mail.cc == (("cc@acme.example", "host@dc.example") if name in ("lost", "back") else ("cc@acme.example",))
    assert mail.bcc == ("quiet@acme.example",)


def test_nobody_gets_a_mail_twice() -> None:
    """An address that is named several times stands where it is seen first, whatever its case."""
    notify = company(admin=("a@x.example", "A@x.example"), cc=("a@x.example", "b@x.example"), bcc="B@x.example").notify
    who = recipients(notify, events()["lost"].kind)
    assert (who.to, who.cc, who.bcc) == (("a@x.example",), ("b@x.example", "host@dc.example"), ())


def test_nobody_to_tell_is_no_mail() -> None:
    """A mail that would go to nobody is not made."""
    alone = company(admin=(), cc=(), bcc=())
    assert compose(events()["records"], alone, TEMPLATES) == []
    (mail,) = compose(events()["lost"], alone, TEMPLATES)
    assert mail.cc == ("host@dc.example",)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("lost", "AnyBooks cannot be reached"),
        ("back", "AnyBooks is back after 2 h 10 min"),
        ("trouble", "CRAcct2QBCust: failed, Nobody answers at books.example."),
        ("records", "CRAcct2QBCust: rejected: Ångström & Söhne"),
        ("recovered", "CRAcct2QBCust works again"),
        ("stopped", "flows have stopped themselves"),
        ("deadline", "CRAcct2QBCust is not done within 30 minutes"),
        ("full report", "Daily report: 1 failed run, 1 open record, 2026-03-08 08:00 EDT"),
        ("error report", "Error report: 1 failed run, 1 open record, 2026-03-08 08:00 EDT"),
    ],
)
def test_the_subject_names_company_environment_and_what_happened(name: str, subject: str) -> None:
    """Somebody who looks after several companies sees in the list which one it is about."""
    (mail,) = compose(events()[name], wanting(name), TEMPLATES)
    assert mail.subject == f"[acme, production A] {subject}"


@pytest.mark.feature("E2")
@pytest.mark.parametrize("name", ["trouble", "records", "full report", "error report"])
def test_records_come_with_why_and_what_to_do(name: str) -> None:
    """Name, id, field, code, reason and advice of each record are in both bodies, and where to look."""
    (mail,) = compose(events()[name], wanting(name), TEMPLATES)
    for body in (mail.text, mail.html):
        for words in ("a1", "name", "6240", "The name is taken.", "Give it another name.", "customers", "rejected"):
            assert words in body
    assert "Ångström & Söhne" in mail.text
    assert "Ångström &amp; Söhne" in mail.html


@pytest.mark.feature("E2")
@pytest.mark.parametrize("name", ["lost", "trouble"])
def test_failures_come_with_code_advice_and_links(name: str) -> None:
    """What happened, what to do about it, the record log and the run in Airflow."""
    (mail,) = compose(events()[name], wanting(name), TEMPLATES)
    for body in (mail.text, mail.html):
        for words in ("http.refused", "Nobody answers at books.example.", "Look at the server.", PLACE.airflow):
            assert words in body
    assert PLACE.log in mail.text
    assert f'<a href="{PLACE.log}">' in mail.html


@pytest.mark.feature("R7")
@pytest.mark.parametrize("name", ["lost", "trouble", "stopped"])
def test_flows_that_stop_themselves_are_named_with_how_to_go_on(name: str) -> None:
    """The mail about the cause says as well which flows have stopped, and what to do then."""
    event = events()[name]
    assert isinstance(event, ConnectionLost | Trouble | Stopped)
    changed = dataclasses.replace(event, stopped=("acme.One", "acme.Two"))
    (mail,) = compose(changed, wanting(name), TEMPLATES)
    for body in (mail.text, mail.html):
        for words in ("acme.One, acme.Two", "How to go on", "airflow iw start acme --stopped", "Query Starts has not"):
            assert words in body
        assert "tries anew" not in body


@pytest.mark.feature("R1")
def test_a_flow_that_has_counted_to_its_end_has_no_cause_to_correct() -> None:
    """It is named, with how to have it run again; its Query Starts has moved with each run."""
    (mail,) = compose(events()["counter"], wanting("counter"), TEMPLATES)
    assert mail.subject.endswith("CRAcct2QBCust has stopped itself")
    for body in (mail.text, mail.html):
        for words in ("It has completed 5 of 5 runs.", "airflow iw start acme CRAcct2QBCust"):
            assert words in body
        for words in ("correct the cause", "Query Starts", "--stopped"):
            assert words not in body


@pytest.mark.parametrize("lasting", [True, False])
def test_a_run_by_hand_promises_no_further_mail(lasting: bool) -> None:
    """Its failure is no state that lasts and ends."""
    event = events()["trouble"]
    assert isinstance(event, Trouble)
    (mail,) = compose(dataclasses.replace(event, lasting=lasting), company(), TEMPLATES)
    assert ("works again" in mail.text, "works again" in mail.html) == (lasting, lasting)


def test_a_report_adds_up_what_the_flows_did() -> None:
    """Runs, records by outcome, outages and what was settled are in the full report; only errors in the other."""
    (full,) = compose(events()["full report"], wanting("full report"), TEMPLATES)
    assert "CRAcct2QBCust: 10 runs, 1 failed, 4 created" in full.text
    assert "Beta (customers): fixed by CRAcct2QBCust" in full.text
    assert "AnyBooks could not be reached from 2026-03-08 07:00 EDT to 2026-03-08 08:00 EDT" in full.text
    assert '<td align="right">10</td><td align="right">1</td>' in full.html
    (errors,) = compose(events()["error report"], wanting("error report"), TEMPLATES)
    assert "4 created" not in errors.text
    assert "It broke." in errors.text


def test_more_records_than_are_named_are_counted() -> None:
    """The first ones are named, and how many more there are."""
    (mail,) = compose(events()["trouble"], company(), TEMPLATES)
    assert "And 2 more." in mail.text
    assert "And 2 more." in mail.html


@pytest.mark.feature("E3")
def test_names_arrive_as_they_are() -> None:
    """Odd characters are unchanged in the text, escaped in the HTML, and unchanged in the subject."""
    (mail,) = compose(Trouble(PLACE, NOW, (), (record(ODD, why=ODD),), 1), company(), TEMPLATES)
    assert mail.subject.endswith(ODD)
    assert mail.text.count(ODD) == 2
    assert "<script" not in mail.html
    assert "&gt; &lt; &#39; &#34; Ångström" in mail.html


def test_markup_in_a_name_is_text() -> None:
    """A record cannot put HTML or a template's code into a mail."""
    evil = "<img src=x onerror=alert(1)>{{ 7 * 7 }}{% include 'x' %}"
    (mail,) = compose(Trouble(PLACE, NOW, (), (record(evil),), 1), company(), TEMPLATES)
    assert "<img" not in mail.html
    assert "{{ 7 * 7 }}" in mail.html
    assert evil in mail.text


def test_the_same_news_has_the_same_key_and_other_news_another() -> None:
    """Two mails are the same when what they tell is: the run, the reasons, the records, the outage."""
    one = Trouble(PLACE, NOW, (), (record(),), 1)
    assert key(one) == key(dataclasses.replace(one, at=NOW + HOUR))
    assert key(one) != key(dataclasses.replace(one, records=(record(why="Another reason."),)))
    assert len({key(event) for event in events().values() if event.kind.value != "error report"}) == len(ALL) - 1


@pytest.mark.parametrize("broken", ["", "{{ event.nothing }}", "{% if %}", "{{ ''.__class__.__mro__ }}"])
def test_a_template_that_fails_loses_no_mail(tmp_path: Path, broken: str) -> None:
    """A missing, wrong or forbidden template is told in the log; the mail goes out with the plain facts."""
    for extension in EXTENSIONS:
        if broken:
            (tmp_path / f"trouble.{extension}").write_text(broken, encoding="utf-8")
    with capture_logs() as logs:
        (mail,) = compose(events()["trouble"], company(), tmp_path)
    assert "records 1.label: Ångström & Söhne" in mail.text
    assert "company: acme" in mail.text
    assert "Ångström &amp; Söhne" in mail.html
    assert [each["event"] for each in logs] == ["template of a mail cannot be used"] * 2


def test_ones_own_templates_are_used(tmp_path: Path) -> None:
    """A folder of one's own replaces the looks; facts come from the event."""
    (tmp_path / "recovered.txt").write_text("{{ company }}: {{ event.run.flow }}, {{ event.ended_at | moment }}")
    (tmp_path / "recovered.html").write_text("<b>{{ event.run.flow }}</b>")
    (mail,) = compose(events()["recovered"], company(), tmp_path)
    assert mail.text == "acme: CRAcct2QBCust, 2026-03-08 09:00 EDT\n"
    assert mail.html == "<b>CRAcct2QBCust</b>\n"


def test_subjects_are_one_line() -> None:
    """What breaks lines becomes a blank; a subject without an end has one."""
    assert one_line("a\r\nBcc: x@y\x00\u2028b\tc\x85d") == "a Bcc: x@y b c d"
    assert len(one_line("x" * 5_000)) == 400
