"""Secrets appear nowhere: everything is run with marked ones, well and in each way that fails, and searched (law 6)."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from iw_operators.commands import ledger as commands
from iw_operators.errors import InterWeaveError
from iw_operators.ledger import database
from iw_operators.ledger.connect import open_ledger
from iw_operators.ledger.store import Ledger
from iw_operators.retry import describe
from iw_operators.state import MemorySecretState
from iw_operators.systems.creatio.auth import Forms, OAuth, Session
from iw_operators.systems.creatio.hook import CreatioHook
from iw_operators.systems.http import Request, Response
from iw_operators.systems.quickbooks_online.hook import Access, QuickBooksOnlineHook
from local.stack import postgres_connection
from tests.security import kit

pytestmark = [pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.feature("S6")]

LEDGER_PASSWORD = "PASSWORD-ledger-s3cr3t"


@dataclass
class Net:
    """Everything that was said anywhere, and what must not be in it."""

    log: io.StringIO
    told: list[str] = field(default_factory=list)
    hidden: set[str] = field(default_factory=lambda: {LEDGER_PASSWORD})

    def tried(self, action: Callable[[], Any]) -> InterWeaveError | None:
        """Do something; keep what it returns or raises, in every form in which that is shown."""
        try:
            self.told.append(repr(action()))
        except (InterWeaveError, SystemExit) as error:
            self.told += [str(error), repr(error), repr(error.args), "".join(traceback.format_exception(error))]
            if isinstance(error, InterWeaveError):
                self.told += [json.dumps(describe(error)), repr(vars(error))]
                return error
        return None

    def search(self, *texts: str, proof: str) -> None:
        """Fail if a secret is anywhere. `proof` has to be there: what shows that the net caught something."""
        everything = "\n".join([self.log.getvalue(), *self.told, *texts])
        assert proof in everything
        for secret in self.hidden:
            assert len(secret) > 8
            at = everything.find(secret)
            assert at < 0, everything[max(0, at - 300) : at + 100].replace(secret, "<SECRET>")


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """All logging of ours, of Airflow and of every library, at DEBUG, in one text."""
    out = io.StringIO()
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    for name, module in list(sys.modules.items()):
        if name.startswith("iw_operators.") and hasattr(module, "log") and hasattr(module.log, "bind"):
            monkeypatch.setattr(module, "log", structlog.get_logger(name))
    handler = logging.StreamHandler(out)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    levels = {
        name: logging.getLogger(name).level for name in ("urllib3", "requests", "sqlalchemy", "airflow", "Quickbooks")
    }
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield Net(out)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def shop(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, net: Net) -> Iterator[kit.Shop]:
    """A company with marked secrets."""
    kit.copy_of_acme(tmp_path / "mappings", "marked")
    with kit.shop("marked", kit.world("marked"), ledger, monkeypatch.setenv, tmp_path / "mappings") as made:
        net.hidden |= made.secrets.hidden
        monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(tmp_path / "mappings"))
        yield made


def fresh(shop: kit.Shop) -> None:
    """Forget sessions and tokens, so that everybody signs in anew."""
    for name, state in shop.stage.states.items():
        kept = kit.Recording()
        kept.seen |= state.seen if isinstance(state, kit.Recording) else set()
        shop.stage.states[name] = kept


class Echo(BaseHTTPRequestHandler):
    """Answers everything with an error that repeats all that was sent, as a careless server does."""

    status = 400

    def do_POST(self) -> None:
        """Repeat headers and body in each place where a message could stand."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        said = f"{self.path} {dict(self.headers)} {body}"
        fault = {"Error": [{"Message": said, "Detail": said, "code": "610"}], "type": "ValidationFault"}
        answer: dict[str, Any] = {
            "error": {"code": "", "message": said},
            "Message": said,
            "Fault": fault,
            "error_description": said,
        }
        if self.status == 400 and "token" in self.path:
            answer["error"] = said  # as OAuth's servers write it
        if self.status == 200:
            answer = {"Code": 1, "Message": said}
        content = json.dumps(answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815  the server's own naming

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def echoing(status: int) -> Iterator[str]:
    """Serve `Echo`; yield its address."""
    handler = type("Echo", (Echo,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_flows_that_go_well_and_each_way_in_which_they_fail(shop: kit.Shop, ledger: Ledger, net: Net) -> None:
    """Log, errors with their traces, what `report` reads, and every row of the ledger hold no secret."""
    run = shop.stage.run
    for name in (kit.SENT, kit.BACK, kit.SENT):
        net.tried(lambda name=name: run(name))  # type: ignore[misc]  # a default that binds the loop's value
    assert "created" in net.told[0]
    faults: list[tuple[str, dict[str, Any]]] = [
        ("crm", {"kind": "expire_session"}),
        ("crm", {"kind": "login_page"}),
        ("crm", {"kind": "csrf"}),
        ("crm", {"kind": "drop_before", "times": 3}),
        ("crm", {"kind": "html", "times": 3}),
        ("crm", {"kind": "status_500", "times": 3}),
        ("books", {"kind": "expire_token"}),
        ("books", {"kind": "html", "times": 3}),
        ("books", {"kind": "drop_after", "times": 3}),
        ("books", {"kind": "drop_middle", "times": 3}),
        ("books", {"kind": "status_503", "times": 3}),
        ("books", {"kind": "refresh_lost"}),
    ]
    failed = 0
    for side, spec in faults:
        if spec["kind"] in ("html", "drop_before", "refresh_lost"):
            fresh(shop)
        shop.stage.fault(side, **spec)
        failed += net.tried(lambda: run(kit.SENT)) is not None
        net.tried(lambda: run(kit.NF, only="Twin 1"))
        for url in (shop.stage.crm_url, shop.stage.books_url):
            net.tried(lambda url=url: __import__("httpx").post(f"{url}/_sandbox/faults", json={"clear": True}))  # type: ignore[misc]  # as above
    assert failed >= 4
    net.hidden |= shop.seen
    assert len(shop.seen) > 6
    net.search(kit.dump(ledger), repr(shop.stage.spec), proof="page done")


WRONG = "WRONG-s3cr3t-word"


def ways(shop: kit.Shop, echo: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield connections that do not work, by side."""
    token = f"{echo}/oauth2/v1/tokens/bearer"
    yield "crm", {"password": WRONG}
    yield (
        "crm",
        {"login": "iw-client", "password": WRONG, "extra": {"auth": "oauth", "identity_url": shop.stage.crm_url}},
    )
    yield "crm", {"host": echo}
    yield "crm", {"extra": {"auth": "oauth", "identity_url": echo}}
    yield "crm", {"host": "http://127.0.0.1:9"}
    yield "crm", {"host": f"http://{WRONG}:{WRONG}@127.0.0.1:9"}
    yield "crm", {"extra": {"auth": WRONG[:5]}}
    yield "books", {"password": WRONG}
    yield "books", {"extra": {"refresh_token": WRONG}}
    yield "books", {"extra": {"oauth_url": token}}
    yield "books", {"extra": {"base_url": echo}}
    yield "books", {"extra": {"base_url": "http://127.0.0.1:9"}}
    yield "books", {"extra": {"oauth_url": "http://127.0.0.1:9/x"}}
    yield "books", {"extra": {"base_url": f"https://{WRONG}:{WRONG}@127.0.0.1:9"}}
    yield "books", {"extra": {"realm_id": "none"}}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_connections_that_do_not_work(shop: kit.Shop, net: Net, ledger: Ledger, status: int) -> None:
    """In a task and behind the Test button, also with a server that repeats in its error what it was sent."""
    net.hidden.add(WRONG)
    with echoing(status) as echo:
        for side, changes in ways(shop, echo):
            fresh(shop)
            shop.connect(side, **changes)
            end = getattr(shop.stage.spec.company, side)
            state = shop.stage.states[end.connection]
            assert net.tried(lambda side=side: shop.stage.open(side).check()) is not None, changes  # type: ignore[misc]  # binds the loop's value
            net.tried(lambda: shop.stage.run(kit.SENT))
            hook = CreatioHook(end.connection) if side == "crm" else QuickBooksOnlineHook(end.connection, state=state)
            net.tried(hook.test_connection)
            assert net.told[-1].startswith("(False")
            shop.connect()
    net.hidden |= shop.seen
    net.search(kit.dump(ledger), proof="***")


def test_objects_that_hold_secrets_do_not_show_them(shop: kit.Shop, net: Net) -> None:
    """`repr` and `str` of hooks, clients, credentials, sessions, requests, answers and settings."""
    shop.stage.run(kit.SENT)
    net.hidden |= shop.seen
    secrets, company = shop.secrets, shop.stage.spec.company
    crm, books = CreatioHook(company.crm.connection), QuickBooksOnlineHook(company.books.connection)
    access = books.access()
    state = shop.stage.states[company.books.connection]
    client = access.client(state)
    headers = {"Authorization": f"Bearer {secrets.password}", "Cookie": f"a={secrets.password}"}
    holders = [
        crm,
        books,
        access,
        access.credentials,
        client,
        client._sign_in,
        client._sign_in._current,
        crm.auth(),
        crm.client(state),
        Forms("s", "u", secrets.password),
        OAuth("s", "i", "u", secrets.client_secret),
        Session("o", {"c": secrets.password}, secrets.password),
        Request("POST", "https://x", headers, secrets.password.encode(), (secrets.password,)),
        Response(200, {"set-cookie": secrets.password}, secrets.password.encode(), {"c": secrets.password}),
        MemorySecretState({"token": secrets.password}),
        shop.stage.open("crm"),
        shop.stage.open("books"),
        Access,
    ]
    net.told += [form(each) for each in holders for form in (repr, str)]
    net.told += [repr(getattr(shop.stage.open(side), "__dict__", {})) for side in ("crm", "books")]
    net.search(proof="Session(owner='o'")


@pytest.fixture
def marked_ledger(ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The ledger behind Airflow's connection, under a user whose password is marked."""
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS iw_marked"))
        connection.execute(sa.text(f"CREATE ROLE iw_marked LOGIN SUPERUSER PASSWORD '{LEDGER_PASSWORD}'"))
    body = {**postgres_connection(ledger_url), "login": "iw_marked", "password": LEDGER_PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", json.dumps(body))
    yield body
    with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("DROP ROLE iw_marked"))


def test_the_ledgers_password(
    marked_ledger: dict[str, Any], net: Net, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, an open ledger, a wrong password, a server that is away, a database that is not there."""
    monkeypatch.setattr(database, "QUICK", 0.2)
    options = ("flow", "mapping", "record", "state", "text", "when", "code", "run", "since", "until")
    blank = dict.fromkeys(options) | {"limit": 5, "company": "marked"}
    opened = open_ledger("iw_ledger")
    net.told += [repr(opened), repr(opened.engine), repr(opened.engine.url), opened.check(), repr(opened.__dict__)]
    opened.close()
    changes: list[dict[str, Any]] = [
        {},
        {"login": "nobody"},
        {"port": 9},
        {"schema": "nowhere"},
        {"schema": ""},
        {"extra": {"options": "-c nonsense=1"}},
        {"host": "no such host"},
    ]
    for change in changes:
        monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", json.dumps(marked_ledger | change))
        net.tried(lambda: commands.log(argparse.Namespace(**blank)))
        net.tried(lambda: Ledger.connect(f"postgresql://x:{LEDGER_PASSWORD}@127.0.0.1:9/x", patience=0.1).check())
    net.tried(lambda: Ledger.connect(f"mysql://x:{LEDGER_PASSWORD}@h/x"))
    net.tried(lambda: Ledger.connect(f"{LEDGER_PASSWORD} is no address"))
    net.search(*capsys.readouterr(), proof="does not let us in")
