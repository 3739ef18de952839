"""What can be looked at of a file that has errors of form: the rest of it. It is checked further and never run.

What is wrong is left out, key by key. What that alone makes wrong in the rest is nobody's error: `Rest.real` knows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from iw_operators.spec.document import LARGEST, Document
from iw_operators.spec.errors import Path, Problem
from iw_operators.spec.form import check
from iw_operators.spec.models import Company, Direction, FlowSpec, MappingSpec

M = TypeVar("M", bound=BaseModel)

_SECTIONS: Final[tuple[Path, ...]] = (("fields",), ("lines",))
_ROLES: Final = ("crm", "books")
_GROUPS: Final[tuple[Path, ...]] = (("bind",), ("check",))  # which may be said to lack something
_MISSING: Final = "is missing"
_ROUNDS: Final = 5  # of leaving out: what is left may be wrong in turn
_NAME: Final = re.compile(rb"""^mapping:[ \t]*["']?([A-Za-z][A-Za-z0-9_]*)["']?[ \t]*(?:#.*)?\r?$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rest(Generic[M]):
    """What is left. `spec` is None where that is nothing; `dropped` leads to what was left out, in the whole file."""

    spec: M | None
    dropped: Collection[Path] = ()
    at: Path = ()  # of the spec in its file
    written: Mapping[str, str] = field(default_factory=dict)  # key as it was meant -> as it is written
    lost: Collection[str] = ()  # words that unknown keys bring

    def lacks(self, *keys: str) -> bool:
        """Tell whether something of one of these keys was left out."""
        return any(path[len(self.at)] in keys for path in self.dropped if len(path) > len(self.at))

    def ignored(self) -> Mapping[str, Collection[str]]:
        """Return key -> which keys of it were left out, for `resolve`."""
        found: dict[str, set[str]] = {"fields": set(self.lost)}
        for path in self.dropped:
            found.setdefault(str(path[0]), set()).add(str(path[1]) if len(path) > 1 else "")
        return found

    def real(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yield the problems that are not due to what was left out, at the keys as they are written."""
        for problem in problems:
            path = problem.path
            lacking = path in _GROUPS and any(within(each, [path]) for each in self.dropped)
            if lacking or (not path and self.lacks("neutral")) or within(path, self.dropped):
                continue
            if path and path[0] in self.written:
                path = (self.written[str(path[0])], *path[1:])
            yield Problem(path, problem.message, problem.expected, problem.suggestion)


def within(path: Path, places: Iterable[Path]) -> bool:
    """Tell whether a path leads to one of some places, or into it."""
    return any(path[: len(place)] == place for place in places)


def form(model: type[M], document: Document, data: Any, at: Path = ()) -> tuple[M | None, list[Problem]]:
    """Check the form of a file, or of a part of it, as `form.check` does; what is unclear is told already."""
    if document.data is None and document.errors:
        return None, []
    spec, problems = check(model, data, at)
    unclear = [path for path in document.unclear if within(path, [at])]
    return (None if unclear else spec), [each for each in problems if not _known(each, unclear)]


def mapping(document: Document, problems: Collection[Problem]) -> Rest[MappingSpec]:
    """Return what is left of a mapping: without fields that are wrong, and with keys as they were meant."""
    if not isinstance(document.data, dict):
        return Rest(None)
    data = deepcopy(document.data)
    written, lost = dict[str, str](), set[str]()
    unknown = [each for each in problems if len(each.path) == 1 and each.message.startswith("unknown key")]
    wrong = _places(document, [each for each in problems if each not in unknown])
    for problem in unknown:
        name = str(problem.path[0])
        value = data.pop(name, None)
        if problem.suggestion and problem.suggestion not in data:
            data[problem.suggestion] = value
            written[problem.suggestion] = name
        else:
            lost |= {name, *(value if isinstance(value, dict) else ())}
    stand_in = _stand_in(data, ("mapping",), "unnamed", wrong)
    spec, dropped = _without(MappingSpec, data, [path[:2] if path[:1] in _SECTIONS else path for path in wrong])
    if spec is None or any(path in _SECTIONS for path in dropped):
        return Rest(None)
    rest = Rest(spec, [*dropped, *stand_in], (), written, lost)
    # What may write both ways is what others have to reckon with.
    return replace(rest, spec=directions(rest)[0])


def directions(rest: Rest[MappingSpec]) -> list[MappingSpec]:
    """Return the mapping as it may have been meant: in each direction, where its own is not to be read."""
    if rest.spec is None:
        return []
    if not rest.lacks("direction"):
        return [rest.spec]
    ways = (Direction.BOTH, Direction.TO_BOOKS, Direction.TO_CRM, Direction.NONE)
    return [rest.spec.model_copy(update={"direction": way}) for way in ways]


def flow(document: Document, data: Any, at: Path, problems: Collection[Problem]) -> Rest[FlowSpec]:
    """Return what is left of a flow."""
    if not isinstance(data, dict):
        return Rest(None)
    wrong = [path[len(at) :] for path in _places(document, problems) if within(path, [at])]
    spec, dropped = _without(FlowSpec, deepcopy(data), wrong)
    return Rest(spec, [(*at, *path) for path in dropped], at)


def company(document: Document, problems: Collection[Problem]) -> Rest[Company]:
    """Return what is left of a company that says at least which two systems it has."""
    wrong = _places(document, problems)
    data = deepcopy(document.data)
    if not isinstance(data, dict) or any(within((role, "system"), wrong) for role in _ROLES):
        return Rest(None)
    stand_in = _stand_in(data, ("company",), "unnamed", wrong)
    for role in _ROLES:
        if not isinstance(data.get(role), dict):
            return Rest(None)
        stand_in += _stand_in(data, (role, "connection"), f".{role}", wrong)
    spec, dropped = _without(Company, data, wrong)
    return Rest(spec, [*dropped, *stand_in])


def name(document: Document) -> str | None:
    """Return what a mapping's file calls it; None where that is not to be seen, or not clear."""
    if isinstance(document.data, dict):
        if within(("mapping",), document.unclear):
            return None
        said = document.data.get("mapping")
        return said if isinstance(said, str) else None
    try:
        with FilePath(document.file).open("rb") as stream:
            found = _NAME.search(stream.read(LARGEST))
    except OSError:
        return None
    return found.group(1).decode() if found else None


def _known(problem: Problem, unclear: Collection[Path]) -> bool:
    """Tell whether a problem is about a place that is unclear, or about what holds it and does not just lack a key."""
    around = not problem.message.endswith(_MISSING) and any(within(place, [problem.path]) for place in unclear)
    return around or within(problem.path, unclear)


def _places(document: Document, problems: Iterable[Problem]) -> list[Path]:
    """Return what has to be left out; a key that is missing cannot be."""
    return [*document.unclear, *(each.path for each in problems if not each.message.endswith(_MISSING))]


def _stand_in(data: dict[str, Any], path: Path, value: str, wrong: list[Path]) -> list[Path]:
    """Put a value where one has to be and is wrong or missing; return where that is, no longer to be left out."""
    group, key = (data if len(path) == 1 else data[str(path[0])]), str(path[-1])
    if key in group and path not in wrong:
        return []
    group[key] = value
    wrong[:] = [each for each in wrong if each != path]
    return [path]


def _without(model: type[M], data: dict[str, Any], wrong: Iterable[Path]) -> tuple[M | None, list[Path]]:
    """Return the model of data without what is wrong, and what was left out; None where nothing can be made of it."""
    dropped: list[Path] = []
    todo = list(wrong)
    for _ in range(_ROUNDS):
        for path in todo:
            if (key := _drop(data, path)) is None:
                return None, dropped
            dropped.append(key)
        spec, problems = check(model, data)
        if spec is not None:
            return spec, dropped
        todo = [problem.path for problem in problems]
    return None, dropped


def _drop(data: dict[str, Any], path: Path) -> Path | None:
    """Take the last key on a path out of data, and return where that was; None for what has no key."""
    group, key, place = data, 0, data.get(str(path[0])) if path else None
    if not path:
        return None
    for depth, part in enumerate(path[1:], 1):
        if isinstance(place, dict):
            group, key, place = place, depth, place.get(str(part))
        elif isinstance(place, list) and isinstance(part, int) and part < len(place):
            place = place[part]
        else:
            break
    group.pop(str(path[key]), None)
    return path[: key + 1]
