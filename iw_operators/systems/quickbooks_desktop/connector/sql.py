"""Statements on their way from the Linux driver to the data source.

psqlodbc turns an application's statement into PostgreSQL's words before it sends it: parameters become literals with
casts, ODBC's `{ts '...'}` becomes `'...'::timestamp`, a procedure call becomes a SELECT, a transaction's BEGIN comes in
front. `restore` puts that back into the words that the application used; everything else passes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from iw_operators.systems.quickbooks_desktop.connector.functions import put_back

_LEADING: Final = re.compile(r"\s*(BEGIN|SAVEPOINT\s+\w+|RELEASE(?:\s+SAVEPOINT)?\s+\w+)\s*(?:;|\Z)", re.IGNORECASE)
_TRANSACTION: Final = re.compile(
    r"\s*(?P<word>COMMIT|ROLLBACK|END|ABORT|START\s+TRANSACTION)(?P<rest>\b[^';]*);?\s*\Z", re.IGNORECASE
)
_LITERAL: Final = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")
      | (?P<escape>\{\s*(?:d|ts|t)\s*'[^']*'\s*\})
      | (?:\b[eE](?P<slashed>'(?:[^'\\]|\\.|'')*') | (?P<text>'(?:[^']|'')*'))
        (?:::(?P<cast>timestamp(?:\s+without\s+time\s+zone)?|date|time|float[48]|int[248]|numeric|bool|boolean|bytea|text|bpchar|varchar)
           (?:\s*\(\s*\d+(?:\s*,\s*\d+)?\s*\))?)?""",
    re.VERBOSE | re.IGNORECASE,
)
_CALLED: Final = re.compile(r"\s*SELECT\s+\*\s+FROM\s+(?P<call>sp_\w+\b.*)\Z", re.IGNORECASE | re.DOTALL)
_CALL_ARGUMENTS: Final = re.compile(r"(sp_\w+)\s*\((.*)\)\s*\Z", re.IGNORECASE | re.DOTALL)
_COMMENT: Final = re.compile(
    r"""(?P<kept>"(?:[^"]|"")*" | \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*') | --[^\r\n]* | /\*.*?\*/""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
QUOTE: Final = "'"
_NUMBERS: Final = ("float", "int", "numeric")
_BACKSLASH: Final = re.compile(r"\\(.)", re.DOTALL)
_BACKSLASHED: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def without_comments(text: str) -> str:
    """Return a statement with a blank for each comment outside of quotation marks: nothing hides behind them."""
    if "--" not in text and "/*" not in text:
        return text
    return _COMMENT.sub(lambda match: match["kept"] or " ", text)


def several(statement: str) -> bool:
    """Return whether something stands behind a semicolon outside of quotation marks."""
    return ";" in statement and ";" in _QUOTED.sub("''", statement).rstrip("; \t\r\n")


def leading(statement: str) -> tuple[list[str], str]:
    """Return the transaction words in front of a statement (BEGIN, SAVEPOINT, RELEASE) and the rest."""
    words = []
    while match := _LEADING.match(statement):
        words.append(match[1].split()[0].upper())
        statement = statement[match.end() :]
    return words, statement.strip()


def transaction(statement: str) -> str:
    """Return COMMIT, ROLLBACK or BEGIN if the statement is no more than that, else an empty string."""
    match = _TRANSACTION.match(statement)
    if match is None:
        return ""
    word = match["word"].split()[0].upper()
    if word == "ROLLBACK" and re.search(r"\bTO\b", match["rest"], re.IGNORECASE):
        return "SAVEPOINT"
    return {"END": "COMMIT", "ABORT": "ROLLBACK", "START": "BEGIN"}.get(word, word)


def restore(statement: str) -> str:
    """Return the statement in ODBC's words."""
    text = put_back(_LITERAL.sub(_literal, statement)).strip().removesuffix(";").rstrip()
    if called := _CALLED.match(text):
        text = called["call"]
        if arguments := _CALL_ARGUMENTS.match(text):
            text = f"{arguments[1]} {arguments[2].strip().strip(QUOTE)}"
    return text


def _literal(match: re.Match[str]) -> str:
    text, cast = match["text"], (match["cast"] or "").lower()
    if match["slashed"]:
        text = match["slashed"]
        text = _BACKSLASH.sub(lambda m: _BACKSLASHED.get(m[1], m[1]), text[1:-1])
        text = "'" + text.replace("''", "'").replace("'", "''") + "'"
    elif text is None:
        return match[0]
    if cast.startswith("timestamp"):
        return f"{{ts '{_milliseconds(text[1:-1])}'}}"
    if cast == "date":
        return f"{{d {text}}}"
    if cast == "time":
        return f"{{t {text}}}"
    if cast.startswith(_NUMBERS):
        return unquoted(text, match)
    if cast.startswith("bool"):
        return "1" if text[1:-1].lower() in ("1", "t", "true") else "0"
    return text


def unquoted(literal: str, match: re.Match[str]) -> str:
    """Return a number without its quotation marks; two signs in a row would begin a comment."""
    number = literal[1:-1]
    return f" {number}" if number.startswith("-") and match.string.endswith("-", 0, match.start()) else number


def _milliseconds(moment: str) -> str:
    """Return `2026-01-31 14:24:18.5` with three digits of a second, as the data source's literals have them."""
    whole, _, fraction = moment.partition(".")
    return f"{whole}.{fraction[:3]:0<3}" if ":" in whole else f"{whole} 00:00:00.000"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the connector has to know about a statement.

    :param verb: its first word in capitals.
    :param table: what it reads or writes, for INSERT, UPDATE, DELETE and `sp_...` with an argument.
    :param writes: whether it may change the company file or the state of the connection.
    :param groups: an INSERT into the cache (`FQSaveToCache` is true): the group goes on after it.
    """

    verb: str
    table: str = ""
    writes: bool = False
    groups: bool = False

    @property
    def label(self) -> str:
        """Return what a log may show of the statement."""
        verb = self.verb if self.verb in _VERBS else "OTHER"
        return f"{verb} {self.table}".strip()


_FIRST: Final = re.compile(r"[\s(]*([A-Za-z_]\w*)")
_TARGET: Final = re.compile(
    r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+(?:\*\s+)?FROM|sp_\w+)\s+(?P<table>\"[^\"]+\"|[\w.]+)", re.IGNORECASE
)
_FROM: Final = re.compile(r"\bFROM\s+(?P<table>\"[^\"]+\"|[A-Za-z_][\w.]*)", re.IGNORECASE)
_INSERT: Final = re.compile(
    r"(?P<head>\s*INSERT\s+INTO\s+(?:\"[^\"]+\"|[\w.]+)\s*\((?P<names>[^)]*)\)\s*VALUES\s*\()(?P<values>.*)(?P<tail>\)\s*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_TEXT: Final = re.compile(r"'(?:[^']|'')*'")
_INTO: Final = re.compile(r"\bINTO\b", re.IGNORECASE)
_CALLS: Final = re.compile(r"\bsp_\w+", re.IGNORECASE)
_READS: Final = frozenset(
    {"SELECT", "SP_COLUMNS", "SP_TABLES", "SP_LASTINSERTID", "SP_REPORT", "SP_PRIMARYKEYS", "SP_HEALTH", "SP_VERSION"}
)
_VERBS: Final = _READS | {"INSERT", "UPDATE", "DELETE", "SP_BATCHSTART", "SP_BATCHUPDATE", "SP_BATCHCLEAR"}
_ONE: Final = frozenset({"1", "TRUE", "'1'", "'T'", "'TRUE'", "'Y'"})


def shape(statement: str) -> Shape:
    """Return what kind of statement it is (without comments). What does not plainly read counts as a write."""
    word = _FIRST.match(statement)
    verb = word[1].upper() if word else ""
    bare = _TEXT.sub("''", statement)
    target = _TARGET.match(statement) or (_FROM.search(bare) if verb == "SELECT" else None)
    table = target["table"].strip('"') if target else ""
    groups = verb == "INSERT" and (inserted(statement).get("fqsavetocache", "").upper() in _ONE)
    return Shape(verb, table, verb not in _READS or several(statement) or _writes_by_the_way(bare), groups)


def _writes_by_the_way(bare: str) -> bool:
    """Return whether a statement without its quoted texts makes a table (`SELECT ... INTO`) or calls what may write."""
    plain = _QUOTED.sub("''", bare)
    called = (word.upper() for word in _CALLS.findall(plain))
    return _INTO.search(plain) is not None or any(word not in _READS for word in called)


def inserted(statement: str) -> dict[str, str]:
    """Return the columns (in lower case) and literals of `INSERT INTO t (...) VALUES (...)`; empty if it is none."""
    match = _INSERT.match(statement)
    if match is None:
        return {}
    names = [name.strip().strip('"').lower() for name in match["names"].split(",")]
    return dict(zip(names, members(match["values"]), strict=False))


def inserted_parts(statement: str) -> tuple[str, str, str, str] | None:
    """Return what stands before the values of an INSERT, its columns, its values, and what stands after them."""
    match = _INSERT.match(statement)
    return (match["head"], match["names"], match["values"], match["tail"]) if match else None


def members(listed: str) -> Iterator[str]:
    """Yield what commas separate, outside of quotation marks and brackets."""
    depth, start, quoted = 0, 0, ""
    for place, letter in enumerate(listed):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "({":
            depth += 1
        elif letter in ")}":
            depth -= 1
        elif letter == "," and depth == 0:
            yield listed[start:place].strip()
            start = place + 1
    yield listed[start:].strip()
