"""The connector: a program beside QuickBooks that serves its ODBC data source to Linux workers.

    server.py    the port, who may come in, the end        signin.py    TLS and the password of one client
    session.py   what a client asks, one after the other
    source.py    the writer's turn, whose id is the last   wire.py      messages of the PostgreSQL wire protocol
    thread.py    the one connection, one thing at a time
    sql.py       what psqlodbc rewrote, put back           typed.py     quotation marks around numbers taken off
    functions.py ... of functions, conversions, outer joins
    fixed.py     answers to psqlodbc's own questions       scram.py     passwords
    odbc.py      pyodbc behind the interface of backend.py health.py    what is wrong with the company file
    config.py    the configuration                         __main__.py  the program

Nothing here imports Airflow; pyodbc only when a data source is opened. docs/quickbooks-desktop.md leads through it.
"""
