"""A copy of a live database's schema, without any rows, on the scratch server.

`dump` runs where the password is known, `restore` where the scratch server is; both use PostgreSQL's own programs.
Nothing that connects elsewhere is copied: only the name of a foreign server, no user mapping, no subscription.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from alembic_rescue.dialects.postgresql import libpq
from alembic_rescue.dialects.postgresql.libpq import Connect
from alembic_rescue.dialects.postgresql.survey import LOCKED, SURVEY
from alembic_rescue.dialects.scratch import Copy, Guest, Lack, Unavailable

_DUMP = ("-w", "-Fc", "-Z0", "--schema-only", "--no-subscriptions", "--no-security-labels")
_RESTORE = ("-w", "--no-tablespaces", "--no-security-labels")
_SQL = ("-w", "-X", "-q", "-A", "-t")
_ENTRY = re.compile(r"^(?P<id>\d+); \d+ \d+ (?P<what>.+)$")
_CLOSED = re.compile(r"USER MAPPING |SERVER |FOREIGN DATA WRAPPER |SUBSCRIPTION |PUBLICATION .*SUBSCRIPTION")
"""Objects that connect elsewhere: not restored."""
_FIRST = re.compile(r"(SCHEMA|EXTENSION) ")
_FAILED = re.compile(
    r"^pg_restore: error: could not execute query: ERROR:  (?P<error>.+)\n(?:(?!pg_restore: ).*\n)*?"
    r"Command was: (?P<command>(?:(?!pg_restore: ).*\n)*)",
    re.MULTILINE,
)
_UNSHADOWED = "SET LOCAL search_path = pg_catalog, pg_temp"
"""Prevents functions in the live database from shadowing the server's."""
_HEAD = 64
_CUSTOM = 1
_WITH_ALGORITHM = (1, 15)
"""From this archive version on, the compression is one byte; before, a number."""
_SECONDS = 120.0
"""The timeout of each program: a schema of 20,000 tables takes about 20 seconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Dump:
    """The schema of a live database, with what it takes for granted."""

    archive: str
    """pg_dump's archive as base64.  It may contain secrets (options of user mappings): never written to disk."""
    role: str
    """The role that migrations run as."""
    before: tuple[tuple[str, str], ...]
    """A role, and SQL for the server that creates it or makes it a member of another."""
    database: str
    """The options of CREATE DATABASE after the name: owner, encoding, collation."""
    settings: tuple[str, ...]
    """SQL in the database, with ``%(database)s`` for its name: the settings of the database and the role."""
    wrappers: tuple[str, ...]
    """SQL that creates foreign data wrappers without a handler, and servers without options."""
    invalid: tuple[str, ...]
    """SQL that creates the invalid indexes and marks them invalid: an archive leaves them out."""
    after: tuple[str, ...]
    """SQL that grants the role the privileges that it has on the live database, if it lacks them here."""
    left_out: tuple[Lack, ...] = ()
    """What the role cannot read or others have locked."""


def dump(
    connect: Connect,
    programs: Path | None,
    lock_timeout: float,
    statement_timeout: float = _SECONDS,
    seconds: float = _SECONDS,
) -> Dump | Unavailable:
    """Read the schema of a live database, as far as the role can read it.

    Takes ACCESS SHARE locks until it ends, as any pg_dump does.  What others have locked for longer than `lock_timeout`
    is left out, together with its views, and reported.

    Args:
        connect: how to connect, in libpq's keywords, including the password.
        programs: the folder with pg_dump and psql; None if there is none.
        lock_timeout: in seconds.
        statement_timeout: in seconds, for each query about what a dump does not contain.
        seconds: the timeout of each program.
    """
    if programs is None:
        return Unavailable("it needs pg_dump and psql, which are not installed")
    held = {"lock_timeout": lock_timeout, "statement_timeout": statement_timeout}
    return _told(lambda: _dumped(connect, programs, held, seconds))


def _dumped(connect: Connect, programs: Path, timeouts: Mapping[str, float], seconds: float) -> Dump | Unavailable:
    def ask(query: str) -> Any:
        held = [f"SET LOCAL {name} = {round(time * 1000)}" for name, time in timeouts.items()]
        commands = [part for one in ("BEGIN READ ONLY", *held, _UNSHADOWED, query, "COMMIT") for part in ("-c", one)]
        done = libpq.run(programs / "psql", [*_SQL, "-v", "ON_ERROR_STOP=1", *commands], connect, seconds)
        if done.returncode:
            raise _FailedError(libpq.reason(done))
        return json.loads(libpq.text(done.stdout))

    known = ask(SURVEY)
    hidden = dict.fromkeys((*known["closed"], *known["unread"]), "the role may not read it")
    schemas = [f"--exclude-schema={name}" for name in known["closed"]]
    wait = f"--lock-wait-timeout={max(1, int(timeouts['lock_timeout'] * 1000))}"
    for attempt in range(2):
        tables = [f"--exclude-table={name}" for name in hidden if name not in known["closed"]]
        done = libpq.run(programs / "pg_dump", [*_DUMP, wait, *schemas, *tables], connect, seconds)
        if not done.returncode:
            break
        locked = ask(LOCKED) if attempt == 0 else {}
        if not locked.keys() - hidden.keys():
            return Unavailable(f"pg_dump: {libpq.reason(done)}")
        hidden.update({name: f"locked by the server's process {pid}" for name, pid in locked.items()})
    return Dump(
        archive=base64.b64encode(done.stdout).decode(),
        role=known["role"],
        before=tuple((name, sql) for name, sql in known["roles"]),
        database=known["database"],
        settings=tuple(known["settings"]),
        wrappers=tuple(known["wrappers"]),
        invalid=tuple(known["invalid"]),
        after=tuple(known["after"]),
        left_out=tuple(Lack(name, reason) for name, reason in hidden.items()),
    )


def digest(dump: Dump) -> str | None:
    """Return a digest that is equal only for the same schema of the same database; None for another archive format.

    An archive begins with its version, the size of its numbers, its format, the compression, and the time of its
    creation: seven numbers, which are left out.
    """
    archive = base64.b64decode(dump.archive)
    if archive[:5] != b"PGDMP" or len(archive) < _HEAD or archive[10] != _CUSTOM:
        return None
    number = archive[8] + 1  # with its sign
    begin = 12 if tuple(archive[5:7]) >= _WITH_ALGORITHM else 11 + number
    rest = replace(dump, archive="")
    return sha256(archive[:begin] + archive[begin + 7 * number :] + repr(rest).encode()).hexdigest()


def restore(
    admin_url: str,
    programs: Path | None,
    dump: Dump,
    database: str,
    versions: Mapping[str, Sequence[str]],
    guest: Guest | None = None,
    seconds: float = _SECONDS,
) -> Copy | Unavailable:
    """Create a database with the schema of `dump`, as far as the scratch server supports it.

    Args:
        admin_url: of the scratch server, as a superuser.
        programs: the folder with pg_restore and psql; None if there is none.
        dump: of the live database.
        database: the new database's name; an existing one of that name is dropped first.
        versions: the rows of each version table, by its name quoted for SQL, including the schema.
        guest: given on a server that others use too; none of their roles is changed.
        seconds: the timeout of each program.
    """
    if programs is None:
        return Unavailable("it needs pg_restore and psql, which are not installed")
    target = _Target(programs, libpq.of_url(admin_url), libpq.of_url(admin_url, database), seconds)
    return _told(lambda: _restored(target, dump, database, versions, guest))


def _restored(
    target: _Target, dump: Dump, database: str, versions: Mapping[str, Sequence[str]], guest: Guest | None
) -> Copy:
    name = _identifier(database)
    acting = []
    if guest is None:
        target.sql(target.server, [sql for _, sql in dump.before])
    else:
        _make_roles(target, dump, guest)
        acting = _acting(target, guest)
    target.sql(target.server, [f"DROP DATABASE IF EXISTS {name}"])
    made = f"CREATE DATABASE {name} TEMPLATE template0"
    lacks = [*dump.left_out]
    if target.sql(target.server, [f"{made} {dump.database}"]):
        (failed,) = target.sql(target.server, [made]) or [""]
        if failed:
            raise _FailedError(failed)
        lacks.append(Lack("DATABASE", f"not with {dump.database}: the scratch server has no such collation"))
    archive = base64.b64decode(dump.archive)
    entries = [entry for entry in target.entries(archive) if not _CLOSED.match(entry.what)]
    first = [entry for entry in entries if _FIRST.match(entry.what)] if dump.wrappers else []
    lacks += target.restore(archive, first)
    lacks += [Lack("FOREIGN SERVER", error) for error in target.sql(target.database, dump.wrappers)]
    lacks += target.restore(archive, [entry for entry in entries if entry not in first])
    lacks += [Lack("INDEX", error) for error in target.sql(target.database, dump.invalid)]
    for table, rows in versions.items():
        values = ", ".join(f"({_literal(row)})" for row in rows)
        written = [f"DELETE FROM {table}", f"INSERT INTO {table} (version_num) VALUES {values}"]  # noqa: S608
        if rows and (errors := target.sql(target.database, written)):
            lacks.append(Lack(f"TABLE {table}", errors[0]))
    settings = [sql.replace("%(database)s", name) for sql in (*dump.settings, *dump.after, *acting)]
    lacks += [Lack("SETTING", error) for error in target.sql(target.database, settings)]
    return Copy(database, tuple(lacks))


def _make_roles(target: _Target, dump: Dump, guest: Guest) -> None:
    """Create the missing roles; an existing role of the same name is somebody else's and is not changed."""
    there = _superusers(target)
    made = dict.fromkeys(role for role, _ in dump.before if role not in there)
    guest.made.update(made)
    target.sql(target.server, [sql for role, sql in dump.before if role in guest.made])
    # Only a member of a role, or a superuser, can give it anything.
    target.sql(target.server, [f"GRANT {_identifier(role)} TO CURRENT_USER" for role in made])


def _acting(target: _Target, guest: Guest) -> list[str]:
    """Return SQL that lets the login role act as the live role: it owns what that one owns, and has its rights.

    A superuser with the live role's name, if the live role is none, would allow what fails on the live database.
    """
    superuser = _superusers(target).get(guest.acts_as)
    if superuser and not guest.superuser:
        raise _FailedError(
            f"{guest.acts_as} is a superuser on the scratch server but not on the project's. Use a server "
            "whose superuser has another name (with Docker: -e POSTGRES_USER=scratch)"
        )
    if superuser is not guest.superuser:
        return []  # the login role is a superuser itself
    login, role = _identifier(guest.role), _identifier(guest.acts_as)
    return [f"GRANT {role} TO {login}", f"ALTER ROLE {login} IN DATABASE %(database)s SET role = {role}"]


def _superusers(target: _Target) -> Mapping[str, bool]:
    """Return for each role of the server whether it is a superuser."""
    found: Mapping[str, bool] = target.ask("SELECT json_object_agg(rolname, rolsuper) FROM pg_catalog.pg_roles")
    return found


def baseline(
    admin_url: str, programs: Path | None, file: Path, database: str, role: str, seconds: float = _SECONDS
) -> tuple[Lack, ...] | Unavailable:
    """Load what existed before the chain into an empty scratch database, as the role that migrations run as.

    Args:
        admin_url: of the scratch server, as a superuser.
        programs: the folder with psql; None if there is none.
        file: SQL, or pg_dump's plain output; version rows in it count.
        database: the scratch database, which exists, as does `role`.
        role: the role that runs the SQL; what it may not do is reported.
        seconds: the timeout.

    Returns:
        The statements that failed.
    """
    if programs is None:
        return Unavailable("it needs psql, which is not installed")
    where = libpq.of_url(admin_url, database)

    def load() -> tuple[Lack, ...]:
        arguments = [*_SQL, "-c", f"SET SESSION AUTHORIZATION {_identifier(role)}", "-f", str(file)]
        done = libpq.run(programs / "psql", arguments, where, seconds)
        told = libpq.text(done.stderr)
        errors = re.findall(r"^psql:(.+?): ERROR:  (.+)$", told, re.MULTILINE)
        if done.returncode and not errors:
            raise _FailedError(libpq.reason(done))
        return tuple(Lack(place, error) for place, error in errors)

    return _told(load)


@dataclass(frozen=True)
class _Entry:
    """One line of an archive's table of contents."""

    id: str
    what: str


@dataclass(frozen=True)
class _Target:
    """The target of a copy."""

    programs: Path
    server: Connect
    database: Connect
    seconds: float

    def sql(self, where: Connect, statements: Sequence[str]) -> list[str]:
        """Run the statements one by one; return the errors."""
        script = "".join(f"{statement};\n" for statement in statements).encode()
        done = libpq.run(self.programs / "psql", [*_SQL, "-f", "-"], where, self.seconds, script)
        if done.returncode:
            raise _FailedError(libpq.reason(done))
        return re.findall(r"ERROR:  (.+)", libpq.text(done.stderr))

    def ask(self, query: str) -> Any:
        """Return the server's answer, which is JSON."""
        arguments = [*_SQL, "-v", "ON_ERROR_STOP=1", "-c", query]
        done = libpq.run(self.programs / "psql", arguments, self.server, self.seconds)
        if done.returncode:
            raise _FailedError(libpq.reason(done))
        return json.loads(libpq.text(done.stdout))

    def entries(self, archive: bytes) -> list[_Entry]:
        """Return the contents of an archive."""
        done = libpq.run(self.programs / "pg_restore", ["-l"], {}, self.seconds, archive)
        if done.returncode:
            raise _FailedError(libpq.reason(done))
        found = map(_ENTRY.match, libpq.text(done.stdout).splitlines())
        return [_Entry(match["id"], match["what"]) for match in found if match]

    def restore(self, archive: bytes, entries: Sequence[_Entry]) -> Iterator[Lack]:
        """Restore these entries one by one; yield what could not be restored."""
        if not entries:
            return
        with tempfile.TemporaryFile() as listed:  # unnamed: a kill leaves nothing behind
            listed.writelines(f"{entry.id};\n".encode() for entry in entries)
            listed.seek(0)
            number = listed.fileno()
            arguments = [*_RESTORE, "-L", f"/dev/fd/{number}", "-d", self.database["dbname"]]
            done = libpq.run(self.programs / "pg_restore", arguments, self.database, self.seconds, archive, [number])
        for match in _FAILED.finditer(libpq.text(done.stderr) + "\n"):
            yield Lack(" ".join(match["command"].split()), match["error"])


class _FailedError(Exception):
    """A program failed."""


def _told(make: Callable[[], T]) -> T | Unavailable:
    """Make a copy; a failure is returned, not raised, because the run can go on without a copy."""
    try:
        return make()
    except subprocess.TimeoutExpired as error:
        return Unavailable(f"{Path(error.cmd[0]).name} did not end within {error.timeout:g} seconds")
    except (_FailedError, libpq.UntoldError) as error:
        return Unavailable(str(error))
    except OSError as error:
        return Unavailable(f"{error.filename}: {error.strerror}")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
