"""What is wrong with a company file, from the texts that QODBC gives.

Source: QODBC's and QuickBooks' error codes 800404xx (the QuickBooks SDK's request processor) and 31xx/32xx.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What `sp_health` says in its column `state`."""

    OPEN = "open"
    BUSY = "busy"
    OPENING = "opening"
    STOPPING = "stopping"
    CLOSED = "company_file_closed"
    MODAL_DIALOG = "modal_dialog"
    SINGLE_USER = "single_user_mode"
    LICENCE = "licence"
    PERMISSION = "no_permission"
    VERSION = "wrong_version"
    NOT_INSTALLED = "quickbooks_not_installed"
    DRIVER = "driver_missing"
    UNKNOWN = "unknown"


ADVICE: Final = {
    State.OPEN: "",
    State.BUSY: "Another statement is running; ask again when it has ended.",
    State.OPENING: "The company file is being opened, and QuickBooks started where it has to be; look for a window in"
    " QuickBooks that waits for an answer if it lasts.",
    State.STOPPING: "The connector is being stopped.",
    State.CLOSED: "Open the company file in QuickBooks, or allow QODBC to open it unattended (Preferences, Integrated"
    " Applications) and check that the path in the data source leads to it.",
    State.MODAL_DIALOG: "Close the dialog box that is showing in QuickBooks.",
    State.SINGLE_USER: "Close another company file, or switch this one to multi-user mode (File menu).",
    State.LICENCE: "Register QODBC (or QuickBooks) on this machine; the trial has ended or no seat is left.",
    State.PERMISSION: "In QuickBooks, as Admin: Edit, Preferences, Integrated Applications: let QODBC access the file.",
    State.VERSION: "The company file belongs to another version of QuickBooks than the one that is running.",
    State.NOT_INSTALLED: "Install (or repair) QuickBooks on this machine; its SDK components do not answer.",
    State.DRIVER: "Install QODBC with as many bits as this Python has, and make a System DSN of that width.",
    State.UNKNOWN: "",
}
# After these the connection is of no use any more; a modal dialog leaves it as it is.
LOSING: Final = frozenset(
    {State.CLOSED, State.SINGLE_USER, State.LICENCE, State.PERMISSION, State.VERSION, State.NOT_INSTALLED}
)
_CODES: Final = {
    State.MODAL_DIALOG: ("80040414",),
    State.CLOSED: ("80040403", "8004040D", "80040416", "80040417", "80040424"),
    State.SINGLE_USER: ("8004040A", "8004040B", "80040410", "80040422"),
    State.PERMISSION: ("80040418", "8004041A", "8004041D", "8004041E", "80040420", "80040421"),
    State.VERSION: ("80040409", "8004041F", "80040423"),
    State.LICENCE: ("80040427",),
    State.NOT_INSTALLED: ("80040401", "80040405", "80040407", "80040408"),
}
_WORDS: Final = (
    (State.MODAL_DIALOG, r"modal dialog"),
    (State.SINGLE_USER, r"single[- ]user|multi-?user mode|different (?:user )?mode"),
    (State.LICENCE, r"licen[cs]e|not registered|unregistered|expired|evaluation|demo (?:period|version)"),
    (State.DRIVER, r"data source name not found|can't open lib|specified driver|architecture mismatch|IM00[23]|IM014"),
    (State.VERSION, r"version of QuickBooks (?:is|that)|file needs to be updated"),
    (State.PERMISSION, r"permission|access (?:is )?denied|not authorized"),
    (State.CLOSED, r"could not open|company (?:data )?file|begin session|not running"),
)
_CODE: Final = re.compile(r"\b8004[0-9A-F]{4}\b", re.IGNORECASE)
_DECIMAL: Final = re.compile(r"(?<![\w.])-214722\d{4}(?![\w.])")  # the same codes, as signed numbers


@dataclass(frozen=True, slots=True)
class Health:
    """State, the data source's own words, and what to do."""

    state: State
    text: str = ""

    @property
    def advice(self) -> str:
        """Return what to do about it."""
        return ADVICE[self.state]


def state_of(text: str, *, connecting: bool = True) -> State:
    """Return what a refusal means; UNKNOWN for what is about a statement, not about the company file.

    :param connecting: whether it may be told by its words; a statement's refusal is known by its code alone, as its
        text may hold a record's words.
    """
    found = {code.upper() for code in _CODE.findall(text)}
    found |= {f"{int(code) + (1 << 32):X}" for code in _DECIMAL.findall(text)}
    for state, codes in _CODES.items():
        if found.intersection(codes):
            return state
    for state, words in _WORDS if connecting else ():
        if re.search(words, text, re.IGNORECASE):
            return state
    return State.UNKNOWN
