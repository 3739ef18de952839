"""How a record that is not bound finds its partner (M1, M2): keys, and what the candidates under them mean.

A key is text that both sides can make from what they hold: `id:<the books' id>`, `f:<full name>`, `c:<criteria>`.
Two records with the same key are taken for the same thing. Names and full names are compared normalised or as they
are, as `bind.normalize_names` says; phones always by what is dialled, e-mails and codes without capitals.

Normalised means: Unicode NFKC, casefold, no punctuation, one blank between words, `&` as the word and, and without
legal forms at the end (Inc., Ltd., GmbH & Co. KG). Legal forms are cleanco's list, with these differences, which
tests hold: all of several forms go (`Acme Co., Ltd.`), a name that is nothing but a legal form stays (`SA`), forms
that are also countries, states or words (UK, NL, EU, AT, CA, SC) stay, and so do symbols and emoji at the end.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import phonenumbers
from cleanco import prepare_default_terms
from cleanco.clean import normalized, strip_punct

from iw_operators.engine.model import Candidate, Value, Values

ID: Final = "id:"
FULL_NAME: Final = "f:"
CRITERIA: Final = "c:"
ID_FIELD: Final = "bind.id"  # the name under which a CRM record carries `bind.id_field`
ADDRESS: Final = ("billing.city", "billing.region", "billing.postal_code", "billing.country")

_SEPARATOR: Final = "\x1f"
# Countries, states, provinces and words that cleanco also lists as legal forms.
_PLACES: Final = frozenset(
    {
        "ad",
        "at",
        "ca",
        "da",
        "ec",
        "ee",
        "ent",
        "ep",
        "et",
        "eu",
        "mb",
        "nl",
        "ok",
        "pp",
        "private",
        "pt",
        "sc",
        "sd",
        "se",
        "sk",
        "uk",
        "vat",
    }
)
_FORMS: Final = frozenset(
    tuple("and" if part == "&" else part for part in parts)
    for _, parts in prepare_default_terms()
    if len(parts) > 1 or not _PLACES.issuperset(parts)
)
_LONGEST: Final = max(map(len, _FORMS))
_STROKE: Final = re.compile(r"\b([akp])/s\b")  # A/S, K/S, P/S: also written without
_SILENT: Final = re.compile(r"[.'’`´ʼ\u00ad]")


class Normaliser(Protocol):
    """Makes comparable text of names and phones; empty text where nothing comparable is left."""

    def name(self, text: str) -> str:
        """Return a name as it is compared."""

    def phone(self, text: str) -> str:
        """Return a phone number as it is compared."""


@dataclass(frozen=True, slots=True)
class DefaultNormaliser:
    """The normalisation described at the top of this module.

    :param country: two letters; phone numbers without a country code are read as its.
    :param names: normalise names; otherwise they have to agree in every character but blanks around them.
    """

    country: str
    names: bool = True

    def name(self, text: str) -> str:
        """Return a name as it is compared."""
        return normal_name(text) if self.names else _exact(text)

    def phone(self, text: str) -> str:
        """Return a number as E.164 with its extension, or its digits where it is no number of any country."""
        return normal_phone(text, self.country)


def _exact(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFC", text) if unicodedata.category(each) != "Cc").strip()


@functools.lru_cache(maxsize=16_384)
def normal_name(text: str) -> str:
    """Return a name without capitals, punctuation and legal form. A name of nothing else stays as it is."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    folded = _STROKE.sub(r"\1s", _SILENT.sub("", folded))
    spaced = "".join(_spaced(each) for each in folded) if not folded.isalnum() else folded
    words = spaced.split()
    kept = _without_forms(words)
    return " ".join(kept) or " ".join(text.split()).casefold()


def _spaced(character: str) -> str:
    if character.isalnum():
        return character
    if character == "&":
        return " and "
    category = unicodedata.category(character)
    if category[0] in ("P", "Z") or category == "Cc":
        return " "
    return "" if category in ("Cf", "Cs", "Cn", "Co") or "\ufe00" <= character <= "\ufe0f" else character


def _without_forms(words: list[str]) -> list[str]:
    plain = [strip_punct(normalized(word)) for word in words]
    end = len(words)
    while end:
        size = next((size for size in range(min(_LONGEST, end), 0, -1) if tuple(plain[end - size : end]) in _FORMS), 0)
        if not size or not any(word != "and" for word in words[: end - size]):
            break
        end -= size
        if words[end - 1] == "and":  # what is left of `Acme & Co`
            end -= 1
    return words[:end]


@functools.lru_cache(maxsize=16_384)
def normal_phone(text: str, country: str) -> str:
    """Return a number as `+16175550100` or `+16175550100;12`, or its digits where it cannot be read as a number."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return "".join(each for each in unicodedata.normalize("NFKC", text) if each.isdecimal())
    digits = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return f"{digits};{number.extension}" if number.extension else digits


@dataclass(frozen=True, slots=True)
class Criterion:
    """One component of `bind.else`."""

    word: str
    fields: tuple[str, ...]
    make: Callable[[Values], str]


def criteria(words: tuple[str, ...], normaliser: Normaliser) -> tuple[Criterion, ...]:
    """Return the components of a criteria key, in the mapping's order."""
    return tuple(_criterion(word, normaliser) for word in words)


def _criterion(word: str, normaliser: Normaliser) -> Criterion:
    if word == "name":
        return Criterion(word, (word,), lambda values: normaliser.name(_text(values, word)))
    if word == "phone":
        return Criterion(word, (word,), lambda values: normaliser.phone(_text(values, word)))
    if word == "address":

        def address(values: Values) -> str:
            parts = [normal_name(_text(values, field)) if values.get(field) else "" for field in ADDRESS]
            return _SEPARATOR.join(parts) if parts[0] or parts[2] else ""

        return Criterion(word, ADDRESS, address)
    return Criterion(word, (word,), lambda values: " ".join(_exact(_text(values, word)).casefold().split()))


def _text(values: Values, field: str) -> str:
    value = values.get(field)
    return value if isinstance(value, str) else "" if value is None else str(value)


def criteria_key(parts: tuple[Criterion, ...], values: Values) -> tuple[str | None, str]:
    """Return the criteria key, or None with the component that is missing (or that there are no criteria)."""
    made: list[str] = []
    for part in parts:
        text = part.make(values)
        if not text:
            return None, part.word
        made.append(text)
    return (CRITERIA + _clean(_SEPARATOR.join(made)), "") if made else (None, "")


def full_name_key(value: Value, normaliser: Normaliser) -> str | None:
    """Return the key of a full name, level by level (`Customer:Job`)."""
    levels = [normaliser.name(level) for level in (value if isinstance(value, str) else "").split(":")]
    return FULL_NAME + _clean(":".join(levels)) if all(levels) else None


def id_key(books_id: Value) -> str | None:
    """Return the key of the books' record with this id."""
    text = "" if books_id is None else str(books_id).strip()
    return ID + _clean(text) if text else None


def _clean(key: str) -> str:
    """Return a key that any database stores."""
    return key.replace("\x00", "").encode("utf-8", "replace").decode() if not key.isascii() or "\x00" in key else key


@dataclass(frozen=True, slots=True)
class Match:
    """What the candidates under a record's keys come to.

    `candidates` holds the free ones under the first key that finds any; `taken` those that belong to other sources.
    """

    by: str = ""
    key: str = ""
    candidates: tuple[Candidate, ...] = ()
    taken: tuple[Candidate, ...] = ()


def match(source_id: str, keys: tuple[str, ...], candidates: Mapping[str, Sequence[Candidate]]) -> Match:
    """Return what the first key under which anything stands has: its free candidates and the taken ones.

    A candidate bound to this very source counts as free: the binding is being made again.
    """
    for key in keys:
        found = {each.id: each for each in candidates.get(key, ())}
        if found:
            ordered = [found[each] for each in sorted(found)]
            free = tuple(each for each in ordered if each.bound_to in (None, source_id))
            taken = tuple(each for each in ordered if each.bound_to not in (None, source_id))
            return Match(key[: key.index(":") + 1], key, free, taken)
    return Match()
