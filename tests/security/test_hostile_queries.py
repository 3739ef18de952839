"""Hostile ids, names and texts in queries: found exactly, not found, or refused; never a condition of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from iw_operators.engine import compile_mapping
from iw_operators.engine.model import Record
from iw_operators.errors import FixRecord, InterWeaveError
from iw_operators.known import views
from iw_operators.ledger.store import Ledger
from iw_operators.spec.catalogue import FieldDef
from iw_operators.spec.models import Operations
from iw_operators.systems.base import System, View
from sandbox.seed.world import BooksCustomer, World
from tests.security import kit

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger, pytest.mark.feature("S6", "E3")]

NASTY = [
    "' or 1 eq 1 or 'a' eq 'a",
    "' or '1'='1",
    "'; DROP TABLE Account; --",
    "x' OR DisplayName LIKE '%",
    "%",
    "_",
    "*",
    "\\",
    "\\'",
    "a\\' OR Id > '0",
    "''",
    "'",
    '"',
    "O'Neil & Söhne; 50% \\ off",
    "’ or 1 eq 1 ‘",
    "ʼ or 1=1",
    "＇ or 1 eq 1",
    "a\nb",
    "a\r\nX-Injected: 1",
    "a\tb",
    "$filter=Id ne null",
    "a&$top=1",
    "a?$select=*",
    "a#b",
    "a+b c%20d%27",
    "../../Account",
    "Account(00000000-0000-0000-0000-000000000000)",
    "1) or (1 eq 1",
    "ORDERBY Id",
    "a STARTPOSITION 1 MAXRESULTS 1000",
    "null",
    "\u202eabc",
    "🙂",
]


@contextlib.contextmanager
def _systems(ledger_url: str, tmp_path: Path) -> Iterator[kit.Shop]:
    holds = kit.world("nasty")
    named = tuple(BooksCustomer(str(100 + n), name.strip()) for n, name in enumerate(NASTY) if _can_be_a_name(name))
    accounts = tuple(kit.replace(holds.accounts[0], id=kit.number("x", n), name=name) for n, name in enumerate(NASTY))
    holds = World(accounts=holds.accounts + accounts, contacts=holds.contacts, books_customers=named)
    kit.copy_of_acme(tmp_path, "nasty")
    ledger = Ledger.connect(ledger_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        with kit.shop("nasty", holds, ledger, patch.setenv, tmp_path) as made:
            yield made
    ledger.close()


def _can_be_a_name(name: str) -> bool:
    return name.isprintable() and ":" not in name and bool(name.strip())


@pytest.fixture(scope="module")
def shop(ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Shop]:
    """A company whose records have these very names."""
    with _systems(ledger_url, tmp_path_factory.mktemp("mappings")) as made:
        yield made


@pytest.fixture(scope="module", params=["crm", "books"])
def side(request: pytest.FixtureRequest, shop: kit.Shop) -> tuple[System, View, FieldDef]:
    """One system with the view of its accounts or customers, and a field that looks texts up in a list."""
    mapping = shop.stage.spec.mappings["customers"]
    source, _ = views(compile_mapping(mapping, request.param, Operations.CREATE_AND_UPDATE))
    looked_up = next(f for f in mapping.definition(request.param).fields.values() if f.lookup is not None)
    return shop.stage.open(request.param), source, looked_up


def test_a_nasty_name_finds_the_record_of_that_name_alone(side: tuple[System, View, FieldDef]) -> None:
    """Each record is found under its own name, and no other one with it."""
    system, view, _ = side
    everything = {r.id: r.label for page in system.scan(view, None) for r in page}
    assert len(everything) > len(NASTY) - 8
    for name in NASTY:
        found = system.find(view, name)
        assert {record.label.casefold() for record in found} <= {name.strip().casefold(), name.casefold()}, name
        if name in everything.values():
            assert found, name


ALPHABET = st.sampled_from(
    [*"'\"\\%_*()$;&?#=<>/ \n\r\t\x00a1-,.:", "’", "＇", "ʼ", "\u202e", "\ud800", "é", "🙂", " or ", " eq "]
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.lists(ALPHABET, max_size=12).map("".join), st.text(max_size=30))
ONCE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONCE
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_ids_and_list_texts_are_data(side: tuple[System, View, FieldDef], texts: list[str]) -> None:
    """As ids or as texts of a list they lead to what has exactly that id or text, or to a clear error."""
    system, view, looked_up = side
    with contextlib.suppress(InterWeaveError):
        assert set(system.fetch(view, texts)) <= {text.lower() for text in texts}
    with contextlib.suppress(InterWeaveError):
        assert set(system.lookup(looked_up, texts)) <= set(texts)


@ONCE
@given(text=TEXTS)
@example(text="")
@example(text="a\ud800")
@example(text="\x00")
def test_any_name_is_found_exactly_or_not_at_all(side: tuple[System, View, FieldDef], text: str) -> None:
    """A full name that somebody types never matches by anything but being equal."""
    system, view, _ = side
    found: Sequence[Record] = ()
    with contextlib.suppress(InterWeaveError):
        found = system.find(view, text)
    for record in found:
        names = {record.id.casefold(), record.label.strip().casefold()}
        names |= {str(value).strip().casefold() for value in record.values.values()}
        assert text.strip().casefold() in names


def test_the_form_for_one_record_takes_any_text(shop: kit.Shop) -> None:
    """NF with a hostile name ends as not found, with a sentence; nothing is written and nothing else is sent."""
    with pytest.raises(FixRecord):
        shop.stage.run(kit.NF, only="nobody")  # signs in, and the books keep the tokens
    before = shop.books, shop.crm
    for text in ("' or 1 eq 1", "nobody\\", "no\nbody", "\x00", "\ud800", "%25", "  ", "a" * 500):
        with pytest.raises(FixRecord) as caught:
            shop.stage.run(kit.NF, only=text)
        assert caught.value.code in {"iw.not_found", "iw.ambiguous"}
        assert len(text) < 3 or text not in str(caught.value)
    assert (shop.books, shop.crm) == before
