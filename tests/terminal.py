"""A real terminal for a command: what a person at the keyboard sees and types."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence

from tests.conftest import BIN, ProjectCopy, clean_environment

CTRL_C = "\x03"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class Terminal:
    """A running command with a terminal as stdin and stderr, and as stdout unless that is a pipe."""

    def __init__(
        self, command: Sequence[str], cwd: str, environment: dict[str, str], columns: int, *, piped: bool
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environment, "TERM": environment.get("TERM", "xterm")},
            stdin=theirs,
            stdout=subprocess.PIPE if piped else theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - its Ctrl-C is to be a signal
        )
        os.close(theirs)
        self.raw = ""

    @property
    def text(self) -> str:
        """Return what the screen has received so far, without escape sequences."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Read until `words` appear on the screen."""
        deadline = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < deadline, f"{words!r} never came; the screen has:\n{self.text}"
            assert self._read(0.1) or words in self.text, f"ended without {words!r}; the screen has:\n{self.text}"

    def read(self) -> bool:
        """Read what is available, so that the command never waits for its reader; return True."""
        self._read(0)
        return True

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self, seconds: float = 20) -> int:
        """Wait until the command ends, still reading; return its exit status."""
        deadline = time.monotonic() + seconds
        while self._read(0.05):
            assert time.monotonic() < deadline, f"did not end in {seconds:g} s; the screen has:\n{self.text}"
            if self.process.poll() is not None and not select.select([self._ours], [], [], 0.05)[0]:
                break
        return self.process.wait(timeout=max(0.1, deadline - time.monotonic()))

    @functools.cached_property
    def stdout(self) -> str:
        """Return what came through the pipe, after the end."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        os.close(self._ours)


@contextlib.contextmanager
def at_a_terminal(
    project: ProjectCopy, *arguments: str, columns: int = 100, piped: bool = False, **environment: str
) -> Iterator[Terminal]:
    """Start the installed command in `project` at a terminal."""
    terminal = Terminal(
        [str(BIN / "alembic-rescue"), *arguments],
        str(project.root),
        clean_environment(project.home, **project.environment, **environment),
        columns,
        piped=piped,
    )
    try:
        yield terminal
    finally:
        terminal.close()
