"""The tests on several versions of the tool's dependencies, each in its own environment: ``make matrix``.

The wheel is tested: it is built and installed, and the tests run in a copy that has no ``alembic_rescue/`` next to
them.  Only the standard library is used here, because this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import compatibility

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "matrix"
NEEDED = (
    "tests",
    "docs",
    "README.md",
    "SKILL.md",
    "CHANGELOG.md",
    "Makefile",
    "alembic.ini.example",
    "pyproject.toml",
    "action.yml",
    ".pre-commit-hooks.yaml",
)
"""What the tests read, without the package."""
STYLES = (
    "stock",
    "pyproject_only",
    "async_asyncpg",
    "async_psycopg",
    "application_engine",
    "application_async_engine",
    "application_session",
    "engine_begin",
    "attributes_optional",
    "version_table_schema",
    "version_locations",
    "multidb",
)
"""One style for each way in which env.py uses SQLAlchemy; the others differ in what no version changes."""
TESTS = (
    "test_matrix.py",  # checks that it is the wheel
    "test_acceptance.py",
    *(f"test_styles.py::test_it_is_planned_stamped_and_undone_and_nothing_else_is_touched[{name}]" for name in STYLES),
    "test_loading.py",
    "test_autocommit.py",
    "test_poolers.py",
    "test_json.py",
    "test_errors.py::test_usage",
    "test_errors.py::test_what_goes_wrong_in_env_py",
    "test_readme.py",
    "test_troubleshooting.py::test_an_errors_code_is_a_link_with_colours",  # in the wheel, too
)
"""Tests of what uses Alembic, SQLAlchemy, a driver or typer, in about two minutes on two cores; pure code is the same
on every version.
"""


@dataclass(frozen=True)
class Cell:
    """An environment to test in."""

    python: str
    """The intended version; if it is not installed, the running Python is used, and the output says so."""
    why: str
    held: tuple[str, ...] = ()
    """Pinned requirements; everything else is the newest compatible version."""
    beside: tuple[str, ...] = ()
    """What is installed before the tool, like a backend's own packages."""


_BACKEND_ON_PYDANTIC_1 = ("fastapi==0.95.2", "pydantic<2")
CELLS = {
    "lowest": Cell(
        "3.10",
        "each requirement at its lower bound",
        held=(
            "sqlalchemy==1.4.18",
            "alembic==1.9.0",
            "psycopg2-binary==2.9.1",
            "typer==0.9.3",
            "click==8.1.3",  # typer before 0.15.4 only works up to click 8.1, and does not declare it
            "rich==12.0.0",
            "platformdirs==4.0.0",
            "tomli==2.0.0",
        ),
        beside=_BACKEND_ON_PYDANTIC_1,
    ),
    "sqlalchemy-1.4": Cell(
        "3.11",
        "SQLAlchemy 1.4, and the newest of the rest",
        held=("sqlalchemy<2",),
        beside=_BACKEND_ON_PYDANTIC_1,
    ),
    "middle": Cell(
        "3.12",
        "SQLAlchemy 2.0, Alembic 1.13, an older typer",
        held=("sqlalchemy==2.0.30", "alembic==1.13.1", "typer==0.16.0"),
    ),
    "newest": Cell("3.13", "the newest of everything"),
}
PROJECTS_OWN = (
    *("alembic", "sqlalchemy[asyncio]", "psycopg2-binary", "psycopg[binary]", "pg8000", "asyncpg"),
    *("aiomysql", "pymysql", "aiosqlite", "flask", "flask-migrate", "flask-sqlalchemy", "python-dotenv"),
)
"""What the tests' projects need in their own environment, which has nothing from the tool."""
SHOWN = ("SQLAlchemy", "alembic", "psycopg2-binary", "typer", "click", "rich", "pydantic")
TABLE = compatibility.Table(
    "versions", ("", "Python", "SQLAlchemy", "Alembic", "psycopg2", "typer", "click", "rich", "pydantic"), tuple(CELLS)
)
_ASK_VERSIONS = """
import json, platform
from importlib import metadata
found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
print(json.dumps({"python": platform.python_version(), **found}))
"""


@dataclass(frozen=True)
class Result:
    """The result of a cell."""

    versions: Mapping[str, str]
    passed: int
    failed: int
    not_applicable: Mapping[str, int]
    """Reason -> number of tests."""
    seconds: float

    @property
    def good(self) -> bool:
        """Whether something ran and nothing failed."""
        return self.passed > 0 and not self.failed

    @property
    def cells(self) -> list[str]:
        """Its cells in the table of versions."""
        return [self.versions["python"].rpartition(".")[0], *(self.versions.get(name, "") for name in SHOWN)]


def interpreter(version: str) -> str | None:
    """Find a Python of that minor version: the running one, one on the PATH, or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [sys.executable, f"python{version}", *map(str, pyenv.glob(f"versions/{version}.*/bin/python"))]
    return next((one for one in candidates if _version(one) == version), None)


def _version(python: str) -> str | None:
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # missing, or a shim for a missing one
        return None


def environment(name: str, cell: Cell) -> Path:
    """Create the cell's virtual environment, or reuse it; return its Python."""
    chosen = interpreter(cell.python)
    if chosen is None:
        chosen = sys.executable
        _say(f"{name}: there is no Python {cell.python} here, so it runs on {_version(chosen)}")
    folder = BUILD / name / "venv"
    python = folder / "bin" / "python"
    if _version(str(python)) != _version(chosen):
        shutil.rmtree(folder, ignore_errors=True)
        _run([chosen, "-m", "venv", str(folder)])
    return python


def built(python: Path) -> Path:
    """Build the wheel."""
    shutil.rmtree(BUILD / "dist", ignore_errors=True)
    _pip(python, "wheel", "--no-deps", "--wheel-dir", str(BUILD / "dist"), str(ROOT))
    (wheel,) = (BUILD / "dist").glob("*.whl")
    return wheel


def install(python: Path, wheel: Path, cell: Cell) -> None:
    """Install the wheel and what its tests need, on top of what the cell has; nothing may conflict."""
    constraints = python.parents[2] / "constraints.txt"
    constraints.write_text("\n".join((*cell.held, *cell.beside)) + "\n", "utf-8")
    held = ["--constraint", str(constraints)]
    if cell.beside:
        _pip(python, "install", *held, *cell.beside)
    _pip(python, "install", *held, "--upgrade", "--upgrade-strategy", "eager", f"{wheel}[test]")
    _pip(python, "install", "--no-deps", "--force-reinstall", str(wheel))  # its version may equal the previous one's
    _pip(python, "check")


def install_apart(python: Path, cell: Cell) -> None:
    """Install what the tests' projects need, without the tool."""
    constraints = python.parents[2] / "constraints.txt"
    constraints.write_text("\n".join((*cell.held, *cell.beside)) + "\n", "utf-8")
    _pip(python, "install", "--constraint", str(constraints), "--upgrade", *PROJECTS_OWN)
    _pip(python, "check")


def tests_without_the_package() -> Path:
    """Make a fresh copy of the tests and what they read."""
    copy = BUILD / "tests"
    shutil.rmtree(copy, ignore_errors=True)
    for name in NEEDED:
        source, target = ROOT / name, copy / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return copy


def run(name: str, cell: Cell, wheel: Path | None, arguments: list[str]) -> tuple[Result, Path]:
    """Run the tests in a cell; build the wheel first if there is none yet."""
    begin = time.monotonic()
    python = environment(name, cell)
    wheel = wheel or built(python)
    install(python, wheel, cell)
    return _tested(python, python, BUILD / name / "report.xml", arguments, begin), wheel


def run_apart(name: str, cell: Cell, wheel: Path | None, arguments: list[str]) -> tuple[Result, Path]:
    """Run the tests with the tool in the newest cell, for projects in an environment with this cell's versions."""
    begin = time.monotonic()
    (newest,) = list(CELLS)[-1:]
    tool = environment(newest, CELLS[newest])
    wheel = wheel or built(tool)
    install(tool, wheel, CELLS[newest])
    python = environment(f"{name}-apart", cell)
    install_apart(python, cell)
    report = BUILD / f"{name}-apart" / "report.xml"
    return _tested(tool, python, report, [f"--apart={python}", *arguments], begin), wheel


def _tested(tool: Path, python: Path, report: Path, arguments: list[str], begin: float) -> Result:
    report.unlink(missing_ok=True)
    files = [f"tests/{test}" for test in TESTS]
    command = [str(tool), "-m", "pytest", "-q", "-m", "not slow", f"--junitxml={report}", *arguments, *files]
    subprocess.run(command, cwd=tests_without_the_package(), check=False)
    versions = json.loads(_run([str(python), "-c", _ASK_VERSIONS]))
    return _result(versions, report, time.monotonic() - begin)


def _result(versions: Mapping[str, str], report: Path, seconds: float) -> Result:
    passed = failed = 0
    skipped: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase") if report.exists() else ():
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif (skip := case.find("skipped")) is not None:
            skipped[str(skip.get("message"))] += 1
        else:
            passed += 1
    return Result(versions, passed, failed, skipped, seconds)


def table(results: Mapping[str, Result]) -> str:
    """Format the results for people: a line per cell, and below it what does not apply there."""
    rows = [("cell", *TABLE.columns[1:], "tests", "seconds")]
    for name, result in results.items():
        tests = f"{result.passed} passed" + (f", {result.failed} failed" if result.failed else "")
        rows.append((name, *result.cells, tests if result.passed else "none ran", f"{result.seconds:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for name, result in results.items():
        lines += [f"{name}: {number} not run: {why}" for why, number in result.not_applicable.items()]
    return "\n".join(lines)


def write(results: Mapping[str, Result]) -> None:
    """Write the results into docs/compatibility.md."""
    measured = {name: f"| {' | '.join((name, *result.cells))} |" for name, result in results.items()}
    text = compatibility.DOCUMENT.read_text("utf-8")
    compatibility.DOCUMENT.write_text(compatibility.filled(text, TABLE, measured), "utf-8")


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: Iterable[str]) -> str:
    """Run a command.  Its output is shown only if it fails, which ends the matrix."""
    done = subprocess.run([*command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _say(line: str) -> None:
    sys.stdout.write(f"--- {line}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run the cells; unknown arguments are passed to pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=main.__doc__)
    parser.add_argument("--cells", nargs="*", choices=CELLS, metavar="CELL", help=f"of {', '.join(CELLS)}")
    parser.add_argument("--write", action="store_true", help="write the versions into docs/compatibility.md")
    parser.add_argument(
        "--apart", action="store_true", help="the tool runs in the newest cell, by --python; see tests/apart.py"
    )
    options, for_pytest = parser.parse_known_args(arguments)
    results: dict[str, Result] = {}
    wheel = None
    for name in options.cells or CELLS:
        _say(f"{name}: {CELLS[name].why}")
        results[name], wheel = (run_apart if options.apart else run)(name, CELLS[name], wheel, for_pytest)
    _say("which versions were tested")
    sys.stdout.write(table(results) + "\n")
    good = all(result.good for result in results.values())
    if options.write and good and not options.apart:
        write(results)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
