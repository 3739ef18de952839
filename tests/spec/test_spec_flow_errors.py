"""Each kind of error in flows, in the company and in the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from iw_operators.spec.catalogues import Library
from iw_operators.spec.loader import load_all, load_flow
from iw_operators.spec.models import Company, Direction, FlowKind
from tests.spec.demo import Changes, Load, Write


def flow(name: str, keys: str) -> Changes:
    """Put a fourth flow in line 11 of the flows."""
    return {"flows.yaml": ("    window: 12h\n", f"    window: 12h\n  {name}: {{{keys}}}\n")}


CASES: dict[str, tuple[Changes, str]] = {
    "an ampersand": (
        flow("PCAcct&Opp2PB", "mappings: [items]"),
        "flows.yaml:11: flows.PCAcct&Opp2PB: a flow's id cannot hold '&'; expected letters, digits and _ only; "
        "did you mean PCAcctOpp2PB?",
    ),
    "quotation marks": (
        flow("'PC\"Acct\"'", "mappings: [items]"),
        "flows.yaml:11: flows.PC\"Acct\": a flow's id cannot hold '\"'; expected letters, digits and _ only; "
        "did you mean PCAcct?",
    ),
    "other letters": (
        flow("Kunden für alle", "mappings: [items]"),
        "flows.yaml:11: flows.Kunden für alle: a flow's id cannot hold ' ', 'ü'; expected letters, digits and _ only; "
        "did you mean Kundenfralle?",
    ),
    **{
        f"{key} for the kind {suffix}": (
            flow(f"PCAcct2PBCust{suffix}", f"mappings: [items], {key}: {value}"),
            f"flows.yaml:11: flows.PCAcct2PBCust{suffix}.{key}: is for scheduled flows, this one is {suffix}; "
            f"expected no {key}",
        )
        for suffix, key, value in (
            ("N", "shift_ms", "1"),
            ("NFS", "executions", "5"),
            ("DRS", "run_at_start_up", "true"),
            ("F", "interval_ms", "60000"),
            ("Bind", "executions", "1"),
            ("BindS", "shift_ms", "5"),
            ("Q", "run_at_start_up", "true"),
        )
    },
    "a counter below nothing": (
        flow("PCAcct2PBCust", "mappings: [items], executions: -1"),
        "flows.yaml:11: flows.PCAcct2PBCust.executions: is -1; expected at least 0",
    ),
    "a window for new records": (
        flow("PCAcct2PBCustN", "mappings: [items], window: 1d"),
        "flows.yaml:11: flows.PCAcct2PBCustN.window: is for flows of the kinds DR, DRS and F; "
        "expected no window, or an id that ends in DR, DRS or F",
    ),
    "a sleep window without length": (
        {
            "company.yaml": (
                "time_zone: Europe/Berlin",
                'time_zone: Europe/Berlin\nsleep_window: {from: "02:00", to: "02:00"}',
            )
        },
        "company.yaml:5: sleep_window: begins when it ends; expected two different times, or no sleep_window",
    ),
    "a sleep window with a zone": (
        {
            "company.yaml": (
                "time_zone: Europe/Berlin",
                'time_zone: Europe/Berlin\nsleep_window: {from: "02:00Z", to: "03:00"}',
            )
        },
        "company.yaml:5: sleep_window.from: has a zone of its own; expected a time of day in the company's time zone",
    ),
    "a scheduled utility": (
        {"items.yaml": ("books: Item", "books: Item\nutilities: [N, scheduled]")},
        "items.yaml:4: utilities: names 'scheduled', which is none of N, NF, NFS, DR, DRS, F, Bind, BindS, Q",
    ),
    "a utility that there is not": (
        {"items.yaml": ("books: Item", "books: Item\nutilities: [N, XY]")},
        "items.yaml:4: utilities: names 'XY', which is none of N, NF, NFS, DR, DRS, F, Bind, BindS, Q",
    ),
    "a kind against the suffix": (
        flow("PCAcct2PBCustDR", "mappings: [items], kind: scheduled"),
        "flows.yaml:11: flows.PCAcct2PBCustDR.kind: is scheduled, but the id ends in DR; expected no `kind` here",
    ),
    "a kind without its suffix": (
        flow("PCAcct2PBCust", "mappings: [items], kind: NF"),
        "flows.yaml:11: flows.PCAcct2PBCust.kind: is NF, but the id has no suffix; expected an id that ends in NF",
    ),
    "an interval for a range of dates": (
        flow("PCAcct2PBCustDR", "mappings: [items], interval_ms: 60000"),
        "flows.yaml:11: flows.PCAcct2PBCustDR.interval_ms: is for scheduled flows, this one is DR; "
        "expected no interval_ms",
    ),
    "a window for a scheduled flow": (
        flow("PCAcct2PBCust", "mappings: [items], window: 1d"),
        "flows.yaml:11: flows.PCAcct2PBCust.window: is for flows of the kinds DR, DRS and F; "
        "expected no window, or an id that ends in DR, DRS or F",
    ),
    "an interval that is too short": (
        flow("PCAcct2PBCust", "mappings: [items], interval_ms: 500"),
        "flows.yaml:11: flows.PCAcct2PBCust.interval_ms: is 500; expected at least 10000",
    ),
    "a window of the wrong form": (
        flow("PCAcct2PBCustDR", "mappings: [items], window: 1 week"),
        "flows.yaml:11: flows.PCAcct2PBCustDR.window: is '1 week'; expected a number of hours or days, such as 12h or "
        "1d",
    ),
    "no mapping at all": (
        flow("PCAcct2PBCust", "mappings: []"),
        "flows.yaml:11: flows.PCAcct2PBCust.mappings: is an empty list; expected at least 1 entry",
    ),
    "a mapping twice": (
        flow("PCAcct2PBCust", "mappings: [items, items]"),
        "flows.yaml:11: flows.PCAcct2PBCust.mappings: names a mapping twice",
    ),
    "a mapping that there is not": (
        flow("PCAcct2PBCust", "mappings: [items, custmers], direction: to_books"),
        "flows.yaml:11: flows.PCAcct2PBCust.mappings[1]: there is no mapping 'custmers'; expected one of customers, "
        "invoices, items; did you mean customers?",
    ),
    "a direction that a mapping does not have": (
        flow("PBItem2PCProd", "mappings: [items], direction: to_crm"),
        "flows.yaml:11: flows.PBItem2PCProd.direction: the flow runs to_crm, but the mapping 'items' has direction: "
        "to_books; expected direction: to_crm or both in the mapping",
    ),
    "no direction where the mappings run both ways": (
        flow("PCAcct2PBCust", "mappings: [customers]"),
        "flows.yaml:11: flows.PCAcct2PBCust: its mappings do not say which way it runs; "
        "expected direction: to_books or direction: to_crm",
    ),
    "a direction that there is not": (
        flow("PCAcct2PBCust", "mappings: [customers], direction: both"),
        "flows.yaml:11: flows.PCAcct2PBCust.direction: is 'both'; expected one of to_books, to_crm",
    ),
    "more operations than the mapping permits": (
        flow("PBInv2PCDeal", "mappings: [invoices], direction: to_crm, operations: create_and_update"),
        "flows.yaml:11: flows.PBInv2PCDeal.operations: is create_and_update, but the mapping 'invoices' permits "
        "update_only to_crm; expected update_only or none, or more under `to_crm` in the mapping",
    ),
    "other operations than the mapping permits": (
        flow("PBInv2PCDealDR", "mappings: [invoices], direction: to_crm, operations: create_only"),
        "flows.yaml:11: flows.PBInv2PCDealDR.operations: is create_only, but the mapping 'invoices' permits "
        "update_only to_crm; expected update_only or none, or more under `to_crm` in the mapping",
    ),
    "a shift of more than a day": (
        flow("PCAcct2PBCust", "mappings: [items], shift_ms: 86400001"),
        "flows.yaml:11: flows.PCAcct2PBCust.shift_ms: is 86400001; expected at most 86400000",
    ),
    "a deadline of more than a month": (
        flow("PCAcct2PBCust", "mappings: [items], deadline_minutes: 2000000000000"),
        "flows.yaml:11: flows.PCAcct2PBCust.deadline_minutes: is 2000000000000; expected at most 44640",
    ),
    "a window of more than ten years": (
        flow("PCAcct2PBCustDR", "mappings: [items], window: 9999999999d"),
        "flows.yaml:11: flows.PCAcct2PBCustDR.window: is '9999999999d', longer than ten years (3660d)",
    ),
    "a window of more than ten years in hours": (
        flow("PCAcct2PBCustDR", "mappings: [items], window: 87841h"),
        "flows.yaml:11: flows.PCAcct2PBCustDR.window: is '87841h', longer than ten years (3660d)",
    ),
    "an order against the references": (
        flow("PCAcct2PBCust", "mappings: [invoices, customers], direction: to_books"),
        "flows.yaml:11: flows.PCAcct2PBCust.mappings[0]: 'invoices' refers to records of 'customers', which stands "
        "after it; expected 'customers' before 'invoices'",
    ),
    "an unknown key of a flow": (
        flow("PCAcct2PBCust", "mappings: [items], intervall_ms: 60000"),
        "flows.yaml:11: flows.PCAcct2PBCust.intervall_ms: unknown key 'intervall_ms'; expected one of batch_size, "
        "deadline_minutes, description, direction, executions, interval_ms, kind, mappings, operations, "
        "run_at_start_up, shift_ms, window; did you mean interval_ms?",
    ),
    "a flow twice": (
        flow("PCProd2PBItemDR", "mappings: [items]"),
        "flows.yaml:11: flows.PCProd2PBItemDR: the key stands twice (first in line 8)",
    ),
    "an empty flow": (
        {"flows.yaml": "flows:\n  PCAcct2PBCust:\n"},
        "flows.yaml:2: flows.PCAcct2PBCust: is empty; expected the keys batch_size, deadline_minutes, description, "
        "direction, executions, interval_ms, kind, mappings, operations, run_at_start_up, shift_ms, window",
    ),
    "a file without flows": (
        {"flows.yaml": "PCAcct2PBCust: {mappings: [items]}\n"},
        "flows.yaml:1: is empty; expected `flows:` with a flow's id and its keys below",
    ),
    "an empty file of flows": (
        {"flows.yaml": "# nothing yet\n"},
        "flows.yaml:1: is empty; expected `flows:` with a flow's id and its keys below",
    ),
    "no file of flows": ({"flows.yaml": None}, "flows.yaml:1: is missing"),
    "no company": ({"company.yaml": None}, "company.yaml:1: is missing"),
    "an empty company": (
        {"company.yaml": ""},
        f"company.yaml:1: is empty; expected the keys {', '.join(sorted(Company.model_fields))}",
    ),
    "another company's name": (
        {"company.yaml": ("company: demo", "company: demos")},
        "company.yaml:1: company: is 'demos'; expected the folder's name, 'demo'",
    ),
    "a time zone that there is not": (
        {"company.yaml": ("Europe/Berlin", "Europe/Berln")},
        "company.yaml:4: time_zone: there is no time zone 'Europe/Berln'; expected a name such as Europe/Berlin; "
        "did you mean Europe/Berlin?",
    ),
    "a time zone that is a folder": (
        {"company.yaml": ("Europe/Berlin", "../../etc/passwd")},
        "company.yaml:4: time_zone: there is no time zone '../../etc/passwd'; expected a name such as Europe/Berlin",
    ),
    "a system that there is not": (
        {"company.yaml": ("plain_books", "plain_book")},
        "company.yaml:3: books.system: there is no system 'plain_book'; expected one of plain_books, plain_crm; "
        "did you mean plain_books?",
    ),
    "books in the CRM's place": (
        {"company.yaml": ("plain_crm", "plain_books")},
        "company.yaml:2: crm.system: Plain Books is not a crm system, its role is books",
    ),
    "a currency of the wrong form": (
        {"company.yaml": ("time_zone:", "base_currency: Dollar\ntime_zone:")},
        "company.yaml:4: base_currency: is 'Dollar'; expected three capital letters, such as USD",
    ),
    "a country in small letters": (
        {"company.yaml": ("time_zone:", "country: de\ntime_zone:")},
        "company.yaml:4: country: is 'de'; expected two capital letters, such as US",
    ),
    "an overlap below nothing": (
        {"company.yaml": ("time_zone:", "overlap_seconds: -1\ntime_zone:")},
        "company.yaml:4: overlap_seconds: is -1; expected at least 0",
    ),
    "another ending": (
        {"more.yml": "mapping: more\n"},
        "more.yml:1: ends in .yml; did you mean more.yaml?",
    ),
}


@pytest.mark.feature("R1")
@pytest.mark.parametrize("name", CASES)
def test_error_is_found_and_explained(name: str, load: Load) -> None:
    """A wrong flow or company gives exactly one error, which names file, line and path and what is expected."""
    changes, expected = CASES[name]
    _, errors = load(changes)
    assert errors == [expected]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("PCAcct2PBCust", FlowKind.SCHEDULED),
        ("PCAcct2PBCustNF", FlowKind.NF),
        ("PCAcct2PBCustDR", FlowKind.DR),
        ("PCOpp2PBSO", FlowKind.SCHEDULED),
        ("PCOpp2PBSODR", FlowKind.DR),
        ("PCAcctCO2PBCustJobInv", FlowKind.SCHEDULED),
        ("PBSR", FlowKind.SCHEDULED),
        ("DR", FlowKind.SCHEDULED),
        ("PCAcct2PBCustN", FlowKind.N),
        ("PCAcct2PBCustNFS", FlowKind.NFS),
        ("PCOpp2PBCMDRS", FlowKind.DRS),
        ("PCOpp2PBInvF", FlowKind.F),
        ("PCOpp2PBSOF", FlowKind.F),
        ("PCAcct2PBCustBind", FlowKind.BIND),
        ("PCOpp2PBJobBindS", FlowKind.BINDS),
        ("PCAcct2PBCustQ", FlowKind.Q),
        ("PCAcct2PBCustInv", FlowKind.SCHEDULED),
    ],
)
def test_kind_follows_from_the_suffix(name: str, kind: FlowKind, load: Load) -> None:
    """The end of a flow's id says what kind it is; capitals of an object's own short name are no suffix."""
    spec, errors = load(flow(name, "mappings: [items]"))
    assert errors == []
    assert spec is not None
    assert spec.flows[name].kind is kind
    assert spec.flows[name].direction is Direction.TO_BOOKS


def test_a_worker_reads_one_company_and_resolves_one_flow(write: Write, plain: Library) -> None:
    """`load_flow` gives the flow as `load_all` does, and looks at no other company."""
    root = write().parent
    (root / "broken").mkdir()
    (root / "broken" / "company.yaml").write_text("{")
    whole, errors = load_all(root, using=plain)
    assert len(errors) == 2
    for name, expected in whole["demo"].flows.items():
        assert load_flow(root, "demo", name, using=plain) == (expected, [])


def test_a_flow_that_there_is_not(write: Write, plain: Library) -> None:
    """Asking for a flow or company that does not exist gives no flow and one error."""
    root = write().parent
    found, errors = load_flow(root, "demo", "Nothing", using=plain)
    assert found is None
    assert [error.message for error in errors] == ["there is no flow 'Nothing'"]
    found, errors = load_flow(root, "nobody", "Nothing", using=plain)
    assert found is None
    assert [error.message for error in errors] == ["there is no such folder"]


def test_a_folder_that_there_is_not(tmp_path: Path) -> None:
    """A folder of mappings that does not exist is one error and no exception."""
    specs, errors = load_all(tmp_path / "nowhere")
    assert specs == {}
    assert [error.message for error in errors] == ["there is no such folder"]


def test_files_beside_the_companies(write: Write, plain: Library) -> None:
    """A spec that stands outside a company's folder is an error; notes and hidden folders are left alone."""
    root = write().parent
    (root / "README.md").write_text("notes")
    (root / ".git").mkdir()
    (root / "customers.yaml").write_text("mapping: customers")
    specs, errors = load_all(root, using=plain)
    assert list(specs) == ["demo"]
    assert [error.message for error in errors] == ["stands outside a company's folder"]
