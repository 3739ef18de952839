"""What a transaction comes to: checked before it is sent, and against what the target made of it afterwards (B5).

Only what goes to the books is judged before it goes: what comes from them is the truth that the CRM gets a copy of.
After a write each side's total is compared, where the target's answer tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from iw_operators.engine import money
from iw_operators.engine.model import LINES, Action, Decision, Line, Scalar, Value, Values, scalar
from iw_operators.engine.problems import TOTAL_DIFFERS, TOTAL_MISMATCH, TYPE, Names, Problem, show

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Totals:
    """The fields of the source that have to agree with its lines.

    :param total: empty where the source does not say what a transaction comes to.
    :param stated: the mapping's `check` names the fields. A total of zero then says nothing: not every CRM can leave an
        amount empty.
    :param bounds: the lines may come to less than the total (a payment that is applied in part), but not to more.
    """

    names: Names
    total: str = ""
    discount: str = ""
    tax: str = ""
    stated: bool = False
    bounds: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of those that there are."""
        return tuple(name for name in (self.total, self.discount, self.tax) if name)

    def problem(self, values: Mapping[str, Scalar], source: Values, lines: tuple[Line, ...]) -> Problem | None:
        """Return what is wrong with the sum of a record's lines, before it is sent.

        :param values: what would be sent, of the header; `source` is asked for what is not among them.
        """
        if not self.total or not lines:
            return None
        for name in self.fields:
            told = values.get(name, source.get(name))
            if isinstance(told, str):
                message = f"{name} is {show(told)}, which is not an amount that the lines could be checked against"
                return Problem(name, TYPE, message, f"Correct it in {self.names.source}.")
        total = _amount(self.total, values, source)
        discount, tax = _amount(self.discount, values, source), _amount(self.tax, values, source)
        expected = money.expected_total(lines, discount, tax)
        if total is None or expected is None or (self.stated and not total):
            return None
        difference = money.differs(total, expected)
        if difference is None or (self.bounds and difference > 0):
            return None
        sums = [f"its {len(lines)} line{'' if len(lines) == 1 else 's'} come to {money.lines_sum(lines)}"]
        sums += [f"{word} {name} {amount}" for word, name, amount in _more(self, discount, tax)]
        message = f"{self.total} is {total}, but {', '.join(sums)}: {expected}; the difference is {difference}"
        return Problem(
            self.total, TOTAL_MISMATCH, message, f"Correct {self.total} or the lines in {self.names.source}."
        )

    def verified(self, decision: Decision, held: Values) -> Decision:
        """Return the decision of a write that was applied, with a remark where the target comes to another total.

        :param held: what the target says that it now holds. The write stands: the difference is for a person to see.
        """
        actual = held.get(TOTAL)
        expected = self._expected(decision)
        if decision.action not in (Action.CREATE, Action.UPDATE) or expected is None or not isinstance(actual, Decimal):
            return decision
        difference = money.differs(actual, expected)
        if difference is None:
            return decision
        text = f"{self.names.target} makes the total {actual}, expected was {expected}: a difference of {difference}"
        return replace(
            decision,
            why=f"{decision.why}; {text}",
            code=TOTAL_DIFFERS,
            field=TOTAL,
            advice=f"Look for tax, discount, shipping or rounding that {self.names.target} has added by itself.",
        )

    def _expected(self, decision: Decision) -> Decimal | None:
        """Return what the target should come to after a write that was about money."""
        send = decision.send
        sent: Value = send.get(TOTAL)
        lines = send.get(LINES)
        if isinstance(sent, Decimal):
            return sent
        if not isinstance(lines, tuple) or self.bounds:
            return None
        stated = decision.source.get(self.total) if self.total else None
        if isinstance(stated, Decimal) and stated:
            return stated
        return money.expected_total(lines, scalar(send.get(self.discount)), scalar(send.get(self.tax)))


def _amount(name: str, values: Mapping[str, Scalar], source: Values) -> Decimal | None:
    value: Value = values.get(name, source.get(name)) if name else None
    return value if isinstance(value, Decimal) else None


def _more(totals: Totals, discount: Decimal | None, tax: Decimal | None) -> list[tuple[str, str, Decimal]]:
    found = [("less", totals.discount, discount), ("plus", totals.tax, tax)]
    return [(word, name, amount) for word, name, amount in found if amount]
