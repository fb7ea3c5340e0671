"""The database cannot be reached, does not permit it, or does not answer in time (exit status 4)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import DatabaseError, Text
from alembic_rescue.errors.words import and_printed

_CAUSES = "usual causes on a hosted database: "
_INTERNAL = "an internal host name, which is known only within the platform's network (elsewhere take the external URL)"
_ASLEEP = "a database that is paused, suspended or expired"
_ALLOWLIST = "an IP allowlist without this host"

HOSTED = f"{_CAUSES}an outdated URL, {_ASLEEP}, {_ALLOWLIST}, or credentials that are not the owner's"


class ConnectionRefused(DatabaseError):
    """Nothing listens there."""

    code = "connection-refused"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"no server answers at {self.database}: {self.reason}",
            f"{_CAUSES}an outdated URL, {_ASLEEP}, or another port (a pooler has its own). "
            "In a container, localhost is the container itself",
        )


class UnknownHost(DatabaseError):
    """The host's name has no address."""

    code = "unknown-host"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the host of {self.database} cannot be found: {self.reason}",
            f"{_CAUSES}{_INTERNAL}, an outdated URL, or {_ASLEEP}",
        )


class LoginRefused(DatabaseError):
    """Wrong password, unknown role, or a rule of pg_hba.conf."""

    code = "login-refused"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} refuses the login: {self.reason}",
            f"{_CAUSES}an outdated URL (the password was changed since), {_ALLOWLIST}, a pooler that wants another "
            "user name, or a server that takes encrypted connections only: add ?sslmode=require to the URL",
        )


class DatabaseMissing(DatabaseError):
    """The server has no database of that name, or the SQLite file is not there."""

    code = "database-missing"
    database: str
    reason: str
    help: str = HOSTED

    def _text(self) -> Text:
        return Text(f"there is no database {self.database}: {self.reason}", self.help)


class TooManyConnections(DatabaseError):
    """The server has no connection left for this role or database."""

    code = "too-many-connections"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} has no connection left: {self.reason}",
            "a stuck deployment often holds them: scale its workers down, or end idle sessions as the owner, "
            "and try again",
        )


class EncryptionFailed(DatabaseError):
    """No encrypted connection came about where one was asked for."""

    code = "encryption-failed"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"no encrypted connection to {self.database}: {self.reason}",
            "where --url names another host and no sslmode, alembic-rescue asks for sslmode=require. For a server "
            "without encryption, on a network that you trust: --url '...?sslmode=disable'",
        )


class CannotConnect(DatabaseError):
    """The connection failed for a reason that has no code of its own here."""

    code = "cannot-connect"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(f"cannot connect to {self.database}: {self.reason}", HOSTED)


class ConnectTimeout(DatabaseError):
    """No answer while connecting."""

    code = "connect-timeout"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"no answer from {self.database} in time: {self.reason}",
            f"{_CAUSES}{_ALLOWLIST}, an internal address, used from outside the platform's network, or {_ASLEEP}",
        )


class ConnectionLost(DatabaseError):
    """An established connection broke."""

    code = "connection-lost"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the connection to {self.database} was lost: {self.reason}",
            "see how it stands when it is back: alembic-rescue diagnose; " + HOSTED,
        )


class PermissionDenied(DatabaseError):
    """The role lacks a privilege."""

    code = "permission-denied"
    role: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the role {self.role} is not permitted: {self.reason}",
            "use the credentials of the version table's owner (the role that runs the migrations), with --url; or let "
            "the owner GRANT what it lacks: USAGE on the schema is needed beside the rights on a table",
        )


class ReadOnlyServer(DatabaseError):
    """A replica in recovery, or a role or database set to read-only."""

    code = "read-only-server"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} does not accept writes: {self.reason}",
            "name the primary with --url; a host may have been switched over, or be out of disk",
        )


class LockTimeout(DatabaseError):
    """A lock was not had in time."""

    code = "lock-timeout"
    what: str
    """The lock, for a sentence."""
    seconds: float

    def _text(self) -> Text:
        return Text(
            f"{self.what} is held by another session; gave up after {self.seconds:g} s",
            "see who holds it (below, or with alembic-rescue diagnose), let it end or end it, and try again",
        )


class WriteWithoutEffect(DatabaseError):
    """The server took the statement, but no row changed."""

    code = "write-without-effect"
    table: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the server changed no row of {self.table}: {self.reason}; nothing was written",
            "a trigger, a rule or a row-level policy on the table stands in the way: see with psql, \\d " + self.table,
        )


class WriteRefused(DatabaseError):
    """The server refused the statement that changes the version table, for a reason without a code of its own."""

    code = "write-refused"
    table: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the database refused to change {self.table}: {self.reason}",
            "a trigger or a constraint on the table may stand in the way: see with psql, \\d " + self.table,
        )


class StatementTimeout(DatabaseError):
    """A statement did not end in time, or was cancelled."""

    code = "statement-timeout"
    reason: str

    def _text(self) -> Text:
        return Text(f"the server cancelled a statement: {self.reason}", "see who is at work: alembic-rescue diagnose")


class ServerUnable(DatabaseError):
    """Any other error of the database while the tool's own statements ran."""

    code = "database-error"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the database does not answer a question of alembic-rescue: {self.reason}",
            "a proxy, or a database that is only much like PostgreSQL? Nothing was written; please report it with the "
            "output of the same command with --debug",
        )


class WorkerDied(DatabaseError):
    """The process in which env.py runs ended before it had answered."""

    code = "worker-died"
    how: str
    """For a sentence: ``ended with status 3``, ``was ended by SIGKILL``."""
    doing: str
    """What it was about, such as ``looking at the database``."""
    printed: str = ""
    """The last of its output."""

    def _text(self) -> Text:
        memory = ": a machine that is short of memory sends SIGKILL" if "SIGKILL" in self.how else ""
        return Text(
            f"the process in which env.py runs {self.how} while it was {self.doing}",
            f"see whether `alembic current` ends so, too{memory}{and_printed(self.printed)}",
        )


class WorkerSilent(DatabaseError):
    """The process in which env.py runs did not answer in time, and was ended."""

    code = "worker-silent"
    seconds: float
    """How long it was waited for."""
    doing: str
    place: str = ""
    """File and line at which it was; empty where that is not known."""

    def _text(self) -> Text:
        return Text(
            f"the process in which env.py runs did not answer within {self.seconds:g} s while it was {self.doing}"
            + (f", at {self.place}" if self.place else "")
            + "; it was ended",
            "a server that went silent, or code of the project that waits: see whether `alembic current` hangs, too",
        )


class CompletionFailed(DatabaseError):
    """A statement that a revision lacks failed on the database, such as for its rows."""

    code = "completion-failed"
    revision: str
    statement: str
    reason: str
    kept: Sequence[str] = ()
    """What had run before it, and stays."""

    def _text(self) -> Text:
        stays = f" What ran before it stays: {'; '.join(self.kept)}" if self.kept else " Nothing of it stays"
        return Text(
            f"{self.revision} is not completed: {' '.join(self.statement.split())} failed: {self.reason}.{stays}",
            "fix what it says, then run alembic-rescue complete again: it asks anew what is missing",
        )
