"""One mapping of a flow: read, plan, write and record, page by page, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from iw_operators.asked import again, named
from iw_operators.errors import FixConfiguration
from iw_operators.operators.turned import TurnedOperator
from iw_operators.spec.resolved import ResolvedFlow, ResolvedMapping

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger
    from iw_operators.operators.turn import Keeper


class SyncOperator(TurnedOperator):
    """Bring one mapping's changes from the flow's source to its target; the work is `iw_operators.sync`.

    Returns (as XCom) the mapping's name, how many records were read, and how many ended in which way. A record that
    cannot go is a row of the ledger, not a failure of the task. The task may be killed at any moment: what was sent
    is in the ledger, and the next attempt settles what is in doubt before it sends anything.

    When it may work and when it stops: `TurnedOperator`.

    :param flow: the flow, as `spec.loader` gives it.
    :param mapping: the name of one of its mappings.
    """

    ui_color = "#e8f3ec"
    shallow_copy_attrs: Sequence[str] = ("flow", "mapping")

    def __init__(self, *, flow: ResolvedFlow, mapping: str, **kwargs: Any) -> None:
        super().__init__(flow=flow, **kwargs)
        self.mapping = _named(flow, mapping)

    def work(self, ledger: Ledger, context: Context, keeper: Keeper) -> dict[str, Any]:
        """Do it, as far as the keeper lets it. Raises what `sync_mapping` raises."""
        from iw_operators.operators.runtime import as_it_began, begin, open_side, reference
        from iw_operators.sync import sync_mapping
        from iw_operators.systems.base import Window

        run_id = begin(ledger, self.flow, context)
        window = ledger.window(run_id)
        if window is None and not self.flow.kind.named:
            msg = "The run has no window: its task `ready` has not succeeded."
            raise FixConfiguration(msg, code="iw.no_window", advice="Clear `ready` and let the run go through it.")
        company, params = self.flow.company, context["params"]
        flow = as_it_began(self.flow, context)
        done = sync_mapping(
            flow,
            self.mapping,
            source=open_side(company, flow.source, ledger),
            target=open_side(company, flow.target, ledger),
            ledger=ledger,
            run=reference(run_id, flow, self.mapping, context),
            window=Window(*(window or (None, None))),
            only=named(flow, params),
            again=again(flow, params),
            page_size=flow.spec.batch_size,
            go_on=keeper.go_on,
        )
        return {"mapping": done.mapping, "read": done.read, **done.counts}


def _named(flow: ResolvedFlow, mapping: str) -> ResolvedMapping:
    found = {m.mapping: m for m in flow.mappings}
    if mapping not in found:
        msg = f"flow {flow.dag_id} has no mapping {mapping!r}, only {', '.join(found)}"
        raise ValueError(msg)
    return found[mapping]
