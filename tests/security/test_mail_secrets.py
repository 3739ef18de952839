"""Secrets appear in no mail, and the mail server's own password nowhere (law 6)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from iw_operators import notify, xcoms
from iw_operators.ledger.store import Ledger
from iw_operators.notify.outbox import flush
from iw_operators.retry import ERROR_KEY, describe
from iw_operators.spec.models import Notify, NotifyMode
from sandbox.mail import Options, airflow_connection, serve_mail
from tests.notify.kit import TEMPLATES, Said
from tests.security import kit
from tests.security.test_secrets import WRONG, Net, echoing, fresh, net, shop, ways

__all__ = ["net", "shop"]  # fixtures

pytestmark = [pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.feature("R8", "S6")]

MAIL_PASSWORD = "PASSWORD-mail-s3cr3t!"


@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_secret_is_in_a_mail(
    shop: kit.Shop, net: Net, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Each way in which a connection fails is mailed, also where a server repeats what it was sent."""
    net.hidden |= {WRONG, MAIL_PASSWORD}
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__TEMPLATES_FOLDER", str(TEMPLATES))
    company = shop.stage.spec.company
    told = company.model_copy(update={"notify": Notify(mode=NotifyMode.EVERY_ERROR, admin=("ops@marked.example",))})
    flow = shop.stage.spec.flows[kit.SENT].model_copy(update={"company": told})
    raw = []
    with serve_mail(Options(password=MAIL_PASSWORD)) as mail, echoing(status) as echo:
        connection = airflow_connection(mail.smtp_port, password=MAIL_PASSWORD)
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        for number, (side, changes) in enumerate(ways(shop, echo)):
            fresh(shop)
            shop.connect(side, **changes)
            error = net.tried(lambda side=side: shop.stage.open(side).check())  # type: ignore[misc]  # binds the loop's value
            assert error is not None
            for task, key in (("ready", xcoms.UNREACHABLE), ("customers", "")):
                _end_run(shop, flow, f"{task}-{number}", task, error, key and side)
            shop.connect()
        raw = [str(mail.sandbox.store.raw(each["id"])) for each in mail.sandbox.store.all()]
        texts = [f"{each['subject']} {each['text']} {each['html']}" for each in mail.sandbox.store.all()]
        assert len(raw) > 5
        wrong = airflow_connection(mail.smtp_port, password=WRONG)
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(wrong))
        with ledger.engine.begin() as database:
            database.execute(sa.text("UPDATE iw_mail SET sent_at = NULL"))
        assert flush(ledger, "marked") == 0
    net.hidden |= shop.seen
    net.search(kit.dump(ledger), *raw, *texts, proof="cannot be reached")


def _end_run(shop: kit.Shop, flow: Any, name: str, task: str, error: Any, side: str) -> None:
    ledger = shop.stage.ledger
    names = {"company": "marked", "flow": flow.flow, "kind": "scheduled", "direction": "to_books"}
    run_id = ledger.begin_run(dag_run_id=name, **names)
    said = {(task, ERROR_KEY): describe(error)}
    if side:
        said[task, xcoms.UNREACHABLE] = {**describe(error), "side": side, "reached": []}
    file = kit.ROOT / "dags" / "interweave.py"
    context: Any = {"ti": Said(said), "run_id": name, "dag": SimpleNamespace(fileloc=str(file))}
    notify.after_run(flow, ledger, run_id, wrong=[f"{task}: {error}"], context=context)
