"""Records that a run is about by name or id (R1: NF, NFS, Q)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from iw_operators.engine.model import Record
from iw_operators.errors import FixRecord
from iw_operators.ledger.codec import can_be_stored
from iw_operators.sweep import deleted
from iw_operators.systems.base import System, View

SHOWN: Final = 20  # lines or ids that a message lists


@dataclass(frozen=True, slots=True)
class Named:
    """Which records: `names` are full names or ids as people give them, `ids` those that are known to be ids.

    `strict`: an id that is neither there nor bound is an error; otherwise it is passed over.
    """

    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    strict: bool = True

    @classmethod
    def of(cls, text: str | None, ids: Collection[str] | None) -> Named:
        """Return what a form says: names or ids one a line, blank lines and repetitions left out, and ids."""
        lines = [line.strip() for line in (text or "").splitlines()]
        return cls(tuple(dict.fromkeys(filter(None, lines))), tuple(dict.fromkeys(filter(None, ids or ()))))


def find_one(source: System, view: View, label: str, name: str) -> Record:
    """Return the one record of a name. Raises FixRecord where there is none, or several."""
    thing = view.object
    if not name.strip() or not can_be_stored(name):  # no system has such names, and no wire carries them
        msg = "The full name or id that was asked for is empty or holds a character that no system stores."
        raise FixRecord(msg, code="iw.not_found", advice="Type the name instead of pasting it, or give the id.")
    found = source.find(view, name)
    if not found:
        msg = f"{label} has no {thing} with the full name or id that was asked for."
        raise FixRecord(msg, code="iw.not_found", advice="Check spelling and capitals, or give the record's id.")
    if len(found) > 1:
        msg = f"{label} has {len(found)} of {thing} with that full name: {', '.join(r.id for r in found)}."
        raise FixRecord(msg, code="iw.ambiguous", advice="Give the id of the one that is meant.")
    return found[0]


def pages(
    named: Named, source: System, view: View, label: str, bound: Callable[[Sequence[str]], Collection[str]], size: int
) -> Iterator[Sequence[Record]]:
    """Yield the named records, each once. Costs one request a name, and one for a few hundred ids or more.

    :param bound: returns those of some ids that are bound; a bound record that is gone comes as deleted.
    :raises FixRecord: after all that were found have been yielded, for those that were not; the message counts lines,
        because names do not belong into a log.
    """
    given: set[str] = set()
    missing: list[str] = []
    for start in range(0, len(named.ids), size):
        some = named.ids[start : start + size]
        found = source.fetch(view, some)
        away = [each for each in some if each not in found]
        gone = bound(away) if away else ()
        missing += [each for each in away if each not in gone]
        page = [*found.values(), *map(deleted, sorted(gone))]
        given.update(record.id for record in page)
        if page:
            yield page
    wrong: list[tuple[int, FixRecord]] = []
    waiting: list[Record] = []
    for line, name in enumerate(named.names, start=1):
        try:
            record = find_one(source, view, label, name)
        except FixRecord as error:
            wrong.append((line, error))
            continue
        if record.id not in given:
            given.add(record.id)
            waiting.append(record)
        if len(waiting) >= size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
    _complain(wrong, len(named.names), missing if named.strict else [], label, view.object)


def _complain(
    wrong: Sequence[tuple[int, FixRecord]], lines: int, missing: Sequence[str], label: str, thing: str
) -> None:
    if len(wrong) == 1 and lines == 1 and not missing:
        raise wrong[0][1]
    said = []
    for code, what in (("iw.not_found", "name nothing that is there"), ("iw.ambiguous", "name several")):
        if numbers := [str(line) for line, error in wrong if error.code == code]:
            said.append(f"lines {_some(numbers)} {what}")
    if missing:
        said.append(f"these ids are not there: {_some(missing)}")
    if said:
        msg = f"Not all {thing} records that were asked for are in {label}: {'; '.join(said)}. The others are done."
        codes = {error.code for _, error in wrong}
        code = "iw.ambiguous" if codes == {"iw.ambiguous"} and not missing else "iw.not_found"
        raise FixRecord(msg, code=code, advice="Check spelling and capitals, or give ids; then run these alone.")


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
