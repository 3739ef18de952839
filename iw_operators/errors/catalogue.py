"""The error catalogue: what each code and message means, who does what about it, and what it does to the flow.

It is data: `errors/data/*.yaml`, and `errors.yaml` in the folder of each system. It is read when it is first asked,
not when this module is imported.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from iw_operators.errors.entries import ANY, Effect, Entry, Origin, asked_range, canonical

PACKAGE: Final = Path(__file__).resolve().parent.parent
OWN: Final = "iw"
READ_AT_MOST: Final = 20_000  # characters of a raw text; what tells errors apart stands at the beginning
NEAR: Final = 5
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORD = re.compile(r"[\w.=]+(?:,\s*-?\d+)?")
_CODE_LIKE = re.compile(r"\S+|-?\d+\s*,\s*-?\d+|\w\s*=\s*\d+")
_TELLING = 4  # a shorter word of a text is not taken for a code


class Catalogue:
    """All entries, found by code and by text."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        self.origins = tuple(origins)
        self._exact: dict[str, list[Entry]] = {}
        self._first: dict[str, list[Entry]] = {}  # of codes of two parts, by the first part
        self._wide: list[Entry] = []
        for entry in self.entries:
            if entry.is_range or entry.code == ANY:
                self._wide.append(entry)
                continue
            self._exact.setdefault(entry.key, []).append(entry)
            first, comma, _ = entry.key.partition(",")
            if comma:
                self._first.setdefault(first, []).append(entry)
        self._wide.sort(key=lambda entry: entry.width)

    @property
    def entries(self) -> Iterator[Entry]:
        """Every entry, origin by origin."""
        return (entry for origin in self.origins for entry in origin.entries)

    def find(self, code: str, system: str | None = None) -> list[Entry]:
        """Return what is known of a code: entries of the code itself, then ranges, the narrowest first.

        With a system it ends with what answers for every other code of it.
        """
        key = canonical(code)
        if not key:
            return []
        exact = [*self._exact.get(key, []), *self._first.get(key, [])]
        wide = [e for e in self._wide if e.covers(key) or (e.code == ANY and system is not None)]
        return [entry for entry in [*exact, *wide] if system in (None, entry.system)]

    def exact(self, code: str, system: str | None = None) -> list[Entry]:
        """Return the entries of just this code."""
        return [entry for entry in self._exact.get(canonical(code), []) if system in (None, entry.system)]

    def classify(self, text: str, system: str | None) -> Entry | None:
        """Return the entry that a raw text (a message, or the body of an answer) of a system is about.

        The code that the text names counts first, then the entries' patterns, then what is the same for all systems
        (a page in place of data). None where nothing fits.
        """
        text = text[:READ_AT_MOST]
        mine = [origin for origin in self.origins if system in (None, origin.system)]
        for origin in [*mine, *(o for o in self.origins if o.system == OWN and o not in mine)]:
            if found := self._named(text, origin):
                return found
        own = [origin for origin in self.origins if origin.system == OWN]
        return next(_by_pattern(text, [*(o for o in mine if o not in own), *own]), None)

    def read(self, text: str, system: str | None = None) -> list[Entry]:
        """Return all entries that a raw text of unknown origin may be about, the likeliest first."""
        text = text[:READ_AT_MOST]
        mine = [origin for origin in self.origins if system in (None, origin.system)]
        named = [entry for origin in mine if (entry := self._named(text, origin))]
        found = named or list(_by_pattern(text, mine))
        if not found:
            folded = text.casefold()
            titled = [entry for entry in self.entries if entry.title.casefold() in folded]
            found = [entry for entry in titled if system in (None, entry.system)]
        if not found:
            words = (word for word in _WORD.findall(text) if len(word.strip(".")) >= _TELLING)
            found = [entry for word in words for entry in self.exact(word.strip("."), system)]
        return list(dict.fromkeys(found))

    def by_pattern(self, text: str, system: str) -> list[Entry]:
        """Return the entries of a system whose patterns are in the text, in the order in which they are listed."""
        return list(_by_pattern(text[:READ_AT_MOST], [o for o in self.origins if o.system == system]))

    def _named(self, text: str, origin: Origin) -> Entry | None:
        codes = [match["code"] for shape in origin.shapes for match in re.finditer(shape, text, re.IGNORECASE)]
        known = [code for code in codes if self.exact(code, origin.system)]
        for code in [*known, *codes]:
            found = self.find(code, origin.system)
            mine = [entry for entry in found if entry.origin == origin.origin]
            if found:
                return next((entry for entry in [*mine, *found] if entry.code != ANY), found[-1])
        return None


def _by_pattern(text: str, origins: Iterable[Origin]) -> Iterator[Entry]:
    for origin in origins:
        for entry in origin.entries:
            if entry.pattern and re.search(entry.pattern, text, re.IGNORECASE):
                yield entry


def load(files: Iterable[Path]) -> Catalogue:
    """Read a catalogue from its files.

    :raises ValueError: a file is wrong, or two entries of one origin have the same code.
    """
    origins = []
    for path in files:
        data: Mapping[str, Any] = yaml.load(path.read_text("utf-8"), _LOADER)  # noqa: S506  a safe loader, see above
        given = {name: data[name] for name in ("origin", "system", "label")}
        entries = [{"source": data["source"], **given, **entry} for entry in data["entries"]]
        origins.append(Origin(**given, shapes=data.get("shapes", ()), entries=tuple(Entry(**each) for each in entries)))
        keys = [entry.key for entry in origins[-1].entries]
        if twice := {key for key in keys if keys.count(key) > 1}:
            msg = f"{path.name} has more than one entry for {', '.join(sorted(twice))}"
            raise ValueError(msg)
    return Catalogue(origins)


def files() -> list[Path]:
    """Return the files of this installation's catalogue, in the order in which they are listed and asked."""
    return [*sorted((PACKAGE / "systems").glob("*/errors.yaml")), *sorted((PACKAGE / "errors" / "data").glob("*.yaml"))]


@functools.cache
def catalogue() -> Catalogue:
    """Return this installation's catalogue."""
    return load(files())


def explain(asked: str, system: str | None = None) -> list[Entry]:
    """Return what is known of a code, a range of codes or a raw message; the likeliest first.

    For one code, an origin's range is named only where the origin has nothing narrower.
    """
    book = catalogue()
    if asked_for := asked_range(asked):
        found = [e for e in book.entries if e.overlaps(*asked_for) and system in (None, e.system)]
        if found:
            return sorted(found, key=lambda entry: entry.width)
    one = _CODE_LIKE.fullmatch(asked.strip()) is not None
    if found := book.find(asked, system) if one else book.exact(asked, system):
        first = {entry.origin: entry for entry in reversed(found)}
        return [entry for entry in found if entry.width == 1 or entry == first[entry.origin]]
    return book.read(asked, system)


def nearest(asked: str) -> list[Entry]:
    """Return entries whose codes or titles look like what was asked, for who has mistyped."""
    by_name: dict[str, list[Entry]] = {}
    for entry in catalogue().entries:
        if entry.code != ANY and not entry.is_range:
            for name in {entry.key, entry.title.casefold()}:
                by_name.setdefault(name, []).append(entry)
    near = difflib.get_close_matches(canonical(asked), by_name, n=NEAR, cutoff=0.5)
    return list(dict.fromkeys(entry for name in near for entry in by_name[name]))[:NEAR]


def classify(text: str, system: str | None) -> Entry | None:
    """Return the entry that a raw text of a system is about; see `Catalogue.classify`."""
    return catalogue().classify(text, system)


def entry(code: str, system: str) -> Entry | None:
    """Return the entry for a code of a system: its own, else the narrowest range, else what answers for the rest."""
    return next(iter(catalogue().find(code, system)), None)


def known(code: str, system: str) -> Entry:
    """Return a system's entry of just this code.

    :raises KeyError: the catalogue has none; its data and the system's code have grown apart.
    """
    try:
        return catalogue().exact(code, system)[0]
    except IndexError:
        raise KeyError(code, system) from None


@functools.lru_cache(maxsize=1024)
def advice_for(code: str, system: str | None = None) -> str:
    """Return who does what about a code, for errors and rows that say nothing of their own; empty where unknown.

    Without a system only an entry of just this code counts, and only where something is to be done. A code that several
    systems use gets the pointer to all.
    """
    if not code:
        return ""
    if system is not None:
        found = entry(code, system)
        return found.advice if found else ""
    exact = [one for one in catalogue().exact(code) if one.effect is not Effect.GO_ON or one.who != "nobody"]
    if len({each.system for each in exact}) > 1:
        return f"Several systems use this code; `airflow iw explain {code}` says what it means in each."
    return exact[0].advice if exact else _own_range(code)


def _own_range(code: str) -> str:
    """Return the advice of a range of this package's own codes (`http.503`): nobody else has such names."""
    found = catalogue().find(code, OWN)
    return found[0].advice if found and found[0].is_range else ""
