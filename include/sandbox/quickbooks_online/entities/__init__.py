"""Every entity that the sandbox serves, described as data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sandbox.quickbooks_online.entities import company, ledger, lists, names, purchases, sales
from sandbox.quickbooks_online.schema import Entity

ENTITIES: Mapping[str, Entity] = MappingProxyType(
    {entity.name: entity for module in (names, lists, sales, purchases, ledger, company) for entity in module.ENTITIES}
)
BY_PATH: Mapping[str, Entity] = MappingProxyType({entity.path: entity for entity in ENTITIES.values()})
BY_TXN_TYPE: Mapping[str, Entity] = MappingProxyType(
    {txn_type: entity for entity in ENTITIES.values() for txn_type in entity.txn_types}
)


def entity_named(name: str) -> Entity | None:
    """Return the entity with this name, whatever its case; None if there is none."""
    return BY_PATH.get(name.lower())
