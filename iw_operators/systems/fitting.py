"""Whether a text may be sent for a field, by what the catalogue says of it: asked once more right before sending.

Vendors refuse what is too long with a text that often does not say which field; some cut it without a word.
"""

from __future__ import annotations

import re
from typing import Final

from iw_operators.errors import FixRecord
from iw_operators.spec.catalogue import FieldDef

_NEVER: Final = re.compile("[\x00\ud800-\udfff]")  # NUL, and halves of a surrogate pair: no character, no UTF-8


def sendable(text: str) -> bool:
    """Tell whether a text can be sent at all, and so could be what a record is called."""
    return not _NEVER.search(text)


def check_text(name: str, field: FieldDef, text: str, system: str) -> str:
    """Return the text as it is; length counts characters.

    :param name: the neutral name of the field, as the error tells it.
    :raises FixRecord: it is longer than the field, or holds what cannot be sent.
    """
    if not text.isascii() or "\x00" in text:
        found = _NEVER.search(text)
        if found:
            msg = f"{name} has U+{ord(found[0]):04X} at position {found.start() + 1}, which {system} does not take."
            raise FixRecord(msg, code="iw.characters", field=name, advice="Take it out in the source.")
    if field.length is not None and len(text) > field.length:
        msg = f"{name} is {len(text)} characters long, {system} takes {field.length}."
        advice = f"Shorten it in the source, or say shorten: true for {name} in the mapping."
        raise FixRecord(msg, code="iw.too_long", field=name, advice=advice)
    return text
