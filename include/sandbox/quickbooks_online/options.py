"""What can be set about the sandbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REALM = "9130350000000001"
CLIENT_ID = "iw-client"
CLIENT_SECRET = "iw-secret"
REFRESH_TOKEN = "iw-refresh-0"
VERIFIER_TOKEN = "sandbox-verifier-token-0123456789"  # what Intuit would sign its webhooks with


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `make` and of `POST /_sandbox/reset`.

    `path`: SQLite file, `:memory:` for none; a file that holds a company already is used as it is. `throttle`: keep
    the vendor's quotas. `clock_shift`: seconds that the sandbox's clock is ahead. `old_refresh_seconds`: how long a
    refresh token lives after its successor was issued (0: it dies at once). `closed_until`: books are closed up to
    this date. `custom_fields`: names of the custom fields on sales forms. `country`: outside the US a transaction
    needs GlobalTaxCalculation.
    """

    path: str = ":memory:"
    throttle: bool = True
    clock_shift: float = 0.0
    old_refresh_seconds: float = 86_400
    access_seconds: float = 3_600
    closed_until: str = ""
    custom_fields: tuple[str, ...] = ("Crew #", "Region", "Opportunity")
    country: str = "US"
    multicurrency: bool = True
    home_currency: str = "USD"
    realm: str = REALM
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    refresh_token: str = REFRESH_TOKEN

    def changed(self, given: Mapping[str, Any]) -> Options:
        """Return the options with `given` put over them. Raises ValueError for an unknown one or a wrong type."""
        known = {f.name: f for f in dataclasses.fields(self)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known or name == "path":
                msg = f"unknown option {name!r}; known: seed, {', '.join(sorted(set(known) - {'path'}))}"
                raise ValueError(msg)
            default = getattr(self, name)
            if isinstance(default, tuple):
                value = tuple(str(item) for item in value)
            elif isinstance(default, bool) is not isinstance(value, bool):
                msg = f"option {name!r} takes {type(default).__name__}, not {value!r}"
                raise ValueError(msg)
            values[name] = type(default)(value)
        return dataclasses.replace(self, **values)
