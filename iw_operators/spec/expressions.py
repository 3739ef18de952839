"""What can be said about an expression without running it: syntax, names, filters.

What an expression may use is decided by `engine.expressions`, which compiles and runs it; here every mistake is named
at once, with what was probably meant.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from jinja2 import TemplateError, nodes
from jinja2.parser import Parser

from iw_operators.spec.errors import listing, suggest

if TYPE_CHECKING:
    from jinja2 import Environment

HEADER, LINES, VALUE = "header", "lines", "value"
LONGEST = 2_000
Fault: TypeAlias = tuple[str, str, str]  # message, expected, suggestion
_FORM = "a Jinja expression without braces, such as value | upper"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which names an expression may use, besides `value`.

    :param own: the section's fields on the source's side, dotted (`billing.city`).
    :param header: in a line, the header's fields, written `header.<field>`; None in a header field.
    :param lines: in a header field, whether the source has `lines`.
    """

    own: Collection[str]
    header: Collection[str] | None = None
    lines: bool = False

    def words(self) -> set[str]:
        """Return every name in full."""
        more = {f"{HEADER}.{name}" for name in self.header or ()}
        return {*self.own, VALUE, *more, *([LINES] if self.lines else [])}

    def has(self, chain: str) -> bool:
        """Tell whether a dotted chain begins with a name that is known."""
        first, _, rest = chain.partition(".")
        if first == VALUE or longest(chain, self.own):
            return True
        if first == LINES and self.lines:
            return not rest
        return first == HEADER and self.header is not None and bool(longest(rest, self.header))


def faults(expression: str, scope: Scope) -> Iterator[Fault]:
    """Yield everything that is wrong with an expression."""
    tree = _parse(expression)
    if isinstance(tree, str):
        yield tree, _FORM, ""
        return
    if isinstance(tree, nodes.Call) or tree.find(nodes.Call) is not None:
        yield "calls something", "filters instead, such as value | upper", ""
    if isinstance(tree, nodes.Pow) or tree.find(nodes.Pow) is not None:
        yield "uses **", "multiplication", ""
    environment = _environment()
    for node in [tree, *tree.find_all((nodes.Filter, nodes.Test))]:
        if isinstance(node, nodes.Filter) and node.name not in environment.filters:
            yield f"unknown filter {node.name!r}", _one_of(environment.filters), suggest(node.name, environment.filters)
        elif isinstance(node, nodes.Test) and node.name not in environment.tests:
            yield f"unknown test {node.name!r}", _one_of(environment.tests), suggest(node.name, environment.tests)
    words = scope.words()
    for chain in sorted(set(chains(tree))):
        if not scope.has(chain):
            yield f"unknown name {chain!r}", _one_of(words), suggest(chain, words)


def names(expression: str) -> frozenset[str]:
    """Return the dotted names that a correct expression uses; empty for a wrong one."""
    tree = _parse(expression)
    return frozenset() if isinstance(tree, str) else frozenset(chains(tree))


def reads(header: Iterable[str | None], lines: Iterable[str | None]) -> tuple[set[str], set[str], bool]:
    """Return what expressions of one direction read of their source.

    :param header: expressions of header fields; `lines`: of the fields of lines.
    :returns: dotted names of the header, dotted names of a line, and whether all of a line's fields are read.
    """
    of_header: set[str] = set()
    of_line: set[str] = set()
    whole = False
    for expression in header:
        found = names(expression) if expression else frozenset()
        whole |= LINES in found
        of_header |= found - {LINES}
    for expression in lines:
        for name in names(expression) if expression else ():
            first, _, rest = name.partition(".")
            (of_header if first == HEADER else of_line).add(rest if first == HEADER else name)
    return of_header - {VALUE}, of_line - {VALUE}, whole


def longest(chain: str, known: Collection[str]) -> str:
    """Return the longest known name that a dotted chain begins with, or ""."""
    while chain and chain not in known:
        chain = chain.rpartition(".")[0]
    return chain


@functools.cache
def _environment() -> Environment:
    # Here and not above: a company without expressions does not need the engine to be checked.
    from iw_operators.engine.expressions import environment

    return environment()


def _is_deep(tree: nodes.Node) -> bool:
    from iw_operators.engine.expressions import is_deep

    return is_deep(tree)


@functools.lru_cache(maxsize=4096)
def _parse(expression: str) -> nodes.Expr | str:
    """Return the tree, or what is wrong with the syntax."""
    if len(expression) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if "{{" in expression or "{%" in expression:
        return "has braces"
    try:
        parser = Parser(_environment(), expression, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            return f"is not an expression: unexpected {parser.stream.current.value!r}"
    except TemplateError as error:
        return f"is not an expression: {(error.message or str(error)).rstrip('.')}"
    except RecursionError:
        return "is nested too deeply"
    return "is nested too deeply" if _is_deep(tree) else tree


def chains(tree: nodes.Node) -> Iterator[str]:
    """Yield each name that is used, with the attributes that follow it."""
    parts: list[str] = []
    node = tree
    while isinstance(node, nodes.Getattr):
        parts.append(node.attr)
        node = node.node
    if isinstance(node, nodes.Name):
        yield ".".join([node.name, *reversed(parts)])
        return
    for child in tree.iter_child_nodes():
        yield from chains(child)


def _one_of(words: Collection[str]) -> str:
    return f"one of {listing(words, 60)}"
