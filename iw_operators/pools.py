"""One Airflow pool a company (law 8): its tasks run in it and in no other.

A task whose pool does not exist is never scheduled, so pools are made in two places: by `ensure_pools`, which
set-up calls for the companies that it knows, and by the scheduler when the first run of a company starts
(`iw_operators.listener`). A pool that exists is left as it is, so that its slots can be changed in Airflow.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from iw_operators import settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PREFIX = "iw_"
LONGEST = 40  # of a company's id


def pool_name(company: str) -> str:
    """Return the name of a company's pool."""
    return PREFIX + company


def ensure_pools(companies: Collection[str]) -> list[str]:
    """Make the pools that these companies lack and return the names of those made.

    Works where Airflow's metadata database may be used (command line, scheduler, API server), not in a task.
    """
    from airflow.utils.session import create_session

    with create_session() as session:
        return make_missing({pool_name(company) for company in companies}, session)


def make_missing(names: Collection[str], session: Session) -> list[str]:
    """Make the pools among `names` that do not exist, in the caller's transaction; return the names of those made.

    Two processes may do so at the same time: the second one finds nothing to do.
    """
    from airflow.models.pool import Pool
    from sqlalchemy import select

    missing = set(names) - set(session.scalars(select(Pool.pool).where(Pool.pool.in_(names))))
    if missing:
        rows = [
            {
                "pool": name,
                "slots": settings.pool_slots(),
                "description": f"InterWeave: tasks of {name.removeprefix(PREFIX)}",
                "include_deferred": False,
            }
            for name in sorted(missing)
        ]
        session.execute(_insert_or_ignore(Pool, session), rows)
    return sorted(missing)


def _insert_or_ignore(table: Any, session: Session) -> Any:
    from sqlalchemy import insert
    from sqlalchemy.dialects import postgresql, sqlite

    match session.get_bind().dialect.name:
        case "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        case "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        case _:
            return insert(table).prefix_with("IGNORE")
