"""A local QuickBooks Desktop company file behind a real ODBC driver: the connector in front of a simulated file.

    with serve(make(world)) as running:
        connection = pyodbc.connect(odbc_string(running.port))

On the same port `GET /_sandbox/stats`, `POST /_sandbox/reset` and `POST /_sandbox/faults` control it, as with the other
sandboxes; `POST /_sandbox/void` with `table` and `id` does what a bookkeeper does by hand, and `POST
/_sandbox/single_user` with `on` switches to single-user mode or back, which is refused (400) while the connector holds
the file open, as QuickBooks refuses it. Faults: modal_dialog, single_user, company_closed, licence, no_permission,
wrong_version (a statement, and opening the file), drop_in_group (before an INSERT while lines lie in the cache),
drop_before, drop_middle (of a result), drop_after_commit, stale (3200), locked_list (3175), slow (`seconds`), error.
`match` is a piece of `VERB Table` (`INSERT InvoiceLine`, `SELECT Customer`, `SP_LASTINSERTID Customer`), `OPEN`, or for
stale and locked_list `UPDATE <header or list table>` and `WRITE <header or list table>`.

Not kept: balances of accounts, quantities on hand, prices of groups, the posting of anything to the ledger, reports.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sandbox.quickbooks_desktop.options import DATABASE, PASSWORD, USER, Options
from sandbox.quickbooks_desktop.sandbox import QuickBooksDesktop, Running, make, serve

__all__ = ["DRIVER", "Options", "QuickBooksDesktop", "Running", "airflow_connection", "make", "odbc_string", "serve"]

DRIVER = {
    "driver": "PostgreSQL Unicode",
    "UseServerSidePrepare": "0",
    "Protocol": "7.4-0",
    "BatchSize": "1",
    "BoolsAsChar": "0",
    "UseDeclareFetch": "0",
    "MaxVarcharSize": "4095",
    "SSLmode": "disable",
}


def odbc_string(port: int, host: str = "127.0.0.1", **changes: str) -> str:
    """Return what pyodbc (or `isql -k`) connects with. :param changes: settings put over the usual ones."""
    parts = {"Server": host, "Port": str(port), "Database": DATABASE, "UID": USER, "PWD": PASSWORD}
    return ";".join(f"{name}={value}" for name, value in {**DRIVER, **parts, **changes}.items()) + ";"


def airflow_connection(where: str | int) -> dict[str, Any]:
    """Return the Airflow connection to a sandbox at a URL (of its control endpoint) or a port of 127.0.0.1."""
    site = urlsplit(f"http://127.0.0.1:{where}" if isinstance(where, int) else where)
    return {
        "conn_type": "quickbooks_desktop",
        "host": site.hostname,
        "port": site.port,
        "login": USER,
        "password": PASSWORD,
        "extra": {"way": "connector", "company_file": DATABASE, "sslmode": "disable", "odbc_driver": DRIVER["driver"]},
    }
