"""Whatever a client sends as a parameter is what the company file holds, through driver, wire and SQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# QuickBooks keeps no text of nothing; a NUL ends a text on the wire.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
NUMBERS = st.decimals(Decimal("-99999999"), Decimal("99999999"), places=2)


@QUICK
@given(text=TEXTS)
@example(text="'2026-01-31'::date")
@example(text="{ts '2026-01-31 00:00:00.000'} \\ ' \" ; -- /* $1 ?")
@example(text="E'\\x41' upper(x) now() {fn UCASE('a')} FQSaveToCache, 1)")
@example(text="12.50")
@example(text="\r\n\t  ")
def test_any_text_survives(cursor: Any, text: str) -> None:
    """A text of any letters, quotation marks, backslashes, braces and casts comes back as it was sent."""
    cursor.execute("DELETE FROM Vendor WHERE Name = 'Text'")
    cursor.execute("INSERT INTO Vendor (Name, Notes) VALUES (?, ?)", "Text", text)
    assert cursor.execute("SELECT Notes FROM Vendor WHERE Notes = ?", text).fetchval() == text
    cursor.execute("UPDATE Vendor SET Notes = ? WHERE Notes = ?", text + "x", text)
    assert cursor.execute("SELECT Notes FROM Vendor WHERE Name = 'Text'").fetchval() == text + "x"


@QUICK
@given(number=NUMBERS)
@example(number=Decimal("0.01"))
@example(number=Decimal("-0.00"))
@example(number=Decimal("1E+3"))
def test_any_amount_survives(cursor: Any, number: Decimal) -> None:
    """An amount comes back to the cent, and compares as a number."""
    cursor.execute("DELETE FROM Vendor WHERE Name = 'Number'")
    cursor.execute("INSERT INTO Vendor (Name, CreditLimit) VALUES ('Number', ?)", number)
    assert cursor.execute("SELECT CreditLimit FROM Vendor WHERE CreditLimit = ?", number).fetchval() == number
    below = cursor.execute("SELECT COUNT(*) FROM Vendor WHERE CreditLimit < ?", number).fetchval()
    assert below == 0
