"""What the Linux driver has rewritten is put back into the data source's words."""

from __future__ import annotations

import pytest

from iw_operators.systems.quickbooks_desktop.connector import typed
from iw_operators.systems.quickbooks_desktop.connector.backend import Kind
from iw_operators.systems.quickbooks_desktop.connector.sql import (
    leading,
    members,
    restore,
    several,
    shape,
    transaction,
    without_comments,
)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("x = '2026-01-31 14:24:18.5'::timestamp", "x = {ts '2026-01-31 14:24:18.500'}"),
        ("x = '2026-01-31 14:24:18'::timestamp", "x = {ts '2026-01-31 14:24:18.000'}"),
        ("x = '2026-01-31'::timestamp", "x = {ts '2026-01-31 00:00:00.000'}"),
        ("x = '2026-01-31'::date", "x = {d '2026-01-31'}"),
        ("x = '03:04:05'::time", "x = {t '03:04:05'}"),
        ("x = {ts '2026-01-31 14:24:18.000'}", "x = {ts '2026-01-31 14:24:18.000'}"),
        ("x = '1.5'::float8 AND y = '2'::int4 AND z = '3'::numeric(10,2)", "x = 1.5 AND y = 2 AND z = 3"),
        ("x = '1'::bool", "x = 1"),
        ("x = y -'-1.5'::float8", "x = y - -1.5"),
        ("x = 'O''Brien::date'", "x = 'O''Brien::date'"),
        ("x = '2026-01-31''::date'", "x = '2026-01-31''::date'"),
        (r"x = E'a\\b\'c''d\n'", "x = 'a\\b''c''d\n'"),
        (r"x = 'a\b'", r"x = 'a\b'"),
        ("\"now()\" = upper(lower('upper(x)'))", "\"now()\" = {fn UCASE({fn LCASE('upper(x)')})}"),
        ("x = now()", "x = {fn NOW()}"),
        ("x = current_date", "x = {fn CURDATE()}"),
        ("SELECT NOW(), current_time, current_timestamp", "SELECT {fn NOW()}, {fn CURTIME()}, {fn NOW()}"),
        ("SELECT concat(upper(a)::text,  ' (x) '::text) FROM b", "SELECT {fn CONCAT({fn UCASE(a)},  ' (x) ')} FROM b"),
        ("SELECT LEFT(a, 3), substr(a, 1, 2)", "SELECT {fn LEFT(a, 3)}, {fn SUBSTRING(a, 1, 2)}"),
        ("SELECT {fn LEFT(a, 3)}, COUNT(*), UPPER(a)", "SELECT {fn LEFT(a, 3)}, COUNT(*), UPPER(a)"),
        ("a LEFT OUTER JOIN b ON (a.c = b.c)", "a LEFT OUTER JOIN b ON (a.c = b.c)"),
        ("SELECT strpos( a,  'x,(')", "SELECT {fn LOCATE('x,(', a)}"),
        ("SELECT strpos(substring( a from  2), 'x') +  2 - 1, b", "SELECT {fn LOCATE('x', a, 2)}, b"),
        (
            "SELECT coalesce(a, 'none'), ceil(b), ln(2), log(2), chr(65), repeat(' ', 3)",
            "SELECT {fn IFNULL(a, 'none')}, {fn CEILING(b)}, {fn LOG(2)}, {fn LOG10(2)}, {fn CHAR(65)}, {fn SPACE(3)}",
        ),
        (
            "SELECT cast(extract(year from a) as integer), (cast(extract(dow from a) as integer) + 1)",
            "SELECT {fn YEAR(a)}, {fn DAYOFWEEK(a)}",
        ),
        ("SELECT cast(extract(day from now()) as integer)", "SELECT {fn DAYOFMONTH({fn NOW()})}"),
        ("SELECT to_char(a, 'Day'),  to_char(a, 'Month')", "SELECT {fn DAYNAME(a)},  {fn MONTHNAME(a)}"),
        ("SELECT (a)::int4, (b)::varchar", "SELECT {fn CONVERT(a, SQL_INTEGER)}, {fn CONVERT(b, SQL_VARCHAR)}"),
        ("SELECT cast(current_user as text)", "SELECT {fn USER()}"),
        (
            "SELECT a.x FROM (a LEFT OUTER JOIN b ON a.c = b.c) WHERE a.x LIKE 'y!_' escape '!'",
            "SELECT a.x FROM {oj a LEFT OUTER JOIN b ON a.c = b.c} WHERE a.x LIKE 'y!_' {escape '!'}",
        ),
        ("SELECT x FROM (a LEFT OUTER JOIN b ON a.c = b.c) INNER JOIN d ON a.c = d.c",) * 2,
        (
            "SELECT x FROM a WHERE b IN (SELECT c FROM (d LEFT OUTER JOIN e ON d.f = e.f))",
            "SELECT x FROM a WHERE b IN (SELECT c FROM {oj d LEFT OUTER JOIN e ON d.f = e.f})",
        ),
        ("INSERT INTO t (a) VALUES ('coalesce(a, b)::text, current_date (')",) * 2,
        ("SELECT upper(a", "SELECT upper(a"),
        ("SELECT * FROM sp_lastinsertid Invoice", "sp_lastinsertid Invoice"),
        ("SELECT * FROM sp_columns('Invoice')", "sp_columns Invoice"),
        ("SELECT 1; ", "SELECT 1"),
        ("SELECT ';' FROM x WHERE y = 'a;b'", "SELECT ';' FROM x WHERE y = 'a;b'"),
    ],
)
def test_literals_functions_and_calls_are_put_back(sent: str, meant: str) -> None:
    """Each form that psqlodbc writes becomes the one that the application wrote; texts stay as they are."""
    assert restore(sent) == meant


def test_brackets_without_end_do_no_harm() -> None:
    """What is nested deeper than any driver reads passes as it is, and a long word takes no long time."""
    deep = f"SELECT {'(' * 20_000}1{')' * 20_000}"
    assert restore(deep) == deep
    long = f"SELECT {'a' * 1_000_000} + (1)"
    assert restore(long) == long


def test_only_leading_transaction_words_are_taken_off() -> None:
    """BEGIN, SAVEPOINT and RELEASE come off the front; a semicolon in a value divides nothing."""
    assert leading("BEGIN;SAVEPOINT _x; SELECT 'a;BEGIN;b'") == (["BEGIN", "SAVEPOINT"], "SELECT 'a;BEGIN;b'")
    assert leading("RELEASE _x;INSERT INTO t (a) VALUES (';')")[1] == "INSERT INTO t (a) VALUES (';')"
    assert leading("BEGIN") == (["BEGIN"], "")
    assert leading("BEGINNING") == ([], "BEGINNING")


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("COMMIT", "COMMIT"),
        ("commit;", "COMMIT"),
        ("END", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("ROLLBACK to _x", "SAVEPOINT"),
        ("SELECT 1", ""),
        ("UPDATE x SET y = 'COMMIT'", ""),
        ("COMMIT; DELETE FROM x", ""),
    ],
)
def test_the_end_of_a_transaction_is_known(statement: str, word: str) -> None:
    """COMMIT and ROLLBACK in all their spellings, and nothing else."""
    assert transaction(statement) == word


@pytest.mark.parametrize(
    ("statement", "label", "writes", "groups"),
    [
        ("SELECT TOP 5 * FROM \"Invoice Line\" WHERE x = 'secret'", "SELECT Invoice Line", False, False),
        ("insert into InvoiceLine (a, \"FQSaveToCache\") values ('x,(', 1)", "INSERT InvoiceLine", True, True),
        ("INSERT INTO InvoiceLine (FQSaveToCache, a) VALUES (0, 1)", "INSERT InvoiceLine", True, False),
        ("INSERT INTO InvoiceLine (FQSaveToCache) VALUES ('1')", "INSERT InvoiceLine", True, True),
        ("INSERT INTO InvoiceLine (FQSaveToCache) VALUES (TRUE)", "INSERT InvoiceLine", True, True),
        ("UPDATE Customer SET a = 'FQSaveToCache, 1'", "UPDATE Customer", True, False),
        ("DELETE FROM Customer WHERE x = 1", "DELETE Customer", True, False),
        ("sp_lastinsertid Invoice", "SP_LASTINSERTID Invoice", False, False),
        ("sp_batchstart Invoice", "SP_BATCHSTART Invoice", True, False),
        ("secret words", "OTHER", True, False),
        ("words SELECT", "OTHER", True, False),
        ("(SELECT a FROM b)", "SELECT b", False, False),
        ("SELECT 'a from Smith', 'into' FROM \"Into\"", "SELECT Into", False, False),
        ("SELECT a INTO b FROM c", "SELECT c", True, False),
        ("SELECT a FROM sp_batchstart b", "SELECT sp_batchstart", True, False),
        ("SELECT a FROM b; DELETE FROM c", "SELECT b", True, False),
        ("sp_report ProfitAndLoss show x", "SP_REPORT ProfitAndLoss", False, False),
    ],
)
def test_a_statements_shape(statement: str, label: str, writes: bool, groups: bool) -> None:
    """Verb and table for the log, never a value; what is not known to read counts as a write."""
    found = shape(statement)
    assert (found.label, found.writes, found.groups) == (label, writes, groups)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("/* SELECT */ DELETE FROM a", "  DELETE FROM a"),
        ("-- SELECT\nDELETE FROM a", " \nDELETE FROM a"),
        ("INSERT /* it's */ INTO a (b) VALUES (E'c\\'--d')", "INSERT   INTO a (b) VALUES (E'c\\'--d')"),
        ("SELECT '/* a */', \"--\" FROM b --c", "SELECT '/* a */', \"--\" FROM b  "),
        ("SELECT a /* without end", "SELECT a /* without end"),
    ],
)
def test_nothing_hides_behind_comments(sent: str, meant: str) -> None:
    """Comments come out before anything is made of a statement; what looks like one in quotation marks stays."""
    assert without_comments(sent) == meant


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        ("SELECT a FROM b; DELETE FROM c", True),
        ("SELECT a /* ' ; DELETE FROM c", True),
        ("SELECT a FROM b ; ", False),
        ("SELECT ';', \"a;b\" FROM c WHERE d = 'it''s; so'", False),
    ],
)
def test_statements_behind_a_semicolon_are_seen(statement: str, more: bool) -> None:
    """A semicolon divides statements, unless it stands in quotation marks or at the end."""
    assert several(statement) is more


def test_members_of_a_list() -> None:
    """Commas inside of quotation marks, brackets and braces do not divide."""
    assert list(members("'a,b', {fn X(1,2)}, (3,4), 'it''s', NULL")) == [
        "'a,b'",
        "{fn X(1,2)}",
        "(3,4)",
        "'it''s'",
        "NULL",
    ]


KINDS = {"amount": Kind.NUMERIC, "isactive": Kind.BOOL, "name": Kind.VARCHAR}


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (
            "INSERT INTO T (Name, Amount, IsActive, X) VALUES ('12', '-12.50', '1', '5')",
            "INSERT INTO T (Name, Amount, IsActive, X) VALUES ('12', -12.50, 1, '5')",
        ),
        (
            "UPDATE T SET Name = '5', \"Amount\" = '5' WHERE IsActive = '1'",
            "UPDATE T SET Name = '5', \"Amount\" = 5 WHERE IsActive = 1",
        ),
        (
            "DELETE FROM T WHERE Amount IN ('1', '2') AND Name = '1'",
            "DELETE FROM T WHERE Amount IN (1, 2) AND Name = '1'",
        ),
        ("SELECT * FROM T WHERE T.Amount BETWEEN '1' AND '2.5'", "SELECT * FROM T WHERE T.Amount BETWEEN 1 AND 2.5"),
        ("UPDATE T SET Amount = Amount -'-5'", "UPDATE T SET Amount = Amount - -5"),
        ("SELECT * FROM T WHERE Amount = '12a'", "SELECT * FROM T WHERE Amount = '12a'"),
        ("SELECT * FROM T WHERE Amount > 1 AND {fn UCASE(Name)} = '5'",) * 2,
        (
            "SELECT * FROM {oj T LEFT OUTER JOIN U ON T.Amount = '5'}",
            "SELECT * FROM {oj T LEFT OUTER JOIN U ON T.Amount = 5}",
        ),
    ],
)
def test_numbers_stand_bare_where_columns_hold_numbers(sent: str, meant: str) -> None:
    """Quotation marks come off for decimals and booleans, and stay for text and unknown columns."""
    assert typed.retype(sent, KINDS.get) == meant


def test_tables_of_a_statement() -> None:
    """All tables are named, those after commas and JOIN too; words in texts are not."""
    statement = "SELECT * FROM Invoice UNOPTIMIZED i, \"InvoiceLine\" JOIN Customer ON 1 = 1 WHERE x = 'FROM Y'"
    assert list(typed.tables(statement)) == ["Invoice", "InvoiceLine", "Customer"]
    assert list(typed.tables("SELECT x FROM {oj a LEFT OUTER JOIN b ON a.c = b.c}")) == ["a", "b"]
    assert not typed.suspects("SELECT 'a 5' FROM T WHERE x = 5")
