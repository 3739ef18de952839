"""Idempotency keys: the same intention always has the same key, a new intention always another one.

A key holds what makes a write that write: company, mapping, source record, operation, payload, the version that an
update starts from, and the generation of the binding. Without the payload a corrected record would be answered with
the response to its refused predecessor; without the generation a record created again after a deletion would be
answered with the response to the deleted one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from iw_operators.engine.model import Decision, Values
from iw_operators.ledger.codec import encode_values
from iw_operators.systems.base import Op


def write_key(company: str, mapping: str, op: Op, decision: Decision, values: Values) -> str:
    """Return the key of one write: 32 characters of a to z and 2 to 7."""
    return digest(
        company,
        mapping,
        op.value,
        decision.source_id,
        decision.target_id or "",
        "" if op is Op.CREATE else decision.target_version,
        str(decision.generation),
        json.dumps(encode_values(values), sort_keys=True, ensure_ascii=False),
    )


def batch_key(write_keys: Sequence[str]) -> str:
    """Return the key of a batch: 32 characters, made of the keys of its writes in order."""
    return digest(*write_keys)


def digest(*parts: str) -> str:
    """Return 32 characters of base32 over the parts; parts are told apart whatever they contain."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sha.update(f"{len(data)}:".encode())
        sha.update(data)
    return base64.b32encode(sha.digest()[:20]).decode("ascii").lower()
