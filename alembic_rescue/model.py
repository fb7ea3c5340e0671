"""The tool's results, as frozen values: the same for the Python API, the text and the JSON.  No I/O."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from alembic_rescue.evidence.completion import Completion
from alembic_rescue.evidence.deployed import Deployed, Redeploy
from alembic_rescue.evidence.from_empty import FromEmpty
from alembic_rescue.evidence.logs.values import DeploymentLog
from alembic_rescue.evidence.lost import Search
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
from alembic_rescue.evidence.rehearsal import Rehearsal


class Outcome(str, Enum):
    """How a command ended."""

    READY = "ready"
    """The answer is complete.  For ``plan``: the stamp can be made."""
    REFUSED = "refused"
    NOTHING_TO_DO = "nothing-to-do"
    STAMPED = "stamped"
    UNDONE = "undone"
    COMPLETED = "completed"
    REPAIRED = "repaired"
    PASSES = "passes"
    """``rehearse`` found nothing on which the next upgrade would fail."""
    FAILS = "fails"
    REACHED = "reached"
    """After ``wait``, each database is at or past the target."""
    DEPLOYED = "deployed"
    UPGRADED = "upgraded"
    """``upgrade`` only: the revisions ran, and a new connection read the expected rows."""
    ERROR = "error"


class Action(str, Enum):
    """What a recommendation tells the user to do."""

    STAMP = "stamp"
    RERUN = "rerun"
    COMPLETE = "complete"
    REPAIR = "repair"
    STOP = "stop"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Note:
    """A refusal or a finding: a code for machines, the fact, and what to do about it."""

    code: str
    message: str
    help: str


def addressed(command: str, only: str | None) -> str:
    """The command with ``--only`` for one of several databases.  Commands of other tools stay as they are."""
    if only is None or not command.startswith("alembic-rescue"):
        return command
    return f"{command} --only {shlex.quote(only)}"


@dataclass(frozen=True)
class Choice:
    """One of the possible next steps, where only a person can find out which applies."""

    found: str
    """What the person finds, for instance ``it ran``."""
    commands: tuple[str, ...]
    """What to type then, in this order."""


@dataclass(frozen=True)
class Recommendation:
    """The one thing to do next with a database."""

    action: Action
    revision: str | None
    reason: str
    steps: tuple[str, ...] = ()
    """What to do, each to be copied, in this order.  For situations that one command does not solve."""
    choices: tuple[Choice, ...] = ()
    """The next steps once a person has checked what the tool cannot."""
    only: str | None = None
    """The database that each command is for, where there are several."""

    @property
    def command(self) -> str | None:
        """What to type; None where something has to be done first, or by hand."""
        if self.action in {Action.STAMP, Action.COMPLETE}:
            return addressed(f"alembic-rescue {self.action.value} {self.revision}", self.only)
        return addressed("alembic-rescue repair", self.only) if self.action is Action.REPAIR else None

    @property
    def upgrades(self) -> bool:
        """Whether ``alembic upgrade`` is all there is to run."""
        return self.action is Action.RERUN and all(step.startswith("alembic upgrade ") for step in self.steps)


@dataclass(frozen=True)
class Revision:
    """One script file of the graph."""

    revision: str
    doc: str
    path: str
    """Relative to the working directory if the file is below it."""
    content: str
    """``sha256:...`` of the file."""
    verdict: Verdict = Verdict.UNVERIFIABLE
    objects: tuple[ObjectEvidence, ...] = ()
    """What it would leave behind, each checked against the catalog."""
    cancelled_by: tuple[str, ...] = ()
    """Later revisions that undo or replace some of its effects; those effects are not looked for."""
    accepted: bool = False
    """A person named it: the stamp may mark it as applied despite its verdict."""

    @property
    def missing(self) -> tuple[ObjectEvidence, ...]:
        """The objects that are missing, or differ from what is expected."""
        return tuple(o for o in self.objects if not o.met and o.presence is not Presence.UNVERIFIABLE)

    @property
    def unread(self) -> tuple[ObjectEvidence, ...]:
        """The objects that cannot be verified."""
        return tuple(o for o in self.objects if o.presence is Presence.UNVERIFIABLE)


@dataclass(frozen=True)
class Identity:
    """Which database, as the server itself reports it, and which version table in it."""

    url: str
    """The URL of the connection, without its password.  With ``--url``, that URL."""
    dialect: str
    server_version: str
    server_id: str
    """PostgreSQL's system identifier and the database's oid; SQLite's device and inode.  A promoted replica and a
    restored snapshot have the same one as the original."""
    server_address: str | None
    """The address at which the server says it was reached, behind poolers and host names.  None for a socket or a file,
    or where the server does not say."""
    socket: str | None
    """The folder of the local socket that was connected to, or the file."""
    host: str | None
    """None for a local socket or a file."""
    port: int | None
    """None for a file, or where neither the URL nor the dialect says."""
    database: str
    role: str | None
    encrypted: bool | None
    """None where encryption does not apply, as for a file."""
    version_table: str
    version_table_schema: str | None
    """As env.py configured it; None leaves it to the search path."""
    version_table_found_in: str | None
    """The schema where the table was found or would be created.  None where the dialect has no schemas."""

    @property
    def name(self) -> str:
        """For use in a sentence: ``shop at db.example.org:5432``."""
        if self.host is None and self.port is None:  # a file
            return self.database
        return f"{self.database} at {self.place}"

    @property
    def place(self) -> str:
        """Host and port, or ``a local socket``."""
        if self.host is None:
            return "a local socket"
        return f"{self.host}:{self.port}" if self.port else self.host

    @property
    def table(self) -> str:
        """The version table, with its schema if known."""
        return f"{self.schema}.{self.version_table}" if self.schema else self.version_table

    @property
    def schema(self) -> str | None:
        """The version table's schema: as configured, else where it was found."""
        return self.version_table_schema or self.version_table_found_in

    @property
    def sentence(self) -> str:
        """The version table and its database: ``public.alembic_version in shop at db.example.org:5432``."""
        return f"{self.table} in {self.name}"

    @property
    def exactly(self) -> str:
        """For use in a sentence; unambiguous even against a clone of the database."""
        return f"{self.rows_key[0]}, {self.table}, role {self.role}"

    @property
    def rows_key(self) -> tuple[str, str]:
        """Equal for the same rows, whoever looks at them.  The first part can be printed."""
        address = address_of(self.host, self.port, self.socket)
        return (database_key(self.database, address, self.server_id, self.server_address), self.table)

    @property
    def key(self) -> tuple[str, str, str | None, str | None]:
        """`rows_key` plus the schema and the role, which determine the search path and the permissions."""
        return (*self.rows_key, self.version_table_schema, self.role)


def address_of(host: str | None, port: int | None, socket: str | None) -> str:
    """The address of the connection: host and port, or the socket; empty for a file."""
    if socket is not None:
        return f"{socket}:{port}" if port else socket
    return f"{host.lower().rstrip('.')}:{port}" if host else ""


def database_key(database: str, address: str, server_id: str, server_address: str | None) -> str:
    """Equal only for the same database: its name, its address, and what its server says of itself.

    An unknown id (``-``) makes no two databases equal, because the address is part of the key.
    """
    at = f" at {address}" if address else ""
    itself = f", which names itself {server_address}" if server_address else ""
    return f"{database}{at} (server id {server_id}{itself})"


@dataclass(frozen=True)
class Blocker:
    """A session that holds or awaits a lock in the way: on the version table, or on an object waited for."""

    pid: int | None
    """None if there is no process, as for a prepared transaction in PostgreSQL."""
    application: str
    role: str
    client: str
    """Its address, or ``local``."""
    state: str
    """PostgreSQL's own term, such as ``idle in transaction (aborted)``."""
    age_seconds: float | None
    """Since its transaction began; None where the role may not see it."""
    query: str
    """Its last statement, shortened and without passwords."""
    locks: tuple[str, ...]
    """Lock modes held."""
    awaits: tuple[str, ...]
    """Lock modes awaited, each with the process ids that it waits for."""
    blocks: tuple[str, ...]
    """What it blocks, directly or through the sessions that wait for it: the version table, or what cannot be read."""
    end_command: str
    """The statement with which a person can end it; the tool never does.  Empty if it is itself waiting for others."""
    waiting: int = 0
    """How many sessions wait until it has ended."""
    is_rescue: bool = False
    """It is another alembic-rescue."""
    note: str = ""
    """What else to know before ending it."""

    @property
    def who(self) -> int | str:
        """Its process id, or its name if it has no process."""
        return self.application if self.pid is None else self.pid


@dataclass(frozen=True)
class Wait:
    """What a statement is waiting for."""

    what: str
    """For use in a sentence: ``the lock on public.users``."""
    blockers: tuple[Blocker, ...]
    """Its holders and the sessions that they wait for, with those that wait for nobody first."""


ROWS = "rows"
"""The target in a repair's receipt, in place of a revision."""


@dataclass(frozen=True)
class BrokenOff:
    """A stamp, a repair or an undo that was interrupted between two statements: the rows match neither end."""

    command: str
    """The command that was interrupted: ``stamp``, ``repair`` or ``undo``."""
    receipt: str
    """Its id."""
    stamp: str
    """The id of the stamp's own receipt."""
    target: str
    """The stamp's target, as given; for a repair, :data:`ROWS`."""
    rows_before: tuple[str, ...]
    """The rows before the stamp, which an undo restores."""
    rows_after: tuple[str, ...]
    """The rows after the stamp."""
    accepted: tuple[str, ...]
    """The revisions that a person vouched for."""
    accepted_missing: tuple[str, ...]
    """The revisions whose missing objects a person can do without."""

    @property
    def is_repair(self) -> bool:
        """Whether the way forward is a repair, not a stamp."""
        return self.target == ROWS


NULL_ROW = "NULL"
"""Represents a row of a version table without a revision.  No revision has this id."""


@dataclass(frozen=True)
class Database:
    """What one look at one database found."""

    identity: Identity
    current_heads: tuple[str, ...]
    """The rows of the version table, sorted; empty if it has none or does not exist."""
    version_table_exists: bool
    id_limit: int | None
    """How many characters the version column holds; None where the dialect enforces no limit."""
    read_only: str | None
    """Why the server refuses writes; None if it accepts them."""
    missing_privileges: tuple[str, ...]
    """What a stamp needs on the version table and the role lacks."""
    blockers: tuple[Blocker, ...]
    pooled: bool
    """Whether the connection goes through a pooler; see :mod:`alembic_rescue.connection.poolers`."""
    called: tuple[str, ...] = ()
    """Names from env.py: the strings among its ``run_migrations(**kw)``, such as the multidb template's engine
    name."""
    remarks: tuple[Note, ...] = ()
    """Remarks on env.py itself."""
    broke_off: BrokenOff | None = None
    """What left the rows as they are, if a receipt says so."""
    widen: str = ""
    """The statement that widens the version column for longer ids."""
    read_only_for: str = ""
    """The role or database whose setting makes the server refuse writes; empty if it is the server's setting."""

    @property
    def rescue_at_work(self) -> bool:
        """Whether an alembic-rescue is writing there now: the rows may be from the middle of its write."""
        return any(blocker.is_rescue for blocker in self.blockers)

    @property
    def stands_at(self) -> tuple[str, ...]:
        """The rows that a stamp starts from.  After an interrupted stamp: the rows before it."""
        return self.broke_off.rows_before if self.broke_off else self.current_heads


@dataclass(frozen=True)
class Stamp:
    """One call of ``alembic.command.stamp``, with the rows before and after it."""

    revisions: tuple[str, ...]
    """One revision: given several, Alembic's stamp deletes the row of a branch that is already at its target (seen from
    1.10 to 1.20).  Several only with `purge`, where there are no rows to find."""
    rows_before: tuple[str, ...]
    rows_after: tuple[str, ...]
    purge: bool = False
    """Delete all rows first: the way back where stamping single revisions does not lead there."""


@dataclass(frozen=True)
class Located:
    """Where a schema really is, whatever its version table says."""

    revisions: tuple[str, ...]
    """The furthest applied revision on each branch with nothing missing below it; empty if nothing exists."""
    unproved: tuple[str, ...]
    """Revisions at or below them that cannot be verified, which make the answer less certain."""
    following: tuple[str, ...]
    """The revisions after them, in Alembic's order."""


@dataclass(frozen=True)
class DatabaseReport:
    """One database in a report: where it stands, and what a stamp to the target would do to it."""

    database: Database
    revisions: tuple[Revision, ...]
    """For ``plan`` and ``stamp``: what the stamp skips.  For ``diagnose``: what is pending.  In Alembic's run order."""
    heads_after: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    """The calls that lead from the current heads to `heads_after`; empty if there is nothing to write."""
    pending_after: tuple[str, ...]
    refusals: tuple[Note, ...]
    findings: tuple[Note, ...]
    recommendation: Recommendation
    causes: tuple[Cause, ...] = ()
    """The statements of pending revisions that are bound to fail on this database as it is."""
    located: Located | None = None
    """Only for ``diagnose --locate``."""
    completion: Completion | None = None
    """Only for ``complete``, where there is something to run."""
    rehearsal: Rehearsal | None = None
    """Of the revisions that are pending, or that would be after a write."""
    not_rehearsed: str = ""
    """Why there is no rehearsal where there should be one."""
    lost: Search | None = None
    """What was found of rows that the scripts lack; None if the scripts have all of them."""
    from_empty: FromEmpty | None = None
    """``rehearse --from-empty`` only."""
    ran: tuple[str, ...] = ()
    """``upgrade`` only: the revisions that it ran, in order."""

    @property
    def rows_before(self) -> tuple[str, ...]:
        """The rows that a receipt keeps as the other end.

        The current rows; after an interruption, those of the end that this does not lead to.
        """
        broke_off = self.database.broke_off
        if broke_off is None:
            return self.database.current_heads
        return broke_off.rows_after if self.goes_back else broke_off.rows_before

    @property
    def goes_back(self) -> bool:
        """Whether it goes back to where the interrupted command started."""
        return self.database.broke_off is not None and self.heads_after == self.database.broke_off.rows_before


@dataclass(frozen=True)
class Target:
    """What the target resolves to."""

    asked: str
    revisions: tuple[str, ...]
    """Full ids: more than one only for ``heads``, none for ``base``."""
    doc: str | None


@dataclass(frozen=True)
class Link:
    """A revision's place in the graph of the scripts."""

    revision: str
    follows: tuple[str, ...]
    """The revisions that it directly follows, by ``down_revision`` or ``depends_on``."""
    doc: str = ""


@dataclass(frozen=True)
class Excerpt:
    """The lines of a file around one of them, without secrets."""

    path: str
    line: int
    lines: tuple[tuple[int, str], ...]
    """Each with its number."""


@dataclass(frozen=True)
class Report:
    """The result of ``diagnose``, ``plan``, ``stamp``, ``repair`` and ``undo``."""

    command: str
    outcome: Outcome
    target: Target | None
    script_heads: tuple[str, ...]
    databases: tuple[DatabaseReport, ...]
    fingerprint: str | None = None
    """Covers everything in a sealed plan; see :mod:`alembic_rescue.records.seal`."""
    receipt: Path | None = None
    reason: str = ""
    """Why, as given with ``--reason``."""
    only: str | None = None
    """The one database selected with ``--only``, where env.py visits several."""
    left_out: tuple[Identity, ...] = ()
    """The other databases that env.py visits, which this command leaves alone."""
    log: DeploymentLog | None = None
    """What the deployment's log says, as given with ``--log``."""
    deployment: Deployed | None = None
    """Only for ``redeploy``."""
    redeploy: Redeploy | None = None
    """What deploys the project again after a write; None if the configuration does not say."""
    chain: tuple[Link, ...] = ()
    """All revisions of the scripts, each after those that it follows."""
    excerpts: tuple[Excerpt, ...] = ()
    """The lines around the causes."""

    @property
    def refusals(self) -> tuple[Note, ...]:
        """The refusals of all databases."""
        return tuple(r for d in self.databases for r in d.refusals)


class ReceiptState(str, Enum):
    """How far the write of a receipt got, the best first."""

    VERIFIED = "verified"
    """A new connection read the expected rows."""
    NOT_WRITTEN = "not-written"
    """The write was refused or failed, and nothing reached the database."""
    BEGUN = "begun"
    """On disk before the write.  If it stays so, the program ended in between, and the outcome is unknown."""
    FAILED = "failed"
    """Some of it was written, or may have been; `rows_found` holds what was read back, if it could be."""


@dataclass(frozen=True)
class ReceiptPart:
    """One version table in a receipt: which one, the rows before and after, and the way back."""

    database: Identity
    state: ReceiptState
    rows_before: tuple[str, ...]
    rows_after: tuple[str, ...]
    """The rows expected, computed beforehand."""
    rows_found: tuple[str, ...] | None
    """The rows read back; None until then."""
    skipped: tuple[Revision, ...]
    sql: tuple[str, ...]
    """The statements that put `rows_before` back by hand."""
    empties: bool = False
    """It deletes all rows first.  Otherwise no statement of it leaves the table empty: each replaces or deletes one
    row."""

    @property
    def reached(self) -> bool:
        """Whether the write may have reached the database."""
        return self.state is not ReceiptState.NOT_WRITTEN and self.rows_found != self.rows_before


@dataclass(frozen=True)
class Receipt:
    """What was, what is, and how to go back.  A receipt is written just before its stamp."""

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
    """The receipt's file."""

    @property
    def only_by_hand(self) -> bool:
        """Whether only SQL can restore the rows: Alembic does not write rows like those before a repair."""
        return self.command == "repair" and any(part.empties for part in self.parts)

    @property
    def state(self) -> ReceiptState:
        """How far the write got: the worst state among the parts."""
        return max((part.state for part in self.parts), key=list(ReceiptState).index)
