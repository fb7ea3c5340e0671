"""Compare the times of `alembic-rescue` and `alembic`, as whole processes, in turn, on chains of several lengths.

Each revision creates a table with an index; the version table is twenty revisions behind, and all twenty are applied.
For each pair, print the median wall time of both, and the ratios of time and peak memory: on a noisy machine only the
ratios mean anything.  Run it with: make bench
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from alembic_rescue import dialects
from alembic_rescue.dialects.scratch import Alike
from tests import servers

ROUNDS = 5
FIRST_LOOKS = 3
SIZES = tuple(int(size) for size in os.environ.get("SIZES", "100 1000 3000").split())
BEHIND = 20
PENDING = 10
"""Revisions that an upgrade runs."""
BIN = Path(sys.executable).parent
REVISION = '''"""step {number}"""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("t{number}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))
    op.create_index("ix_t{number}_name", "t{number}", ["name"])


def downgrade():
    op.drop_table("t{number}")
'''


@dataclass(frozen=True)
class Taken:
    """The cost of one run."""

    seconds: float
    megabytes: float
    """The peak of its largest process."""


@dataclass(frozen=True)
class Bench:
    """A project whose database is twenty revisions behind."""

    root: Path
    server: servers.Server
    ids: tuple[str, ...]

    def run(self, command: tuple[str, ...], url: str = "") -> Taken:
        """Run a command once from the state to measure."""
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(self.root.parent / "state"),
            "XDG_CACHE_HOME": str(self.root.parent / "cache"),
            **({"BENCH_URL": url} if url else {}),
        }
        if "stamp" in command:
            self.stand_behind()
        reads, writes = os.pipe()
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:  # a separate child, so that the peak reported is that of this run's processes only
            os.close(reads)
            words = [str(BIN / command[0]), *command[1:]]
            done = subprocess.run(words, cwd=self.root, env=environment, capture_output=True, check=False)
            os.write(writes, str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss).encode())
            os._exit(done.returncode)
        os.close(writes)
        peak = os.read(reads, 100)
        os.close(reads)
        _, status = os.waitpid(child, 0)
        seconds = time.perf_counter() - begin
        assert status == 0, (command, status)
        return Taken(seconds, int(peak) / 1024)

    def stand_behind(self) -> None:
        """Set the version table back, so that the last revisions do not count as applied."""
        with closing(psycopg2.connect(self.server.admin_dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", [self.ids[-BEHIND - 1]])

    def forget(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.root.parent / "cache", ignore_errors=True)

    def start_of_a_server(self) -> float:
        """Seconds until a new server accepts connections."""
        with tempfile.TemporaryDirectory() as kept:
            begin = time.perf_counter()
            with dialects.of("postgresql").scratch.started("18.0", lambda _: None, Alike(), Path(kept) / "servers"):
                return time.perf_counter() - begin

    @contextmanager
    def empty_database(self, template: str = "template1") -> Iterator[str]:
        """Yield the URL of an empty database; with another `template`, of a copy of it."""
        name = f"bench_{uuid.uuid4().hex[:8]}"
        with closing(psycopg2.connect(self.server.admin_dsn)) as admin:
            admin.autocommit = True
            with admin.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
                try:
                    yield _url(self.server, name)
                finally:
                    cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def main() -> None:
    """Measure every pair on every size."""
    for size in SIZES:
        server = servers.create(18)
        try:
            with tempfile.TemporaryDirectory() as folder:
                bench = _bench(Path(folder) / "project", size, server)
                _first_look(bench, size)
                _pair(bench, size, ("alembic-rescue", "diagnose"), ("alembic", "current"))
                _pair(bench, size, ("alembic-rescue", "stamp", "head", "--yes"), ("alembic", "stamp", "head"))
                _upgrades(bench, size)
        finally:
            server.remove()
    with tempfile.TemporaryDirectory() as folder:
        empty = Bench(Path(folder), server, ())
        _pair(empty, 0, ("alembic-rescue", "--version"), ("alembic", "--version"))


def _bench(root: Path, size: int, server: servers.Server) -> Bench:
    shutil.copytree(Path(__file__).parent.parent / "tests" / "projects" / "linear", root)
    env = root / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            "config = context.config\n",
            "config = context.config\nimport os\n"
            'if "BENCH_URL" in os.environ:\n'
            '    config.set_main_option("sqlalchemy.url", os.environ["BENCH_URL"])\n',
        )
    )
    versions = root / "alembic" / "versions"
    shutil.rmtree(versions)
    versions.mkdir()
    ids = tuple(f"{number:012x}" for number in range(size))
    for number, revision in enumerate(ids):
        down = repr(ids[number - 1]) if number else None
        (versions / f"{revision}.py").write_text(REVISION.format(number=number, revision=revision, down=down))
    ini = root / "alembic.ini"
    ini.write_text(ini.read_text().replace("set by the test", _url(server, "postgres")))
    bench = Bench(root, server, ids)
    bench.run(("alembic", "upgrade", "head"))
    bench.stand_behind()
    return bench


def _url(server: servers.Server, database: str) -> str:
    return f"postgresql+psycopg2://postgres@/{database}?host={server.pgdata}&port={server.port}"


def _first_look(bench: Bench, size: int) -> None:
    """With an empty cache, compare with the whole chain on an empty database; time the server's start separately."""
    times, starts = [], []
    for _ in range(FIRST_LOOKS):
        bench.forget()
        ours = bench.run(("alembic-rescue", "diagnose"))
        with bench.empty_database() as url:
            theirs = bench.run(("alembic", "upgrade", "head"), url)
        times.append((ours, theirs))
        starts.append(bench.start_of_a_server())
    _tell(size, "diagnose, nothing kept", "alembic upgrade head", times)
    print(f"{size:5} revisions  in this the scratch server's start took {statistics.median(starts):.2f} s", flush=True)


def _upgrades(bench: Bench, size: int) -> None:
    """Measure upgrades with nothing to do, and with the last few revisions to run."""
    with bench.empty_database() as url:
        behind = url.partition("@/")[2].partition("?")[0]
        bench.run(("alembic", "upgrade", bench.ids[-PENDING - 1]), url)
        times = []
        for _ in range(-1, ROUNDS):
            taken = []
            for program in ("alembic-rescue", "alembic"):
                with bench.empty_database(behind) as copy:
                    taken.append(bench.run((program, "upgrade", "head"), copy))
            times.append((taken[0], taken[1]))
        _tell(size, f"upgrade, {PENDING} revisions", "alembic upgrade head", times[1:])
        bench.run(("alembic", "upgrade", "head"), url)
        times = [
            (bench.run(("alembic-rescue", "upgrade"), url), bench.run(("alembic", "upgrade", "head"), url))
            for _ in range(-1, ROUNDS)
        ]
        _tell(size, "upgrade, nothing to do", "alembic upgrade head", times[1:])


def _pair(bench: Bench, size: int, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    times = []
    for counted in range(-1, ROUNDS):
        if "stamp" not in ours and bench.ids:
            bench.stand_behind()
        pair = (bench.run(ours), bench.run(theirs))
        if counted >= 0:
            times.append(pair)
    _tell(size, " ".join(ours[1:]), " ".join(theirs), times)


def _tell(size: int, ours: str, theirs: str, times: list[tuple[Taken, Taken]]) -> None:
    ratio = statistics.median(mine.seconds / other.seconds for mine, other in times)
    memory = statistics.median(mine.megabytes / other.megabytes for mine, other in times)
    mine, other = (statistics.median(taken.seconds for taken in column) for column in zip(*times, strict=True))
    print(
        f"{size:5} revisions  {ours:24} {mine:6.2f} s   {theirs:22} {other:6.2f} s   "
        f"x{ratio:.2f}, memory x{memory:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
