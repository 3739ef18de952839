"""Companies side by side: none can see or touch what is another's, by trying (S6, law 8)."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import inspect
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from iw_operators.commands import ledger as commands
from iw_operators.dag import build_dag, flows_of
from iw_operators.engine.model import Action, Decision
from iw_operators.errors import FixConfiguration, StopFlow
from iw_operators.ledger import tables as t
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.own import FOREIGN, NAMES_A_COMPANY, OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.spec.loader import load_all, load_company, load_flow
from iw_operators.state import AirflowSecretState, MemorySecretState
from iw_operators.systems.base import Batch, Op, Outcome, Result, Settings, Write
from iw_operators.systems.registry import open_system
from tests.ledger.kit import VIEW
from tests.security import kit

pytestmark = [pytest.mark.ledger, pytest.mark.feature("S6")]

A, B = "initech", "globex"
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
MAPPING = "customers"


# What specs may say


def company_yaml(root: Path, company: str, crm: str, books: str) -> None:
    """Write a company's own file over the one that is there."""
    text = f"company: {company}\ncrm: {{system: creatio, {crm}}}\nbooks: {{system: quickbooks_online, {books}}}\n"
    (root / company / "company.yaml").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two companies with connections of their own."""
    for company in (A, B):
        kit.copy_of_acme(tmp_path, company)
    return tmp_path


def told(root: Path, company: str) -> list[str]:
    """Return what is wrong with a company, the same however it is loaded."""
    found = {
        "all": [str(e) for e in load_all(root)[1] if f"/{company}/" in e.file],
        "one": [str(e) for e in load_company(root / company)[1]],
        "flow": [str(e) for e in load_flow(root, company, kit.SENT)[1]],
    }
    assert found["all"] == found["one"] == found["flow"]
    return found["all"]


def test_two_companies_with_connections_of_their_own_are_fine(root: Path) -> None:
    """Nothing is said, and each has its DAGs, its owner, its pool and nothing of the other's."""
    assert told(root, A) == told(root, B) == []
    for company in (A, B):
        dags = [build_dag(flow) for flow in flows_of(root) if flow.company.company == company]
        assert dags
        for dag in dags:
            assert dag.dag_id.startswith(f"{company}.")
            assert {task.pool for task in dag.tasks} == {f"iw_{company}"}
            assert {task.owner for task in dag.tasks} == {company}
            other = B if company == A else A
            assert other not in json.dumps([dag.tags, dag.description, dag.doc_md], default=list)


@pytest.mark.parametrize("connection", [f"{A}_crm", f"{A}_books", f"{A}_anything", f"{A}_crm, shared: true"])
def test_a_connection_that_is_anothers_by_its_name_is_refused(root: Path, connection: str) -> None:
    """The one who names it has no flows and is told why; the owner goes on."""
    company_yaml(root, B, f"connection: {connection}", f"connection: {B}_books")
    (error,) = told(root, B)
    assert f"{B}/company.yaml:2: crm.connection: " in error
    assert f"belongs to company {A!r}" in error
    assert told(root, A) == []
    assert {flow.company.company for flow in flows_of(root)} == {A}
    with pytest.raises(FixConfiguration, match="belongs to company"):
        flows_of(root, f"{B}.{kit.SENT}")


def test_a_connection_of_nobody_in_particular_needs_both_to_share_it(root: Path) -> None:
    """Two companies that name the same connection are refused both, unless both say that it is shared."""
    for first, second, good in (("", "", False), (", shared: true", "", False), (", shared: true",) * 2 + (True,)):
        company_yaml(root, A, f"connection: head_office{first}", f"connection: {A}_books")
        company_yaml(root, B, f"connection: head_office{second}", f"connection: {B}_books")
        assert bool(told(root, A)) is not good
        assert bool(told(root, B)) is not good
    company_yaml(root, A, f"connection: {A}_crm, shared: true", f"connection: {A}_books")
    company_yaml(root, B, f"connection: {A}_crm, shared: true", f"connection: {B}_books")
    assert told(root, A) == told(root, B) == []


def test_writing_a_name_otherwise_does_not_hide_it(root: Path) -> None:
    """Escapes, anchors and a broken rest of the file do not get a company another's connection."""
    for crm in (f'connection: "\\x69{A[1:]}_crm"', f"connection: &c {A}_crm, locale: *c", f"connection: {A}_crm, x: 1"):
        company_yaml(root, B, crm, f"connection: {B}_books")
        assert told(root, B)
        assert {flow.company.company for flow in flows_of(root)} == {A}


def test_both_ends_of_a_company_are_two_connections(root: Path) -> None:
    """One connection cannot be the CRM and the books at once."""
    company_yaml(root, B, "connection: c", "connection: c")
    assert "books.connection: is the CRM's connection too" in told(root, B)[0]


def test_a_connection_of_another_kind_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec that names the ledger's connection, or the other system's, gets no sign-in with its password."""
    ledger = {"conn_type": "postgres", "host": "db", "login": "iw", "password": "MARK-ledger", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", json.dumps(ledger))
    for system in ("creatio", "quickbooks_online"):
        with pytest.raises(FixConfiguration, match="is of the type postgres") as caught:
            open_system(system, "iw_ledger", Settings(MemorySecretState()))
        assert "MARK" not in str(caught.value)


# What the ledger gives


def decision(record: str, action: Action = Action.CREATE, **fields: Any) -> Decision:
    """Return a decision about a record."""
    return Decision(action, record, "because", label=f"Label {record}", send={"name": "N"}, **fields)


@pytest.fixture
def filled(ledger: Ledger) -> dict[str, RunRef]:
    """Two companies with equal ids in everything: bindings, doubts, waiting, index, Query Starts, log."""
    runs = {}
    for company in (A, B):
        own = OwnLedger.of(ledger, company)
        run_id = own.begin_run(company=company, flow="F", dag_run_id="r", kind="scheduled", direction="to_books")
        own.set_window(run_id, None, NOW)
        run = runs[company] = RunRef(run_id, company, "F", MAPPING, "f", 1, "crm")
        own.begin_mapping(run_id, MAPPING, "f", 1)
        writes = {each: Write(f"key-{each}", Op.CREATE, VIEW, {"name": f"of {company}"}) for each in ("1", "2")}
        for each, write in writes.items():
            plans = {write.key: replace(decision(each), why=f"mark of {company}")}
            own.begin_batch(run, side="books", kind="record", batch=Batch(f"b{each}", (write,)), decisions=plans)
            if each == "1":  # the other one stays in doubt
                outcome = Outcome(write.key, Result.APPLIED, f"{company}-books-1", "0", {"number": company})
                own.end_batch(run, Batch("b1", (write,)), [outcome], plans)
        own.record(run, [decision("3", Action.UNKNOWN), decision("4", Action.REJECT, code=f"code.{company}")])
        own.index_put(company, MAPPING, "books", [("9", f"label of {company}", ["c:same"])])
        own.index_done(company, MAPPING, "books", NOW, f"signature of {company}")
        own.move_query_starts(company, "F", NOW, by=company, run_id=run_id)
        own.end_run(run_id, "success", error=f"error of {company}")
    return runs


Call = Callable[[OwnLedger, str, RunRef], Any]
WRITE = Write("key-2", Op.CREATE, VIEW, {})
# Every method of the ledger that names a company or a run, called with `company` and a run of it.
CALLS: dict[str, Call] = {
    "begin_run": lambda own, c, r: own.begin_run(company=c, flow="F", dag_run_id="r", kind="k", direction="d"),
    "find_run": lambda own, c, r: own.find_run(c, "F", "r"),
    "set_window": lambda own, c, r: own.set_window(r.run_id, NOW, NOW),
    "window": lambda own, c, r: own.window(r.run_id),
    "begin_mapping": lambda own, c, r: own.begin_mapping(r.run_id, MAPPING, "stolen", 1),
    "end_mapping": lambda own, c, r: own.end_mapping(r.run_id, MAPPING, 1, 99),
    "end_run": lambda own, c, r: own.end_run(r.run_id, "failed", "stolen"),
    "summary": lambda own, c, r: own.summary(r.run_id),
    "rejections": lambda own, c, r: own.rejections(iter([r.run_id]), 5),
    "query_starts": lambda own, c, r: own.query_starts(c, "F"),
    "move_query_starts": lambda own, c, r: own.move_query_starts(c, "F", NOW, by="stolen", back=True),
    "query_starts_history": lambda own, c, r: own.query_starts_history(c, "F"),
    "bindings": lambda own, c, r: own.bindings(c, MAPPING, "crm", ["1"]),
    "references": lambda own, c, r: own.references(c, MAPPING, "crm", ["1"]),
    "bind": lambda own, c, r: own.bind(c, MAPPING, crm_id="stolen", books_id="stolen"),
    "unbind": lambda own, c, r: own.unbind(c, MAPPING, "crm", "1"),
    "pending_write_backs": lambda own, c, r: own.pending_write_backs(c, MAPPING, 10),
    "index_state": lambda own, c, r: own.index_state(c, MAPPING, "books"),
    "index_put": lambda own, c, r: own.index_put(c, MAPPING, "books", [("stolen", "stolen", ["k"])]),
    "index_done": lambda own, c, r: own.index_done(c, MAPPING, "books", NOW, "stolen"),
    "index_clear": lambda own, c, r: own.index_clear(c, MAPPING, "books"),
    "candidates": lambda own, c, r: own.candidates(c, MAPPING, "books", ["c:same"]),
    "begin_batch": lambda own, c, r: own.begin_batch(
        r, side="books", kind="record", batch=Batch("stolen", (WRITE,)), decisions={"key-2": decision("2")}
    ),
    "end_batch": lambda own, c, r: own.end_batch(
        r, Batch("b2", (WRITE,)), [Outcome("key-2", Result.REJECTED)], {"key-2": decision("2")}
    ),
    "open_batches": lambda own, c, r: own.open_batches(c, MAPPING),
    "record": lambda own, c, r: own.record(r, [decision("stolen", Action.SKIP)]),
    "waiting": lambda own, c, r: own.waiting(c, MAPPING, "crm"),
    "forget_waiting": lambda own, c, r: own.forget_waiting(c, MAPPING, "crm", ["3"]),
    "log": lambda own, c, r: own.log(company=c),
    "prune": lambda own, c, r: own.prune(c, NOW.replace(year=2099)),
    "working": lambda own, c, r: own.working(c, MAPPING).__enter__(),
}


def guarded() -> dict[str, Any]:
    """Return the ledger's public methods that say whose rows they are about."""
    found = inspect.getmembers(Ledger, inspect.isfunction)
    return {n: m for n, m in found if n[0] != "_" and NAMES_A_COMPANY & set(inspect.signature(m).parameters)}


def test_no_method_gives_or_takes_what_is_anothers(ledger: Ledger, filled: dict[str, RunRef]) -> None:
    """Company B's ledger refuses each method called with A's name or A's run, and nothing of A's changes."""
    own, before = OwnLedger.of(ledger, B), kit.dump(ledger)
    methods = guarded()
    assert len(methods) >= len(CALLS) > 25
    for name, method in methods.items():
        for attempt in _attempts(name, method, own, filled):
            with pytest.raises(StopFlow) as caught:
                attempt()
            assert caught.value.code == FOREIGN, name
    assert kit.dump(ledger) == before


def _attempts(name: str, method: Any, own: OwnLedger, filled: dict[str, RunRef]) -> Iterator[Callable[[], Any]]:
    """Yield calls of a method with A's name and run, with A's run alone, and with A's name alone."""
    call = CALLS.get(name)
    if call is None:  # a method that is newer than the list: by its parameters
        yield lambda: _called_with(own, name, A, filled[A])
        return
    parameters = inspect.signature(method).parameters
    yield lambda: call(own, A, filled[A])
    if "company" not in parameters or parameters["company"].default is None:
        yield lambda: call(own, B, replace(filled[A], company=B))
    else:
        yield lambda: call(own, A, filled[B])


def _called_with(own: OwnLedger, name: str, company: str, run: RunRef) -> Any:
    values = {"company": company, "run": run, "run_id": run.run_id, "run_ids": [run.run_id]}
    wanted = inspect.signature(getattr(Ledger, name)).parameters
    arguments = {p: values.get(p) for p in wanted if p != "self"}
    return getattr(own, name)(**arguments)


def test_every_kind_of_row_is_asked_for_by_company(ledger: Ledger, filled: dict[str, RunRef]) -> None:
    """Equal ids everywhere: what A reads says nothing of B, method by method, also without the guard around it."""
    for reader in (ledger, OwnLedger.of(ledger, A)):
        reads: tuple[str, ...] = (
            "bindings",
            "references",
            "pending_write_backs",
            "open_batches",
            "waiting",
            "index_state",
            "candidates",
        )
        reads += ("log", "query_starts_history", "summary", "rejections", "find_run")
        for name in reads:
            found = repr(CALLS[name](reader, A, filled[A]))  # type: ignore[arg-type]  # the plain ledger does the same
            assert B not in found, name
            assert found not in ("[]", "{}", "None"), name


def test_the_log_is_searched_within_the_company(ledger: Ledger, filled: dict[str, RunRef]) -> None:
    """No search text leads out: not the other's words, not a wildcard, not SQL."""
    own = OwnLedger.of(ledger, A)
    assert own.log(company=A, text="mark of")
    for text in (B, f"mark of {B}", "%", "_", "' OR company <> 'x", "x') OR 1=1 --", "\\", "%' UNION SELECT", "\x00"):
        assert all(row.company == A for row in own.log(company=A, text=text))
    assert own.log(company=A, text="%") == []
    assert own.log(company=A, run_id=filled[A].run_id)
    with pytest.raises(StopFlow):
        own.log(company=A, run_id=filled[B].run_id)


def test_the_database_itself_refuses_rows_across_companies(ledger: Ledger, filled: dict[str, RunRef]) -> None:
    """Rows that name a run or a batch of another company are refused by foreign keys, whoever writes them."""
    run = filled[A].run_id
    with ledger.engine.connect() as connection:
        batch = connection.scalar(sa.select(t.batch.c.id).where(t.batch.c.company == A).limit(1))
    common: dict[str, Any] = {"company": B, "mapping": "m", "attempt": 1, "fingerprint": "f"}
    rows: list[tuple[sa.Table, dict[str, Any]]] = [
        (t.run_mapping, common | {"run_id": run}),
        (t.batch, common | {"run_id": run, "key": "k", "kind": "record", "side": "crm", "flow": "F", "source": "crm"}),
        (
            t.intent,
            {"company": B, "batch_id": batch, "position": 9, "key": "k", "op": "create", "state": "sent"}
            | {"values": {}, "decision": {}},
        ),
        (
            t.log,
            common
            | {"run_id": run, "flow": "F", "side": "crm", "source_id": "1", "operation": "none", "action": "skipped"}
            | {"why": "", "changes": [], "candidates": [], "awaits": [], "standing": "counted"},
        ),
        (t.query_start_history, {"company": B, "flow": "F", "new": NOW, "by": "x", "run_id": run}),
    ]
    for table, row in rows:
        with pytest.raises(sa.exc.IntegrityError, match="foreign key"), ledger.engine.begin() as connection:
            connection.execute(sa.insert(table).values(row))
        with ledger.engine.begin() as connection:  # the same row for the run's own company is taken
            connection.execute(sa.insert(table).values(row | {"company": A}))
            connection.rollback()
    keyed = [table.name for table in t.metadata.sorted_tables if "company" not in table.c]
    assert keyed == []


def test_locks_are_the_companys_own(ledger: Ledger) -> None:
    """Work of one company on a mapping never waits for the same mapping of another."""
    with OwnLedger.of(ledger, A).working(A, MAPPING), ledger.lock(f"sync:{B}:{MAPPING}", wait=False) as free:
        assert free
        with ledger.lock(f"sync:{A}:{MAPPING}", wait=False) as taken:
            assert not taken


def test_state_keys_are_told_apart() -> None:
    """Each connection's tokens are under a name of their own, and no name leads to another's."""
    names = {AirflowSecretState(key, None).variable for key in (f"{A}_crm", f"{B}_crm", f"{A}_books")}
    assert len(names) == 3
    for key in ("../x", "a/b", "a b", "", "x" * 201, "a\n", "ä"):
        with pytest.raises(FixConfiguration):
            AirflowSecretState(key, None)


# What the command line shows


def cli(function: Callable[[Any], None], **arguments: Any) -> str:
    """Run a command; return what it printed, or how it refused."""
    out = io.StringIO()
    unsaid = ("flow", "mapping", "record", "state", "text", "when", "code", "run", "since", "until")
    blank = dict.fromkeys(unsaid) | {"limit": 50}
    with contextlib.redirect_stdout(out):
        try:
            function(argparse.Namespace(**blank | arguments))
        except SystemExit as error:
            return str(error)
    return out.getvalue()


@pytest.mark.usefixtures("ledger", "ledger_connection")
def test_commands_show_one_company(filled: dict[str, RunRef], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`airflow iw log` and `query-starts` of a company show nothing of another; a name that is a path is none."""
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(root))
    for arguments in ({}, {"record": "1"}, {"text": B}, {"flow": "F"}, {"state": "rejected"}):
        assert B not in cli(commands.log, company=A, **arguments)
    assert "initech" in cli(commands.log, company=A, text="mark of")
    for company in (f"{A}' OR '1'='1", f"../{B}", "%", ""):
        assert cli(commands.log, company=company) == "No rows.\n"
        assert "has no flow" in cli(commands.query_starts, company=company, flow=kit.SENT)
    assert "has no flow" in cli(commands.query_starts, company=A, flow=f"../{B}/{kit.SENT}")


# Side by side


@pytest.fixture
def shops(ledger: Ledger, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[kit.Shop, kit.Shop]]:
    """Two companies with equal ids and names, the same ledger, and sandboxes of their own."""
    with (
        kit.shop(A, kit.world(A), ledger, monkeypatch.setenv, root, realm="9130350000000001") as first,
        kit.shop(B, kit.world(B), ledger, monkeypatch.setenv, root, realm="9130350000000002") as second,
    ):
        yield first, second


@pytest.mark.sandbox
def test_twins_end_with_their_own_data_only(shops: tuple[kit.Shop, kit.Shop], ledger: Ledger) -> None:
    """Equal ids, equal names, equal run ids, taking turns: each side holds its own marks and never the other's."""
    for flow in (kit.SENT, kit.BACK, kit.SENT):
        for shop in shops:  # the books' stamps are whole seconds: what has just changed is read a second later
            shop.stage.pass_time(2)
        counts = [{name: done.counts for name, done in shop.stage.run(flow).items()} for shop in shops]
        assert counts[0] == counts[1]
    for shop, other in (shops, shops[::-1]):
        assert f"belongs to {shop.name}" in shop.books
        for held in (shop.crm, shop.books):
            assert other.name not in held
        rows = ledger.log(company=shop.name, limit=1000)
        assert rows
        assert other.name not in repr(rows)
        assert not shop.seen & other.seen
    bindings = [
        ledger.bindings(shop.name, MAPPING, "crm", [kit.number("account", n) for n in range(3)]) for shop in shops
    ]
    assert bindings[0].keys() == bindings[1].keys()
    assert len(bindings[0]) == 3


@pytest.mark.sandbox
def test_one_companys_sign_in_opens_nothing_of_anothers(shops: tuple[kit.Shop, kit.Shop]) -> None:
    """Neither passwords nor tokens nor kept sessions of one are taken by the other's systems."""
    first, second = shops
    first.stage.run(kit.SENT)
    for side, changes in (
        ("crm", {"host": second.stage.crm_url}),
        ("books", {"extra": {"base_url": second.stage.books_url}}),
        (
            "books",
            {
                "extra": {
                    "base_url": second.stage.books_url,
                    "oauth_url": second.stage.books_url + "/oauth2/v1/tokens/bearer",
                }
            },
        ),
        ("books", {"extra": {"realm_id": second.secrets.realm}}),
    ):
        before = second.stage.requests(side), second.books, second.crm
        first.connect(side, **changes)
        with pytest.raises((FixConfiguration, Exception)) as caught:
            first.stage.open(side).check()
        assert type(caught.value).__module__ == "iw_operators.errors"
        assert (second.books, second.crm) == before[1:]
        first.connect()
