"""Refusals, in the shapes in which Creatio answers them. The texts are those of recorded exchanges where known."""

from __future__ import annotations

from typing import Any

INVALID_QUERY = "The query specified in the URI is not valid."
INVALID_REQUEST = "The request is invalid."
FAILED = "An error has occurred."


class Refused(Exception):
    """A request that is answered with an error: status and the JSON body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def _odata(status: int, message: str, inner: str, kind: str = "") -> Refused:
    innererror = {"message": inner, "type": kind, "stacktrace": ""}
    return Refused(status, {"error": {"code": "", "message": message, "innererror": innererror}})


def bad_query(detail: str) -> Refused:
    """Return the 400 for a query option that cannot be understood."""
    return _odata(400, f"{INVALID_QUERY} {detail}", detail)


def malformed(detail: str) -> Refused:
    """Return the 400 for a request that is not even a request."""
    return _odata(400, detail, detail)


def bad_body(detail: str) -> Refused:
    """Return the 400 for a request body that does not fit the object."""
    return _odata(400, INVALID_REQUEST, f"item : {detail}")


def failed(detail: str, kind: str = "") -> Refused:
    """Return the 500 that hides its cause in innererror."""
    return _odata(500, FAILED, detail, kind)


def database(detail: str) -> Refused:
    """Return the 500 of a row that the database does not take; `detail` is the database's own text."""
    return failed(detail, "Npgsql.PostgresException")


def deadlock() -> Refused:
    """Return the 500 of a change that SQL Server gave up in favour of another one."""
    detail = (
        "Transaction (Process ID 55) was deadlocked on lock resources with another process and has been chosen as the "
        "deadlock victim. Rerun the transaction."
    )
    return failed(detail, "System.Data.SqlClient.SqlException")


def timed_out() -> Refused:
    """Return the 500 of a change that SQL Server did not finish in time."""
    detail = (
        "Execution Timeout Expired.  The timeout period elapsed prior to completion of the operation or the server is "
        "not responding."
    )
    return failed(detail, "System.Data.SqlClient.SqlException")


def lookup_path(column: str, entity: str) -> Refused:
    """Return the 500 for a filter or an order by a lookup's own column instead of its navigation path."""
    return failed(f"Column by path {column} not found in schema {entity}.")


def unknown_property(name: str, type_name: str) -> Refused:
    """Return the 400 for a property that the object does not have."""
    return bad_query(f"Could not find a property named '{name}' on type '{type_name}'.")


def no_row(entity: str, key: str) -> Refused:
    """Return the 404 for a key that does not exist."""
    return _odata(
        404, FAILED, f"Item with identifier {key} not found in {entity}", "Terrasoft.Common.ItemNotFoundException"
    )


def no_entity_set(uri: str, name: str) -> Refused:
    """Return the 404 for an object that is not there."""
    return Refused(
        404,
        {
            "Message": f"No HTTP resource was found that matches the request URI '{uri}'.",
            "MessageDetail": f"No type was found that matches the controller named '{name}'.",
        },
    )


def method_not_allowed(method: str) -> Refused:
    """Return the 405 for a method that a resource does not have."""
    return Refused(405, {"Message": f"The requested resource does not support http method '{method}'."})


def exception(status: int, message: str, kind: str) -> Refused:
    """Return the other shape of errors, used outside of the OData pipeline."""
    body = {"Message": FAILED, "ExceptionMessage": message, "ExceptionType": kind, "StackTrace": ""}
    return Refused(status, body)
