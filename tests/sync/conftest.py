"""One mapping between two systems in memory, over a real ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.named import Named
from iw_operators.spec.models import Direction, FlowKind, FlowSpec, Owner
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping, Side
from iw_operators.sync import Summary, sync_mapping
from iw_operators.systems.base import Window
from tests.engine.make import NAME, field_def, mapped, mapping
from tests.sync.fakes import FakeSystem


def customers() -> ResolvedMapping:
    """Return a two-way mapping with names, phones owned by the CRM, and a note that the latest change owns."""
    made = mapping(
        [NAME, mapped("phone", owner=Owner.CRM), mapped("note")],
        bind={"by": "id", "id_field": "BooksId", "else": ["name"]},
        id_field=True,
    )
    return made.model_copy(update={"write_back": {"id": field_def(native="BooksId", length=50)}})


@dataclass
class Bench:
    """Two systems, a ledger and flows between them."""

    ledger: Ledger
    mapping: ResolvedMapping = field(default_factory=customers)
    crm: FakeSystem = field(default_factory=lambda: FakeSystem("crm", batch_size=3))
    books: FakeSystem = field(default_factory=lambda: FakeSystem("books"))
    runs: int = 0
    until: dt.datetime | None = None  # the end of a range that a later attempt has as well

    def flow(self, direction: Direction, kind: FlowKind = FlowKind.SCHEDULED) -> ResolvedFlow:
        """Return a flow of the mapping."""
        return ResolvedFlow(
            company=self.mapping.company,
            flow=f"Flow_{direction.value}",
            spec=FlowSpec(mappings=(self.mapping.mapping,)),
            kind=kind,
            direction=direction,
            mappings=(self.mapping,),
            file="flows.yaml",
        )

    def run(
        self,
        direction: Direction = Direction.TO_BOOKS,
        *,
        attempt: int = 1,
        same_run: bool = False,
        kind: FlowKind = FlowKind.SCHEDULED,
        only: str | Named | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        page_size: int = 4,
        again: Sequence[str] | None = None,
        fingerprint: str = "f1",
        go_on: Callable[[], str] = lambda: "",
    ) -> Summary:
        """Run the mapping once, as a task does."""
        self.runs += 0 if same_run else 1
        flow = self.flow(direction, kind)
        source, target = (self.crm, self.books) if direction is Direction.TO_BOOKS else (self.books, self.crm)
        run_id = self.ledger.begin_run(
            company="acme",
            flow=flow.flow,
            dag_run_id=f"r{self.runs}",
            kind=kind.value,
            direction=direction.value,
            reprocess=again is not None,
        )
        side: Side = "crm" if direction is Direction.TO_BOOKS else "books"
        ref = RunRef(run_id, "acme", flow.flow, self.mapping.mapping, fingerprint, attempt, side)
        return sync_mapping(
            flow,
            self.mapping,
            source=source,
            target=target,
            ledger=self.ledger,
            run=ref,
            window=Window(since, until),
            only=only,
            again=again,
            page_size=page_size,
            go_on=go_on,
        )


@pytest.fixture
def bench(ledger: Ledger) -> Bench:
    """Return a bench with nothing on it."""
    return Bench(ledger)


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """Return a bench whose CRM has ten accounts."""
    for number in range(10):
        bench.crm.put(f"a{number}", name=f"Account {number}", phone=f"555-010{number}", note=None)
    return bench


Make = Callable[[], Bench]
