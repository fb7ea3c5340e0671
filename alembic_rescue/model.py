"""What is known, as frozen values: the same for the Python API, the text and the JSON.  No I/O."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from alembic_rescue.evidence.completion import Completion
from alembic_rescue.evidence.deployed import Deployed, Redeploy
from alembic_rescue.evidence.logs.values import DeploymentLog
from alembic_rescue.evidence.lost import Search
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
from alembic_rescue.evidence.rehearsal import Rehearsal


class Outcome(str, Enum):
    """What became of a command."""

    READY = "ready"
    """The answer is complete; for ``plan``: the stamp can be made."""
    REFUSED = "refused"
    NOTHING_TO_DO = "nothing-to-do"
    STAMPED = "stamped"
    UNDONE = "undone"
    COMPLETED = "completed"
    REPAIRED = "repaired"
    PASSES = "passes"
    """Of ``rehearse``: nothing was found on which the next upgrade would fail."""
    FAILS = "fails"
    REACHED = "reached"
    """Of ``wait``: each database stands at the target, or past it."""
    DEPLOYED = "deployed"
    ERROR = "error"


class Action(str, Enum):
    """What a recommendation asks for."""

    STAMP = "stamp"
    RERUN = "rerun"
    COMPLETE = "complete"
    REPAIR = "repair"
    STOP = "stop"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Note:
    """A refusal or a finding: a code for machines, the fact, and the way on."""

    code: str
    message: str
    help: str


def addressed(command: str, only: str | None) -> str:
    """The command for that one of several databases; one that is not the tool's own stays as it is."""
    if only is None or not command.startswith("alembic-rescue"):
        return command
    return f"{command} --only {shlex.quote(only)}"


@dataclass(frozen=True)
class Choice:
    """One of the ways on, where only a person can find out which of them holds."""

    found: str
    """What a person finds on looking: ``it ran``."""
    commands: tuple[str, ...]
    """What to type then, in this order."""


@dataclass(frozen=True)
class Recommendation:
    """The one thing to do next with a database."""

    action: Action
    revision: str | None
    reason: str
    steps: tuple[str, ...] = ()
    """What is to be done, each to be copied, in this order: where one command does not lead out."""
    choices: tuple[Choice, ...] = ()
    """The ways on after a look at what nobody can tell."""
    only: str | None = None
    """The database, of several, for which each command is."""

    @property
    def command(self) -> str | None:
        """What to type for it; None where something is to be done before, or by hand."""
        if self.action in {Action.STAMP, Action.COMPLETE}:
            return addressed(f"alembic-rescue {self.action.value} {self.revision}", self.only)
        return addressed("alembic-rescue repair", self.only) if self.action is Action.REPAIR else None


@dataclass(frozen=True)
class Revision:
    """One script file of the graph."""

    revision: str
    doc: str
    path: str
    """Relative to the working directory where it is below it."""
    content: str
    """``sha256:...`` of the file."""
    verdict: Verdict = Verdict.UNVERIFIABLE
    objects: tuple[ObjectEvidence, ...] = ()
    """What it would leave behind, each held against the catalog."""
    cancelled_by: tuple[str, ...] = ()
    """Later revisions that take back or replace something of it, so that this is not looked for."""
    accepted: bool = False
    """A person named it, so that the stamp may mark it as applied although its verdict says no."""

    @property
    def missing(self) -> tuple[ObjectEvidence, ...]:
        """What of it does not hold."""
        return tuple(o for o in self.objects if not o.met and o.presence is not Presence.UNVERIFIABLE)

    @property
    def unread(self) -> tuple[ObjectEvidence, ...]:
        """What of it nobody can tell."""
        return tuple(o for o in self.objects if o.presence is Presence.UNVERIFIABLE)


@dataclass(frozen=True)
class Identity:
    """Which database, as the server itself says it, and which version table in it."""

    url: str
    """The URL that was connected to, without its password; with ``--url``, that one."""
    dialect: str
    server_version: str
    server_id: str
    """PostgreSQL's system identifier and the database's oid; SQLite's device and inode.  A promoted replica and a
    restored snapshot have the original's."""
    server_address: str | None
    """What the server says that it was reached at, behind poolers and names; None for a socket or a file, or where it
    does not say."""
    socket: str | None
    """The folder (or file) of the local socket that was connected to."""
    host: str | None
    """None for a local socket or a file."""
    port: int | None
    """None for a file, or where neither the URL nor the dialect tells it."""
    database: str
    role: str | None
    encrypted: bool | None
    """None where it has no meaning, as for a file."""
    version_table: str
    version_table_schema: str | None
    """As env.py configured it; None means wherever the search path leads."""
    version_table_found_in: str | None
    """The schema in which the table was found, or would be made; None where the dialect has no schemas."""

    @property
    def name(self) -> str:
        """For a sentence: ``shop at db.example.org:5432``."""
        if self.host is None and self.port is None:  # a file
            return self.database
        return f"{self.database} at {self.place}"

    @property
    def place(self) -> str:
        """Host and port, or that there is none."""
        if self.host is None:
            return "a local socket"
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def table(self) -> str:
        """The version table, with its schema where that is known."""
        return f"{self.schema}.{self.version_table}" if self.schema else self.version_table

    @property
    def schema(self) -> str | None:
        """Where the version table is: as configured, else where it was found."""
        return self.version_table_schema or self.version_table_found_in

    @property
    def sentence(self) -> str:
        """The version table and where it is: ``public.alembic_version in shop at db.example.org:5432``."""
        return f"{self.table} in {self.name}"

    @property
    def exactly(self) -> str:
        """For a sentence that tells it from every other, a clone too."""
        return f"{self.rows_key[0]}, {self.table}, role {self.role}"

    @property
    def rows_key(self) -> tuple[str, str]:
        """Equal for two looks at the same rows, whoever looked; the first part is for a sentence, too."""
        address = address_of(self.host, self.port, self.socket)
        return (database_key(self.database, address, self.server_id, self.server_address), self.table)

    @property
    def key(self) -> tuple[str, str, str | None, str | None]:
        """As `rows_key`, and as the same role, on which search path and permissions depend."""
        return (*self.rows_key, self.version_table_schema, self.role)


def address_of(host: str | None, port: int | None, socket: str | None) -> str:
    """What was connected to: host and port, or the socket; empty for a file."""
    if socket is not None:
        return f"{socket}:{port}" if port else socket
    return f"{host.lower().rstrip('.')}:{port}" if host else ""


def database_key(database: str, address: str, server_id: str, server_address: str | None) -> str:
    """Equal for the same database only: by its name, where it was reached, and what its server says of itself.

    An id that is not told (``-``) makes nothing equal: the address stands beside it.
    """
    at = f" at {address}" if address else ""
    itself = f", which names itself {server_address}" if server_address else ""
    return f"{database}{at} (server id {server_id}{itself})"


@dataclass(frozen=True)
class Blocker:
    """Who holds or awaits a lock that is in the way: on the version table, or on what was waited for."""

    pid: int | None
    """None: it has no process, as a prepared transaction of PostgreSQL's."""
    application: str
    role: str
    client: str
    """Its address, or ``local``."""
    state: str
    """PostgreSQL's own word for it, such as ``idle in transaction (aborted)``."""
    age_seconds: float | None
    """Since its transaction began; None where the role is not shown it."""
    query: str
    """Its last statement, shortened and without passwords."""
    locks: tuple[str, ...]
    """Modes held."""
    awaits: tuple[str, ...]
    """Modes awaited, with the process ids that it waits for."""
    blocks: tuple[str, ...]
    """What it keeps others from, by itself or by those who wait for it: the version table, what cannot be read."""
    end_command: str
    """The statement with which a person may end it; the tool never does.  Empty where it waits for others itself."""
    waiting: int = 0
    """How many wait until it has ended."""
    is_rescue: bool = False
    """It is an alembic-rescue at work."""
    note: str = ""
    """What else is to be known before it is ended."""

    @property
    def who(self) -> int | str:
        """Its process id; or its name, where it has no process."""
        return self.application if self.pid is None else self.pid


@dataclass(frozen=True)
class Wait:
    """What a statement waits for."""

    what: str
    """For a sentence: ``the lock on public.users``."""
    blockers: tuple[Blocker, ...]
    """Who holds it, and whom they wait for; who waits for nobody first."""


ROWS = "rows"
"""What a repair's receipt has for a target, in place of a revision."""


@dataclass(frozen=True)
class BrokenOff:
    """A stamp or a repair, or its undo, that broke off between two statements: the rows are those of neither end."""

    command: str
    """What broke off: ``stamp``, ``repair`` or ``undo``."""
    receipt: str
    """Its id."""
    stamp: str
    """The id of the stamp's own receipt."""
    target: str
    """The stamp's, as it was asked for; of a repair :data:`ROWS`."""
    rows_before: tuple[str, ...]
    """Before the stamp: where an undo leads."""
    rows_after: tuple[str, ...]
    """After it: where the stamp leads."""
    accepted: tuple[str, ...]
    """The revisions that a person had vouched for."""
    accepted_missing: tuple[str, ...]
    """Those without whose objects that person did."""

    @property
    def is_repair(self) -> bool:
        """Whether a repair leads forward, not a stamp."""
        return self.target == ROWS


NULL_ROW = "NULL"
"""Stands for a row of a version table that holds no revision: no revision is called so."""


@dataclass(frozen=True)
class Database:
    """What one look at one database found."""

    identity: Identity
    current_heads: tuple[str, ...]
    """The rows of the version table, sorted; empty where it has none or does not exist."""
    version_table_exists: bool
    id_limit: int | None
    """Characters that the version column holds; None where the dialect enforces nothing."""
    read_only: str | None
    """Why the server takes no writes, or None where it does."""
    missing_privileges: tuple[str, ...]
    """What the role may not do with the version table and a stamp needs."""
    blockers: tuple[Blocker, ...]
    pooled: bool
    """Whether a connection pooler stands between; see :mod:`alembic_rescue.connection.poolers`."""
    called: tuple[str, ...] = ()
    """What env.py calls it: the texts among its ``run_migrations(**kw)``, as the multidb template's engine name."""
    remarks: tuple[Note, ...] = ()
    """What is to be said about env.py itself."""
    broke_off: BrokenOff | None = None
    """What left the rows as they are, where that is known from a receipt."""
    widen: str = ""
    """The statement after which the version column holds longer ids."""

    @property
    def rescue_at_work(self) -> bool:
        """Whether an alembic-rescue writes there now: the rows may be those of its half."""
        return any(blocker.is_rescue for blocker in self.blockers)

    @property
    def stands_at(self) -> tuple[str, ...]:
        """The rows that a stamp starts from: where one broke off, those before it."""
        return self.broke_off.rows_before if self.broke_off else self.current_heads


@dataclass(frozen=True)
class Stamp:
    """One call of ``alembic.command.stamp``, with the rows that it finds and those that it leaves."""

    revisions: tuple[str, ...]
    """One revision, because with several Alembic's stamp deletes the row of a branch that stands at its target
    already (seen from 1.10 to 1.20); several only together with `purge`, where there are no rows to find."""
    rows_before: tuple[str, ...]
    rows_after: tuple[str, ...]
    purge: bool = False
    """Delete all rows first: the way back where no stamp of single revisions leads there."""


@dataclass(frozen=True)
class Located:
    """Where a schema really stands, whatever its version table says."""

    revisions: tuple[str, ...]
    """The furthest on each branch that is applied and below which nothing is missing; none where nothing is there."""
    unproved: tuple[str, ...]
    """Those at or below them that cannot be checked: by so much the answer is uncertain."""
    following: tuple[str, ...]
    """The revisions after them, in Alembic's order."""


@dataclass(frozen=True)
class DatabaseReport:
    """One database in a report: where it stands, and what a stamp to the target would do to it."""

    database: Database
    revisions: tuple[Revision, ...]
    """``plan``, ``stamp``: what the stamp skips.  ``diagnose``: what is pending.  In the order Alembic would run."""
    heads_after: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    """The calls that lead from the current heads to `heads_after`; empty where nothing is to be written."""
    pending_after: tuple[str, ...]
    refusals: tuple[Note, ...]
    findings: tuple[Note, ...]
    recommendation: Recommendation
    causes: tuple[Cause, ...] = ()
    """The statements of pending revisions that must fail on this database as it stands."""
    located: Located | None = None
    """Only of ``diagnose --locate``."""
    completion: Completion | None = None
    """Only of ``complete``, where something is to be run."""
    rehearsal: Rehearsal | None = None
    """Of the revisions that are pending, or that would be after a write."""
    not_rehearsed: str = ""
    """Why there is none, where there should be."""
    lost: Search | None = None
    """What was found of rows that the scripts do not have; None where they have them all."""

    @property
    def rows_before(self) -> tuple[str, ...]:
        """What a receipt keeps as the other end: the rows now; where something broke off, the end that is left."""
        broke_off = self.database.broke_off
        if broke_off is None:
            return self.database.current_heads
        return broke_off.rows_after if self.goes_back else broke_off.rows_before

    @property
    def goes_back(self) -> bool:
        """Whether it leads back from what broke off."""
        return self.database.broke_off is not None and self.heads_after == self.database.broke_off.rows_before


@dataclass(frozen=True)
class Target:
    """What the target stands for."""

    asked: str
    revisions: tuple[str, ...]
    """Full ids; more than one only for ``heads``, none for ``base``."""
    doc: str | None


@dataclass(frozen=True)
class Link:
    """A revision's place in the graph of the scripts."""

    revision: str
    follows: tuple[str, ...]
    """Those that it directly follows, by ``down_revision`` or ``depends_on``."""
    doc: str = ""


@dataclass(frozen=True)
class Excerpt:
    """Lines of a file around one of them, without secrets."""

    path: str
    line: int
    lines: tuple[tuple[int, str], ...]
    """Each with its number."""


@dataclass(frozen=True)
class Report:
    """The answer of ``diagnose``, ``plan``, ``stamp``, ``repair`` and ``undo``."""

    command: str
    outcome: Outcome
    target: Target | None
    script_heads: tuple[str, ...]
    databases: tuple[DatabaseReport, ...]
    fingerprint: str | None = None
    """Over everything that a sealed plan stands for; see :mod:`alembic_rescue.records.seal`."""
    receipt: Path | None = None
    reason: str = ""
    """Why, as given with ``--reason``."""
    only: str | None = None
    """The one database that was asked for with ``--only``, where env.py visits several."""
    left_out: tuple[Identity, ...] = ()
    """What env.py visits besides, and this leaves as it is."""
    log: DeploymentLog | None = None
    """What the deployment's log says, as given with ``--log``."""
    deployment: Deployed | None = None
    """Only of ``redeploy``."""
    redeploy: Redeploy | None = None
    """What deploys the project again, after something was written; None where its configuration does not say."""
    chain: tuple[Link, ...] = ()
    """All revisions of the scripts, each after those that it follows."""
    excerpts: tuple[Excerpt, ...] = ()
    """The lines around the causes."""

    @property
    def refusals(self) -> tuple[Note, ...]:
        """Those of all databases."""
        return tuple(r for d in self.databases for r in d.refusals)


class ReceiptState(str, Enum):
    """How far the write of a receipt came, the best first."""

    VERIFIED = "verified"
    """A new connection read the expected rows."""
    NOT_WRITTEN = "not-written"
    """The write was refused or failed, and the database took none of it."""
    BEGUN = "begun"
    """On disk before the write.  Still so afterwards: the program ended in between, nothing is known."""
    FAILED = "failed"
    """Some of it was written, or may have been; `rows_found` tells what was read back, if it could be."""


@dataclass(frozen=True)
class ReceiptPart:
    """One version table in a receipt: which, what was, what is, and the way back."""

    database: Identity
    state: ReceiptState
    rows_before: tuple[str, ...]
    rows_after: tuple[str, ...]
    """The rows expected, worked out beforehand."""
    rows_found: tuple[str, ...] | None
    """The rows read back; None until then."""
    skipped: tuple[Revision, ...]
    sql: tuple[str, ...]
    """The statements that put `rows_before` back by hand."""
    empties: bool = False
    """It deletes all rows first.  Else no statement of it leaves none: one takes the place of another, or goes."""

    @property
    def reached(self) -> bool:
        """Whether the write may have reached the database."""
        return self.state is not ReceiptState.NOT_WRITTEN and self.rows_found != self.rows_before


@dataclass(frozen=True)
class Receipt:
    """What was, what is, and how to go back.  Having a receipt means: its stamp was about to be made."""

    id: str
    command: str
    """``stamp``, ``repair`` or ``undo``."""
    created: datetime
    """UTC."""
    target: str
    reason: str
    parts: tuple[ReceiptPart, ...]
    """At least one, in the order in which they are written."""
    undoes: str | None
    """The id of the receipt that this undo takes back."""
    tool_version: str
    alembic_version: str
    path: Path
    """The file that it stands in."""

    @property
    def state(self) -> ReceiptState:
        """How far the write came: the least good of its parts."""
        return max((part.state for part in self.parts), key=list(ReceiptState).index)
