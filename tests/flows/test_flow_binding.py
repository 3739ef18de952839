"""First binding and real time between both sandboxes."""

from __future__ import annotations

import pytest

from iw_operators.binding import Job, bind_approved, find_partners
from iw_operators.engine.model import Action
from iw_operators.ledger.inbox import Item
from iw_operators.ledger.model import RunRef
from iw_operators.ledger.reviews import Choice, ReviewRow
from iw_operators.systems.creatio.batch import Part
from tests.flows.conftest import TO_BOOKS, Company, guid

pytestmark = [pytest.mark.sandbox, pytest.mark.ledger]

BIND, BACK = "CRAcct2QBCustBind", "QBCust2CRAcctBind"
CALLED, CALLED_BACK = "CRAcct2QBCustQ", "QBCust2CRAcctQ"
PHONE = "(617) 555-0142"


def account(company: Company, number: int, name: str, phone: str = PHONE) -> str:
    """Make an account that has sold nothing, so that no flow brings it to the books."""
    ident = guid(1, number)
    (answer,) = company.crm.write(
        [Part("POST", "Account", {"Id": ident, "Name": name, "Phone": phone, "UsrActive": True})]
    )
    assert answer.status == 201, answer
    return ident


def customer(company: Company, name: str, phone: str = PHONE) -> str:
    """Make a customer in the books."""
    made = company.book("Customer", "create", {"DisplayName": name, "PrimaryPhone": {"FreeFormNumber": phone}})
    return str(made["Id"])


def find(company: Company, flow_name: str, name: str) -> tuple[Job, dict[str, ReviewRow]]:
    """Look for partners; return what binding needs, and the sheet by record."""
    stage = company.stage
    company.wait(seconds=2)
    flow = stage.spec.flows[flow_name]
    (mapping,) = flow.mappings
    side, other = ("crm", "books") if flow.direction.value == "to_books" else ("books", "crm")
    run_id = stage.ledger.begin_run(
        company="acme", flow=flow.flow, dag_run_id=name, kind=flow.kind.value, direction=flow.direction.value
    )
    run = RunRef(
        run_id, "acme", flow.flow, mapping.mapping, mapping.fingerprint, 1, "crm" if side == "crm" else "books"
    )
    job = Job(stage.open(side), stage.open(other), stage.ledger, run, page_size=2)
    find_partners(flow, mapping, job)
    return job, {row.source_id: row for row in stage.ledger.review_rows(run_id)}


def bind(company: Company, flow_name: str, job: Job) -> None:
    """Bind what is approved."""
    flow = company.stage.spec.flows[flow_name]
    bind_approved(flow, flow.mappings[0], job)


@pytest.mark.feature("P4", "M1", "M2")
def test_nothing_is_written_before_the_approval_and_then_the_crm_knows_its_partners(company: Company) -> None:
    """Looking writes nothing; what is approved is bound, the account learns of it, and syncs from then on."""
    same, near = account(company, 71, "Marlow Mills"), account(company, 72, "Hale & Sons, Inc.")
    ids = customer(company, "Marlow Mills"), customer(company, "HALE AND SONS", PHONE)
    before = company.rows("Account"), company.native("Customer")
    job, rows = find(company, BIND, "b1")
    assert (company.rows("Account"), company.native("Customer")) == before
    assert {each: (rows[each].finding, rows[each].target_id) for each in (same, near)} == {
        same: ("exact", ids[0]),
        near: ("candidate", ids[1]),
    }
    company.stage.ledger.approve_exact("acme", job.run.run_id, by="maria")
    bind(company, BIND, job)
    assert company.partner("customers", same) == ids[0]
    assert not company.bound("customers", near)
    held = company.row("Account", same)
    assert held is not None
    assert (held["UsrQBId"], held["UsrQBFullName"]) == (ids[0], "Marlow Mills")
    company.edit("Account", same, Notes="after binding")
    company.run(TO_BOOKS)
    (native,) = [row for row in company.native("Customer") if row["Id"] == ids[0]]
    assert native["Notes"] == "after binding"


@pytest.mark.feature("P4")
def test_from_the_books_and_with_a_partner_that_a_person_names(company: Company) -> None:
    """A customer that matches nobody is bound to the account that a person names."""
    wanted = account(company, 73, "Quarry Lane Trading", "(617) 555-0101")
    alone = customer(company, "QLT")
    job, rows = find(company, BACK, "b2")
    assert rows[alone].finding == "none"
    choice = Choice(rows[alone].id, "approved", wanted)
    assert company.stage.ledger.decide_review("acme", job.run.run_id, [choice], by="maria") == []
    bind(company, BACK, job)
    assert company.partner("customers", wanted) == alone
    held = company.row("Account", wanted)
    assert held is not None
    assert held["UsrQBId"] == alone


@pytest.mark.feature("R12")
def test_a_called_record_goes_alone(company: Company) -> None:
    """Of two changed accounts the one that was called is in the books; the other waits for its scheduled flow."""
    for number in (0, 1):
        company.edit("Account", guid(1, number), Notes="changed")
    item = Item("crm", "Account", guid(1, 0), "e1", "customers", CALLED)
    company.stage.ledger.put_calls("acme", [item])
    assert company.run(CALLED)["customers"].counts == {"updated": 1}
    noted = {row["Id"] for row in company.native("Customer") if row.get("Notes") == "changed"}
    assert noted == {company.partner("customers", guid(1, 0))}
    assert company.moved(TO_BOOKS, "customers") == {"updated": 1}


@pytest.mark.feature("R12", "B3")
def test_the_echo_of_our_own_write_is_nothing(company: Company) -> None:
    """What the other system calls about because we wrote it comes out as unchanged, and writes nothing back."""
    partner = company.partner("customers", guid(1, 0))
    company.edit("Account", guid(1, 0), Notes="echo")
    company.stage.ledger.put_calls("acme", [Item("crm", "Account", guid(1, 0), "e1", "customers", CALLED)])
    company.run(CALLED)
    before = company.row("Account", guid(1, 0))
    company.stage.ledger.put_calls("acme", [Item("books", "Customer", partner, "e2", "customers", CALLED_BACK)])
    assert company.run(CALLED_BACK)["customers"].counts == {"unchanged": 1}
    assert company.row("Account", guid(1, 0)) == before


@pytest.mark.feature("R12")
def test_a_called_deletion_is_noticed(company: Company) -> None:
    """An account that was deleted follows the mapping's policy at once: a person decides."""
    company.drop("Opportunity", guid(3, 2))
    company.drop("Account", guid(1, 2))
    company.stage.ledger.put_calls("acme", [Item("crm", "Account", guid(1, 2), "e1", "customers", CALLED)])
    assert company.run(CALLED)["customers"].counts == {"held": 1}
    assert company.newest(guid(1, 2)).action is Action.HOLD
