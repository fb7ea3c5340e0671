"""Time `alembic-rescue` beside `alembic`, as whole processes, in turn, on a small and on a large project.

Prints, for each pair, the median wall time of both and the median of the ratios pair by pair: on a noisy machine
only the ratio says something.  Run it with: make bench
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import servers

ROUNDS = 7
SIZES = (5, 1000)
PAIRS = (
    (("alembic-rescue", "--version"), ("alembic", "--version")),
    (("alembic-rescue", "diagnose"), ("alembic", "current")),
    (("alembic-rescue", "plan", "head"), ("alembic", "current")),
    (("alembic-rescue", "stamp", "head", "--yes"), ("alembic", "stamp", "head")),
)
BIN = Path(sys.executable).parent
REVISION = '''"""step {number}"""

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
'''


def main() -> None:
    """Measure every pair on every size."""
    server = servers.create(18)
    try:
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder) / "project"
                _write_project(root, size, server)
                for ours, theirs in PAIRS:
                    _measure(root, size, ours, theirs)
    finally:
        server.remove()


def _write_project(root: Path, size: int, server: servers.Server) -> None:
    shutil.copytree(Path(__file__).parent.parent / "tests" / "projects" / "linear", root)
    versions = root / "alembic" / "versions"
    shutil.rmtree(versions)
    versions.mkdir()
    ids = [f"{number:012x}" for number in range(size)]
    for number, revision in enumerate(ids):
        down = repr(ids[number - 1]) if number else None
        (versions / f"{revision}.py").write_text(REVISION.format(number=number, revision=revision, down=down))
    ini = root / "alembic.ini"
    url = f"postgresql+psycopg2://postgres@/postgres?host={server.pgdata}&port={server.port}"
    ini.write_text(ini.read_text().replace("set by the test", url))


def _measure(root: Path, size: int, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    times: list[tuple[float, float]] = []
    for counted in range(-1, ROUNDS):
        pair = (_time(root, ours), _time(root, theirs))
        if counted >= 0:
            times.append(pair)
    ratio = statistics.median(mine / other for mine, other in times)
    mine, other = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{size:5} revisions  {' '.join(ours):32} {mine:6.2f} s   {' '.join(theirs):18} {other:6.2f} s   x{ratio:.2f}"
    )


def _time(root: Path, command: tuple[str, ...]) -> float:
    """One run, from the base, in seconds."""
    environment = {**os.environ, "XDG_STATE_HOME": str(root.parent)}
    if "stamp" in command:
        subprocess.run([BIN / "alembic", "stamp", "base"], cwd=root, check=True, capture_output=True)
    begin = time.perf_counter()
    subprocess.run([BIN / command[0], *command[1:]], cwd=root, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
