"""Brings an Airflow home up to date: both databases migrated, connections and pools there.

Runs in Airflow's environment as a process of its own; reads connections as JSON from standard input.
"""

from __future__ import annotations

import json
import sys

from airflow.models import Connection
from airflow.utils import db
from airflow.utils.session import create_session

from iw_operators.ledger.connect import open_ledger
from iw_operators.pools import ensure_pools
from iw_operators.settings import ledger_conn_id, mappings_folder
from iw_operators.spec.loader import load_all


def main() -> None:
    """Do all of it; every step may be repeated."""
    connections = json.load(sys.stdin)
    db.initdb()
    with create_session() as session:
        for conn_id, body in connections.items():
            fresh = Connection.from_json(json.dumps(body), conn_id=conn_id)
            old = session.query(Connection).filter(Connection.conn_id == conn_id).one_or_none()
            if old is not None:
                session.delete(old)
                session.flush()
            session.add(fresh)
    specs, _ = load_all(mappings_folder())
    ensure_pools(list(specs))
    open_ledger(ledger_conn_id()).close()


if __name__ == "__main__":
    main()
