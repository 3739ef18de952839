"""After everything has run, well and badly: no secret in any file, table, answer or process list (law 6)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
import sqlalchemy as sa

from iw_operators.state import PREFIX
from local.airflow import REPOSITORY
from sandbox.creatio import Options as CreatioOptions
from sandbox.quickbooks_online import Options as QuickBooksOptions
from tests.e2e.companies import FLOW
from tests.e2e.running import SECOND, Run, Site
from tests.security.kit import dump

pytestmark = [pytest.mark.e2e, pytest.mark.feature("S6")]

KEYS = {"fernet.key", "api.key", "jwt.key", "passwords.json"}  # Airflow's own keys, in files that only we may read
READ_STATE = f"""
import json
from airflow.models import Variable
from airflow.utils.session import create_session
with create_session() as session:
    print(json.dumps([v.get_val() for v in session.query(Variable).filter(Variable.key.startswith("{PREFIX}"))]))
"""


def texts(value: Any) -> Iterator[str]:
    """Yield every text in JSON, also in JSON that is text itself."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name != "UserName":  # a cookie with the user's name, which is no secret
                yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str) and value.startswith(("{", "[")):
        yield from texts(json.loads(value))
    elif isinstance(value, str):
        yield value


def secrets(site: Site) -> set[str]:
    """Return what both systems are signed in with, the tokens and cookies of now, and Airflow's own keys."""
    kept = json.loads(site.airflow.run_python("-c", READ_STATE).splitlines()[-1])
    states = [json.loads(each) for each in kept]
    assert len(states) >= 2
    found = {text for state in states for name, value in state.items() if _is_secret(name) for text in texts(value)}
    home = site.airflow.home
    found |= {(home / name).read_text().strip() for name in KEYS if name.endswith(".key") and (home / name).exists()}
    books = QuickBooksOptions()
    found |= {CreatioOptions().password, books.client_secret, books.refresh_token, "not the password", "not the secret"}
    return {text for text in found if len(text) > 7 and text not in (CreatioOptions().user, "not.a.token")}


def _is_secret(name: str) -> bool:
    return name in ("cookies", "token", "access_token", "refresh_token")


def files(site: Site) -> Iterator[tuple[str, str]]:
    """Yield every file of the stack but the database's and the vendors' own data."""
    home = site.stack.home
    apart = {home / "postgres", home / "sandbox"}
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in KEYS and not apart & set(path.parents):
            yield path.relative_to(home).as_posix(), path.read_bytes().decode("utf-8", "replace")


def tables(url: str) -> Iterator[tuple[str, str]]:
    """Yield every table of a database as text."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        for name in sa.inspect(engine).get_table_names():
            rows = connection.scalars(sa.text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608  names of tables that are there
            yield f"table {name}", "\n".join(map(str, rows))
    engine.dispose()


def pages(site: Site) -> Iterator[tuple[str, str]]:
    """Yield every kind of page of the Integration Manager, as an administrator sees it."""
    company = ("", "/company", "/records", "/records?state=rejected", "/failures", "/reviews", "/mappings")
    wanted = ["/page", *(f"/c/{name}{part}" for name in ("acme", "nosecret") for part in company)]
    wanted += [f"/flow/acme.{FLOW}", "/c/acme/mappings/items", "/c/acme/mappings/items/report.csv"]
    for path in wanted:
        answer = site.airflow.request("GET", f"/iwmgr{path}")
        assert answer.status_code == 200, path
        yield f"page {path}", answer.text


def mails(site: Site) -> str:
    """Return every mail that was sent, whole."""
    url = f"{site.stack.sandboxes.url('mail')}/messages"
    found = httpx.get(url, timeout=30.0).json()
    return "\n".join(httpx.get(f"{url}/{each['id']}", timeout=30.0).text for each in found)


def processes(site: Site) -> str:
    """Return the command line of every process of the stack, as anybody on the machine sees it."""
    lines = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if str(site.stack.home) in json.dumps([process.info["cmdline"], environment.get("AIRFLOW_HOME", "")]):
            lines.append(" ".join(process.info["cmdline"] or []))
    assert lines
    return "\n".join(lines)


def in_debug(site: Site, *arguments: str) -> str:
    """Run an Airflow command with everything of ours and of our libraries logged at DEBUG; return what it printed.

    Not Airflow itself: its supervisor then logs each message between itself and a task, with variables in them.
    """
    ours = ("iw_operators", "urllib3", "requests", "sqlalchemy", "alembic")
    levels = " ".join(f"{name}=DEBUG" for name in ours)
    environment = site.airflow.environment() | {"AIRFLOW__LOGGING__NAMESPACE_LEVELS": levels}
    command = [sys.executable, "-m", "airflow", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY)
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_no_secret_is_anywhere(site: Site, first: dict[str, Run]) -> None:
    """Task and component logs, metadata (XCom, variables, audit log), ledger, answers, pages, mails, processes."""
    begun = [site.start(FLOW, company=company) for company in ("nopass", "nosecret")]
    assert {site.finish(each).state for each in begun} == {"failed"}
    run = first[FLOW]
    for company in ("acme", "nosecret"):  # what is switched off is left to `dags test`; else the scheduler takes part
        site.airflow.unpause(f"{company}.{FLOW}", paused=True)
    site.books.change("Item", site.books.rows("Item")[0], Description=f"Changed {uuid.uuid4().hex}")
    time.sleep(SECOND)  # so that there is something to log at DEBUG
    shown = {
        "processes": processes(site),
        "dags test at DEBUG": in_debug(site, "dags", "test", f"acme.{FLOW}"),
        "dags test of a failure": in_debug(site, "dags", "test", f"nosecret.{FLOW}"),
        "iw log": in_debug(site, "iw", "log", "acme"),
        "connections": json.dumps(site.airflow.get("/connections")),
        "variables": json.dumps(site.airflow.get("/variables")),
        "xcom": json.dumps(site.airflow.get(f"{run.path}/taskInstances/~/xcomEntries", params={"limit": 100})),
        "ledger": dump(site.stack.ledger),
        "mails": mails(site),
        **dict(pages(site)),
        **dict(tables(site.stack.postgres.url("airflow"))),
        **dict(files(site)),
    }
    logs = [name for name in shown if name.endswith(".log")]
    assert len(logs) > 5
    assert "debug" in shown["dags test at DEBUG"].lower(), shown["dags test at DEBUG"]
    for word in ("mapping done", "invalid_client"):  # the net has caught runs that went well and runs that did not
        assert any(word in shown[name] for name in logs)
    for secret in secrets(site):
        for name, text in shown.items():
            at = text.find(secret)
            assert at < 0, f"{name}: {text[max(0, at - 200) : at + 200].replace(secret, '<SECRET>')}"
