"""What Airflow learns about this package as a provider: connection types with their forms, commands, options."""

from __future__ import annotations

from typing import Any, Final

from iw_operators import __version__

NAME: Final = "InterWeave"
SECTION: Final = "interweave"


def _option(description: str, kind: str, default: str | None, example: str | None = None) -> dict[str, Any]:
    return {"description": description, "version_added": "0.1.0", "type": kind, "example": example, "default": default}


OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "mappings_folder": _option(
        "Folder with one folder a company. When it is not set: the folder `mappings` beside the DAGs folder.",
        "string",
        None,
        "/opt/airflow/mappings",
    ),
    "ledger_conn_id": _option("Airflow connection of the ledger's PostgreSQL database.", "string", "iw_ledger"),
    "retries": _option(
        "How often a task is tried again after a failure that waiting can cure (a connection, throttling, a crash).",
        "integer",
        "5",
    ),
    "retry_delay": _option("Seconds before the first of these tries; doubled with each further one.", "float", "15"),
    "max_retry_delay": _option("Seconds between two tries at the most.", "float", "900"),
    "pool_slots": _option(
        "Slots that a company's pool is made with. One keeps a company's tasks from working at the same time.",
        "integer",
        "1",
    ),
    "smtp_conn_id": _option("Airflow connection (type SMTP) through which mails are sent.", "string", "smtp_default"),
    "mail_from": _option(
        "Address that mails come from. When it is not set: `from_email` of the connection, or else its login.",
        "string",
        None,
        "interweave@example.com",
    ),
    "templates_folder": _option(
        "Folder with the templates of mails. When it is not set: `include/email` beside the DAGs folder.",
        "string",
        None,
        "/opt/airflow/include/email",
    ),
    "base_url": _option(
        "Address of Airflow's web pages, for links in mails. When it is not set: `[api] base_url`.",
        "string",
        None,
        "https://airflow.example.com",
    ),
    "poll_interval": _option(
        "Seconds after which a run looks again whether the window before its own is done.", "float", "10"
    ),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata. Called by every Airflow process, so it imports no system."""
    from iw_operators.systems.registry import connection_types

    modules = "iw_operators"
    return {
        "package-name": "iw-operators",
        "name": NAME,
        "description": "Keeps a CRM and the accounting books in step.",
        "versions": [__version__],
        "integrations": [{"integration-name": NAME, "tags": ["service"]}],
        "connection-types": connection_types(),
        "cli": ["iw_operators.cli.get_commands"],
        "config": {SECTION: {"description": "Options of InterWeave's flows.", "options": OPTIONS}},
        "operators": [
            {
                "integration-name": NAME,
                "python-modules": [f"{modules}.operators.{name}" for name in ("query", "upsert", "sync", "report")],
            }
        ],
        "sensors": [
            {
                "integration-name": NAME,
                "python-modules": [f"{modules}.sensors.{name}" for name in ("ready", "changes")],
            }
        ],
        "triggers": [{"integration-name": NAME, "python-modules": [f"{modules}.triggers.changes"]}],
    }
