"""Writes docs/errors.md from the catalogue: `make docs`, or `python -m iw_operators.errors.docs [FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from iw_operators.errors.catalogue import PACKAGE, catalogue
from iw_operators.errors.entries import Effect, Entry, Origin

TARGET = PACKAGE.parent / "docs" / "errors.md"

HEAD = """\
# Error codes and messages

<!-- Written by `make docs` from iw_operators/errors/data/*.yaml and iw_operators/systems/*/errors.yaml. -->

Every code and message that a flow can show, and those that turn up in the logs of the systems and of the former
platform: what it means, who does what about it, and what the flow does. The same text stands in the record log, in
task logs and in `airflow iw explain`:

```
airflow iw explain 3140
airflow iw explain 3150-3153
airflow iw explain "-6190, -83"
airflow iw explain "a whole message, as it stands in a log"
airflow iw explain 6000 --system NAME
```

A code that is not listed is answered for by the narrowest range that it lies in. Signs, blanks, leading zeros, capitals
and `0x` do not matter. A message without a code is looked for by its text.

## What an error does to the flow
"""


def render() -> str:
    """Return the document."""
    return "\n".join([HEAD, *_effects(), "", *(line for origin in catalogue().origins for line in _origin(origin))])


def _effects() -> Iterator[str]:
    yield "| class | tried again | the flow |"
    yield "|---|---|---|"
    for effect in Effect:
        yield f"| {effect.value} | {effect.retry} | {effect.flow} |"


def _origin(origin: Origin) -> Iterator[str]:
    yield f"## {origin.label}"
    yield ""
    yield from (f"- {line}" for line in _sources(origin))
    yield ""
    yield "| code | name | meaning | who | does | class |"
    yield "|---|---|---|---|---|---|"
    yield from map(_row, origin.entries)
    yield ""


def _sources(origin: Origin) -> Iterator[str]:
    yield f"System: `{origin.system}`"
    yield "Source: " + "; also: ".join(dict.fromkeys(entry.source for entry in origin.entries))


def _row(entry: Entry) -> str:
    texts = (entry.shown, entry.title, entry.meaning, entry.who, entry.action, entry.effect.value)
    return f"| {' | '.join(_cell(text) for text in texts)} |"


def _cell(text: str) -> str:
    """Return text that stays in its cell and means nothing else to Markdown."""
    for sign in "\\|*<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text


def main() -> None:
    """Write the document."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(render(), "utf-8")


if __name__ == "__main__":
    main()
