"""Writing to a Creatio over a socket: each write ends applied, rejected or unknown, and never twice."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
import time
from decimal import Decimal
from typing import Any

import pytest

from iw_operators.engine.model import Value, Values
from iw_operators.errors import ConnectionFailure, FixConfiguration, FixRecord
from iw_operators.spec.catalogue import FieldDef, FieldType
from iw_operators.systems.base import Batch, Op, Outcome, Result, View, Window, Write
from iw_operators.systems.creatio.auth import Forms
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.system import CreatioSystem
from iw_operators.systems.creatio.writing import new_id
from iw_operators.systems.http import Timeouts
from sandbox.seed import acme
from tests.systems.creatio.conftest import MakeSite, Site
from tests.systems.creatio.helpers import Kept, view_of

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1", "B2")]

ACCOUNT = view_of("Account", ("name", "phone", "notes", "active", "currency", "billing.city", "balance"))
PAYMENT = view_of("UsrPaymentQB")
BACK = view_of(
    "Account",
    ("name",),
    more={
        "write_back.id": FieldDef(native="UsrQBId"),
        "write_back.synced_at": FieldDef(native="UsrQBLastModified", type=FieldType.DATETIME),
    },
)


def create(key: str, view: View = ACCOUNT, /, **values: Value) -> Write:
    """Return a create."""
    return Write(key, Op.CREATE, view, values)


def update(key: str, target: str, values: Values, view: View = ACCOUNT) -> Write:
    """Return an update."""
    return Write(key, Op.UPDATE, view, values, target)


def batch_of(*writes: Write) -> Batch:
    """Return a batch."""
    return Batch("batch", writes)


def results(outcomes: Any) -> list[Result]:
    """Return how the writes ended."""
    return [outcome.result for outcome in outcomes]


def accounts(site: Site) -> int:
    """Return how many accounts there are."""
    return int(site.stats()["rows"]["Account"])


def names(system: CreatioSystem, outcomes: Any) -> list[Value]:
    """Return the names under which the outcomes' records are found, in order."""
    found = system.fetch(ACCOUNT, [outcome.target_id or "" for outcome in outcomes])
    return [found[outcome.target_id].values["name"] for outcome in outcomes]


def test_a_full_batch_is_one_request(empty_site: Site) -> None:
    """A full batch is one call; each outcome has the id made from its key, the version and what Creatio now holds."""
    system = empty_site.system()
    system.check()
    empty_site.forget()
    writes = [create(f"k{number}", name=f"Customer {number}", phone=f"555-{number}") for number in range(94)]
    outcomes = system.write(batch_of(*writes))
    assert empty_site.requests() == 1
    assert results(outcomes) == [Result.APPLIED] * system.batch_size
    assert [outcome.target_id for outcome in outcomes] == [new_id(write) for write in writes]
    assert names(system, outcomes) == [f"Customer {number}" for number in range(94)]
    read = {r.id: r for page in system.changes(ACCOUNT, Window(None, None), 100) for r in page}
    for outcome in outcomes:
        record = read[outcome.target_id or ""]
        assert outcome.version == record.version, "a record that only we touched comes back as unchanged"
        assert outcome.values["phone"] == record.values["phone"]


def test_sending_a_create_again_makes_no_second_record(empty_site: Site) -> None:
    """The Id comes from the key: a create whose Id is there already is an earlier attempt that arrived."""
    system = empty_site.system()
    first = system.write(batch_of(create("k1", name="Once"), create("k2", name="Twice")))
    again = system.write(batch_of(create("k2", name="Twice"), create("k3", name="Three")))
    assert results(again) == [Result.APPLIED, Result.APPLIED]
    assert again[0].target_id == first[1].target_id
    assert again[0].version == first[1].version
    assert accounts(empty_site) == 3


def test_values_arrive_and_lookups_are_found_by_text(acme_site: Site) -> None:
    """Money, dates, booleans, references and lookups in any case arrive as what they are."""
    world = acme.build()
    system = acme_site.system()
    deal = world.opportunities[0]
    values: dict[str, Value] = {
        "number": "PMT-1",
        "customer": world.accounts[0].id,
        "invoice": deal.id,
        "date": dt.date(2026, 2, 28),
        "currency": "eur",
        "total": Decimal("1234.50"),
        "unapplied": Decimal("0.05"),
        "reference": None,
    }
    (outcome,) = system.write(batch_of(create("p1", PAYMENT, **values)))
    assert outcome.result is Result.APPLIED, outcome.error
    record = system.fetch(PAYMENT, [outcome.target_id or ""])[outcome.target_id or ""]
    assert record.values == {**values, "currency": "EUR"}


def test_updates_send_what_changes_and_empty_what_is_none(acme_site: Site) -> None:
    """An update leaves other columns alone; None empties text, lookups and numbers."""
    system = acme_site.system()
    account = next(a for a in acme.build().accounts if a.phone and a.address.city and a.notes)
    outcomes = system.write(
        batch_of(update("u1", account.id, {"phone": None, "billing.city": None, "balance": Decimal("7.10")}))
    )
    assert results(outcomes) == [Result.APPLIED]
    assert outcomes[0].version == "", "an update's answer says nothing of the version"
    record = system.fetch(ACCOUNT, [account.id])[account.id]
    assert record.values["phone"] is None
    assert record.values["billing.city"] is None
    assert record.values["balance"] == Decimal("7.10")
    assert record.values["notes"] == account.notes
    system.write(batch_of(update("u2", account.id, {"balance": None, "billing.city": account.address.city.upper()})))
    record = system.fetch(ACCOUNT, [account.id])[account.id]
    assert (record.values["balance"], record.values["billing.city"]) == (Decimal(0), account.address.city)


@pytest.mark.feature("E3")
def test_characters_arrive_unchanged(empty_site: Site) -> None:
    """The characters that the old platform choked on, other scripts, emoji and line breaks go there and back."""
    texts = [
        "! @ # $ % ^ & * + { } [ ] ? > < ' \"",
        "Łódź 東京 שלום مرحبا",
        "🙂👩‍👩‍👧 \\ / | ~ `",
        "a\nb\r\nc\td",
        "100% & <b>",
    ]
    system = empty_site.system()
    outcomes = system.write(batch_of(*[create(text, name=text[:50], notes=text) for text in texts]))
    assert results(outcomes) == [Result.APPLIED] * len(texts)
    found = system.fetch(ACCOUNT, [outcome.target_id or "" for outcome in outcomes])
    assert [found[outcome.target_id or ""].values["notes"] for outcome in outcomes] == texts
    for text, outcome in zip(texts, outcomes, strict=True):
        assert [r.id for r in system.find(ACCOUNT, text[:50])] == [outcome.target_id]


@pytest.mark.feature("M25")
def test_one_bad_record_does_not_stop_the_others(acme_site: Site) -> None:
    """What Creatio or its database refuses is rejected with the reason, and the rest of the batch is applied."""
    system = acme_site.system()
    account = acme.build().accounts[0]
    wide = view_of("Account", ("name", "terms"), more={"region": FieldDef(native="UsrRegion")})
    system.write(batch_of(create("p0", PAYMENT, number="TAKEN")))
    outcomes = system.write(
        batch_of(
            create("a", name="Good one"),
            create("b", wide, name="Too long", region="r" * 51),
            create("c", name="No such currency", currency="XTS"),
            create("d", PAYMENT, number="TAKEN"),
            create("e", PAYMENT, number="REF", customer="3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
            update("f", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", {"name": "Nobody"}),
            update("g", "17", {"name": "No guid"}),
            update("h", account.id, {"email": "x@example.com"}, view_of("Account", ("email",))),
            update("i", account.id, {"terms": "t" * 32}, wide),
            create("j", name="Good two"),
        )
    )
    found = [(o.key, o.result, o.error.code if o.error else "") for o in outcomes if o.result is not Result.APPLIED]
    assert found == [
        ("b", Result.REJECTED, "creatio.too_long"),
        ("c", Result.REJECTED, "creatio.lookup"),
        ("d", Result.REJECTED, "creatio.duplicate"),
        ("e", Result.REJECTED, "creatio.reference"),
        ("f", Result.REJECTED, "creatio.gone"),
        ("g", Result.REJECTED, "creatio.gone"),
        ("h", Result.REJECTED, "creatio.read_only"),
        ("i", Result.REJECTED, "iw.too_long"),
    ]
    lookup = outcomes[2].error
    assert isinstance(lookup, FixRecord)
    assert (lookup.field, "XTS" in lookup.message) == ("currency", True)
    assert isinstance(outcomes[7].error, FixConfiguration)


def test_nothing_to_say_sends_nothing(acme_site: Site) -> None:
    """An update without a field is applied without a request."""
    system = acme_site.system()
    system.check()
    acme_site.forget()
    assert results(system.write(batch_of(update("u", acme.build().accounts[0].id, {})))) == [Result.APPLIED]
    assert acme_site.requests() == 0


def test_a_create_that_failed_after_it_inserted(empty_site: Site) -> None:
    """A 500 from an event handler is looked at before it is told: the record is there, so the write was applied."""
    empty_site.fault("fail_after_insert", after=1)
    outcomes = empty_site.system().write(batch_of(*[create(key, name=key) for key in ("a", "b", "c")]))
    assert results(outcomes) == [Result.APPLIED] * 3
    assert outcomes[1].values["name"] == "b"
    assert accounts(empty_site) == 3


@pytest.mark.parametrize(("fault", "arrived"), [("drop_after", 4), ("half_batch", 2), ("drop_before", 0), ("html", 0)])
def test_a_connection_that_breaks_leaves_the_outcome_open(empty_site: Site, fault: str, arrived: int) -> None:
    """Whatever arrived: the batch is unknown at first, is looked up, and sending the rest makes nothing twice."""
    system = empty_site.system()
    system.check()
    (account,) = system.write(batch_of(create("old", name="Old", phone="1")))
    batch = batch_of(
        create("a", name="A"),
        dataclasses.replace(update("u", account.target_id or "", {"phone": "2"}), version=account.version),
        create("b", name="B"),
        create("c", name="C", currency="USD"),
    )
    system.lookup(ACCOUNT.fields["currency"], ["USD"])
    empty_site.fault(fault, match="$batch")
    outcomes = system.write(batch)
    assert results(outcomes) == [Result.UNKNOWN] * 4
    assert isinstance(outcomes[0].error, ConnectionFailure)
    empty_site.forget()
    looked = system.resolve(batch)
    assert results(looked) == [Result.APPLIED] * arrived + [Result.REJECTED] * (4 - arrived)
    assert empty_site.requests() == 1
    again = Batch("batch", tuple(w for w, o in zip(batch.writes, looked, strict=True) if o.result is Result.REJECTED))
    if again.writes:
        assert set(results(system.write(again))) == {Result.APPLIED}
    assert results(system.resolve(batch)) == [Result.APPLIED] * 4
    assert accounts(empty_site) == 4


def test_an_answer_that_comes_too_late(empty_site: Site) -> None:
    """A timeout leaves the outcome open as well; looking finds what arrived."""
    system = empty_site.system(timeouts=Timeouts(5, 0.3))
    system.check()
    empty_site.fault("slow_after", match="$batch", seconds=1.0)
    batch = batch_of(create("a", name="A"))
    assert results(system.write(batch)) == [Result.UNKNOWN]
    time.sleep(1.0)
    assert results(system.resolve(batch)) == [Result.APPLIED]


def test_what_was_never_sent_is_raised(empty_site: Site) -> None:
    """No connection: nothing can have arrived, so that the batch may simply be tried later."""
    state = Kept()
    empty_site.system(state=state).check()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    down = Client(
        empty_site.transport(),
        Forms(empty_site.url, "Supervisor", "Supervisor1!"),  # signed in already, by what is kept
        state,
        site=f"http://127.0.0.1:{port}",
    )
    with pytest.raises(ConnectionFailure) as caught:
        CreatioSystem(down).write(batch_of(create("a", name="A")))
    assert caught.value.sent is False


@pytest.mark.parametrize("fault", ["expire_session", "login_page", "csrf"])
def test_a_session_that_ends_under_a_write(empty_site: Site, fault: str) -> None:
    """A batch that met an ended session was not carried out: it is sent again after one sign-in, and once only."""
    system = empty_site.system()
    system.check()
    empty_site.fault(fault, match="$batch")
    assert results(system.write(batch_of(create("a", name="A"), create("b", name="B")))) == [Result.APPLIED] * 2
    assert accounts(empty_site) == 2


def test_resolve_judges_updates_by_what_is_held(acme_site: Site) -> None:
    """An update was applied when the record holds what was sent, in Creatio's own rounding and spelling."""
    system = acme_site.system()
    account = acme.build().accounts[0]
    view = view_of("Opportunity", ("exchange_rate", "due_date", "currency", "memo"))
    deal = acme.build().opportunities[0]
    batch = batch_of(
        update("u1", account.id, {"name": "Changed"}),
        update(
            "u2",
            deal.id,
            {"exchange_rate": Decimal("1.08755"), "due_date": None, "currency": "usd", "memo": "line\nline"},
            view,
        ),
        update("u3", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", {"name": "Nobody"}),
    )
    before: list[Outcome] = list(system.resolve(batch))
    assert results(before) == [Result.STALE, Result.STALE, Result.REJECTED], "the version they start from is not said"
    system.write(batch)
    assert results(system.resolve(batch)) == [Result.APPLIED, Result.APPLIED, Result.REJECTED]


def test_the_version_after_an_update_that_nobody_disturbed(acme_site: Site) -> None:
    """A full batch of planned updates is one request, and tells the versions under which the records come back."""
    system = acme_site.system()
    view = view_of("Account", ("balance", "currency"), more=dict(BACK.fields))
    records = [r for page in system.changes(view, Window(None, None), 94) for r in page][:94]
    since = system.now()
    writes = [
        dataclasses.replace(
            update(record.id, record.id, {"write_back.id": "77", "balance": Decimal("1.5"), "currency": "eur"}, view),
            version=record.version,
        )
        for record in records
    ]
    acme_site.forget()
    outcomes = system.write(batch_of(*writes))
    assert acme_site.requests() <= 2  # the list of currencies, and the batch
    wider = view_of("Account", facts=True)
    read = {r.id: r.version for page in system.changes(wider, Window(since, None), 100) for r in page}
    assert {outcome.target_id: outcome.version for outcome in outcomes} == read


@pytest.mark.parametrize("edited", ["before", "between", "contact"])
def test_no_version_where_somebody_else_had_a_hand_in_it(acme_site: Site, edited: str) -> None:
    """A user's edit after the plan, or in the same moment, is never taken for ours: the record will be compared."""
    system = acme_site.system()
    account = next(a for a in acme.build().accounts if a.primary_contact_id)
    view = view_of("Account")
    record = system.fetch(view, [account.id])[account.id]
    ours = dataclasses.replace(update("u", account.id, {"balance": Decimal(5)}, view), version=record.version)
    user = acme_site.client()
    if edited == "between":
        theirs = dataclasses.replace(update("v", account.id, {"phone": "1"}, view), version=record.version)
        outcomes = system.write(batch_of(theirs, ours))
        assert [outcome.version for outcome in outcomes] == ["", ""]
        return
    if edited == "before":
        acme_site.edit(user, ("Account", account.id, {"Notes": "edited"}))
    else:
        acme_site.edit(user, ("Contact", account.primary_contact_id or "", {"Email": "n@example.com"}))
    (outcome,) = system.write(batch_of(ours))
    assert (outcome.result, outcome.version) == (Result.APPLIED, "")


def test_a_thousand_new_customers_with_ids_written_back(make_site: MakeSite) -> None:
    """First sync of 1,000 accounts as the loop does it, ids written back: at most 40 requests, sign-in included."""
    site = make_site(acme.plain(1_000, won=True))
    system = site.system()
    view = view_of("Account", facts=True)
    system.check()
    system.now()
    stamp = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    count = 0
    for page in system.changes(view, Window(None, system.now()), 500):
        full = system.complete(view, page)
        assert all("won" in record.facts for record in full)
        count += len(full)
        for start in range(0, len(full), system.batch_size):
            some = full[start : start + system.batch_size]
            back = [
                update(f"back {r.id}", r.id, {"write_back.id": f"9{n}", "write_back.synced_at": stamp}, BACK)
                for n, r in enumerate(some)
            ]
            assert set(results(system.write(batch_of(*back)))) == {Result.APPLIED}
    assert count == 1_000
    assert site.requests() <= 40
    site.forget()
    echoes = [r for page in system.changes(view, Window(stamp, None), 500) for r in page]
    assert len(echoes) == 1_000
