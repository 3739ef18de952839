"""Hostile specs: nothing in a YAML file is executed, exhausts the reader or escapes its folder; all of it is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iw_operators.dag import flows_of
from iw_operators.spec.document import DEEPEST, LARGEST, Document
from iw_operators.spec.loader import load_all, load_company
from tests.security.kit import ROOT, copy_of_acme

SECONDS = 2.0  # for any document, on a busy machine


def errors(text: str | bytes) -> list[str]:
    """Read a document; return what is wrong with it. It takes no time and raises nothing."""
    began = time.process_time()
    document = Document("f.yaml", text)
    found = [str(error) for error in document.errors]
    assert time.process_time() - began < SECONDS
    assert all(error.isprintable() for error in found)
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system [touch /tmp/iw-owned]", "tag"),
        ("!!python/object:subprocess.Popen\nargs: [touch, /tmp/iw-owned]", "tag"),
        ("a: !!python/name:os.system", "tag"),
        ("a: !!python/module:os", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: !include /etc/passwd", "tag"),
        ("!!set {a, b}", "tag"),
        ("b: &b {x: 1}\nc: {<<: *b}", "merge keys"),
        ("a: &a [*a]", "contains itself"),
        ("a: 1\na: 2", "twice"),
        ("a: \x00", "cannot be read"),
        (b"a: \xff\xfe", "cannot be read"),
        ("a: \x1b[31mred", "cannot be read"),
        ("? {a: 1}\n: 2", "cannot be a key"),
        ("*nowhere", "undefined alias"),
        ("%YAML 9.9\n---\na: 1", "not valid YAML"),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_what_yaml_could_do_beyond_data_is_refused(text: str | bytes, words: str) -> None:
    """Tags, merge keys, cycles, duplicates, NULs, escape sequences and second documents are errors with a line."""
    found = errors(text)
    assert any(words in error for error in found), found
    assert all(error.startswith("f.yaml:") for error in found)
    assert not Path("/tmp/iw-owned").exists()  # noqa: S108  that the file is not there is what is shown


@pytest.mark.parametrize("levels", [DEEPEST + 2, 1_000, 30_000, 300_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("[", "")])
def test_deep_nesting_does_not_reach_the_stack(opening: str, closing: str, levels: int) -> None:
    """However deep, it is an error; the C library under the reader would end the whole process."""
    text = opening * levels + "x" + closing * levels
    found = errors(text)
    assert len(found) == 1
    assert any(words in found[0] for words in ("too deeply", "too large", "not valid YAML"))


def test_aliases_do_not_multiply() -> None:
    """A billion laughs, and its flat kin, are refused by what they would stand for."""
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    flat = f"x: &x [{', '.join('y' * 600)}]\nz: [{', '.join(['*x'] * 600)}]"
    for text in (f"l0: &l0 [x]\n{levels}\n", flat):
        assert "aliases written out" in errors(text)[0]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file over the limit is an error by its size, whatever is in it."""
    assert "too large" in errors("a: " + "x" * LARGEST)[0]
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(10 * 2**30)  # a hole; reading it all would take ten gigabytes
    began = time.monotonic()
    assert "too large" in str(Document.read(file).errors[0])
    assert time.monotonic() - began < SECONDS


def test_a_byte_order_mark_is_no_obstacle() -> None:
    """Files of Windows editors are read as they are meant."""
    assert Document("f.yaml", b"\xef\xbb\xbfa: 1").data == {"a": 1}
    assert Document("f.yaml", "a: 1".encode("utf-16")).data == {"a": 1}


PLAIN = ["a", "null", "0x10", "é", "🙂", ",", "|", ">", "'", '"', "---", "...", "#", "[", "]", "{", "}"]
SPECIAL = ["&a ", "*a", "!!python/object/new:os.system", "!x ", "<<", "? ", ": ", "- ", "\n", "  ", "%YAML 1.2\n"]
WORDS = st.sampled_from([*PLAIN, *SPECIAL, "\t", "\x00", "\ufeff", "\u202e"])


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.lists(WORDS, max_size=40).map("".join), st.text(max_size=200), st.binary(max_size=200)))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    """Whatever stands in a file: there is plain data, or there are errors; never an exception."""
    document = Document("f.yaml", text)
    assert document.errors or _plain(document.data)


def _plain(data: object) -> bool:
    if isinstance(data, dict):
        return all(type(key) is str and _plain(value) for key, value in data.items())
    if isinstance(data, list):
        return all(map(_plain, data))
    return type(data) in (str, int, bool, type(None))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(["company.yaml", "customers.yaml", "flows.yaml"]), noise=st.lists(WORDS, max_size=30))
def test_noise_in_one_file_is_told_and_harms_nobody_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, noise: list[str]
) -> None:
    """A file of nonsense costs its own company some flows and the neighbour none."""
    root = tmp_path_factory.mktemp("mappings")
    copy_of_acme(root, "good")
    (copy_of_acme(root, "bad") / name).write_text("".join(noise), encoding="utf-8")
    specs, found = load_all(root)
    assert set(specs["good"].flows) == set(load_company(ROOT / "mappings" / "acme")[0].flows)  # type: ignore[union-attr]  # acme is free of errors
    assert found
    assert all("/bad/" in error.file for error in found)


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """Links out of the company's folder, and company folders that are links out of the mappings, are not read."""
    root = tmp_path / "mappings"
    (tmp_path / "secret.yaml").write_text("mapping: SENTINEL-SECRET-CONTENT\n")
    copy_of_acme(root, "neighbour")
    folder = copy_of_acme(root, "acme")
    (folder / "stolen.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "other.yaml").symlink_to(root / "neighbour" / "customers.yaml")
    (root / "outside").symlink_to(tmp_path)
    _, found = load_all(root)
    told = "\n".join(map(str, found))
    assert "SENTINEL" not in told
    for name in ("acme/stolen.yaml", "acme/other.yaml", "outside"):
        assert f"{name}:1: is a link that leads out" in told


@pytest.mark.parametrize("dag_id", ["...Flow", "../acme.X", "/etc.X", "..\\acme.X", ".X", "acme/../acme.X", "\x00.X"])
def test_a_dag_id_is_no_path(tmp_path: Path, dag_id: str) -> None:
    """A worker that is asked for the DAG of a strange name finds none and reads no file for it."""
    copy_of_acme(tmp_path, "acme")
    assert flows_of(tmp_path, dag_id) == []


HOSTILE_NATIVES = [
    "UsrA,CreatedById",
    "UsrA)&$filter=(1 eq 1",
    "UsrA' or '1' eq '1",
    "UsrA($select=Password)",
    "UsrA;$top=1",
    "Usr/../SysAdminUnit",
    "UsrA\nB",
    "UsrA\x00",
    "Usrä",
    "UsrA eq 1",
]


@pytest.mark.parametrize("native", HOSTILE_NATIVES)
def test_native_names_cannot_carry_a_query(tmp_path: Path, native: str) -> None:
    """A custom column's name becomes part of queries, so only what can be a column's name is taken."""
    quoted = '"' + native.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\0") + '"'
    folder = copy_of_acme(tmp_path, "acme", {"id_field: UsrQBId": f"id_field: {quoted}"})
    with (folder / "customers.yaml").open("a") as stream:
        stream.write(f"  mine: {{crm: {quoted}, books: Notes, owner: crm}}\n")
    spec, found = load_company(folder)
    assert spec is not None
    assert "customers" not in spec.mappings
    told = [str(error) for error in found if "customers.yaml" in error.file]
    assert sum("cannot be the name" in error or "has no field" in error for error in told) >= 2, told
    assert all(error.isprintable() for error in told)
