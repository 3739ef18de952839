"""The catalogue as data: complete, frozen, cheap, and in agreement with the error tree."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from iw_operators.errors import InterWeaveError, RetryLater, SignInAgain, StaleRecord
from iw_operators.errors.catalogue import advice_for, catalogue, entry, explain, files, known, load, nearest
from iw_operators.errors.entries import Effect, Entry, asked_range, canonical

ENTRIES = list(catalogue().entries)

# What only a person can end; a missing reference ends by itself, when the reference has come.
NEEDS_SOMEBODY = (Effect.FIX_RECORD, Effect.FIX_CONFIGURATION, Effect.STOP_FLOW)

ONE = """
origin: x
system: x
label: X
source: S
entries:
  - {{code: {code}, title: T, meaning: It is so., who: support, do: Report it., effect: {effect}}}
"""


def write(folder: Path, text: str) -> list[Path]:
    """Return a catalogue of one file."""
    path = folder / "errors.yaml"
    path.write_text(text)
    return [path]


@pytest.mark.feature("E1")
@pytest.mark.parametrize("one", ENTRIES, ids=lambda one: f"{one.origin}:{one.code}")
def test_every_entry_says_what_it_means_who_does_what_and_what_the_flow_does(one: Entry) -> None:
    """Meaning and action are sentences that differ, somebody is named, and class, retry and source are there."""
    assert len(one.meaning) > 15
    assert len(one.action) > 10
    assert one.meaning != one.action
    assert one.who != "nobody" or one.effect not in NEEDS_SOMEBODY or one.code == "iw.reference_missing"
    assert one.effect.retry
    assert one.effect.flow
    assert one.source
    assert one.action in one.advice
    assert one.meaning in one.advice
    assert one.width > 1 or one in explain(one.code)


def test_every_origin_has_entries_and_no_code_twice() -> None:
    """All origins that the feature list names are there, each code once an origin."""
    systems = {one.system for one in ENTRIES}
    wanted = {"platform", "quickbooks_desktop", "quickbooks_online", "creatio", "salesforce", "sage_intacct", "iw"}
    assert wanted <= systems
    assert len({(one.origin, one.key) for one in ENTRIES}) == len(ENTRIES)


def test_retry_follows_from_the_class() -> None:
    """What is tried again is what the tree says is to be tried again (law 9)."""
    for effect in Effect:
        kind = effect.kind
        again = kind is not None and issubclass(kind, (RetryLater, SignInAgain, StaleRecord))
        assert effect.retry.startswith(("yes", "once", "at once")) is again


def test_entries_are_frozen() -> None:
    """Nobody can change an entry once it is read."""
    with pytest.raises(ValidationError):
        ENTRIES[0].meaning = "Something else."  # type: ignore[misc]  # that it cannot be set is what is tried


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE.format(code="'1'", effect="nothing"), "effect"),
        (ONE.format(code="1", effect="stop flow"), "code"),
        (ONE.format(code="9..1", effect="stop flow"), "no range"),
        (ONE.format(code="A1..B9", effect="stop flow"), "no range"),
        (ONE.format(code="'1'", effect="stop flow").replace("It is so.", "it is so"), "not a sentence"),
        (ONE.format(code="'1'", effect="stop flow").replace("who: support", "who: somebody"), "who"),
        (ONE.format(code="'1'", effect="stop flow, pattern: '('"), "not a regular expression"),
        (ONE.format(code="'1'", effect="stop flow, retries: 3"), "retries"),
        (
            ONE.format(code="'1'", effect="stop flow")
            + "  - {code: '01', title: T, meaning: It is., who: IT, do: Do., effect: go on}\n",
            "more than one entry for 1",
        ),
    ],
)
def test_wrong_data_are_refused_when_they_are_read(tmp_path: Path, text: str, message: str) -> None:
    """An unknown class, person or key, a code that is a number, a bad range or pattern and a second entry are told."""
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, text))


def test_a_new_system_brings_its_own_entries(tmp_path: Path) -> None:
    """A file in a system's folder is all that is needed; its codes are found by code and by range."""
    book = load(write(tmp_path, ONE.format(code="Q10..Q19", effect="throttled")))
    assert [one.code for one in book.find("Q-12")] == []
    assert [one.code for one in book.find("q12", "x")] == ["Q10..Q19"]
    assert book.find("Q20") == []


def test_every_system_folder_with_a_catalogue_has_its_errors() -> None:
    """Each system that exists keeps its live codes in its own folder."""
    systems = Path(__file__).resolve().parents[2] / "iw_operators" / "systems"
    folders = {path.parent for path in systems.glob("*/catalogue.yaml")}
    assert {folder.name for folder in folders if not (folder / "errors.yaml").exists()} == set()
    for path in files():
        if path.parent in folders:
            assert {one.system for one in load([path]).entries} == {path.parent.name}


def test_the_narrowest_answer_comes_first() -> None:
    """The code itself comes before a range, and a narrow range before a wide one."""
    widths = [one.width for one in catalogue().find("3172", "quickbooks_desktop")]
    assert widths == sorted(widths)
    assert len(widths) > 1
    assert catalogue().find("3140", "quickbooks_desktop")[0].code == "3140"


def test_a_code_that_means_several_things_is_not_guessed() -> None:
    """Without a system such a code gets the pointer to `explain`; with one, the system's own advice."""
    assert "airflow iw explain 3100" in advice_for("3100")
    assert "realm" in advice_for("3100", "quickbooks_online")
    assert advice_for("3100", "quickbooks_desktop") == known("3100", "quickbooks_desktop").advice


@pytest.mark.parametrize("code", ["", "no.such", "77", "4711-x"])
def test_an_unknown_code_has_no_advice(code: str) -> None:
    """Nothing is said where nothing is known."""
    assert advice_for(code) == ""


def test_what_answers_for_the_rest_does_so_only_for_its_own_system() -> None:
    """A code that is listed nowhere gets the system's general entry, and none without a system."""
    found = entry("NEVER_SEEN", "salesforce")
    assert found is not None
    assert found.code == "*"
    assert explain("NEVER_SEEN") == []


def test_a_listed_code_that_is_gone_is_noticed() -> None:
    """Code that counts on an entry fails loudly when the data lose it."""
    with pytest.raises(KeyError):
        known("no.such", "iw")


def test_mistyped_codes_lead_to_their_neighbours() -> None:
    """A code with a wrong digit or letter suggests those that look like it."""
    assert "iw.too_long" in [one.code for one in nearest("iw.to_long")]
    assert "XL03000006" in [one.code for one in nearest("XL0300006")]
    assert nearest("\x00" * 50) == []


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("3150-3153", ("3150", "3153")),
        ("3150 – 3153", ("3150", "3153")),
        ("3150..3153", ("3150", "3153")),
        ("H101-H505", ("h101", "h505")),
        ("-6190", None),
        ("-6190, -83", None),
        ("iw-conflict", None),
        ("GW-0010", None),
    ],
)
def test_ranges_that_people_ask_for(text: str, ends: tuple[str, str] | None) -> None:
    """A range is read with any dash; codes with a dash of their own are no ranges."""
    assert asked_range(text) == ends


@pytest.mark.parametrize(
    ("code", "same"),
    [
        ("-2147220472", "80040408"),
        ("-2147220470", "8004040A"),
        ("\u22122147024809", "80070057"),
        ("-6190,-83", "6190,83"),
    ],
)
def test_a_result_code_of_windows_is_the_same_in_decimals(code: str, same: str) -> None:
    """What a driver writes as a signed number is found under the code that everybody else writes."""
    assert canonical(code) == canonical(same)
    assert explain(code) == explain(same)


def test_a_range_shows_everything_in_it() -> None:
    """Asking for a range names each listed code in it, in any system."""
    codes = [one.code for one in explain("3150-3153")]
    assert codes[:4] == ["3150", "3151", "3152", "3153"]
    assert {"12007", "12009"} <= {one.code for one in explain("12007-12009")}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_anything(text: str) -> None:
    """Whatever is pasted is answered, and comparing is stable."""
    assert canonical(canonical(text)) == canonical(text) or canonical(text).startswith("0x")
    for one in explain(text):
        assert one.advice
    nearest(text)
    assert isinstance(advice_for(text), str)


def test_importing_the_errors_reads_no_data() -> None:
    """The engine imports the tree; neither YAML nor pydantic is loaded by that, and the catalogue only when asked."""
    script = (
        "import sys, iw_operators.errors as e; assert 'yaml' not in sys.modules and 'pydantic' not in sys.modules;"
        "assert e.FixRecord('m', code='6240', advice='Mine.').advice == 'Mine.' and 'yaml' not in sys.modules;"
        "import iw_operators.errors.catalogue as c; assert c.catalogue.cache_info().misses == 0;"
        "assert e.FixRecord('m', code='6240').advice; assert c.catalogue.cache_info().misses == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_advice_is_cheap() -> None:
    """A run with tens of thousands of rejected records does not feel the catalogue."""
    began = time.perf_counter()
    for number in range(50_000):
        assert InterWeaveError("m", code="6240" if number % 2 else "iw.too_long").advice
    assert time.perf_counter() - began < 2.0
