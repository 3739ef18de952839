"""What each fingerprint of a mapping means: kept when a run first works under it (M26)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from iw_operators.ledger.database import Database
from iw_operators.ledger.flow_tables import spec_version

_v = spec_version.c


@dataclass(frozen=True, slots=True)
class Version:
    """A mapping as it was under one fingerprint. `report` is what `spec.differences.snapshot` made of it."""

    mapping: str
    fingerprint: str
    first_at: dt.datetime
    report: Mapping[str, Any]


class Versions(Database):
    """The ledger's versions of mappings."""

    def knows_version(self, company: str, mapping: str, fingerprint: str) -> bool:
        """Tell whether a mapping has been worked under a fingerprint before."""
        query = sa.select(sa.exists().where(*_this(company, mapping, fingerprint)))
        return bool(self._read(lambda c: c.scalar(query)))

    def note_version(self, company: str, mapping: str, fingerprint: str, report: Mapping[str, Any]) -> None:
        """Keep what a fingerprint means; the first word counts. `report` is JSON data."""
        row = {"company": company, "mapping": mapping, "fingerprint": fingerprint, "report": dict(report)}
        made = insert(spec_version).values(**row).on_conflict_do_nothing()
        self._write(lambda c: c.execute(made), fenced=True)

    def versions(self, company: str, mapping: str | None = None) -> list[Version]:
        """Return the versions of a company's mappings, or of one, by mapping and the newest first."""
        query = sa.select(_v.mapping, _v.fingerprint, _v.first_at, _v.report).where(_v.company == company)
        if mapping is not None:
            query = query.where(_v.mapping == mapping)
        query = query.order_by(_v.mapping, _v.first_at.desc(), _v.fingerprint)
        return self._read(lambda c: [Version(*row) for row in c.execute(query)])


def _this(company: str, mapping: str, fingerprint: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_v.company == company, _v.mapping == mapping, _v.fingerprint == fingerprint)
