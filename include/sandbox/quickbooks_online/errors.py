"""Faults as QuickBooks Online answers them.

Texts and codes: Intuit's list of error codes and recorded exchanges with Intuit's sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.quickbooks_online.wire import dumps

INACTIVE = (
    "Object Not Found : Something you're trying to use has been made inactive. "
    "Check the fields with accounts, customers, items, vendors or employees."
)
DELETED = "Object Not Found : Another user has deleted this transaction."


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of a fault."""

    code: str
    message: str
    detail: str
    element: str = ""


class Fault(Exception):
    """A refusal. `problems` are all that was found wrong; `status` the HTTP status outside a batch."""

    def __init__(self, *problems: Problem, status: int = 400, kind: str = "ValidationFault") -> None:
        super().__init__("; ".join(f"{p.code} {p.detail}" for p in problems))
        self.problems = problems
        self.status = status
        self.kind = kind

    def content(self) -> dict[str, Any]:
        """Return the value of `Fault` in an answer."""
        errors = [
            {"Message": p.message, "Detail": p.detail, "code": p.code, "element": p.element} for p in self.problems
        ]
        return {"Error": errors, "type": self.kind}


def unsupported_operation(what: str, *, status: int = 400) -> Fault:
    """500: no such path, entity or operation."""
    return Fault(Problem("500", "Unsupported Operation", f"Operation {what} is not supported."), status=status)


def not_found(detail: str = INACTIVE) -> Fault:
    """610."""
    return Fault(Problem("610", "Object Not Found", detail))


def unsupported_property(name: str) -> Problem:
    """2010: a property that the entity does not have, or a value of the wrong shape."""
    return Problem(
        "2010",
        "Request has invalid or unsupported property",
        f"Property Name:{name} specified is unsupported or invalid",
        name,
    )


def unreadable() -> Fault:
    """2010: the body is not a JSON object."""
    return Fault(unsupported_property("failed to parse json object; a property"))


def required(name: str) -> Problem:
    """2020."""
    return Problem(
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {name} is missing in the request",
        name.rpartition(".")[2],
    )


def invalid_id(value: object) -> Problem:
    """2030."""
    return Problem("2030", "Invalid ID", f"Id should be a valid number. Supplied value:{value}", "Id")


def illegal_characters(name: str) -> Problem:
    """2040."""
    return Problem("2040", "Invalid String", f"Element contains invalid characters: {name}", name)


def wrong_length(name: str, limit: int, length: int) -> Problem:
    """2050."""
    return Problem(
        "2050",
        "String length is either shorter or longer than supported by specification",
        f"String length specified does not match the supported length. Min:0 Max:{limit} supported. "
        f"Supplied length:{length}",
        name,
    )


def invalid_value(kind: str, name: str, value: object) -> Problem:
    """A value that cannot be read as its type: `kind` is date, number, boolean, email or requestid."""
    code, message = {
        "date": ("2060", "Invalid Date Format"),
        "number": ("2080", "Invalid Number Format"),
        "email": ("2210", "Invalid Email Address format"),
        "boolean": ("2230", "Invalid Boolean"),
        "requestid": ("2130", "Invalid Request Id Format"),
    }[kind]
    return Problem(code, message, f"{message} : {name}. Supplied value:{value}", name)


def invalid_enumeration(name: str, value: object) -> Problem:
    """2170."""
    return Problem("2170", "Invalid Enumeration", f"Invalid Enumeration : {value}", name)


def invalid_reference(label: str, value: object, name: str) -> Problem:
    """2500."""
    return Problem("2500", "Invalid Reference Id", f"Invalid Reference Id : {label} element id {value} not found", name)


def invalid_custom_field(definition: object) -> Problem:
    """3000."""
    return Problem("3000", "Invalid Custom Field", f"Invalid Custom Field : DefinitionId {definition}", "CustomField")


def invalid_query(detail: str) -> Fault:
    """4001."""
    return Fault(Problem("4001", "Invalid query", f"QueryValidationError: {detail}"))


def stale() -> Fault:
    """5010."""
    return Fault(
        Problem(
            "5010",
            "Stale Object Error",
            "Stale Object Error : You and root were working on this at the same time. "
            "root finished before you did, so your work was not saved.",
        )
    )


def business(detail: str, code: str = "6000") -> Fault:
    """6000."""
    message = "A business validation error has occurred while processing your request"
    return Fault(Problem(code, message, f"Business Validation Error: {detail}"))


def wrong_product(amount: object) -> Fault:
    """6070: a line's amount is not quantity times price."""
    text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{amount}"
    return Fault(Problem("6070", "Amount calculation incorrect in the request", text))


def duplicate_number(number: str, txn_type: str, txn_id: object) -> Fault:
    """6140."""
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
        f"DocNumber={number} is assigned to TxnType={txn_type} with TxnId={txn_id}"
    )
    return Fault(Problem("6140", "Duplicate Document Number Error", detail))


def closed_books() -> Fault:
    """6210."""
    detail = (
        "The account period has closed and the account books cannot be updated through the QBO Services API. "
        "Please use the QBO website to make these changes."
    )
    return Fault(Problem("6210", "Account Period Closed", detail))


def duplicate_name() -> Fault:
    """6240."""
    detail = (
        "The name supplied already exists. : Another customer, vendor or employee is already using this name. "
        "Please use a different name."
    )
    return Fault(Problem("6240", "Duplicate Name Exists Error", detail))


def deposited() -> Fault:
    """6540."""
    detail = (
        "This transaction has been deposited. If you want to change or delete it, "
        "you must edit the deposit it appears on and remove it first."
    )
    return Fault(Problem("6540", "Deposited Transaction cannot be changed", detail))


def batch_too_large(limit: int) -> Fault:
    """1040."""
    return Fault(Problem("1040", "Batch size exceeds allowed limit", f"Batch size exceeds the limit of {limit} items"))


def gateway_body(code: str, name: str, status: int, detail: str | None, kind: str, epoch: float) -> str:
    """Return the body of a fault of the gateway in front of the service: lower-case keys, `time` in milliseconds."""
    error = {
        "message": f"message={name}; errorCode={code.zfill(6)}; statusCode={status}",
        "detail": detail,
        "code": code,
        "element": None,
    }
    return dumps(
        {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [error], "type": kind},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": int(epoch * 1000),
            "status": None,
            "cdcresponse": [],
        }
    )


def throttled_body(time: str) -> str:
    """Return the body of a 429: XML, whatever was accepted."""
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<IntuitResponse time="{time}" xmlns="http://schema.intuit.com/finance/v3">\n'
        '    <Fault type="SERVICE">\n'
        '        <Error code="3001">\n'
        "            <Message>message=ThrottleExceeded; errorCode=003001; statusCode=429</Message>\n"
        "            <Detail>The request limit was reached.  Try again later</Detail>\n"
        "        </Error>\n"
        "    </Fault>\n"
        "</IntuitResponse>\n"
    )


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise one fault with all problems, if there are any."""
    if problems:
        raise Fault(*problems)
