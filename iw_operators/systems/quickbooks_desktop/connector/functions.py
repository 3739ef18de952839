"""ODBC's functions, conversions and outer joins, which psqlodbc writes in PostgreSQL's words, put back into ODBC's.

The words are those of psqlodbc 13's own table (`mapFuncs` in convert.c) and what its other escapes become:
`{fn LOCATE('a', Name)}` is `strpos( Name,  'a')` on the wire, `{oj ...}` a bracket, `{fn CONVERT(x, SQL_INTEGER)}` is
`(x)::int4`. Not put back: INSERT, TIMESTAMPADD and TIMESTAMPDIFF, which psqlodbc writes as sums, and conversions that
it leaves out (those of literals, and to dates).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Functions that psqlodbc renames, in lower case as it writes them.
RENAMED: Final = {
    "ceil": "CEILING",
    "char_length": "LENGTH",
    "chr": "CHAR",
    "coalesce": "IFNULL",
    "concat": "CONCAT",
    "ln": "LOG",
    "log": "LOG10",
    "lower": "LCASE",
    "ltrunc": "LEFT",
    "pow": "POWER",
    "random": "RAND",
    "rtrunc": "RIGHT",
    "substr": "SUBSTRING",
    "textcat": "CONCAT",
    "trunc": "TRUNCATE",
    "upper": "UCASE",
}
# Functions that keep their name and lose their braces.
KEPT: Final = frozenset(
    [
        *("ASCII", "CONCAT", "DIFFERENCE", "LCASE", "LEFT", "LENGTH", "LOCATE", "LTRIM", "REPEAT", "REPLACE", "RIGHT"),
        *("RTRIM", "SOUNDEX", "SUBSTRING", "UCASE", "ABS", "ACOS", "ASIN", "ATAN", "ATAN2", "COS", "COT", "DEGREES"),
        *("EXP", "FLOOR", "MOD", "PI", "POWER", "RADIANS", "ROUND", "SIGN", "SIN", "SQRT", "TAN", "CURDATE", "CURTIME"),
        *("NOW", "DATABASE", "IFNULL"),
    ]
)
PARTS: Final = {
    "year": "YEAR",
    "month": "MONTH",
    "day": "DAYOFMONTH",
    "doy": "DAYOFYEAR",
    "quarter": "QUARTER",
    "week": "WEEK",
    "hour": "HOUR",
    "minute": "MINUTE",
    "second": "SECOND",
}
TYPES: Final = {
    "int2": "SQL_SMALLINT",
    "int4": "SQL_INTEGER",
    "int8": "SQL_BIGINT",
    "float4": "SQL_REAL",
    "float8": "SQL_DOUBLE",
    "numeric": "SQL_DECIMAL",
    "varchar": "SQL_VARCHAR",
    "text": "SQL_VARCHAR",
    "date": "SQL_DATE",
    "time": "SQL_TIME",
    "timestamp": "SQL_TIMESTAMP",
    "bool": "SQL_BIT",
}
DEEPEST: Final = 100  # brackets within brackets; no statement that means something has more
LONGEST: Final = 80  # characters of a function's name, its braces and blanks
LOCATE: Final = "{fn LOCATE("
FROM: Final = ("FROM", "from", "From")
NAMED: Final = {"'Day'": "DAYNAME", "'Month'": "MONTHNAME"}
WORDS: Final = {
    "current_date": "{fn CURDATE()}",
    "current_time": "{fn CURTIME()}",
    "current_timestamp": "{fn NOW()}",
    "cast(current_user as text)": "{fn USER()}",
}

_TEXT: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_MASK: Final = re.compile("\0(\\d+)\0")
_WORD: Final = re.compile(r"(?P<escape>\{\s*fn\s+)?(?P<word>[A-Za-z_]\w*)(?P<space>\s*)\Z", re.IGNORECASE)
_BRACKET: Final = re.compile(r"[()]")
_CAST: Final = re.compile(r"::(?P<type>\w+)")
_PART: Final = re.compile(r"extract\((?P<part>[a-z]+) from (?P<of>.*)\) as integer\Z", re.DOTALL)
_DAY_OF_WEEK: Final = re.compile(r"cast\(extract\(dow from (?P<of>.*)\) as integer\) \+ 1\Z", re.DOTALL)
_FROM_PLACE: Final = re.compile(r"substring\((?P<of>.*) from (?P<place>.*)\)\Z", re.DOTALL)
_SUM: Final = re.compile(r"\s*\+[^,()]* - 1")
_OUTER: Final = re.compile(r"\bOUTER\s+JOIN\b", re.IGNORECASE)
_QUERY: Final = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_JOIN: Final = re.compile(r"\s*(?:(?:INNER|LEFT|RIGHT|FULL|OUTER|CROSS)\s+)*JOIN\b", re.IGNORECASE)
_BARE: Final = re.compile(r"\b(?:current_date|current_timestamp|current_time)\b|cast\(current_user as text\)")
_ESCAPE: Final = re.compile("(?<=\\s)escape (\0\\d+\0)")


def put_back(statement: str) -> str:
    """Return a statement with ODBC's escapes in place of what psqlodbc made of them; texts and names stay."""
    kept: list[str] = []

    def mask(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    bare = _TEXT.sub(mask, statement)
    bare = _BARE.sub(lambda match: WORDS[match[0]], bare)
    bare = _ESCAPE.sub(r"{escape \1}", bare)
    if _depth(bare) > DEEPEST:
        return statement
    return _MASK.sub(lambda match: kept[int(match[1])], _brackets(bare, kept))


def _brackets(text: str, kept: list[str]) -> str:
    """Put back what stands before, in and behind each pair of brackets."""
    made, place = "", 0
    while (start := text.find("(", place)) >= 0:
        end = _closing(text, start)
        if not end:
            break
        before, inside, place = text[place:start], text[start + 1 : end - 1], end
        match = _WORD.search(before, max(0, len(before) - LONGEST))
        if match is not None and match["escape"]:
            made += f"{before}({_brackets(inside, kept)})"
        elif match is not None and (called := _called(match["word"], inside, kept)):
            made += before[: match.start()] + called
            place = _behind(called, text, place)
        else:
            word = match["word"] if match is not None and (not match["space"] or match["word"] in FROM) else ""
            group, place = _group(word, inside, text, place, kept)
            made += before + group
    return _uncast(made + text[place:])


def _called(name: str, inside: str, kept: list[str]) -> str:
    """Return a function's call in ODBC's words, nothing for what is none of its functions."""
    if name == "cast" and (part := _PART.match(inside)) and part["part"] in PARTS:
        return f"{{fn {PARTS[part['part']]}({_brackets(part['of'], kept)})}}"
    raw = [one.strip() for one in _members(inside)]
    if name == "strpos" and len(raw) == 2 and (found := _FROM_PLACE.match(raw[0])):
        parts = (_brackets(one.strip(), kept) for one in (raw[1], found["of"], found["place"]))
        return f"{LOCATE}{', '.join(parts)})}}"
    given = [_brackets(one, kept) for one in raw]
    if name == "to_char" and len(given) == 2 and (mask := _MASK.fullmatch(given[1])):
        named = NAMED.get(kept[int(mask[1])], "")
        return f"{{fn {named}({given[0]})}}" if named else ""
    if name == "strpos" and len(given) == 2:
        return f"{LOCATE}{given[1]}, {given[0]})}}"
    if name == "repeat" and len(given) == 2 and (mask := _MASK.fullmatch(given[0])) and kept[int(mask[1])] == "' '":
        return f"{{fn SPACE({given[1]})}}"
    named = RENAMED.get(name, name.upper() if name.upper() in KEPT else "")
    return f"{{fn {named}({_brackets(inside, kept)})}}" if named else ""


def _behind(called: str, text: str, place: int) -> int:
    """Return where the text goes on behind a call: LOCATE from a place on has a sum behind it."""
    if called.startswith(LOCATE) and len(list(_members(called[len(LOCATE) : -2]))) == 3:
        found = _SUM.match(text, place)
        return found.end() if found else place
    return place


def _group(word: str, inside: str, text: str, place: int, kept: list[str]) -> tuple[str, int]:
    """Return a pair of brackets that is no call of a function, and where the text behind it goes on."""
    content = _brackets(inside, kept)
    if not word and (cast := _CAST.match(text, place)) and cast["type"] in TYPES:
        return f"{{fn CONVERT({content}, {TYPES[cast['type']]})}}", cast.end()
    if not word and (day := _DAY_OF_WEEK.match(inside)):
        return f"{{fn DAYOFWEEK({_brackets(day['of'], kept)})}}", place
    joined = _OUTER.search(inside) and not _QUERY.match(inside) and not _JOIN.match(text, place)
    if joined and (not word or word in FROM):
        return f"{{oj {content}}}", place
    return f"({content})", place


def _uncast(text: str) -> str:
    """Take the casts off that psqlodbc writes behind the parts of a CONCAT."""
    return text.replace("::text", "") if "::" in text else text


def _depth(text: str) -> int:
    """Return how deep brackets are nested."""
    deepest = depth = 0
    for match in _BRACKET.finditer(text):
        depth += 1 if match[0] == "(" else -1
        deepest = max(deepest, depth)
    return deepest


def _closing(text: str, start: int) -> int:
    """Return where the bracket that opens at `start` has been closed, 0 if it is not."""
    depth = 0
    for match in _BRACKET.finditer(text, start):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return match.end()
    return 0


def _members(listed: str) -> Iterator[str]:
    """Yield what commas separate outside of brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(listed):
        depth += (letter in "({") - (letter in ")}")
        if letter == "," and not depth:
            yield listed[start:place]
            start = place + 1
    yield listed[start:]
