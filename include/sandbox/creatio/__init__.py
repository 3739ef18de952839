"""A local Creatio that speaks its wire protocol: forms and OAuth sign-in, OData 4, $batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.creatio.sandbox import CreatioSandbox, Options
from sandbox.seed.world import World

CALLS_SECRET = "sandbox-secret-of-calls-0123456789"  # what a business process here would sign its calls with

__all__ = ["CALLS_SECRET", "CreatioSandbox", "Options", "airflow_connection", "make"]


def make(world: World, *, path: Path | None = None, **options: Any) -> CreatioSandbox:
    """Return a sandbox that holds `world`.

    :param path: the SQLite file; one that is filled already is kept as it is. None keeps everything in memory.
    :param options: see `Options`.
    """
    return CreatioSandbox(world, path=path, options=Options(**options))


def airflow_connection(base_url: str) -> dict[str, Any]:
    """Return the Airflow connection to a sandbox at `base_url`, as the content of `--conn-json`."""
    defaults = Options()
    site = urlsplit(base_url)
    return {
        "conn_type": "creatio",
        "schema": site.scheme,
        "host": site.hostname,
        "port": site.port,
        "login": defaults.user,
        "password": defaults.password,
        "extra": {"auth": "forms", "platform": "core", "webhook_secret": CALLS_SECRET},
    }
