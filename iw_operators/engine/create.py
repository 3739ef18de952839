"""When a record without a partner is created on the other side (M3, M4)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from iw_operators.engine.model import Record, Value
from iw_operators.engine.problems import show
from iw_operators.spec.models import CreateWhen

OPPORTUNITY = "opportunity"


def facts(when: CreateWhen) -> frozenset[str]:
    """Return the names in `ObjectDef.related` that `Record.facts` has to answer for."""
    return frozenset({OPPORTUNITY}) if when.opportunity is not None or when.opportunity_stage else frozenset()


def unmet(when: CreateWhen, record: Record) -> str:
    """Return what a record still lacks to be created; empty when nothing. All that is stated has to hold."""
    if when.opportunity is not None and when.opportunity not in record.facts:
        return "it has no opportunity" if when.opportunity == "created" else "none of its opportunities is won"
    if when.opportunity_stage:
        seen = {fact.strip().casefold() for fact in record.facts}
        if not any(stage.strip().casefold() in seen for stage in when.opportunity_stage):
            return f"it has no opportunity at {' or '.join(when.opportunity_stage)}"
    return _fields(when.field, record)


def _fields(conditions: Mapping[str, str | bool | int | tuple[str | bool | int, ...]], record: Record) -> str:
    for name, wanted in conditions.items():
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        value = record.values.get(name)
        if not any(_equal(value, each) for each in allowed):
            return f"{name} is {show(value)}, not {' or '.join(map(show, allowed))}"
    return ""


def _equal(value: Value, wanted: str | bool | int) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return str(value).casefold() == str(wanted).strip().casefold()
    if isinstance(wanted, int):
        return (isinstance(value, int | Decimal) and value == wanted) or str(value).strip() == str(wanted)
    return value is not None and str(value).strip().casefold() == wanted.strip().casefold()
