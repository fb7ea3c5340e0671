"""The stage for an act: a folder with the backend's project and a private PostgreSQL, and a way to run commands."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from alembic_rescue.demo import server as servers
from alembic_rescue.demo.server import Server
from alembic_rescue.errors import DemoFailed, DemoFolderUnfit, Interrupted

PROJECT = Path(__file__).parent / "project"
_MODULES = {"alembic": "alembic", "alembic-rescue": "alembic_rescue"}
_FOREIGN = ("PG", "DATABASE_URL", "ALEMBIC_", "SQLALCHEMY_", "FORCE_COLOR")
"""Prefixes of environment variables that could point a command to the user's own config or database."""
_CACHE = "cache"
"""The folder for cached observations from scratch databases: the user's own is left alone."""
_PROGRESS = "Running the migrations on "
"""The prefix of progress lines.  Whether they appear depends on the machine's speed, so none is shown."""
_NARRATION = 100
_WIDEST = 132
"""Columns; with more, the next line is hard to find."""


@dataclass(frozen=True)
class Stage:
    """A running server, and a project whose alembic.ini points to one of its databases."""

    folder: Path
    say: Callable[[str], object]

    @property
    def server(self) -> Server:
        """The private PostgreSQL."""
        return servers.found(self.folder / "server")

    @property
    def project(self) -> Path:
        """The root of the backend's repository."""
        return self.folder / "project"

    def open(self, database: str, template: str = "template0") -> None:
        """Create a database, and set up a fresh copy of the project for it, without anything from an earlier act."""
        self.server.new_database(database, template)
        if self.project.exists():
            shutil.rmtree(self.project)
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        ini = self.project / "alembic.ini"
        url = "sqlalchemy.url = " + self.server.url(database).replace("%", "%%")
        text = re.sub(r"^sqlalchemy\.url.*$", lambda _: url, ini.read_text("utf-8"), flags=re.MULTILINE)
        ini.write_text(text + "\n[alembic_rescue]\nreceipts = %(here)s/receipts\n", "utf-8")

    def tell(self, words: str) -> None:
        """Say something to the audience, as a comment between the commands."""
        width = min(_width(), _NARRATION)
        comment = textwrap.fill(words, width, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        self.say(f"\n{comment}\n")

    def run(self, command: str, *, shows: str, ends: int = 0, only: str = "") -> None:
        """Run a command in the project's root, in a separate process, and show it with its output.

        Args:
            command: as it would be typed.
            shows: text that its output must contain.
            ends: the exit status that it must have.
            only: a regular expression for the beginnings of the lines to show; by default all are shown.

        Raises:
            DemoFailed: it ended differently; its whole output was shown.
        """
        self.say(f"\n$ {command}\n")
        name, *arguments = command.split()
        output, left_out = "", False
        process = subprocess.Popen(  # noqa: S603 - one of the demo's own commands
            [sys.executable, "-m", _MODULES[name], *arguments],
            cwd=self.project,
            env=_environment(self.folder / _CACHE),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in process.stdout or ():
                if line.startswith(_PROGRESS):
                    continue
                output += line
                shown = re.match(only, line) is not None
                if shown or not left_out:
                    self.say(line if shown else "...\n")
                left_out = not shown
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
        if status != ends or shows not in output:
            if only:
                self.say(output)
            raise DemoFailed(f"`{command}` ended with {status}; expected was {ends}, and to read {shows!r}")

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the project, and show the change as a diff.

        Raises:
            DemoFailed: the file does not contain `old` exactly once.
        """
        before = (self.project / file).read_text("utf-8")
        if before.count(old) != 1:
            raise DemoFailed(f"{file} does not hold once what is to be changed: {old!r}")
        after = before.replace(old, new)
        (self.project / file).write_text(after, "utf-8")
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), file, file, n=0)
        self.say("\n" + "".join(lines))

    def check(self, fact: str, database: str, query: str, expected: str) -> None:
        """Check a stated fact against the database.

        Raises:
            DemoFailed: it is not so.
        """
        if (found := self.server.run(database, query)) != expected:
            raise DemoFailed(f"{fact}: {query} gives {found!r}, not {expected!r}")


@contextmanager
def staged(keep: Path | None, say: Callable[[str], object]) -> Iterator[Stage]:
    """A stage for the duration of the play.  Nothing of it is left, unless it should be kept and was played to its end.

    Raises:
        DemoNotInstalled, DemoFolderUnfit: it cannot be set up.
        DemoFailed: the server does not start.
        Interrupted: a Ctrl-C, or a SIGTERM.
    """
    with _one_interruption():
        folder = _folder(keep)
        played = False
        try:
            server = servers.create(folder / "server")
            server.start()
            server.run("postgres", f"CREATE ROLE {servers.ROLE} LOGIN", role="postgres")
            yield Stage(folder, say)
            played = True
        except KeyboardInterrupt as interrupt:
            raise Interrupted("nothing of the demo is left") from interrupt
        finally:
            if keep is None or not played:
                clear(folder)


def kept(folder: Path) -> Stage:
    """The stage that was kept in `folder`.

    Raises:
        DemoFolderUnfit: there is none.
    """
    if not (folder / "server").is_dir() or not servers.found(folder / "server").data.is_dir():
        raise DemoFolderUnfit(str(folder), "no demo was kept there")
    return Stage(folder.resolve(), sys.stdout.write)


def clear(folder: Path) -> None:
    """Stop the server of a stage and delete everything that belongs to it."""
    servers.remove(folder / "server")
    for name in ("project", _CACHE):
        shutil.rmtree(folder / name, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _folder(keep: Path | None) -> Path:
    if keep is None:
        folder = Path(tempfile.mkdtemp(prefix="alembic-rescue-demo-"))
        folder.chmod(0o711)  # for the unprivileged user that runs the server, if this one is root
        return folder
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise DemoFolderUnfit(str(keep), "it is not empty")
    except OSError as error:
        raise DemoFolderUnfit(str(keep), error.strerror or str(error)) from error
    return keep.resolve()


@contextmanager
def _one_interruption() -> Iterator[None]:
    """Let only the first Ctrl-C (SIGTERM, SIGHUP) interrupt; another would interrupt the cleanup."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) is not signal.SIG_IGN}

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        raise KeyboardInterrupt

    # A wakeup descriptor would see the second signal, and its reader would end the program before the cleanup is done.
    woken = signal.set_wakeup_fd(-1)
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)


def _environment(cache: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    settings = {"COLUMNS": str(_width()), "NO_COLOR": "1", "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}
    return {**ours, **settings, "XDG_CACHE_HOME": str(cache)}


def _width() -> int:
    return min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
