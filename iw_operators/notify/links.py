"""Where people look: addresses of pages of Airflow and of the Integration Manager in it."""

from __future__ import annotations

from urllib.parse import quote, urlencode

MANAGER = "iwmgr"


def airflow_run(base: str, dag_id: str, dag_run_id: str) -> str:
    """Return the address of a run in Airflow; empty where `base` is not known."""
    return f"{base}/dags/{_part(dag_id)}/runs/{_part(dag_run_id)}" if base else ""


def flow_page(base: str, dag_id: str) -> str:
    """Return the address of a flow's page."""
    return f"{base}/{MANAGER}/flow/{_part(dag_id)}" if base else ""


def run_log(base: str, company: str, run_id: int) -> str:
    """Return the address of the record log of a run."""
    return f"{base}/{MANAGER}/c/{_part(company)}/records?{urlencode({'run': run_id})}" if base else ""


def failures(base: str, company: str) -> str:
    """Return the address of a company's failed records."""
    return f"{base}/{MANAGER}/c/{_part(company)}/failures" if base else ""


def _part(text: str) -> str:
    return quote(text, safe="")
