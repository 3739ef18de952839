"""Matching, transforming and planning: pure functions on plain data.

    compiled = compile_mapping(mapping, "crm", Operations.CREATE_AND_UPDATE)
    prepared, wants = compiled.prepare(records)        # then look up what `wants` names
    decisions = compiled.plan(prepared, Known(...))    # one a record, in the same order

Nothing here reads a clock, draws a random number or talks to anything.
"""

from iw_operators.engine.compiled import Compiled, compile_mapping
from iw_operators.engine.matching import ID_FIELD, DefaultNormaliser, Normaliser
from iw_operators.engine.model import (
    Action,
    Await,
    Binding,
    Candidate,
    Change,
    Decision,
    Line,
    Record,
    Scalar,
    Value,
    Values,
)
from iw_operators.engine.planner import Known
from iw_operators.engine.prepare import Prepared, Wants

__all__ = [
    "ID_FIELD",
    "Action",
    "Await",
    "Binding",
    "Candidate",
    "Change",
    "Compiled",
    "Decision",
    "DefaultNormaliser",
    "Known",
    "Line",
    "Normaliser",
    "Prepared",
    "Record",
    "Scalar",
    "Value",
    "Values",
    "Wants",
    "compile_mapping",
]
