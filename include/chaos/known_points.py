"""The points of the protocol, read off the source, and what has to go before so that a run comes to each of them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local.airflow import REPOSITORY

# Sessions and tokens have to end for a run to come to the points of signing in.
ENDED: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("quickbooks_online", {"kind": "expire_token"}),
    ("creatio", {"kind": "expire_session"}),
)

# Points of flows that a person or a call starts, which others come to now and then; tests of their own kill there.
OF_OTHER_FLOWS: Final = frozenset(
    {"after_begin_review", "after_review_page", "after_end_review", "after_bound", "after_reviewed"}  # Bind
    | {"after_claim"}  # Q
    | {"before_progress", "after_progress"}  # N, DR, DRS, F
)


def listed() -> list[str]:
    """Return the points that scheduled flows reach, in the order of files and lines."""
    found: dict[str, None] = {}
    for path in sorted((REPOSITORY / "iw_operators").rglob("*.py")):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach"
        ]
        for call in sorted(calls, key=lambda each: (each.lineno, each.col_offset)):
            for node in ast.walk(call.args[0]):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
                    found.setdefault(node.value)
    found.pop("write_back", None)
    return [point for point in found if point not in OF_OTHER_FLOWS]
