"""The ledger: bindings, intents and outcomes, runs, Query Starts and the record log, in PostgreSQL.

`Ledger` is in `store`, `open_ledger` (through an Airflow connection) in `connect`.
"""
