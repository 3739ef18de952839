"""Companies by the names of their folders.

Such a name comes from a DAG id or a command line. It is looked for among the folders that are there, so that none leads
out of the mappings folder.
"""

from __future__ import annotations

from pathlib import Path

from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import CompanySpec


def companies(root: Path) -> list[str]:
    """Return the names of the companies below the mappings folder, whether their specs have errors or not."""
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def company_beside(root: Path, dag_id: str, name: str) -> CompanySpec | None:
    """Return the company whose DAG beside its flows this is (`name`: its daily report, its maintenance).

    None for the id of any other DAG, and where the company itself is not right.
    """
    company, _, called = dag_id.partition(".")
    if called != name or company not in companies(root):
        return None
    return load_company(root / company)[0]
