"""The sandboxes, a company's real specs and a real ledger, without Airflow: what `ready`, the mapping tasks and
`report` do, in one process. For tests of whole flows and for the figures.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iw_operators.ledger.model import RunRef
from iw_operators.ledger.store import Ledger
from iw_operators.named import Named
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow
from iw_operators.state import MemorySecretState
from iw_operators.sync import Summary, sync_mapping
from iw_operators.systems.base import Settings, System, Window
from iw_operators.systems.registry import open_system
from sandbox.common.serve import serve
from sandbox.seed.world import World
from tests import web

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"
Edge = dt.datetime | None


@dataclass
class Stage:
    """A company between two sandboxes: `acme`, or another one of `mappings/`."""

    crm_url: str
    books_url: str
    ledger: Ledger
    spec: CompanySpec
    setenv: Callable[[str, str], None]
    crm_sandbox: Any = None
    books_sandbox: Any = None
    states: dict[str, MemorySecretState] = field(default_factory=dict)
    runs: int = 0

    def connect(self, **extra: Mapping[str, Any]) -> None:
        """Make the Airflow connections; `crm` and `books` add to their extras."""
        for name, url in (("crm", self.crm_url), ("books", self.books_url)):
            module = sandbox_of(getattr(self.spec.company, name).system)
            connection = module.airflow_connection(url)
            body = {**connection, "extra": {**connection.get("extra", {}), **extra.get(name, {})}}
            conn_id = getattr(self.spec.company, name).connection
            self.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(body))

    def open(self, side: str) -> System:
        """Open one system, as a task does."""
        end = self.spec.company.crm if side == "crm" else self.spec.company.books
        state = self.states.setdefault(end.connection, MemorySecretState())
        return open_system(end.system, end.connection, Settings(state, self.spec.company.time_zone, end.locale, "USD"))

    def run(
        self,
        flow_name: str,
        *,
        window: tuple[Edge, Edge] | None = None,
        only: str | Named | None = None,
        again: Sequence[str] | None = None,
        attempt: int = 1,
        page_size: int | None = None,
    ) -> dict[str, Summary]:
        """Run a flow once; return what its mappings did. A later `attempt` is one of the latest run."""
        self.runs += attempt == 1
        flow = self.spec.flows[flow_name]
        company = flow.company.company
        run_id = self.ledger.begin_run(
            company=company,
            flow=flow.flow,
            dag_run_id=f"run-{self.runs}",
            kind=flow.kind.value,
            direction=flow.direction.value,
            reprocess=again is not None,
        )
        sides = ("crm", "books") if flow.direction.value == "to_books" else ("books", "crm")
        source, target = (self.open(side) for side in sides)
        source.check()
        target.check()
        since, until = self._window(flow, source, run_id, window)
        done = {}
        for mapping in flow.mappings:
            # Each mapping is a task of its own: it opens its systems anew.
            source, target = (self.open(side) for side in sides)
            ref = RunRef(
                run_id,
                company,
                flow.flow,
                mapping.mapping,
                mapping.fingerprint,
                attempt,
                "crm" if sides[0] == "crm" else "books",
            )
            done[mapping.mapping] = sync_mapping(
                flow,
                mapping,
                source=source,
                target=target,
                ledger=self.ledger,
                run=ref,
                window=Window(since, until),
                only=only,
                again=again,
                page_size=page_size or flow.spec.batch_size,
            )
        self.ledger.end_run(run_id, "success")
        if flow.kind is FlowKind.SCHEDULED and until is not None:
            self.ledger.move_query_starts(company, flow.flow, until, by="run", run_id=run_id)
        return done

    def _window(
        self, flow: ResolvedFlow, source: System, run_id: int, window: tuple[Edge, Edge] | None
    ) -> tuple[Edge, Edge]:
        if flow.kind.named:
            return None, None
        if window is None and flow.kind.bulk:
            window = None, None
        if window is None:
            starts = self.ledger.query_starts(flow.company.company, flow.flow)
            overlap = dt.timedelta(seconds=flow.company.overlap_seconds)
            window = (starts - overlap if starts else None, source.now())
        return self.ledger.set_window(run_id, *window)

    def requests(self, side: str) -> int:
        """Return how many requests a sandbox has counted."""
        url = self.crm_url if side == "crm" else self.books_url
        return int(web.get(f"{url}/_sandbox/stats", timeout=60).json()["requests"])

    def pass_time(self, seconds: float) -> None:
        """Move both sandboxes' clocks on. Creatio's sessions, which live by the real time, do not notice."""
        self.books_sandbox.clock.advance(seconds)
        self.crm_sandbox.clock.set(self.crm_sandbox.clock.now() + dt.timedelta(seconds=seconds))

    def fault(self, side: str, **spec: Any) -> None:
        """Arm a fault."""
        url = self.crm_url if side == "crm" else self.books_url
        web.post(f"{url}/_sandbox/faults", json=spec, timeout=60).raise_for_status()


def sandbox_of(system: str) -> Any:
    """Return the sandbox of a system: a module with `make`, `airflow_connection`, and `serve` where it is not HTTP."""
    return importlib.import_module(f"sandbox.{system}")


def served(system: str, made: Any) -> Any:
    """Return a context manager that serves what a system's sandbox has made."""
    return getattr(sandbox_of(system), "serve", serve)(made)


@contextmanager
def stage(
    world: World,
    ledger: Ledger,
    setenv: Callable[[str, str], None],
    *,
    crm: Mapping[str, Any] | None = None,
    books: Mapping[str, Any] | None = None,
    company: str = "acme",
    around: Callable[[Any], Any] = lambda sandbox: sandbox,
) -> Iterator[Stage]:
    """Serve both sandboxes with `world`. `crm` and `books` are options of their `make`.

    :param around: what each sandbox is wrapped in, `Hostile` for example.
    """
    spec, errors = load_company(MAPPINGS / company)
    assert spec is not None, errors
    assert not errors
    with ExitStack() as stack:
        systems = spec.company.crm.system, spec.company.books.system
        crm_running, books_running = (
            stack.enter_context(served(system, around(sandbox_of(system).make(world, **(options or {})))))
            for system, options in zip(systems, (crm, books), strict=True)
        )
        made = Stage(
            crm_running.url,
            books_running.url,
            ledger,
            spec,
            setenv,
            crm_running.sandbox,
            books_running.sandbox,
        )
        made.connect()
        yield made


def without_overlap(spec: CompanySpec) -> CompanySpec:
    """Return a spec whose flows look back no further than Query Starts."""
    company = spec.company.model_copy(update={"overlap_seconds": 0})
    flows = {name: flow.model_copy(update={"company": company}) for name, flow in spec.flows.items()}
    return spec.model_copy(update={"company": company, "flows": flows})


__all__ = ["Stage", "replace", "stage", "without_overlap"]
