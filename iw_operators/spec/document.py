"""YAML files with line numbers: composed once into nodes, from which both the data and any line are read.

Reading is narrower than YAML's own. Duplicate keys, aliases that contain themselves and tags are errors, and so is
what no spec needs and a reader could choke on: files over 1 MB, nesting over 40 levels, aliases that stand for very
much. Plain words become null (`null`, `~`, nothing), true or false (`true`, `false`) or an integer (`12`, `-3`, not
`007`); everything else is text, so that `No`, `23:00:00`, `1.50` and `2026-01-01` stay what was written.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from iw_operators.errors import FixConfiguration
from iw_operators.spec.errors import Path, Problem, SpecError, path_text, printable

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML without libyaml: slower, equal otherwise
    from yaml import SafeLoader as _Base  # type: ignore[assignment]  # the same interface, by another implementation

_NULL, _TRUE, _FALSE = {"", "~", "null", "Null", "NULL"}, {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_TEXT, _PLAIN = "tag:yaml.org,2002:str", "tag:iw,plain"
_LISTS, _MAPPINGS = "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"

LARGEST = 1_000_000  # bytes of a file
DEEPEST = 40  # levels of lists and groups in one another
MOST = 200_000  # values of a file, each as often as aliases name it
_HARMLESS = 4_000  # characters that cannot nest deep enough to exhaust the stack of the C library


class _Loader(_Base):
    """Composes nodes; knows no implicit type but "plain", which `_scalar` reads."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:  # noqa: ARG002 - PyYAML's signature
        """Return the tag of an untagged node."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return _LISTS if kind is SequenceNode else _MAPPINGS


class Document:
    """One file: its data (None when it cannot be read) and its errors.

    `flawed` has where the errors are in what could be read, and `unclear` those places whose value there is not, or not
    all of, what is written.
    """

    def __init__(self, file: str, text: str | bytes) -> None:
        self.file = file
        self.data: Any = None
        self.errors: list[SpecError] = []
        self.flawed: list[Path] = []
        self.unclear: list[Path] = []
        self._root: Node | None = None
        problems: list[tuple[Node, Path, str]] = []
        try:
            self._root = _compose(text)
        except _TooMuch as error:
            self.errors.append(SpecError(file, error.line, "", error.message, error.expected))
            return
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            what = printable(f"{error.problem or error.context}".strip())
            self.errors.append(SpecError(file, line, "", f"is not valid YAML: {what}", _yaml_hint(what)))
            return
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            what = printable(str(error).splitlines()[0])
            self.errors.append(SpecError(file, 1, "", f"cannot be read: {what}", "text in UTF-8"))
            return
        if self._root is not None:
            self.data = _Builder(problems, self.unclear).build(self._root, ())
        self.flawed = [path for _, path, _ in problems]
        self.errors.extend(
            SpecError(file, node.start_mark.line + 1, path_text(path), message) for node, path, message in problems
        )

    @classmethod
    def read(cls, path: FilePath) -> Document:
        """Read a file. A file that cannot be opened is an error of the document, not an exception."""
        try:
            with path.open("rb") as stream:
                return cls(path.as_posix(), stream.read(LARGEST + 1))
        except OSError as error:
            document = cls(path.as_posix(), b"")
            document.errors.append(SpecError(document.file, 1, "", f"cannot be opened: {error.strerror}"))
            return document

    def line(self, path: Path) -> int:
        """Return the line of the key that a path leads to, or of the nearest thing above it that exists."""
        node, line = self._root, 1
        if node is not None:
            line = node.start_mark.line + 1
        for part in path:
            if isinstance(node, MappingNode):
                for key, value in node.value:
                    if isinstance(key, ScalarNode) and key.value == part:
                        node, line = value, key.start_mark.line + 1
                        break
                else:
                    return line
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def error(self, problem: Problem) -> SpecError:
        """Return a problem with its place in this file."""
        where = path_text(problem.path)
        return SpecError(
            self.file, self.line(problem.path), where, problem.message, problem.expected, problem.suggestion
        )


class _TooMuch(FixConfiguration):
    """A document that is too large or too deep. Never leaves this module."""

    def __init__(self, message: str, expected: str, line: int = 1) -> None:
        super().__init__(message)
        self.expected, self.line = expected, line


def _compose(text: str | bytes) -> Node | None:
    if len(text) > LARGEST:
        msg = "is too large for a spec"
        raise _TooMuch(msg, f"at most {LARGEST:,} bytes")
    if len(text) > _HARMLESS:
        _refuse_depth(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    if node is not None:
        _measure(node, 1, {}, set())
    return node


def _refuse_depth(text: str | bytes) -> None:
    """Raise for nesting that would overflow the stack of the C library, which composes by recursion.

    Events come from a machine with a stack of its own.
    """
    loader, depth = _Loader(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST:
                    raise _too_deep(event.start_mark.line + 1 if event.start_mark else 1)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        loader.dispose()


def _measure(node: Node, depth: int, known: dict[int, tuple[int, int]], above: set[int]) -> tuple[int, int]:
    """Return how high a node is and how many values it stands for, with all aliases written out.

    :raises _TooMuch: it is too deep below the root, or stands for too much.
    """
    if isinstance(node, ScalarNode) or id(node) in above:  # one that contains itself is told of when it is built
        return 1, 1
    if (found := known.get(id(node))) is None:
        if depth > DEEPEST:
            raise _too_deep(node.start_mark.line + 1)
        above.add(id(node))
        height, size = 0, 1
        for pair in node.value:
            for part in pair if isinstance(pair, tuple) else (pair,):
                # Most values are plain ones, of which a file has thousands.
                more = (1, 1) if isinstance(part, ScalarNode) else _measure(part, depth + 1, known, above)
                height, size = max(height, more[0]), size + more[1]
        above.discard(id(node))
        found = known[id(node)] = 1 + height, size
    if depth + found[0] > DEEPEST + 1:
        raise _too_deep(node.start_mark.line + 1)
    if found[1] > MOST:
        msg = "stands for too many values, with its aliases written out"
        raise _TooMuch(msg, f"at most {MOST:,}", node.start_mark.line + 1)
    return found


def _too_deep(line: int) -> _TooMuch:
    return _TooMuch("is nested too deeply", f"at most {DEEPEST} levels", line)


def _yaml_hint(problem: str) -> str:
    if "\\t" in problem or "token" in problem:
        return "spaces instead of tabs, and quotation marks around text with special characters"
    if "single document" in problem or "another document" in problem:
        return "one document a file, without `---` in between"
    if "mapping values are not allowed" in problem:
        return "`key: value` lines indented alike, and quotation marks around text that holds `: `"
    return ""


class _Builder:
    """Makes plain data of nodes. A node reached twice through an alias is built once."""

    def __init__(self, problems: list[tuple[Node, Path, str]], unclear: list[Path]) -> None:
        self._problems, self._unclear = problems, unclear
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, node: Node, path: Path) -> Any:
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        known = id(node)
        if known in self._built:
            return self._built[known]
        if known in self._open:
            self._lose(node, path, "contains itself through an alias")
            return None
        if node.tag not in (_LISTS, _MAPPINGS):
            self._lose(node, path, f"tag {node.tag!r} is not understood")
        self._open.add(known)
        if isinstance(node, MappingNode):
            result: Any = self._mapping(node, path)
        else:
            result = [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
        self._open.discard(known)
        self._built[known] = result
        return result

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._lose(key, path, "a list or mapping cannot be a key")
                continue
            name: str = key.value
            if name == "<<" and key.tag == _PLAIN:
                self._lose(key, path, "merge keys (`<<`) are not understood; write the keys out")
                continue
            if name in result:
                message = f"the key stands twice (first in line {lines[name]})"
                self._problems.append((key, (*path, name), message))
                if self.build(value, (*path, name)) != result[name]:
                    self._unclear.append((*path, name))
                continue
            lines[name] = key.start_mark.line + 1
            result[name] = self.build(value, (*path, name))
        return result

    def _lose(self, node: Node, path: Path, message: str) -> None:
        self._problems.append((node, path, message))
        self._unclear.append(path)

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        if node.tag == _TEXT:
            return node.value
        if node.tag != _PLAIN:
            self._lose(node, path, f"tag {node.tag!r} is not understood")
            return None
        value: str = node.value
        first = value[:1]
        if first in "-0123456789" and first:
            return int(value) if _INTEGER.fullmatch(value) else value
        if first in "~nNtTfF" or not first:
            if value in _NULL:
                return None
            if value in _TRUE:
                return True
            if value in _FALSE:
                return False
        return value
