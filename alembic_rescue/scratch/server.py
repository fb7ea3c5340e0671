"""The server on which the scratch databases are: named by the user, or a private one that is started for the run.

A private one is reached by a Unix socket in a folder of mode 0700 and listens to no network.  It is the run's own
child's child (``keeper``), gone when the run ends, in whatever way; what is left behind where a machine's power fails
is removed by the next run.  It keeps nothing safe: its files need not outlive a crash.

What it is no way out by, and where:

- Linux: the server cannot connect to anything nor start a program, by the kernel's word (seccomp), whatever role asks;
  for root, and where users may have namespaces, it has no network either.
- Elsewhere: what reaches out (``dblink``, ``postgres_fdw``, ``COPY TO PROGRAM``, subscriptions) is not to be had for a
  role that is no superuser, and the wheel brings no such extension.
- A server named by URL: nothing but its own roles' rights.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from alembic_rescue.errors import ScratchFailed, ScratchMissing, ScratchUnfit
from alembic_rescue.scratch import keeper, leftovers, mysql, programs, sources
from alembic_rescue.scratch.cache import default_folder
from alembic_rescue.scratch.leftovers import RunFolder
from alembic_rescue.scratch.programs import Programs

Tell = Callable[[str], object]
"""Takes one line about what is done, or what is other than it might be."""

LOCAL, NONE = "local", "none"

_PORT = 5432
_ROOT = Path(__file__).parents[2]
_KEEPER = f"import sys; sys.path.append({str(_ROOT)!r}); from alembic_rescue.scratch import keeper; keeper.main()"
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "50",
    "max_prepared_transactions": "20",
    "max_locks_per_transaction": "256",  # a chain may make thousands of tables in one transaction
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}
_FIRST_WITHOUT_COLLECTOR = 15
"""Before, PostgreSQL counts statistics by way of a socket that it connects to itself."""
_FIRST_WITH_CHECKSUMS = 18
"""From here on initdb makes checksums unless told otherwise."""


@dataclass(frozen=True)
class ScratchServer:
    """A server on which scratch databases may be made, or, named by URL, perhaps one empty database."""

    admin_url: str
    """``postgresql://postgres@/postgres?host=/folder&port=5432``; ``file:///folder`` for SQLite.
    May hold a password."""
    version: str
    """The server's own word, ``16.14``; empty where it was named by URL, and not asked yet."""
    programs: Path | None = None
    """The folder with psql and pg_dump, if there is one."""
    private: bool = True
    """Started for this run; False: named by URL."""
    alone: bool = False
    """It has no network at all."""


@contextlib.contextmanager
def provided(
    choice: str | None,
    dialect: str,
    live_version: str,
    tell: Tell,
    *,
    encoding: str = "UTF8",
    locale: str = "C",
) -> Iterator[ScratchServer]:
    """A server for scratch databases, for as long as the block lasts.

    Args:
        choice: a URL; ``local``, or None: the best on this machine; ``none``.
        dialect: SQLAlchemy's word: ``postgresql``, ``sqlite``, ``mysql``, ``mariadb``.
        live_version: what the live server calls itself; the same major version is preferred.
        tell: is told where the server is of another version, or lacks the locale.
        encoding: of the databases that are made on it, unless they are told another one.
        locale: likewise; where the machine does not have it, ``C``.

    Raises:
        ScratchMissing: there is none, or none is wanted.
        ScratchUnfit: the choice is no URL of that dialect.
        ScratchFailed: it does not start.
    """
    if choice == NONE:
        raise ScratchMissing("none is wanted (--scratch none)", dialect, _major_word(live_version))
    if choice not in {None, LOCAL}:
        yield _named(str(choice), dialect, live_version)
        return
    with _started(dialect, live_version, tell, encoding, locale) as server:
        yield server


@contextlib.contextmanager
def _started(dialect: str, live_version: str, tell: Tell, encoding: str, locale: str) -> Iterator[ScratchServer]:
    if dialect == "sqlite":
        with leftovers.run_folder() as folder:
            (home := folder.path / "files").mkdir(mode=0o700)
            yield ScratchServer(home.as_uri(), live_version)
        return
    if programs.WINDOWS:
        raise ScratchMissing("none is started by itself on Windows", dialect, _major_word(live_version))
    if dialect in {"mysql", "mariadb"}:
        found = mysql.found()
        if found is None:
            raise ScratchMissing(f"{dialect}'s server programs are not on this machine", dialect)
        with leftovers.run_folder() as folder, _kept(folder, mysql.wanted(found, folder), str(found.server)) as alone:
            yield ScratchServer(mysql.url(folder), mysql.version(found), found.server.parent, alone=alone)
        return
    if dialect != "postgresql":
        raise ScratchMissing(f"none is known for {dialect}", dialect)
    chosen = best(live_version)
    if chosen is None:
        raise ScratchMissing("PostgreSQL's server programs are not on this machine", dialect, _major_word(live_version))
    if live_version and chosen.major != programs.major(live_version):
        tell(f"the scratch server is PostgreSQL {chosen.version}, the project's is {live_version}")
    with leftovers.run_folder() as folder:
        ready = programs.readable(chosen, folder.path / "programs")
        wanted = _wanted(ready, folder, encoding, _locale(locale, tell))
        with _kept(folder, wanted, str(chosen)) as alone:
            url = f"postgresql://postgres@/postgres?host={quote(str(folder.sockets), safe='/')}&port={_PORT}"
            yield ScratchServer(url, chosen.version, chosen.folder, alone=alone)


def best(live_version: str) -> Programs | None:
    """The PostgreSQL on this machine that is best for a live server of that version."""
    return nearest(programs.major(live_version), programs.of_machine(), programs.of_wheel())


def nearest(live: int, machine: Sequence[Programs], wheel: Sequence[Programs]) -> Programs | None:
    """The best of them for a live server of that major version.

    The machine's own of the same version; the wheel's: the same, else the nearest higher; the machine's of another
    one, the nearest higher, else the highest; then the wheel's highest.
    """
    return min(
        (
            *(((0, 0) if one.major == live else (2, _distance(one, live)), one) for one in machine),
            *(((1 if one.major >= live else 3, _distance(one, live)), one) for one in wheel),
        ),
        key=lambda ranked: ranked[0],
        default=(None, None),
    )[1]


def _distance(one: Programs, live: int) -> int:
    """How far from the live version: all lower ones are farther than any higher one."""
    return one.major - live if one.major >= live else 1000 + live - one.major


def _named(choice: str, dialect: str, live_version: str) -> ScratchServer:
    parts = urlsplit(choice)
    scheme = parts.scheme.partition("+")[0]
    scheme = "postgresql" if scheme == "postgres" else scheme
    shown = f"{parts.scheme}://..." if "://" in choice else "..."  # there may be a password in it
    if not scheme or "://" not in choice:
        raise ScratchUnfit(shown, "it is neither a URL, nor local, nor none")
    same = {scheme, dialect} <= {"mysql", "mariadb"} or scheme == dialect
    if not same:
        raise ScratchUnfit(shown, f"the project's database is {dialect}")
    known = best(live_version) if dialect == "postgresql" else None
    url = urlunsplit(parts._replace(scheme=scheme)) if parts.netloc else choice.replace(parts.scheme, scheme, 1)
    return ScratchServer(url, "", known.folder if known else None, private=False)


def _major_word(live_version: str) -> str:
    return str(programs.major(live_version) or "")


def _locale(locale: str, tell: Tell) -> str:
    if locale in {"", "C", "POSIX"} or _has_locale(locale):
        return locale or "C"
    tell(f"this machine does not have the locale {locale}: the scratch server has C, which sorts otherwise")
    return "C"


def _has_locale(locale: str) -> bool:
    done = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False)  # noqa: S607
    return _plain(locale) in {_plain(line) for line in done.stdout.split()}


def _plain(locale: str) -> str:
    return locale.replace("-", "").lower()


def _wanted(ready: Programs, folder: RunFolder, encoding: str, locale: str) -> keeper.Wanted:
    settings = {**_SETTINGS, "unix_socket_directories": str(folder.sockets)}
    data = str(folder.data)
    initdb = [str(ready.folder / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
    initdb += ["-E", encoding, f"--locale={locale}", "--wal-segsize=1"]
    if ready.major >= _FIRST_WITH_CHECKSUMS:
        initdb.append("--no-data-checksums")
    return keeper.Wanted(
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
        kept=str(_kept_files(ready, initdb[1:], data)),
    )


def _kept_files(ready: Programs, arguments: Sequence[str], data: str) -> Path:
    """Where the files that these programs make with these arguments are kept, in the user's own cache folder."""
    told = sources.digest([ready.version, *(one for one in arguments if one != data)])
    return default_folder().with_name("alembic-rescue-servers") / f"{ready.major}-{told[:16]}"


@contextlib.contextmanager
def _kept(folder: RunFolder, wanted: keeper.Wanted, name: str) -> Iterator[bool]:
    """Have the server run for as long as the block lasts; say whether it has no network."""
    process = subprocess.Popen(  # noqa: S603 - this package's own code
        [sys.executable, "-I", "-S", "-c", _KEEPER, wanted.argument()],
        cwd="/",
        env={**programs.environment(), "TZ": "UTC", "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(folder.lock,),  # the folder is the run's for as long as the keeper lives
        **programs.out_of_reach_of_ctrl_c(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        answer: dict[str, Any] = json.loads(process.stdout.readline() or b'{"failed": "its keeper ended"}')
        if answer["failed"]:
            raise ScratchFailed(name, answer["failed"])
        yield bool(answer["alone"])
    finally:
        process.stdin.close()  # the keeper's lifeline
        process.stdout.close()
        process.wait()
