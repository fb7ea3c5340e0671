"""The database cannot be reached, denies permission, or does not answer in time (exit status 4)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import DatabaseError, Text
from alembic_rescue.errors.words import and_printed

_CAUSES = "common causes with a hosted database: "
_INTERNAL = "an internal host name used from outside the platform's network (use the external URL)"
_ASLEEP = "a database that is paused, suspended or expired"
_ALLOWLIST = "an IP allowlist that lacks this host"

HOSTED = f"{_CAUSES}an outdated URL, {_ASLEEP}, {_ALLOWLIST}, or credentials that are not the owner's"


class ConnectionRefused(DatabaseError):
    """Nothing listens at this address."""

    code = "connection-refused"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"no server answers for {self.database}: {self.reason}",
            f"{_CAUSES}an outdated URL, {_ASLEEP}, or a different port (poolers have their own). In a "
            "container, localhost is the container itself",
        )


class UnknownHost(DatabaseError):
    """The host name has no address."""

    code = "unknown-host"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"cannot resolve the host of {self.database}: {self.reason}",
            f"{_CAUSES}{_INTERNAL}, an outdated URL, or {_ASLEEP}",
        )


class LoginRefused(DatabaseError):
    """Wrong password, unknown role, or a rule of pg_hba.conf."""

    code = "login-refused"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} rejected the login: {self.reason}",
            f"{_CAUSES}an outdated URL (the password was changed), {_ALLOWLIST}, a pooler that expects a "
            "different user name, or a server that requires TLS (add ?sslmode=require to the URL)",
        )


class DatabaseMissing(DatabaseError):
    """The server has no database of this name, or the SQLite file does not exist."""

    code = "database-missing"
    database: str
    reason: str
    help: str = (
        "check the name at the end of the URL. If it is right, common causes with a hosted database: an outdated URL, "
        f"{_ASLEEP}, or a pooler that does not know the database"
    )

    def _text(self) -> Text:
        return Text(f"database {self.database} does not exist: {self.reason}", self.help)


class TooManyConnections(DatabaseError):
    """The server has no connection left for this role or database."""

    code = "too-many-connections"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} has no free connections: {self.reason}",
            "a stuck deployment often holds them. Scale down its workers or end idle sessions as the "
            "owner, then try again",
        )


class EncryptionFailed(DatabaseError):
    """An encrypted connection was requested but could not be established."""

    code = "encryption-failed"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"no TLS connection to {self.database}: {self.reason}",
            "for a remote --url without sslmode, alembic-rescue uses sslmode=require. If the server has no "
            "TLS and you trust the network: `--url '...?sslmode=disable'`",
        )


class CannotConnect(DatabaseError):
    """The connection failed for a reason that has no code here."""

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
            f"{self.database} did not answer in time: {self.reason}",
            f"{_CAUSES}{_ALLOWLIST}, an internal address used from outside the platform's network, or {_ASLEEP}",
        )


class ConnectionLost(DatabaseError):
    """An established connection broke."""

    code = "connection-lost"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the connection to {self.database} was lost: {self.reason}",
            "check the state once it is back: `alembic-rescue diagnose`; " + HOSTED,
        )


class PermissionDenied(DatabaseError):
    """The role lacks a privilege."""

    code = "permission-denied"
    role: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"role {self.role} lacks permission: {self.reason}",
            "use the credentials of the version table's owner (the role that runs the migrations), with --url; or let "
            "the owner GRANT what it lacks: USAGE on the schema is needed beside the rights on a table",
        )


class ReadOnlyServer(DatabaseError):
    """A replica in recovery, or a role or database set to read-only."""

    code = "read-only-server"
    database: str
    reason: str
    set_for: str = ""
    """The role or database that the setting belongs to; empty if it is the server's."""

    def _text(self) -> Text:
        told = f"{self.database} does not accept writes: {self.reason}"
        if self.set_for:
            return Text(f"{told} for {self.set_for}", "connect as the role that runs the migrations, with --url")
        return Text(told, "pass the primary with --url. The server may have failed over or run out of disk")


class LockTimeout(DatabaseError):
    """A lock was not acquired in time."""

    code = "lock-timeout"
    what: str
    """The lock, for use in a sentence."""
    seconds: float

    def _text(self) -> Text:
        return Text(
            f"another session holds {self.what}; gave up after {self.seconds:g} s",
            "find the session (below, or with alembic-rescue diagnose), wait for it or end it, then try again",
        )


class Deadlock(DatabaseError):
    """Two sessions waited for each other, and the server ended this one's statement."""

    code = "deadlock"
    database: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.database} ended a statement to resolve a deadlock: {self.reason}",
            "try again. If it happens again, run it while fewer sessions use the same tables",
        )


class WriteWithoutEffect(DatabaseError):
    """The server accepted the statement, but no row changed."""

    code = "write-without-effect"
    table: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the server did not change any row of {self.table}: {self.reason}; nothing was written",
            "a trigger, a rule or a row-level policy on the table stands in the way: see with psql, \\d " + self.table,
        )


class WriteRefused(DatabaseError):
    """The server refused the statement that changes the version table, for a reason that has no code here."""

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
        return Text(
            f"the server canceled a statement: {self.reason}",
            "to see which sessions are active: `alembic-rescue diagnose`",
        )


class ServerUnable(DatabaseError):
    """Any other database error during the tool's own statements."""

    code = "database-error"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the database rejected one of alembic-rescue's queries: {self.reason}",
            "nothing was written. Is this a proxy, or a database that is only PostgreSQL-compatible? "
            "Please report it with the output of the same command with --debug",
        )


class WorkerDied(DatabaseError):
    """The process that runs env.py ended before it answered."""

    code = "worker-died"
    how: str
    """For use in a sentence: ``ended with status 3``, ``was ended by SIGKILL``."""
    doing: str
    """What it was doing, such as ``looking at the database``."""
    printed: str = ""
    """The last of its output."""

    def _text(self) -> Text:
        memory = ". A machine that runs out of memory sends SIGKILL" if "SIGKILL" in self.how else ""
        return Text(
            f"the process that runs env.py {self.how} while {self.doing}",
            f"check whether `alembic current` ends the same way{memory}{and_printed(self.printed)}",
        )


class WorkerSilent(DatabaseError):
    """The process that runs env.py did not answer in time, and was stopped."""

    code = "worker-silent"
    seconds: float
    """How long the tool waited."""
    doing: str
    place: str = ""
    """The file and line it was at; empty if unknown."""

    def _text(self) -> Text:
        return Text(
            f"the process that runs env.py did not answer within {self.seconds:g} s while {self.doing}"
            + (f", at {self.place}" if self.place else "")
            + "; it was stopped",
            "the server went silent, or the project's code is waiting for something. Check whether "
            "`alembic current` hangs too",
        )


class CompletionFailed(DatabaseError):
    """A statement to complete a revision failed on the database, for instance because of its rows."""

    code = "completion-failed"
    revision: str
    statement: str
    reason: str
    kept: Sequence[str] = ()
    """What had run before it, and is kept."""

    def _text(self) -> Text:
        stays = (
            f" Statements that ran before it are kept: {'; '.join(self.kept)}"
            if self.kept
            else " Everything was rolled back"
        )
        return Text(
            f"could not complete {self.revision}: {' '.join(self.statement.split())} failed: {self.reason}.{stays}",
            "fix the cause, then run `alembic-rescue complete` again; it checks again what is missing",
        )
