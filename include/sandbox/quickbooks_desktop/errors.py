"""QODBC's refusals: its own (about SQL), and QuickBooks' (about data), with the texts and codes that clients parse.

Source: the QuickBooks SDK's status codes, and how QODBC writes them: `[QODBC] Error: 3100 - <text>`, some with a second
line `QuickBooks error message: <text>`. QODBC's own remarks carry no code. SQLSTATEs are not to be relied on.
"""

from __future__ import annotations

from typing import Final

from iw_operators.systems.quickbooks_desktop.connector.backend import BackendError

TEXTS: Final = {
    3000: 'The given object ID "{0}" in the field "{1}" is invalid.',
    3010: 'There was an error when converting the boolean value "{0}" in the field "{1}".',
    3020: 'There was an error when converting the date value "{0}" in the field "{1}".',
    3045: 'There was an error when converting the amount "{0}" in the field "{1}".',
    3060: 'There was an error when converting the quantity "{0}" in the field "{1}".',
    3070: 'The string "{0}" in the field "{1}" is too long. The maximum length is {2}.',
    3100: 'The name "{0}" of the list element is already in use.',
    3120: 'Object "{0}" specified in the request cannot be found.',
    3130: 'There is an invalid reference to a parent "{0}" in the {1} list.',
    3140: 'There is an invalid reference to QuickBooks {0} "{1}" in the {2}.',
    3150: 'There is a missing element: "{0}".',
    3151: 'The element "{0}" cannot be used in this request.',
    3152: 'There is an invalid enumerated value "{0}" in the field "{1}".',
    3160: 'Cannot delete the object specified by the id = "{0}".',
    3161: "Cannot delete the object before the closing date of the company.",
    3170: 'There was an error when modifying a {0}, element "{1}".',
    3171: "An attempt was made to modify a {0} with a date that is on or before the closing date of the company.",
    3175: 'There was an error adding, modifying, or deleting "{0}" because it is already in use.',
    3176: "The related transaction or list element is being used by another user.",
    3180: 'There was an error when saving a {0}, element "{1}".',
    3200: 'The provided edit sequence "{0}" is out-of-date.',
    3210: 'The "{0}" field has an invalid value "{1}".',
    3250: "This feature is not enabled or not available in this version of QuickBooks.",
    3260: "Insufficient permission level to perform this action.",
}
NO_RECORD: Final = "Invalid argument.  The specified record does not exist in the list."
HOST: Final = {
    "80040414": "A modal dialog box is showing in the QuickBooks user interface.  Your application cannot access"
    " QuickBooks until the user dismisses the dialog box.",
    "80040416": 'If QuickBooks is not running, a call to the "BeginSession" method must include the name of the'
    " QuickBooks company data file.",
    "80040403": "Could not open the specified QuickBooks company data file.",
    "8004040A": "A QuickBooks company data file is already open and it is different from the one requested or it is"
    " open in single-user mode.",
    "80040410": "The QuickBooks company data file is currently open in a mode other than the one specified by your"
    " application.",
    "80040427": "QuickBooks has not been registered: the licence of this installation has expired.",
    "8004041A": "This application does not have permission to access this QuickBooks company data file.",
    "80040423": "The version of qbXML that was requested is not supported or is unknown.",
}


def refusal(code: int, *values: object, quickbooks: str = "") -> BackendError:
    """Return one of QuickBooks' refusals. :param quickbooks: the second line's text."""
    text = f"[QODBC] Error: {code} - {TEXTS[code].format(*values)}"
    if quickbooks:
        text += f"\nQuickBooks error message: {quickbooks}"
    return BackendError(text, "HY000")


def host(code: str) -> BackendError:
    """Return the refusal of a QuickBooks that cannot be reached."""
    return BackendError(f"[QODBC] Error: {code} - {HOST[code]}", "HY000", lost=code != "80040414")


def syntax(expected: str) -> BackendError:
    """Return QODBC's remark on a statement that it cannot read."""
    return BackendError(f"[QODBC] Expected lexical element not found: {expected}", "37000")


def unexpected(token: str) -> BackendError:
    """Return QODBC's remark on what stands after a statement's end."""
    return BackendError(f"[QODBC] Unexpected extra token: {token}", "37000")


def no_table(name: str) -> BackendError:
    """Return QODBC's remark on an unknown table."""
    return BackendError(f"[QODBC] Invalid table name: {name}", "S0002")


def no_column(name: str) -> BackendError:
    """Return QODBC's remark on an unknown column."""
    return BackendError(f"[QODBC] Invalid column name: {name}", "S0022")


def operand(operator: str) -> BackendError:
    """Return QODBC's remark on a comparison of two types that do not go together."""
    return BackendError(f"[QODBC] Invalid operand for operator: {operator}", "37000")


def not_writable(name: str, verb: str) -> BackendError:
    """Return QODBC's remark on a column that cannot be inserted or updated."""
    return BackendError(f"[QODBC] Field is not {verb}: {name}", "HY000")
