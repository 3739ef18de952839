"""The ledger's tables of how flows are run: turns, maintenance, failures, mails, reviews, calls, deeds.

`metadata` of this module has all tables in it, those of `ledger.tables` too.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON

from iw_operators.ledger.tables import Stamp, blank, integer, key_id, metadata, now, of_run, stamp, text

__all__ = ["metadata"]

turn = sa.Table(  # which runs of a company work now, or wait for those that do
    "iw_turn",
    metadata,
    text("company", primary_key=True),
    text("flow", primary_key=True),
    text("dag_run_id", primary_key=True),
    text("role"),  # scheduled, utility
    text("state"),  # waiting, working
    now("asked_at"),
    stamp("taken_at"),
    now("seen_at"),  # a turn that nobody has been seen with for a while is nobody's
)

turn_history = sa.Table(
    "iw_turn_history",
    metadata,
    key_id(),
    text("company"),
    text("flow"),
    text("dag_run_id"),
    text("role"),
    sa.Column("taken_at", Stamp, nullable=False),
    sa.Column("ended_at", Stamp, nullable=False),
    text("how"),  # given back, lost
    sa.Index("iw_turn_history_company_taken_at_ix", "company", "taken_at"),
)

maintenance = sa.Table(
    "iw_maintenance",
    metadata,
    key_id(),
    text("company"),
    text("by"),
    blank("why"),
    sa.Column("flows", JSON, nullable=False),  # those that were switched on, to be started again
    now("began_at"),
    stamp("ended_at"),
    blank("ended_by"),
    sa.Index("iw_maintenance_company_ix", "company", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
)

flow_count = sa.Table(  # the counter: runs that were completed since it was set to zero
    "iw_flow_count",
    metadata,
    text("company", primary_key=True),
    text("flow", primary_key=True),
    integer("completed", server_default="0"),
    sa.Column("last_run_id", sa.BigInteger),
    now("since"),
)

failure = sa.Table(  # records whose last attempt did not go through, or had not and then was settled
    "iw_failure",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    text("source_id", primary_key=True),
    sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),  # for pages of a list
    text("state"),  # open, fixed, reprocessed, given up
    text("action"),  # rejected, held, unknown: how it failed last
    text("flow"),
    blank("label"),
    blank("code"),
    blank("why"),
    blank("advice"),
    blank("field"),
    sa.Column("awaits", JSON, nullable=False),  # the references without which it waits
    text("fingerprint"),  # of the mapping that it failed under last
    blank("version"),  # of the source's record that failed last
    sa.Column("run_id", sa.BigInteger, nullable=False),  # of the last failure, or of the run that settled it
    integer("attempts", server_default="1"),
    now("first_at"),
    now("last_at"),
    stamp("settled_at"),
    blank("settled_by"),
    blank("settled_why"),
    sa.Index("iw_failure_state_ix", "company", "state", "last_at", "id"),
    sa.Index("iw_failure_last_at_ix", "company", "last_at", "id"),
)

correction = sa.Table(  # values that a person gave for a record that failed, used when it is planned next
    "iw_correction",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("side", primary_key=True),
    text("source_id", primary_key=True),
    sa.Column("values", JSON, nullable=False),
    text("by"),
    now("at"),
    sa.Column("seen", JSON),  # digests of what the source held in those fields
)

alarm = sa.Table(  # what lasts: one mail when it begins and one when it ends
    "iw_alarm",
    metadata,
    text("company", primary_key=True),
    text("key", primary_key=True),
    now("began_at"),
    blank("detail"),
    stamp("ended_at"),
)

mail = sa.Table(
    "iw_mail",
    metadata,
    key_id(),
    text("company"),
    text("key"),  # the same news is sent once
    text("kind"),
    sa.Column("recipients", JSON, nullable=False),  # to, cc, bcc
    text("subject"),
    text("text"),
    text("html"),
    now("queued_at"),
    stamp("sent_at"),
    integer("tries", server_default="0"),  # how often the server has refused it
    stamp("tried_at"),
    blank("error"),
    sa.UniqueConstraint("company", "key"),
    sa.Index("iw_mail_queued_ix", "company", "id", postgresql_where=sa.text("sent_at IS NULL")),
)

review = sa.Table(  # the sheet of a binding flow: one row a record and, where it is approved, its partner
    "iw_review",
    metadata,
    key_id(),
    text("company"),
    text("mapping"),
    text("flow"),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    text("side"),  # the side that source_id belongs to
    text("source_id"),
    blank("label"),
    text("finding"),  # exact, candidate, ambiguous, none
    blank("found_by"),  # id, full name, or the criteria
    blank("target_id"),
    blank("target_label"),
    sa.Column("candidates", JSON, nullable=False),
    text("decision"),  # open, approved, refused, written, failed
    blank("by"),
    blank("why"),
    now("at"),
    of_run("iw_review"),
    sa.UniqueConstraint("run_id", "mapping", "side", "source_id"),
    sa.Index("iw_review_run_id_ix", "run_id", "id"),  # a sheet is read in pages
    sa.Index("iw_review_flow_ix", "company", "flow", "run_id"),
)

inbox = sa.Table(  # calls of the other systems about one record, until a flow has taken them up
    "iw_inbox",
    metadata,
    key_id(),
    text("company"),
    text("side"),
    text("object"),
    text("record_id"),
    text("event"),  # the caller's id of the call: the same call counts once
    text("mapping"),
    text("flow"),
    now("received_at"),
    stamp("taken_at"),
    sa.Column("run_id", sa.BigInteger),
    stamp("done_at"),
    sa.UniqueConstraint("company", "event", "mapping", "record_id"),
    sa.Index("iw_inbox_open_ix", "company", "flow", "id", postgresql_where=sa.text("done_at IS NULL")),
)

deed = sa.Table(  # what people did: started, stopped, set, approved, gave up
    "iw_deed",
    metadata,
    key_id(),
    text("company"),
    text("by"),
    text("what"),
    text("subject"),
    sa.Column("detail", JSON, nullable=False),
    now("at"),
    sa.Index("iw_deed_company_at_ix", "company", "at"),
)

spec_version = sa.Table(  # what each fingerprint of a mapping means, as the mapping report tells it
    "iw_spec_version",
    metadata,
    text("company", primary_key=True),
    text("mapping", primary_key=True),
    text("fingerprint", primary_key=True),
    sa.Column("report", JSON, nullable=False),
    now("first_at"),
)
