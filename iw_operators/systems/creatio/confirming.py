"""The version of a record after an update of ours, where it is certain that nobody else changed it meanwhile.

Creatio answers an update with nothing. The rows are therefore read in the same call, before and after. Only if the
row before has the version that the update was planned on, and the row after differs from it in nothing but what was
sent, is the new stamp ours; then the record, coming back as changed, is known to hold nothing new. Otherwise no
version is told, and it is compared field by field when it comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from iw_operators.errors import FixConfiguration
from iw_operators.spec.catalogue import FieldType
from iw_operators.systems.base import Op, Write
from iw_operators.systems.creatio.batch import Part, PartAnswer
from iw_operators.systems.creatio.codec import KEY, NO_ID, column_of, decode, reader
from iw_operators.systems.creatio.comparing import same
from iw_operators.systems.creatio.paging import Row
from iw_operators.systems.creatio.query import Expand, Query, chains
from iw_operators.systems.creatio.reading import PART_ROWS

OURS: Final = frozenset({"ModifiedOn", "ModifiedById"})  # what each update changes by itself


def reads_around(writes: Iterable[Write]) -> tuple[Part, ...]:
    """Return the reads that go out before and again after the updates of one call, as far as these say a version."""
    ids: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for write in writes:
        if write.op is Op.UPDATE and write.version:
            around = (write.view.object, write.view.definition.modified, reader(write.view).stamped)
            ids.setdefault(around, []).append(write.target_id or "")
    queries = [
        # Without a select: all columns, those too that this mapping does not know.
        Query(name, Expand(expand=dict.fromkeys(near, Expand(frozenset({stamp})))), (chain,), (KEY,), PART_ROWS)
        for (name, stamp, near), targets in ids.items()
        for chain in chains(KEY, targets)
    ]
    return tuple(Part("GET", query.url()) for query in queries)


def rows_of(answers: Sequence[PartAnswer]) -> dict[str, Row]:
    """Return the rows of the answers by id; a read that failed confirms nothing."""
    return {
        str(row[KEY]).lower(): row
        for answer in answers
        if answer.status == 200 and isinstance(answer.body, Mapping)
        for row in answer.body.get("value", ())
    }


def version_after(write: Write, body: Mapping[str, Any], before: Row | None, after: Row | None) -> str:
    """Return the version that the update led to, or an empty text where somebody else may have had a hand in it.

    :param body: what was sent, by column.
    """
    if before is None or after is None:
        return ""
    read = reader(write.view)
    modified = write.view.definition.modified
    if read.version(before) != write.version or before.get(modified) == after.get(modified):
        return ""
    fields = {column_of(write.view.fields[name]): name for name in write.values}
    columns = {column for column in before.keys() | after.keys() if not column.startswith("@")} - OURS
    if any(before.get(column) != after.get(column) for column in columns - fields.keys()):
        return ""
    if all(_held(write, name, body[column], after.get(column)) for column, name in fields.items()):
        return read.version(after)
    return ""


def _held(write: Write, name: str, sent: Any, held: Any) -> bool:
    field = write.view.fields[name]
    if field.lookup is not None or field.type is FieldType.REF:
        return str(sent or NO_ID).lower() == str(held or NO_ID).lower()
    try:
        return same(write.values[name], decode(held, field), field)
    except FixConfiguration:  # not of the type that the mapping says: certainly not what was sent
        return False
