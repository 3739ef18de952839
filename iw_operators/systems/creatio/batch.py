"""Several operations in one HTTP call: OData's JSON `$batch`, without I/O.

At most 100 parts a call. Without `Prefer: continue-on-error` Creatio stops at the first part that fails, and answers
nothing for those after it. (Vendor documentation.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from iw_operators.errors import ConnectionFailure
from iw_operators.systems.http import json_dumps

LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One operation; `url` is relative to the data root."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What one part was answered. Status 0: no answer, because the call stopped before it."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def encode(parts: Sequence[Part]) -> bytes:
    """Return the body of a `$batch` call; ValueError for more parts than one call takes."""
    if len(parts) > LIMIT:
        msg = f"{len(parts)} parts in one call, at most {LIMIT}"
        raise ValueError(msg)
    requests: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        request: dict[str, Any] = {"id": str(number), "method": part.method, "url": part.url}
        request["headers"] = {"Accept": "application/json"}
        if part.body is not None:
            request["headers"]["Content-Type"] = "application/json; charset=utf-8"
            request["body"] = part.body
        requests.append(request)
    return json_dumps({"requests": requests})


def decode(body: Any, count: int) -> list[PartAnswer]:
    """Return the answers in the order of the parts; ConnectionFailure when the body is no answer to a `$batch`."""
    try:
        found = {str(answer["id"]): answer for answer in body["responses"]}
        return [
            PartAnswer(
                int(found[str(number)]["status"]),
                found[str(number)].get("body"),
                {str(name).lower(): str(value) for name, value in (found[str(number)].get("headers") or {}).items()},
            )
            if str(number) in found
            else PartAnswer(0)
            for number in range(count)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = "Creatio's answer to a batch cannot be understood."
        raise ConnectionFailure(msg, sent=True, code="creatio.batch") from error
