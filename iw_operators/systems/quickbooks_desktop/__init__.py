"""QuickBooks Desktop over ODBC."""
