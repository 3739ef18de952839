"""Live update: a page asks again every few seconds and gets only the parts that have changed since it asked last.

Parts are HTML by the id of the element that they replace. What a page was given is remembered under the version that
went with it, for the pages that are open at the time; a version that is not known gets everything.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

REMEMBERED = 256

_lock = threading.Lock()
_given: OrderedDict[str, dict[str, str]] = OrderedDict()


def version(parts: Mapping[str, str]) -> str:
    """Return the version of a page's parts, and remember them under it."""
    marks = {name: _mark(html) for name, html in parts.items()}
    whole = _mark("".join(f"{name}={mark};" for name, mark in sorted(marks.items())))
    with _lock:
        _given[whole] = marks
        _given.move_to_end(whole)
        while len(_given) > REMEMBERED:
            _given.popitem(last=False)
    return whole


def changed(parts: Mapping[str, str], known: str) -> dict[str, Any]:
    """Return what a page that knows version `known` needs: `version`, `parts` that differ, and whether to `reload`.

    It has to load itself anew where parts have come or gone.
    """
    with _lock:
        before = _given.get(known)
    now = version(parts)
    if before is None:
        return {"version": now, "parts": dict(parts), "reload": False}
    differing = {name: html for name, html in parts.items() if before.get(name) != _mark(html)}
    return {"version": now, "parts": differing, "reload": before.keys() != parts.keys()}


def _mark(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=9).hexdigest()
