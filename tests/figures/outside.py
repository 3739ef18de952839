"""Two sandboxes in another process, as `python -m sandbox` serves them."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

SEED_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Outside:
    """Their addresses."""

    crm: str
    books: str

    def fill(self, size: int) -> None:
        """Begin anew: `size` accounts with a contact and a won opportunity each, empty books without quotas."""
        self._reset(self.crm, {"seed": "plain", "size": size, "won": True})
        self._reset(self.books, {"seed": "empty", "throttle": False})

    @staticmethod
    def _reset(url: str, options: dict[str, object]) -> None:
        httpx.post(f"{url}/_sandbox/reset", json=options, timeout=SEED_SECONDS).raise_for_status()
