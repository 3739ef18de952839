"""How the slow tests are shared out to two processes (`--dist loadscope`).

What uses the Airflow of the session stays in one process, in its order; every other file is a unit by itself.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # xdist has no types

SLOW: Final = "tests/e2e/"
WITH_AIRFLOWS_OF_THEIR_OWN: Final = ("test_demo", "test_e2e_namespace", "test_e2e_site")


def unit(nodeid: str) -> str:
    """Return what a test belongs to: its file, or for what shares the session's Airflow `site`."""
    file = nodeid.partition("::")[0]
    name = file.rpartition("/")[2].removesuffix(".py")
    return "site" if file.startswith(SLOW) and name not in WITH_AIRFLOWS_OF_THEIR_OWN else file


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out whole units."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SideBySide | None:
    """Take this one for `--dist loadscope`."""
    return SideBySide(config, log) if config.getvalue("dist") == "loadscope" else None
