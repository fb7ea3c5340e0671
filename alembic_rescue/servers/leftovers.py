"""A folder for each run, and the cleanup of what killed runs left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.servers import programs

if sys.platform != "win32":
    import fcntl

_PREFIX = "alembic-rescue-scratch-"
_BEGUN = "alembic-rescue-begun-"
"""The prefix until the folder is locked; then it is renamed."""
_OWNER = "owner"
_DATA = "data"
_LONGEST_NAME = len(f"/{_PREFIX}12345678/s/.s.PGSQL.5432")
_ENDS_WITHIN = 10.0
_OLD = 3600.0
"""Seconds after which a folder that was begun but not locked counts as abandoned."""


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to this run while `lock` is open, here or in a process that inherited it."""

    path: Path
    lock: int

    @property
    def data(self) -> Path:
        """The server's files."""
        return self.path / _DATA

    @property
    def sockets(self) -> Path:
        """The folder of its socket."""
        return self.path / "s"


@contextlib.contextmanager
def run_folder() -> Iterator[RunFolder]:
    """Yield a private folder with a path short enough for a socket; first remove what earlier runs left behind."""
    place = _place()
    _remove_leftovers(place)
    begun = Path(tempfile.mkdtemp(prefix=_BEGUN, dir=place))
    lock = os.open(begun / _OWNER, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    path = begun.with_name(_PREFIX + begun.name[len(_BEGUN) :])
    try:
        _lock(lock)
        begun.rename(path)
        for folder in (path / _DATA, path / "s"):
            folder.mkdir(mode=0o700)
            programs.give(folder)
        if programs.unprivileged():
            path.chmod(0o711)  # the server's user passes through to its own folders
        yield RunFolder(path, lock)
    finally:
        os.close(lock)
        for one in (begun, path):
            shutil.rmtree(one, ignore_errors=True)


def _place() -> Path:
    """Return the temporary folder, or ``/tmp`` if its path is too long or the server's user cannot enter it."""
    usual = Path(tempfile.gettempdir())
    fits = len(os.fsencode(usual)) + _LONGEST_NAME <= programs.LONGEST_SOCKET_PATH
    enterable = not programs.unprivileged() or programs.unprivileged_can("sh", "-c", 'cd "$0"', str(usual))
    return usual if fits and enterable else Path("/tmp")  # noqa: S108 - a private folder is made in it


def _lock(descriptor: int) -> bool:
    """Lock it unless someone else has; on a platform without such locks everything counts as locked by others."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_leftovers(place: Path) -> None:
    if sys.platform == "win32":
        return
    for begun in place.glob(f"{_BEGUN}*"):
        with contextlib.suppress(OSError):
            status = begun.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _OLD:
                shutil.rmtree(begun, ignore_errors=True)
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.lstat().st_uid != os.geteuid():
                continue
            owner = os.open(path / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if _lock(owner):
                    _end_server(path / _DATA)
                    _remove(path)
            finally:
                os.close(owner)


def _remove(path: Path) -> None:
    """Remove a folder that the last processes of a server may still be leaving."""
    until = time.monotonic() + _ENDS_WITHIN
    while path.exists() and time.monotonic() < until:
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.01)


def _end_server(data: Path) -> None:
    """End the server with its files in `data`, if it is alive."""
    for name in ("postmaster.pid", "mysqld.pid"):
        try:
            pid = int((data / name).read_text("utf-8").split()[0])
        except (OSError, ValueError, IndexError):
            continue
        until = time.monotonic() + _ENDS_WITHIN
        number = signal.SIGQUIT if name == "postmaster.pid" else signal.SIGKILL
        while pid > 1 and _is_of(pid, data):
            os.kill(pid, number if time.monotonic() < until else signal.SIGKILL)
            time.sleep(0.02)


def _is_of(pid: int, data: Path) -> bool:
    """Return whether that process is the server of `data`: its id may belong to another by now."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
        except OSError:
            return False
    told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return str(data) in told.stdout
