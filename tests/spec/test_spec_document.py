"""Files are read once, into data and line numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iw_operators.spec import document as document_module
from iw_operators.spec.document import Document
from iw_operators.spec.errors import Path as SpecPath
from iw_operators.spec.errors import Problem, SpecError, path_text, suggest

TEXT = """\
# a comment
a:
  b: 1
  c:
    - x
    - {y: 2,
       z: 3}
"d": text
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("a", "b"), 3),
        (("a", "c"), 4),
        (("a", "c", 0), 5),
        (("a", "c", 1), 6),
        (("a", "c", 1, "z"), 7),
        (("d",), 8),
        ((), 2),
        (("a", "missing"), 2),
        (("a", "c", 7), 4),
        (("d", "deeper"), 8),
    ],
)
def test_lines_of_paths(path: SpecPath, line: int) -> None:
    """A path has the line of its key, or of the nearest thing above it."""
    document = Document("f.yaml", TEXT)
    assert document.errors == []
    assert document.line(path) == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("007", "007"),
        ("1_000", "1_000"),
        ("1.5", "1.5"),
        ("0x1F", "0x1F"),
        ("yes", "yes"),
        ("No", "No"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("-", "-"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("9999999999999999999999", "9999999999999999999999"),
        ("<<", "<<"),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    """Only null, true, false and whole numbers are more than text."""
    document = Document("f.yaml", f"key: {text}\n" if text != "-" else 'key: "-"\n')
    assert document.errors == []
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


def test_an_alias_is_built_once() -> None:
    """An alias gives the same data again; nested aliases do not multiply the work."""
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 5))
    document = Document("f.yaml", f"l0: &l0 [x]\n{levels}\n")
    assert document.errors == []
    assert document.data["l1"][0] is document.data["l0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &a {b: *a}", "f.yaml:1: a.b: contains itself through an alias"),
        ("? [x]\n: 1", "f.yaml:1: a list or mapping cannot be a key"),
        ("a: 1\n---\nb: 2", "f.yaml:2: is not valid YAML: but found another document; expected one document a file, "
         "without `---` in between"),
        ("a: b: c", "f.yaml:1: is not valid YAML: mapping values are not allowed in this context; expected `key: "
         "value` lines indented alike, and quotation marks around text that holds `: `"),
        (b"a: \xff", "f.yaml:1: cannot be read: unacceptable character #x00ff: invalid leading UTF-8 octet; "
         "expected text in UTF-8"),
        ("a: *b", "f.yaml:1: is not valid YAML: found undefined alias"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(text: str | bytes, expected: str) -> None:
    """A file that is no single plain YAML document is one error with its line, never an exception."""
    assert [str(error) for error in Document("f.yaml", text).errors] == [expected]


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file that is not there is an error of the document."""
    document = Document.read(tmp_path / "none.yaml")
    assert [error.message for error in document.errors] == ["cannot be opened: No such file or directory"]


words = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
data = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(value=st.dictionaries(words, data, max_size=4))
def test_whatever_is_written_quoted_is_read_as_it_was(value: dict[str, Any]) -> None:
    """Text of any script, numbers, lists and mappings come back as they were written."""
    text = yaml.safe_dump(value, allow_unicode=True)
    document = Document("f.yaml", text)
    assert document.errors == []
    assert document.data == value


@given(text=st.text(max_size=80))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    """Any text gives data or errors."""
    document = Document("f.yaml", text)
    assert document.data is None or document.errors is not None
    assert all(isinstance(error, SpecError) and error.line >= 1 for error in document.errors)


def test_errors_as_people_read_them() -> None:
    """An error is one line: file, line, path, what is wrong, what is expected, what was probably meant."""
    document = Document("f.yaml", TEXT)
    error = document.error(Problem(("a", "c", 1, "z"), "is wrong", "right", "left"))
    assert str(error) == "f.yaml:7: a.c[1].z: is wrong; expected right; did you mean left?"
    assert str(SpecError("f.yaml", 3, "", "is wrong")) == "f.yaml:3: is wrong"
    assert path_text(("fields", "billing.city", "owner")) == "fields.billing.city.owner"


@pytest.mark.parametrize(
    ("word", "meant"), [("custmer", "customer"), ("CUSTOMER", "customer"), ("itme", "item"), ("zebra", ""), ("", "")]
)
def test_suggestions(word: str, meant: str) -> None:
    """A misspelt word is recognised, capitals or not; a strange one is not guessed at."""
    assert suggest(word, ["customer", "item", "invoice"]) == meant


def test_without_the_c_library_reading_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML has no C library, data and lines are the same."""
    with monkeypatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader")
        slow = importlib.reload(document_module)
        assert slow._Base is yaml.SafeLoader
        document = slow.Document("f.yaml", TEXT + "e: 007\nf: no\ng:\nh: [1, true]\n")
        broken = slow.Document("f.yaml", "a: [1\nb: 2")
    importlib.reload(document_module)
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 2, "z": 3}]}, "d": "text", "e": "007", "f": "no", "g": None,
                             "h": [1, True]}  # fmt: skip
    assert document.line(("a", "c", 1, "z")) == 7
    assert [error.line for error in broken.errors] == [2]
