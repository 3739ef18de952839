"""QuickBooks Online on this machine: REST v3 with OAuth 2.0, query, batch, change feed, quotas and faults.

from sandbox.quickbooks_online import make
with serve(make(World())) as running: ...
"""

from sandbox.quickbooks_online.app import QuickBooksOnline, airflow_connection, make
from sandbox.quickbooks_online.options import Options

__all__ = ["Options", "QuickBooksOnline", "airflow_connection", "make"]
