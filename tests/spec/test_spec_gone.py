"""`when_gone`, `check` and `when_missing`: what they come to, and what is refused with line and way out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from iw_operators.spec.models import Policy
from iw_operators.spec.resolved import CompanySpec
from tests.spec.demo import DEMO, Changes, Load

pytestmark = pytest.mark.feature("B6")

RECEIPTS = """\
mapping: receipts
crm: Receipt
books: Payment
direction: to_crm
bind: {by: criteria, else: [number]}
"""


def stated(text: str, file: str = "customers.yaml") -> Changes:
    """Add a key at the end of a mapping."""
    return {file: DEMO[file] + text + "\n"}


def gone(spec: CompanySpec | None, mapping: str) -> dict[str, dict[str, str]]:
    """Return a mapping's policies as words."""
    assert spec is not None
    table = spec.mappings[mapping].when_gone
    return {side: {kind: policy.value for kind, policy in kinds.items()} for side, kinds in table.items()}


def test_hold_where_nothing_is_stated(load: Load) -> None:
    """Each way in which a record of either side can be gone is held; ways that the object does not know are no ways."""
    spec, errors = load()
    assert errors == []
    held = {"deleted": "hold", "inactive": "hold"}
    assert gone(spec, "customers") == {"crm": held, "books": held}
    assert gone(spec, "invoices") == {"crm": {"deleted": "hold"}, "books": {"deleted": "hold", "voided": "hold"}}


RESOLVED: list[tuple[str, str, Mapping[str, Mapping[str, str]]]] = [
    ("customers", "when_gone: {books: deactivate}", {"books": {"deleted": "deactivate", "inactive": "deactivate"}}),
    ("customers", "when_gone: {crm: {inactive: deactivate}}", {"crm": {"deleted": "hold", "inactive": "deactivate"}}),
    ("customers", "when_gone: {crm: {every: unbind, inactive: ignore}}",
     {"crm": {"deleted": "unbind", "inactive": "ignore"}}),
    ("customers", "when_gone: {crm: propagate}", {"crm": {"deleted": "deactivate", "inactive": "deactivate"}}),
    ("invoices", "when_gone: {crm: propagate}", {"crm": {"deleted": "delete"}}),
    ("invoices", "when_gone: {crm: void}", {"crm": {"deleted": "void"}}),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "text", "expected"), RESOLVED, ids=[row[1] for row in RESOLVED])
def test_words_become_policies(load: Load, mapping: str, text: str, expected: Mapping[str, Mapping[str, str]]) -> None:
    """A word stands for every kind, a kind named by itself counts for more, and propagate is what comes nearest."""
    spec, errors = load(stated(text, f"{mapping}.yaml"))
    assert errors == []
    found = gone(spec, mapping)
    assert {side: found[side] for side in expected} == expected


def test_propagate_of_a_payment_deletes_what_cannot_be_voided(load: Load) -> None:
    """A payment that is voided in the books is deleted in a CRM that knows no void."""
    spec, errors = load({"receipts.yaml": RECEIPTS + "when_gone: {books: propagate}\n"})
    assert errors == []
    assert gone(spec, "receipts")["books"] == {"deleted": "delete", "voided": "delete"}


WRONG: dict[str, tuple[Changes, str]] = {
    "an unknown word": (
        stated("when_gone: {crm: forget}"),
        "customers.yaml:11: when_gone.crm",
    ),
    "an unknown kind": (
        stated("when_gone: {crm: {archived: hold}}"),
        "customers.yaml:11: when_gone.crm.archived: unknown key 'archived'",
    ),
    "a kind that there is not": (
        stated("when_gone: {crm: {voided: hold}}"),
        "customers.yaml:11: when_gone.crm.voided: Account of Plain CRM is never voided; expected deleted, inactive",
    ),
    "what the other side does not know": (
        stated("when_gone: {crm: void}"),
        "customers.yaml:11: when_gone.crm: is void, which Customer of Plain Books does not know; expected deactivate, "
        "hold, ignore, unbind",
    ),
    "a side that is not written to": (
        {"receipts.yaml": RECEIPTS + "when_gone: {crm: propagate}\n"},
        "receipts.yaml:6: when_gone.crm: is propagate, but the mapping does not run to_books; expected hold, ignore or "
        "unbind",
    ),
    "a side that is only created on": (
        {"customers.yaml": DEMO["customers.yaml"].replace("write_back", "to_crm: {operations: create_only}\nwrite_back")
         + "when_gone: {books: deactivate}\n"},
        "customers.yaml:12: when_gone.books: is deactivate, but to_crm may not update",
    ),
    "a check of a field that there is not": (
        stated("check: {total: totl}", "invoices.yaml"),
        "invoices.yaml:8: check.total: Deal of Plain CRM has no field 'totl' in this mapping",
    ),
    "a check of a text": (
        stated("check: {total: memo}", "invoices.yaml"),
        "invoices.yaml:8: check.total: memo is memo; expected a field of the type money or decimal",
    ),
    "a check without a total": (
        stated("check: {tax: total}", "invoices.yaml"),
        "invoices.yaml:8: check: names no total",
    ),
    "a check without lines": (
        stated("check: {total: balance}"),
        "customers.yaml:11: check.total: is given, but no lines go to the books",
    ),
    "when_missing of what is no reference": (
        stated("  phone: {when_missing: empty}"),
        "customers.yaml:11: fields.phone.when_missing: is about references between both sides",
    ),
    "when_missing of what is required": (
        stated("  customer: {when_missing: empty}", "invoices.yaml"),
        "invoices.yaml:8: fields.customer.when_missing: is empty, but Invoice of Plain Books needs CustomerRef",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_an_error(name: str, load: Load) -> None:
    """Each wrong policy, check or reference is one error with file, line, path and what is possible."""
    changes, expected = WRONG[name]
    _, errors = load(changes)
    assert len(errors) == 1, errors
    assert errors[0].startswith(expected), errors


def test_an_optional_reference_is_known_to_the_engine(load: Load) -> None:
    """`when_missing: empty` is said of a reference that the target can do without."""
    changes = {"receipts.yaml": RECEIPTS + "fields:\n  invoice: {when_missing: empty}\n"}
    spec, errors = load(changes)
    assert errors == []
    assert spec is not None
    fields = {field.name: field.optional for field in spec.mappings["receipts"].fields}
    assert fields["invoice"]
    assert not fields["customer"]


def test_policies_are_what_the_engine_is_told() -> None:
    """The words that the documents list are those that there are."""
    assert [each.value for each in Policy] == [
        "ignore", "hold", "unbind", "deactivate", "void", "delete", "propagate",
    ]  # fmt: skip
