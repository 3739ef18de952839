"""What the service says about itself: the service document and $metadata (EDMX 4.0)."""

from __future__ import annotations

from sandbox.creatio.model import NAMESPACE, Column, Entity, Kind, Model


def service_document(model: Model, root: str) -> dict[str, object]:
    """Return the list of entity sets."""
    sets = [{"name": name, "kind": "EntitySet", "url": name} for name in sorted(model)]
    return {"@odata.context": f"{root}/$metadata", "value": sets}


def _property(column: Column) -> str:
    attributes = f'Name="{column.name}" Type="{column.kind}"'
    if column.name == "Id" or column.kind in {Kind.INT, Kind.DECIMAL, Kind.BOOL}:
        attributes += ' Nullable="false"'
    if column.kind is Kind.DECIMAL:
        attributes += f' Scale="{column.scale}"'
    if column.kind is Kind.TEXT and column.size:
        attributes += f' MaxLength="{column.size}"'
    return f"<Property {attributes}/>"


def _navigation(column: Column) -> str:
    """Without a ReferentialConstraint: clients that see one send `@odata.bind` in inserts, which Creatio ignores."""
    return f'<NavigationProperty Name="{column.navigation}" Type="{NAMESPACE}.{column.target}"/>'


def _entity_type(entity: Entity) -> str:
    properties = "".join(_property(column) for column in entity.columns.values())
    navigations = "".join(_navigation(column) for column in entity.navigations.values())
    key = '<Key><PropertyRef Name="Id"/></Key>'
    return f'<EntityType Name="{entity.name}">{key}{properties}{navigations}</EntityType>'


def _entity_set(entity: Entity) -> str:
    bindings = "".join(
        f'<NavigationPropertyBinding Path="{column.navigation}" Target="{column.target}"/>'
        for column in entity.navigations.values()
    )
    return f'<EntitySet Name="{entity.name}" EntityType="{entity.type_name}">{bindings}</EntitySet>'


def edmx(model: Model) -> str:
    """Return the whole $metadata document."""
    entities = [model[name] for name in sorted(model)]
    types = "".join(map(_entity_type, entities))
    sets = "".join(map(_entity_set, entities))
    schema = "http://docs.oasis-open.org/odata/ns/edm"
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
        f'<Schema Namespace="{NAMESPACE}" xmlns="{schema}">{types}</Schema>'
        f'<Schema Namespace="Default" xmlns="{schema}">'
        f'<EntityContainer Name="Container">{sets}</EntityContainer></Schema>'
        "</edmx:DataServices></edmx:Edmx>"
    )
