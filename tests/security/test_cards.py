"""Payment cards (M11): a full number is found where people type it, goes nowhere and is kept nowhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.engine import Compiled
from iw_operators.engine.cards import guarded, has_card, masked
from iw_operators.engine.model import Action, Binding
from iw_operators.ledger.store import Ledger
from iw_operators.spec.catalogue import FieldDef, FieldType, LookupDef
from iw_operators.systems.quickbooks_online.query import literal, select
from tests.engine.make import BOOKS, CRM, NAME, field_def, mapped, mapping, plan_one, record, to_books
from tests.security import kit

pytestmark = pytest.mark.feature("M11")

# Numbers that the brands publish for tests.
CARDS = [
    "4111111111111111",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6445644564456445",
    "30569309025904",
    "36227206271667",
    "3530111333300000",
    "6200000000000005",
    "2201382000000013",
    "6759649826438453",
]


def written(digits: str, gap: str) -> str:
    """Write a number in its brand's groups."""
    sizes = {14: (4, 6, 4), 15: (4, 6, 5)}.get(len(digits), (4, 4, 4, 4))
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return gap.join(parts)


GAPS = (" ", "-", "\u00a0", "–", "  ", " \u00a0", "\t", "\n", "\r\n", " \n", "_", " - ", "—")
UNSEEN = ("\u200b", " \u200b", "\u00ad", "\ufeff")
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.mark.parametrize("digits", CARDS)
def test_a_number_is_found_however_cards_are_written(digits: str) -> None:
    """Without gaps or in groups, alone or in a sentence, with what stands around numbers in notes."""
    for text in (digits, *(written(digits, gap) for gap in GAPS + UNSEEN)):
        for note in ("{}", "card {}, exp 12/27", "({})", "Visa: {}.", "a\n{}\nb", "pay 2 {} 12/27", "«{}»", "№ {};"):
            assert has_card(note.format(text)), note.format(text)
            left = masked(note.format(text))
            assert not has_card(left)
            assert digits[-4:] in left
            assert digits not in re.sub(r"\D", "", left)


@pytest.mark.parametrize("script", [WIDE, ARABIC])
def test_digits_of_other_scripts_are_digits(script: dict[int, int]) -> None:
    """Full-width ones, as a phone types them, and those of other languages; the last four are shown as ours."""
    for text in (CARDS[0].translate(script), written(CARDS[0], " ").translate(script)):
        assert masked(f"a {text} b") == "a card ending in 1111 b"


@pytest.mark.parametrize(
    "text",
    [
        "card #{}",
        "card #{} exp 12/29",
        "#{} exp. 12/29",
        "Visa no. #{}",
        "CC#{}",
        "#4111 1111 1111 1111",
        "paid #4111-1111-1111-1111",
        "# {}",
        "VISA 4111  1111  1111 1111",
        "4111\n1111\n1111\n1111\n1227\n123",
        "4\u200b1\u200b1\u200b1\u200b111111111111",
        "IBAN DE89 3704 0044 0532 0130 00\n{}",
        "4111 1111 1111 1111\n3782  822463  10005  1234",
        "2 pieces\n4111\t1111\t1111\t1111\t12/29",
    ],
)
def test_a_number_is_found_where_it_is_spoken_of_as_one(text: str) -> None:
    """After a number sign with a word of cards beside it or in groups, in columns, among what has no width."""
    note = text.format(CARDS[0])
    assert has_card(note)
    left = masked(note)
    assert not has_card(left)
    assert "ending in 1111" in left
    assert "822463" not in left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",  # the last digit is wrong
        "1234567812345670",  # nobody issues these first digits
        "0000000000000000",
        "41111111111111110000",  # too long
        "4111-1111 1111-1111",  # two kinds of gaps
        "41 11 11 11 11 11 11 11",  # groups that no card has
        "4111.1111.1111.1111",
        "4111111111111111,50",
        "PO4111111111111111",
        "SO_4111111111111111",
        "4111111111111111A",
        "#4111111111111111",
        "Order #4111111111111111 of 12/29",
        "Sent to me under #4111111111111111, 2 parcels",
        "4111111111111111_2.pdf, scan_4111_1111_1111_1111.pdf, 4111_1111_1111_1111_v2.pdf",
        "4111 1111\n1111 1111",  # two telephones of eight digits
        "4111\n1111 1111 1111",
        "4111     1111     1111     1111",  # columns
        "4111\n1111\n1111\n1111\n4111",  # a list of five
        "1001\n4111\n1111\n1111\n1111",
        "4111\n1111\n1111\n1111\n1227\n1228",
        "4111\t1111\t1111\t1111\t4111\t1111",
        "4111  11111111  1111",
        "4111\n111\n111\n112",
        "12/4111111111111111",
        "+4111111111111111",
        "+1 617 555 0100, +49 30 901820, 1-800-555-0100 x1234",
        "617-555-0100 617-555-0101 617-555-0102",
        "4006381333931",  # a GTIN
        "9780306406157",  # an ISBN
        "490154203237518",  # a telephone's number, which has the same check digit
        "8901260123456789012",  # a SIM card
        "DE12 4401 0046 0123 4567 89",
        "DE12  4111  1111  1111  1111  89",
        "GB29 NWBK 6016 1331 9268 19",
        "FR14 2004 1010 0505 0001 3M02 606",
        "2026-11-20 10:11:28.4111111111",
        "1763634000000",
        "550e8400-e29b-41d4-a716-446655440000",
        "Invoice 1001, 1002, 1003, 1004, 1005",
        "40.7128 -74.0060, 4111 Main Street, Suite 1111",
        "ending in 1111, Visa, 12/27, tok_4Ab1Cd2Ef3Gh",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    """Order numbers, phones, accounts, goods, devices, times and what may be kept of a card."""
    assert not has_card(text)
    assert masked(text) == text


@given(st.text(max_size=80))
def test_text_without_long_numbers_is_never_touched(text: str) -> None:
    """Whatever else it holds."""
    if len(re.findall(r"\d", text)) < 13:
        assert masked(text) == text


def test_long_text_costs_little() -> None:
    """Whatever it is made of, time grows with its length and not with its square, which would be minutes here."""
    begun = time.process_time()
    for piece in ("1_ ", "1 _1", "4111\n1111\n", "4111 1111 1111 1112 ", "1 ", "1   ", "\u200b1", "1.1 ", "AB12 "):
        text = piece * (30_000 // len(piece))
        assert masked(text) == text
    assert time.process_time() - begun < 10


@given(st.integers(10**12, 10**19).map(str))
def test_at_most_one_in_ten_numbers_of_a_brand_is_taken_for_a_card(digits: str) -> None:
    """Whatever is found has the right last digit: with any other one it is not found."""
    if has_card(digits):
        others = [digits[:-1] + str(last) for last in range(10) if str(last) != digits[-1]]
        assert not any(map(has_card, others))


def test_where_it_is_looked_for() -> None:
    """Free text, custom fields included; not phones, references, numbers, lists, nor fields that are identifiers."""
    assert guarded("notes", FieldDef(native="Notes", type=FieldType.MEMO))
    assert guarded("card", FieldDef(native="UsrCard"))
    assert guarded("lines.description", FieldDef(native="D", type=FieldType.MEMO))
    for kind in FieldType:
        if kind not in (FieldType.TEXT, FieldType.MEMO):
            assert not guarded("x", FieldDef(native="X", type=kind))
    for name in ("number", "reference", "code", "account_number"):
        assert not guarded(name, FieldDef(native="X"))
    assert not guarded("terms", FieldDef(native="T", lookup=LookupDef(set="Terms", by="Name")))
    assert not guarded("x", None)


PAN = "4111 1111 1111 1111"
MEMO = FieldType.MEMO


@pytest.fixture
def compiled() -> Compiled:
    """Names and notes both ways, a number, and a field put together from two."""
    joined = mapped("joined", crm=None, to_books="left ~ ' ' ~ right")
    halves = [mapped(name, books=None) for name in ("left", "right")]
    notes = mapped("notes", crm=field_def(MEMO), books=field_def(MEMO))
    return to_books(mapping([NAME, notes, mapped("number"), joined, *halves]))


def test_it_is_rejected_with_the_field_and_nothing_else(compiled: Compiled) -> None:
    """The row names the field and the side, and holds neither the number nor any other value."""
    found = plan_one(compiled, record("1", name="A", notes=f"pay by {PAN}"))
    assert (found.action, found.code, found.field) == (Action.REJECT, "iw.card_number", "notes")
    assert CRM in found.why
    assert "1111" not in repr(found)
    assert not any((found.send, found.source, found.target, found.changes))


def test_the_partners_text_is_looked_at_too(compiled: Compiled) -> None:
    """A number that stands on the target's side would be remembered as the old value; it is told instead."""
    partner = record("9", name="A", notes=f"pay by {PAN}")
    binding = Binding("1", "9", {"name": "B"}, {"name": "B"})
    known = {"bindings": {"1": binding}, "targets": {"9": partner}}
    found = plan_one(compiled, record("1", name="A", notes="new"), **known)
    assert (found.action, found.code, found.field) == (Action.REJECT, "iw.card_number", "notes")
    assert BOOKS in found.why
    assert "1111" not in repr(found)


def test_a_number_in_the_name_is_masked_in_the_label(compiled: Compiled) -> None:
    """The record can still be told from others."""
    found = plan_one(compiled, record("1", name=f"Acme {PAN}"))
    assert (found.code, found.label) == ("iw.card_number", "Acme card ending in 1111")


def test_halves_do_not_make_a_whole(compiled: Compiled) -> None:
    """What an expression puts together is looked at as well."""
    found = plan_one(compiled, record("1", name="A", left="4111 1111", right="1111 1111"))
    assert (found.code, found.field) == ("iw.card_number", "joined")


def test_identifiers_go_through(compiled: Compiled) -> None:
    """A number of sixteen digits in a field that is one is nobody's card."""
    assert plan_one(compiled, record("1", name="A", number="4111111111111111")).action is Action.CREATE


# Through the whole


def places(ledger: Ledger, shop: kit.Shop) -> str:
    """Return everything that is kept, digits only, so that no way of writing hides a number."""
    return re.sub(r"\D", "", kit.dump(ledger))


@pytest.fixture
def shop(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[kit.Shop]:
    """A company whose first account has a card in its notes, whose second has one in its name."""
    kit.copy_of_acme(tmp_path, "cards")
    holds = kit.world("cards")
    first, second, third = holds.accounts
    accounts = (
        kit.replace(first, notes=f"Card {PAN} exp 12/27"),
        kit.replace(second, name="Twin 5555-5555-5555-4444"),
        third,
    )
    with kit.shop("cards", kit.replace(holds, accounts=accounts), ledger, monkeypatch.setenv, tmp_path) as made:
        yield made


@pytest.mark.ledger
@pytest.mark.sandbox
def test_no_card_reaches_the_other_side_the_ledger_or_a_log(
    shop: kit.Shop, ledger: Ledger, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """From the CRM and from the books: rejected, told, and in no row; the rest of the run goes on."""
    caplog.set_level("DEBUG")
    done = shop.stage.run(kit.SENT)
    assert done["customers"].counts == {"created": 1, "rejected": 2}
    codes = {row.source_id: row.code for row in ledger.log(company="cards", mapping="customers", action="rejected")}
    assert set(codes.values()) == {"iw.card_number"}
    customer = ledger.references("cards", "customers", "crm", [kit.number("account", 2)])[kit.number("account", 2)]
    system = shop.stage.open("books")
    query = select("Customer", [f"Id = {literal(customer)}"])
    row = system.client.rows("Customer", query)[0]  # type: ignore[attr-defined]  # of this system
    system.client.post(  # type: ignore[attr-defined]  # of this system
        f"{system.client.api_url}/company/{system.client.company_id}/customer",  # type: ignore[attr-defined]  # likewise
        kit.as_json({**row, "Notes": "their card: 371449635398431"}),
    )
    shop.stage.pass_time(2)  # a window ends before the second in which it is asked for
    back = shop.stage.run(kit.BACK)
    assert back["customers"].counts.get("rejected") == 1
    shop.stage.run(kit.SENT)
    kept = places(ledger, shop)
    everything = re.sub(r"\D", "", capfd.readouterr().out + caplog.text)
    for digits in ("4111111111111111", "5555555555554444", "371449635398431"):
        assert digits not in kept
        assert digits not in everything
    assert "4111 1111" not in shop.books
    assert "371449635398431" not in shop.crm
