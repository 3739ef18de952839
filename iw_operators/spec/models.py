"""What a consultant writes: company, mappings, flows. Frozen, unknown keys forbidden.

The models check what can be seen in one file. What needs other files (catalogues, other mappings) is checked by
`spec.resolve`, and both report through `spec.loader` with file and line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from iw_operators.spec.catalogue import FieldType, Model

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=60)]
CompanyId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", max_length=254)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
ConnectionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=200)]

LONGEST_WINDOW: Final = 3_660  # days


class Direction(StrEnum):
    """Which way a mapping, or one run of it, moves data."""

    TO_BOOKS = "to_books"
    TO_CRM = "to_crm"
    BOTH = "both"
    NONE = "none"


class Owner(StrEnum):
    """Whose value of a field counts when both sides may write it.

    `latest`: whichever side changed since they were last in step; both changed to different values is a conflict.
    """

    CRM = "crm"
    BOOKS = "books"
    LATEST = "latest"


class Operations(StrEnum):
    """Permitted operations in one direction (M3)."""

    NONE = "none"
    CREATE_AND_UPDATE = "create_and_update"
    CREATE_ONLY = "create_only"
    UPDATE_ONLY = "update_only"


class Environment(StrEnum):
    """Which installation a company's flows run in; shown wherever its flows are, and in the subject of its mails."""

    PRODUCTION_A = "production_a"
    PRODUCTION_B = "production_b"
    PRODUCTION_C = "production_c"
    PRODUCTION_D = "production_d"
    DEVELOPMENT = "development"


class SleepWindow(Model):
    """Hours of the day in which no run starts, in the company's time zone; it may reach over midnight.

    A run that is at work when it begins ends its page and stops.
    """

    from_: dt.time = Field(alias="from")
    to: dt.time


class StopScheduled(StrEnum):
    """When a company's scheduled flows pause themselves (R7)."""

    NEVER = "never"
    AFTER_CONNECTION_FAILURE = "after_connection_failure"
    AFTER_ANY_ERROR = "after_any_error"


class NotifyMode(StrEnum):
    """What is sent by e-mail (R8)."""

    NONE = "none"
    CONNECTION_FAILURES = "connection_failures"
    EVERY_ERROR = "every_error"
    CONNECTION_FAILURES_AND_FULL_DAILY_REPORT = "connection_failures_and_full_daily_report"
    CONNECTION_FAILURES_AND_ERROR_DAILY_REPORT = "connection_failures_and_error_daily_report"
    ERROR_DAILY_REPORT = "error_daily_report"
    FULL_DAILY_REPORT = "full_daily_report"


class Notify(Model):
    """Who is told what by e-mail. Each of the four is one address or a list of them.

    `report_at` is when the daily report is made, in the company's time zone.
    """

    mode: NotifyMode = NotifyMode.NONE
    admin: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    hosting_provider: Addresses = ()
    report_at: dt.time = dt.time(6, 0)

    @model_validator(mode="after")
    def _somebody(self) -> Notify:
        if self.mode is not NotifyMode.NONE and not (self.admin or self.cc or self.bcc or self.hosting_provider):
            msg = f"mode {self.mode.value} names nobody to write to (admin, cc, bcc, hosting_provider)"
            raise ValueError(msg)
        return self


class SiteWorker(Model):
    """A worker at the customer's site that a company's tasks run on: its queue, and Airflow's executor that serves it.

    `away_minutes` is how long a run may wait for it before that counts as a connection failure.
    """

    queue: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=200)
    executor: str = "EdgeExecutor"
    away_minutes: int = Field(default=10, ge=1, le=1_440)


class Endpoint(Model):
    """One system of a company: `system` names a folder in `iw_operators/systems`, `connection` one in Airflow.

    `shared` says that another company may name the same connection, which has to say so too (`spec.sharing`).
    """

    system: str
    connection: ConnectionId
    locale: Literal["US", "CA", "AU", "NZ", "UK", "SEA"] = "US"
    shared: bool = False


class Company(Model):
    """`company.yaml`."""

    company: CompanyId
    crm: Endpoint
    books: Endpoint
    time_zone: str = "UTC"
    country: str = Field(default="US", pattern="^[A-Z]{2}$")  # region in which bare phone numbers are read
    base_currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    overlap_seconds: int = Field(default=60, ge=0, le=86_400)  # how far behind Query Starts a run looks again
    held_minutes: int = Field(default=60, ge=1, le=10_080)  # after which records that a person decides are looked at
    sweep_days: int = Field(default=7, ge=1, le=365)  # where a system tells of no deletions: how often they are sought
    sweep_limit: int = Field(default=100, ge=1, le=1_000_000)  # a sweep that misses more holds all of them
    environment: Environment = Environment.DEVELOPMENT
    sleep_window: SleepWindow | None = None
    stop_scheduled: StopScheduled = StopScheduled.NEVER
    notify: Notify = Notify()
    strict: bool = False  # a utility flow is refused while scheduled flows are switched on, rather than waiting
    worker: SiteWorker | None = None  # where the tasks run, if not beside the scheduler
    log_days: int = Field(default=400, ge=1, le=3_660)  # how long rows of the record log are kept

    def dumped(self) -> dict[str, Any]:
        """Return it as the JSON data that Airflow stores; `Company.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def endpoint(self, side: Literal["crm", "books"]) -> Endpoint:
        """Return one of the two systems."""
        return self.crm if side == "crm" else self.books


class Bind(Model):
    """How a record that is not bound yet finds its partner (M1, M2).

    `by: id` reads the partner's id from `id_field` of the CRM record where one is named; `by: full_name` compares
    full names; then, and for `by: criteria` at once, the fields of `else` have to agree, all of them.
    `address` stands for the address without its street.
    """

    by: Literal["id", "full_name", "criteria"] = "id"
    id_field: str | None = None  # native CRM field that holds the id of the books' record
    else_: tuple[Literal["name", "phone", "address", "number", "code", "email"], ...] = Field(default=(), alias="else")
    normalize_names: bool = True


class CreateWhen(Model):
    """When a record that has no partner is created on the other side (M4); all that is stated has to hold."""

    opportunity: Literal["created", "won"] | None = None
    opportunity_stage: tuple[str, ...] = ()
    field: Mapping[str, str | bool | int | tuple[str | bool | int, ...]] = Field(default_factory=dict)


class Way(Model):
    """One direction of a mapping."""

    operations: Operations = Operations.CREATE_AND_UPDATE
    create_when: CreateWhen = CreateWhen()


class Policy(StrEnum):
    """What happens to the partner of a record that is gone: deleted, voided or inactive (B6).

    `unbind`: the binding is taken away, and neither record is matched or created anew until a person says so.
    `propagate`: the same as happened to the record, or what comes nearest to it on the other side.
    """

    IGNORE = "ignore"
    HOLD = "hold"
    UNBIND = "unbind"
    DEACTIVATE = "deactivate"
    VOID = "void"
    DELETE = "delete"
    PROPAGATE = "propagate"


class Gone(Model):
    """One side of `when_gone`. A single word stands for `every`, the policy of what is not named by itself."""

    every: Policy = Policy.HOLD
    deleted: Policy | None = None
    voided: Policy | None = None
    inactive: Policy | None = None

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"every": value} if isinstance(value, str) else value


class WhenGone(Model):
    """What happens when the CRM's record is gone, and when that of the books is."""

    crm: Gone = Gone()
    books: Gone = Gone()


class Check(Model):
    """Fields of the CRM's record that its lines have to agree with before anything goes to the books (B5):

    lines - discount + tax = total, to the cent.
    """

    total: str | None = None
    discount: str | None = None
    tax: str | None = None

    @property
    def stated(self) -> dict[str, str]:
        """The keys that name a field, with it."""
        found = {"total": self.total, "discount": self.discount, "tax": self.tax}
        return {key: name for key, name in found.items() if name is not None}


class FieldSpec(Model):
    """What a mapping says about one field. Everything is optional for a field that both catalogues know.

    `to_books` and `to_crm` are Jinja expressions (no braces) over the source's neutral fields; `value` is the field
    itself. `values` translates the CRM's value (left) into the books' (right) and back. A `default_...` is sent where
    the source has nothing. `length` is that of a custom text field named here, where it is not the usual one.
    `when_missing` is about a reference whose partner does not exist: the record waits (`hold`), or goes without it
    and gets it later (`empty`).
    """

    crm: str | None = None
    books: str | None = None
    owner: Owner | None = None
    type: FieldType | None = None
    length: int | None = Field(default=None, ge=1, le=1_000_000)
    to_books: str | None = None
    to_crm: str | None = None
    values: Mapping[str, str] = Field(default_factory=dict)
    default_books: str | int | bool | None = None
    default_crm: str | int | bool | None = None
    shorten: bool = False
    when_missing: Literal["hold", "empty"] | None = None
    skip: bool = False


class FlowKind(StrEnum):
    """Kinds of flows; all but the first are the suffix of a flow's id."""

    SCHEDULED = "scheduled"
    N = "N"  # records that are not bound yet, once
    NF = "NF"  # one record, by its full name or id
    NFS = "NFS"  # several named records
    DR = "DR"  # a date range
    DRS = "DRS"  # a date range in batches of a size that is given with each run
    F = "F"  # the whole history
    BIND = "Bind"  # finds partners of what exists on both sides, writes what a person has approved
    BINDS = "BindS"  # the same, in batches
    Q = "Q"  # records that the other system has called about, in real time

    @property
    def utility(self) -> bool:
        """Whether it is started by hand and never works beside scheduled flows. Q is the scheduled flow's fast lane."""
        return self not in (FlowKind.SCHEDULED, FlowKind.Q)

    @property
    def bulk(self) -> bool:
        """Whether it may be long, so that it goes on where it was after a failure."""
        return self in (FlowKind.N, FlowKind.DR, FlowKind.DRS, FlowKind.F)

    @property
    def ranged(self) -> bool:
        """Whether each of its runs is about a range of dates."""
        return self in (FlowKind.DR, FlowKind.DRS)

    @property
    def backfilled(self) -> bool:
        """Whether Airflow's backfill cuts a range of dates into runs of it, one a window."""
        return self.ranged or self is FlowKind.F

    @property
    def binds(self) -> bool:
        """Whether it only binds, what a person has approved."""
        return self in (FlowKind.BIND, FlowKind.BINDS)

    @property
    def named(self) -> bool:
        """Whether it is about records that are named, and has no window."""
        return self in (FlowKind.NF, FlowKind.NFS, FlowKind.Q)


class MappingSpec(Model):
    """`<mapping>.yaml`: one CRM object and one object of the books."""

    mapping: Identifier
    crm: str
    books: str
    neutral: str | None = None  # needed only where both objects have several meanings in common
    direction: Direction = Direction.TO_BOOKS
    bind: Bind = Bind()
    to_books: Way = Way()
    to_crm: Way = Way()
    write_back: Mapping[Literal["id", "full_name", "number", "synced_at"], str] = Field(default_factory=dict)
    when_gone: WhenGone = WhenGone()
    check: Check = Check()
    # Which flows besides the written ones are made of it: those of the usual kinds, none, or these kinds.
    utilities: bool | tuple[FlowKind, ...] = True
    fields: Mapping[str, FieldSpec] = Field(default_factory=dict)
    lines: Mapping[str, FieldSpec] = Field(default_factory=dict)

    @field_validator("utilities", mode="before")
    @classmethod
    def _suffixes(cls, value: Any) -> Any:
        known = [kind.value for kind in FlowKind if kind is not FlowKind.SCHEDULED]
        wrong = [each for each in value if each not in known] if isinstance(value, list | tuple) else []
        if wrong:
            msg = f"names {wrong[0]!r}, which is none of {', '.join(known)}"
            raise ValueError(msg)
        return value


class FlowSpec(Model):
    """One flow. `direction` is needed where its mappings run both ways; `kind` follows from the id's suffix."""

    mappings: tuple[str, ...] = Field(min_length=1)
    direction: Literal[Direction.TO_BOOKS, Direction.TO_CRM] | None = None
    kind: FlowKind | None = None
    description: str = ""
    interval_ms: int = Field(default=600_000, ge=10_000, le=3_600_000 * 24)
    shift_ms: int = Field(default=0, ge=0, le=3_600_000 * 24)
    deadline_minutes: int | None = Field(default=None, ge=1, le=60 * 24 * 31)
    window: str = Field(default="1d", pattern=r"^[1-9]\d*[hd]$")  # DR, DRS, F: of a backfill's run
    batch_size: int = Field(default=500, ge=1, le=2_000)
    operations: Operations | None = None  # narrower than its mappings', for this flow alone
    executions: int = Field(default=0, ge=0, le=1_000_000)  # scheduled: runs until it pauses itself; 0 is no limit
    run_at_start_up: bool = False  # scheduled: the first run comes at once when it is switched on

    @field_validator("window")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > len("99999h") or int(value[:-1]) > LONGEST_WINDOW * (24 if value.endswith("h") else 1):
            msg = f"is {value[:20]!r}, longer than ten years ({LONGEST_WINDOW}d)"
            raise ValueError(msg)
        return value

    @field_validator("mappings")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            msg = "names a mapping twice"
            raise ValueError(msg)
        return value
