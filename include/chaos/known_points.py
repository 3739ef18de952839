"""The points of the protocol, read off the source."""

from __future__ import annotations

import ast
from typing import Final

from iw_operators.spec.resolved import CompanySpec
from local.airflow import REPOSITORY

ROOT: Final = REPOSITORY / "iw_operators"

# Points of flows that a person or a call starts, which others come to now and then; tests of their own kill there.
OF_OTHER_FLOWS: Final = frozenset(
    {"after_begin_review", "after_review_page", "after_end_review", "after_bound", "after_reviewed"}  # Bind
    | {"after_claim"}  # Q
    | {"before_progress", "after_progress"}  # N, DR, DRS, F
)


def listed(company: CompanySpec) -> list[str]:
    """Return the points that scheduled flows of a company reach, in the order of files and lines.

    Those of other systems than its own are left out: its flows never come there.
    """
    systems = ROOT / "systems"
    own = {systems / end.system for end in (company.company.crm, company.company.books)}
    found: dict[str, None] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if path.is_relative_to(systems) and path.parent != systems and own.isdisjoint(path.parents):
            continue
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
