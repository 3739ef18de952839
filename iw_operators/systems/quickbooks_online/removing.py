"""Taking records away: names are made inactive, transactions voided or deleted. No I/O.

DI: names cannot be deleted; `Active: false` hides them. A delete takes Id and SyncToken. Invoices have an operation of
their own for a void; payments, sales receipts and bill payments are updated with `include=void`, in a batch
`optionsData`. A voided transaction stays, with amounts of zero and "Voided" in its private note.
"""

from __future__ import annotations

from typing import Any, Final

from iw_operators.spec.catalogue import ObjectDef
from iw_operators.systems.base import Op, Write
from iw_operators.systems.quickbooks_online.codec import Native, is_voided, sync_token

OWN_VOID: Final = frozenset({"Invoice"})  # entities with an operation `void`
GONE: Final = "610"  # what deleting a deleted record is answered with


def item_of(write: Write) -> dict[str, Any]:
    """Return a removal as an item of a batch, without its bId."""
    entity = write.view.object
    head = {"Id": write.target_id, "SyncToken": sync_token(write.version)}
    if write.op is Op.DELETE:
        return {"operation": "delete", entity: head}
    if write.op is Op.DEACTIVATE:
        return {"operation": "update", entity: {**head, "sparse": True, str(write.view.definition.active): False}}
    if entity in OWN_VOID:
        return {"operation": "void", entity: head}
    return {"operation": "update", "optionsData": "void", entity: {**head, "sparse": True}}


def removed(op: Op, definition: ObjectDef, row: Native | None) -> bool:
    """Tell whether a record is as a removal leaves it; `row` is None where there is none."""
    if row is None:
        return op is Op.DELETE
    if op is Op.VOID:
        return is_voided(definition, row)
    return op is Op.DEACTIVATE and row.get(str(definition.active)) is False
