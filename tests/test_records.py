"""Failed records as CSV and back: exported, edited as a spreadsheet does, imported, done again."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from iw_operators.engine.cards import masked
from iw_operators.engine.model import Action, Value
from iw_operators.ledger.store import Ledger
from iw_operators.records import Imported, export_csv, import_csv
from iw_operators.spec.catalogue import FieldType
from iw_operators.spec.csvsafe import plain, protected
from iw_operators.spec.models import FlowKind, Owner
from iw_operators.spec.resolved import ResolvedMapping
from tests.engine.make import NAME, field_def, mapped, mapping
from tests.ledger.kit import begin, quiet
from tests.sync.conftest import Bench
from tests.sync.fakes import FakeSystem

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R10")]

NUMBERS = itertools.count()
E3 = "! @ # $ % ^ & * + { } [ ] ? > < ' \" \\ ; , | ` ~ é 日本 عرب 👩‍👧"
TOLD = ("record id", "record name", "error code", "error text", "what to do", "record state", "as exported")


def typed(name: str, kind: FieldType, **books: Any) -> Any:
    """Return a field of one type on both sides."""
    return mapped(name, crm=field_def(kind), books=field_def(kind, **books), owner=Owner.CRM)


def customers() -> ResolvedMapping:
    """Return a mapping with a field of every type."""
    return mapping(
        [
            NAME,
            typed("phone", FieldType.PHONE, length=21),
            typed("note", FieldType.MEMO),
            typed("limit", FieldType.MONEY),
            typed("rank", FieldType.INTEGER),
            typed("taxed", FieldType.BOOLEAN),
            typed("since", FieldType.DATE),
            typed("seen", FieldType.DATETIME),
        ]
    )


VALUES: dict[str, Value] = {
    "name": "Long: name",
    "phone": "0049 30",
    "note": "first\nsecond",
    "limit": Decimal("12.50"),
    "rank": 7,
    "taxed": True,
    "since": dt.date(2026, 1, 31),
    "seen": dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC),
}


class Desk:
    """A mapping, its source, its ledger, and what somebody does with the file."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.mapping = customers()
        self.crm = FakeSystem("crm")
        self.run = begin(ledger)

    def fail(self, id_: str, **values: Value) -> None:
        """Have a record that was rejected."""
        self.crm.put(id_, **{**VALUES, **values})
        row = quiet(
            Action.REJECT, id_, label=f"Name {id_}", code="iw.characters", why="it holds a colon", advice="Mend."
        )
        self.ledger.record(self.run, [row])

    def export(self, **more: Any) -> bytes:
        """Export what failed."""
        return export_csv(self.ledger, self.mapping, "crm", self.crm, **more)

    def load(self, data: bytes) -> Imported:
        """Import a file."""
        return import_csv(
            self.ledger,
            self.mapping,
            "crm",
            self.crm,
            data,
            by="Ann",
            file="failed.csv",
        )

    def corrected(self, id_: str = "a") -> dict[str, Value]:
        """Return what is corrected of a record."""
        found = self.ledger.corrections("acme", "customers", "crm", [id_]).get(id_)
        return dict(found.values) if found else {}


def edited(
    data: bytes, change: Callable[[list[dict[str, str]]], Any], separator: str = ",", end: str = "\r\n"
) -> bytes:
    """Return a file as a spreadsheet saves it after somebody has edited its rows."""
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    heading = list(rows[0])
    change(rows)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, heading, delimiter=separator, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def put(**cells: str) -> Callable[[list[dict[str, str]]], Any]:
    """Return an edit of the first record's cells."""
    return lambda rows: rows[0].update(cells)


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    """Return a desk with one failed record."""
    made = Desk(ledger)
    made.fail("a")
    return made


def test_a_file_holds_what_failed_and_what_the_source_holds_now(desk: Desk) -> None:
    """A byte order mark, what is known of the failure, then each field as the source has it at this moment."""
    desk.crm.put("a", phone="0049 40")
    data = desk.export()
    assert data.startswith(b'\xef\xbb\xbf"record id",')
    (row,) = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert tuple(row)[:7] == TOLD
    assert [row[name] for name in TOLD[:6]] == ["a", "Name a", "iw.characters", "it holds a colon", "Mend.", "open"]
    assert {name: row[name] for name in VALUES} == {
        "name": "Long: name",
        "phone": "'0049 40",
        "note": "first\nsecond",
        "limit": "12.50",
        "rank": "7",
        "taxed": "true",
        "since": "2026-01-31",
        "seen": "2026-01-31T12:00:00+00:00",
    }


def test_an_untouched_file_changes_nothing(desk: Desk) -> None:
    """Nor does it drop anything, whatever has become of the records meanwhile."""
    desk.fail("b")
    data = desk.export()
    assert desk.load(data) == Imported(0, 0, 2)
    desk.crm.put("a", name="Other")
    del desk.crm.records["b"]
    assert desk.load(data) == Imported(0, 0, 2)


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("name", "Short name", "Short name"),
        ("note", E3, E3),
        ("note", "'=1+1", "=1+1"),
        ("note", "one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("phone", "'030 1", "030 1"),
        ("phone", "", None),
        ("limit", "99.9", Decimal("99.90")),
        ("rank", "12", 12),
        ("taxed", "FALSE", False),
        ("since", "2026-02-01", dt.date(2026, 2, 1)),
        ("since", "01.02.2026", dt.date(2026, 2, 1)),
        ("seen", "2026-02-01T00:00:00-05:00", dt.datetime(2026, 2, 1, 5, tzinfo=dt.UTC)),
    ],
)
def test_a_corrected_cell_is_kept_in_the_type_of_its_field(desk: Desk, field: str, cell: str, value: Value) -> None:
    """One field, one correction; all other fields stay the source's."""
    assert desk.load(edited(desk.export(), put(**{"name": "Fine", field: cell}))).errors == ()
    wanted: dict[str, Value] = {"name": "Fine", field: value}
    assert desk.corrected() == wanted


def test_what_a_spreadsheet_makes_of_numbers_and_dates_is_no_correction(desk: Desk) -> None:
    """Semicolons with a decimal comma, a date in the customs of a country, TRUE in another language."""
    cells = {"limit": "12,5", "since": "31.01.2026", "taxed": "WAHR", "name": "Fine"}
    assert desk.load(edited(desk.export(), put(**cells), ";")).errors == ()
    assert desk.corrected() == {"name": "Fine"}
    assert desk.load(edited(desk.export(), put(since="1/31/2026", taxed="TRUE", limit="12.5"), "\t")).errors == ()
    assert desk.corrected() == {"name": "Fine"}


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_kept(desk: Desk) -> None:
    """With line, column and what was expected; the line counts line breaks in cells."""
    desk.fail("b")
    desk.fail("c")

    def spoil(rows: list[dict[str, str]]) -> None:
        assert [row["record id"] for row in rows] == ["c", "b", "a"]
        rows[0].update(name="Fine")
        rows[1].update(name="Still: wrong", limit="much", since="1/2/2026", rank="1.5")
        rows[2].update({"record id": "nobody"})

    found = desk.load(edited(desk.export(), spoil))
    assert (found.records, found.values) == (0, 0)
    assert [str(error) for error in found.errors] == [
        'failed.csv:4: limit: limit is "much", which Alpha CRM cannot take as money: it is not a number; expected a '
        "number like 1234.50",
        'failed.csv:4: rank: rank is "1.5", which Alpha CRM cannot take as integer: it is not a whole number; expected '
        "a whole number like 12",
        'failed.csv:4: since: since is "1/2/2026", which Alpha CRM cannot take as date: it is not a date such as '
        "2026-01-31; expected a date like 2026-01-31",
        "failed.csv:4: name: name has ':' at position 6, which Beta Books does not take. Take it out in Alpha CRM, or "
        "replace it by an expression in the mapping",
        "failed.csv:6: record id: nobody is not a record of customers that failed; expected an id that was exported",
    ]
    assert not desk.ledger.has_corrections("acme", "customers", "crm")


def test_a_value_is_checked_as_the_mapping_checks_records(desk: Desk) -> None:
    """Too long for the other side, missing there, more places than money has, a card's number: refused by the cell."""
    desk.fail("b")
    desk.fail("c")
    desk.fail("d")

    def spoil(rows: list[dict[str, str]]) -> None:
        rows[0].update(name="x" * 42)
        rows[1].update(name="")
        rows[2].update(name="Fine", limit="1.005")
        rows[3].update(name="Fine", note="4111 1111 1111 1111")

    errors = desk.load(edited(desk.export(), spoil)).errors
    assert [error.column for error in errors] == ["name", "name", "limit", "note"]
    assert "42 characters long, Beta Books takes 41" in errors[0].message
    assert "Beta Books requires it" in errors[1].message
    assert errors[2].expected == "a number with at most 2 places"
    assert "payment card" in errors[3].message
    assert not desk.ledger.has_corrections("acme", "customers", "crm")


def test_what_else_keeps_a_record_from_going_is_told_and_no_error(desk: Desk) -> None:
    """One field was corrected, another one is still wrong: the correction is kept."""
    found = desk.load(edited(desk.export(), put(phone="1")))
    assert (found.records, found.values, found.errors) == (1, 1, ())
    assert [(each.line, each.column) for each in found.left] == [(2, "name")]


def test_a_record_that_has_changed_since_the_export_is_refused_and_shown(desk: Desk) -> None:
    """So that nobody writes over a value that they have not seen."""
    data = edited(desk.export(), put(name="Fine"))
    desk.crm.put("a", phone="555")
    (error,) = desk.load(data).errors
    assert "changed in the source since it was exported" in error.message
    assert "phone is '555'" in error.message
    assert desk.corrected() == {}


def test_a_record_that_has_gone_meanwhile_is_refused(desk: Desk) -> None:
    """Settled by a later run, or deleted: its line is an error once somebody has changed it."""
    desk.fail("b")
    data = edited(desk.export(), lambda rows: [row.update(name="Fine") for row in rows])
    desk.ledger.record(begin(desk.ledger, dag_run_id="r2"), [quiet(Action.SKIP, "a")])
    del desk.crm.records["b"]
    messages = [error.message for error in desk.load(data).errors]
    assert messages == ["the source no longer has the record", "the record is fixed since"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        ("record id,name\r\na,Größe".encode("cp1252"), "byte 21 is not UTF-8"),
        (b'"record id","name\na,b', "the file is not CSV"),
        (b"record id,name\na,b", "the column is missing"),
        (b"record id,as exported,nam\na,v-x,b", "the mapping has no such field"),
        (b"record id,as exported,name,name\na,v-x,b,c", "the column is there twice"),
        (b"record id,as exported,name\na,v-x", "the line has 2 cells"),
        (b"record id,as exported,name\na,v-x,b,c", "the line has 4 cells"),
        (b"record id,as exported,name\na,v-x,b\na,v-x,b", "in line 2 already"),
        (b"record id,as exported,name\n,v-x,b", "the id is missing"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(desk: Desk, data: bytes, message: str) -> None:
    """Each with one sentence that says what was expected."""
    found = desk.load(data)
    assert message in " ".join(error.message for error in found.errors)
    assert all(error.expected for error in found.errors)
    assert desk.corrected() == {}


def test_blank_lines_and_empty_cells_at_the_end_do_not_count(desk: Desk) -> None:
    """As spreadsheets leave them, with the line that some of them write before the heading."""
    text = edited(desk.export(), put(name="Fine"), ";", "\n").decode("utf-8-sig")
    lines = "\n".join(f"{line};;" if line.startswith(("a;", "record")) else line for line in text.splitlines())
    assert desk.load(f"sep=;\n{lines}\n;;\n\n".encode()).errors != ()  # the heading has cells without a name
    assert desk.load(f"sep=;\n{text}\n;;;\n\n".encode()).errors == ()
    assert desk.corrected() == {"name": "Fine"}


def test_a_second_file_takes_the_place_of_the_first(desk: Desk) -> None:
    """Exported again, corrections are in it; a cell that is put back to the source's value is none any more."""
    desk.load(edited(desk.export(), put(name="Fine", phone="1")))
    again = desk.export()
    (row,) = csv.DictReader(io.StringIO(again.decode("utf-8-sig"), newline=""))
    assert (row["name"], row["phone"]) == ("Fine", "1")
    assert desk.load(edited(again, put(phone="'0049 30"))).values == 1
    assert desk.corrected() == {"name": "Fine"}


def test_states_and_ids_choose_what_is_exported(desk: Desk) -> None:
    """Open ones by default; records that were given up on request, a correction opens them again."""
    desk.fail("b")
    desk.fail("c")
    desk.ledger.give_up("acme", "customers", "crm", ["a"], by="Ann", why="never")
    ids = [line["record id"] for line in csv.DictReader(io.StringIO(desk.export(ids=["b"]).decode("utf-8-sig")))]
    assert ids == ["b"]
    data = edited(desk.export(states=["given up"]), put(name="Fine"))
    assert desk.load(data).records == 1
    found = desk.ledger.failure("acme", "customers", "crm", "a")
    assert found is not None
    assert (found.state.value, found.corrected) == ("open", True)


def test_a_correction_from_a_file_goes_through_and_is_gone(ledger: Ledger) -> None:
    """Reject, export, correct, import, reprocess: the other side has the corrected value."""
    bench = Bench(ledger, mapping=customers())
    bench.crm.put("a", **VALUES)
    assert bench.run().counts == {"rejected": 1}
    data = export_csv(ledger, bench.mapping, "crm", bench.crm)
    corrected = edited(data, put(name=E3.replace(":", "")[:41], limit="1,50"), ";")
    done = import_csv(ledger, bench.mapping, "crm", bench.crm, corrected, by="Ann")
    assert (done.records, done.values) == (1, 2)
    assert bench.run(kind=FlowKind.NFS, again=[]).counts == {"created": 1}
    (made,) = bench.books.records.values()
    assert (made.values["name"], made.values["limit"]) == (E3[:41], Decimal("1.50"))
    counts = {each.state.value: each.number for each in ledger.failure_counts("acme")}
    assert counts == {"reprocessed": 1}


def test_what_is_put_right_in_the_source_later_counts_before_a_correction(ledger: Ledger) -> None:
    """The source's value goes, the row says why the correction did not, and it is gone with the failure."""
    bench = Bench(ledger, mapping=customers())
    bench.crm.put("a", **VALUES)
    bench.run()
    data = edited(export_csv(ledger, bench.mapping, "crm", bench.crm), put(name="Typed in the file", phone="1"))
    assert import_csv(ledger, bench.mapping, "crm", bench.crm, data, by="Ann").records == 1
    bench.crm.put("a", name="Put right in the CRM")
    (shown,) = csv.DictReader(io.StringIO(export_csv(ledger, bench.mapping, "crm", bench.crm).decode("utf-8-sig")))
    assert (shown["name"], shown["phone"]) == ("Put right in the CRM", "'0049 30")
    assert bench.run().counts == {"created": 1}
    (made,) = bench.books.records.values()
    assert (made.values["name"], made.values["phone"]) == ("Put right in the CRM", "0049 30")
    (row,) = [row for row in ledger.log(company="acme", source_id="a") if row.operation == "create"]
    assert "(name, phone as corrected by Ann is not used: name has changed in the source since)" in row.why
    assert not ledger.has_corrections("acme", "customers", "crm")
    assert bench.run().counts == {"unchanged": 1}


@pytest.mark.parametrize(
    ("field", "now", "used"),
    [
        ("name", "Long: name ", True),
        ("name", "Long: Name", False),
        ("limit", Decimal("12.5"), True),
        ("limit", Decimal("12.51"), False),
        ("seen", dt.datetime(2026, 1, 31, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))), True),
        ("since", dt.date(2026, 2, 1), False),
        ("taxed", None, False),
        ("note", "another", True),
    ],
)
def test_a_correction_waits_for_the_record_as_it_was_seen(ledger: Ledger, field: str, now: Value, used: bool) -> None:
    """A value that means the same is the same; a field that was not corrected may change."""
    bench = Bench(ledger, mapping=customers())
    bench.crm.put("a", **VALUES)
    bench.run()
    cells = {"limit": "13", "seen": "2026-02-01T12:00:00Z", "since": "2026-02-02", "taxed": "false", "name": "Fine"}
    data = edited(export_csv(ledger, bench.mapping, "crm", bench.crm), put(**cells))
    assert import_csv(ledger, bench.mapping, "crm", bench.crm, data, by="Ann").values == 5
    bench.crm.put("a", **{field: now})
    bench.run()
    assert [record.values["name"] for record in bench.books.records.values()] == ["Fine"] * used


def test_what_can_go_after_an_import_is_told_by_id(desk: Desk) -> None:
    """Records with something left that was not corrected are not among them."""
    desk.fail("b")

    def correct(rows: list[dict[str, str]]) -> None:
        rows[0].update(name="Fine")
        rows[1].update(phone="1")

    found = desk.load(edited(desk.export(), correct))
    assert (found.records, found.ready) == (2, ("b",))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
ODD = st.sampled_from(
    ["'", "''", "'=1", "=1+1", "-", "+49", "007", "1e5", "12.50", "1-2", "\t", "@x", E3, "TRUE", "\u2028"]
)


@given(TEXTS | ODD)
@settings(max_examples=200, deadline=None)
def test_a_cell_comes_back_as_it_went(text: str) -> None:
    """Whatever it holds, but for the kind of its line breaks; and no spreadsheet takes it for a formula or a number."""
    cell = protected(text)
    assert plain(cell) == text.replace("\r\n", "\n").replace("\r", "\n")
    assert not cell.startswith(("=", "@", "\t"))


@given(st.lists(TEXTS | ODD, min_size=1, max_size=4), st.sampled_from([(",", "\r\n"), (";", "\n"), ("\t", "\r\n")]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_survives_the_file_in_both_ways(ledger: Ledger, texts: list[str], form: tuple[str, str]) -> None:
    """Unchanged values come back as unchanged, corrected ones as they were typed."""
    assume(all(masked(text) == text for text in texts))
    desk = Desk(ledger)
    ids = [f"r{next(NUMBERS)}" for _ in texts]
    for id_, text in zip(ids, texts, strict=True):
        desk.fail(id_, name="Fine", note=text, phone="1")
    rows: list[dict[str, str]] = []
    untouched = edited(desk.export(ids=ids), rows.extend, *form)
    assert [plain(row["note"]) for row in reversed(rows)] == [_lines(text) for text in texts]
    assert desk.load(untouched).errors == ()
    assert [desk.corrected(id_) for id_ in ids] == [{}] * len(ids)
    for id_ in ids:
        desk.crm.put(id_, note="before")

    def type_in(exported: list[dict[str, str]]) -> None:
        for row, text in zip(reversed(exported), texts, strict=True):
            row["note"] = protected(text)

    assert desk.load(edited(desk.export(ids=ids), type_in, *form)).errors == ()
    for id_, text in zip(ids, texts, strict=True):
        wanted = {} if text == "before" else {"note": _lines(text) if text.strip() else None}
        assert desk.corrected(id_) == wanted


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
