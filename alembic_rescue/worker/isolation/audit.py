"""Refuse what Python itself would do outside the scratch database, with an audit hook.

The hook sees Python's own sockets, child processes and foreign libraries, on every platform.  It does not see what a
library does in C: the kernel handles that where it can (``seccomp``), and the patched drivers do (``led_away``).
"""

from __future__ import annotations

import _thread
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from alembic_rescue.worker.isolation.refusal import note_start, refuse
from alembic_rescue.worker.isolation.routes import Routes

_CLIENTS = re.compile(r"libpq|mysqlclient|libmariadb|sqlite3|odbc|libcurl|libssh", re.IGNORECASE)
"""Libraries that connect to a database or the network on their own."""
_FUNCTIONS = re.compile(
    r"PQ(connect|ping|setdb)|mysql_(real_)?connect|sqlite3_open|(socket|connect|syscall|system|popen|fork|vfork|clone"
    r"|posix_spawnp?|exec[lv][a-z]*)$"
)
"""C functions that connect or start a program."""
_LOADS_ITS_OWN = re.compile(r"[/\\]psycopg[/\\]pq[/\\]")
"""A driver that uses ctypes; it is redirected itself."""
_NUMERIC = re.compile(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*|localhost|")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_APPEND | os.O_CREAT


def install(routes: Routes) -> None:
    """Refuse everything that reaches outside, from now on and permanently."""
    checks = _checks(routes)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        check = checks.get(event)
        if check is not None:
            check(*arguments)

    sys.addaudithook(hook)
    if sys.version_info < (3, 12):
        _tell_of_threads()
    # It raises no audit event, and multiprocessing calls it directly.
    with contextlib.suppress(ImportError):  # Windows
        import _posixsubprocess  # noqa: PLC0415

        setattr(_posixsubprocess, "fork_exec", _no_child)  # noqa: B010 - assigning it fails type checking
    if hasattr(subprocess, "_fork_exec"):
        subprocess._fork_exec = _no_child  # noqa: SLF001 - present in Python 3.11 to 3.14


def _tell_of_threads() -> None:
    """Record the start of threads by patching, because Python before 3.12 has no audit event for it."""
    start = _thread.start_new_thread

    def start_new_thread(function: Any, *arguments: Any) -> int:
        note_start(function)
        return start(function, *arguments)

    for module, name in ((_thread, "start_new_thread"), (_thread, "start_new"), (threading, "_start_new_thread")):
        setattr(module, name, start_new_thread)


def _no_child(*arguments: Any) -> None:
    refuse(f"start a program: {_command(arguments[0] if arguments else '')}")


def _checks(routes: Routes) -> Mapping[str, Callable[..., None]]:
    """Return the check for each audit event, by its name in Python."""
    places = _Places(routes)
    files = _Files(routes)
    programs: dict[str, Callable[..., None]] = {
        "subprocess.Popen": lambda executable, arguments, *_: refuse(
            f"start a program: {_command(arguments or executable)}"
        ),
        "os.system": lambda command: refuse(f"start a program: {_command(command)}"),
        "os.exec": lambda path, *_: refuse(f"become another program: {_command(path)}"),
        "os.posix_spawn": lambda path, *_: refuse(f"start a program: {_command(path)}"),
        "os.spawn": lambda _, path, *__: refuse(f"start a program: {_command(path)}"),
        "os.startfile": lambda path, *_: refuse(f"start a program: {_command(path)}"),
        "os.fork": lambda: refuse("start a child process"),
        "os.forkpty": lambda: refuse("start a child process"),
        "os.kill": _kill,
        "os.killpg": lambda *_: refuse("send a signal to other processes"),
        "ctypes.dlopen": _dlopen,
        "ctypes.dlsym": _dlsym,
        "_thread.start_new_thread": lambda function, *_: note_start(function),
        "_thread.start_joinable_thread": lambda function, *_: note_start(function),
    }
    return programs | places.checks() | files.checks()


def _command(command: Any) -> str:
    """Return only the program, because arguments may hold secrets."""
    first = command[0] if isinstance(command, (list, tuple)) and command else command
    text = os.fsdecode(first) if isinstance(first, (str, bytes, os.PathLike)) else str(first)
    return (text.split() or ["?"])[0]


def _kill(pid: int, number: int) -> None:
    if pid != os.getpid() and number != 0:
        refuse("send a signal to another process")


def _dlopen(name: Any) -> None:
    if name is not None and _CLIENTS.search(os.path.basename(os.fsdecode(name))) and not _loads_its_own():  # noqa: PTH119
        refuse(f"load the library {os.fsdecode(name)}")


def _dlsym(_: Any, name: Any) -> None:
    if isinstance(name, (str, bytes)) and _FUNCTIONS.match(os.fsdecode(name)) and not _loads_its_own():
        refuse(f"call {os.fsdecode(name)} of a foreign library")


def _loads_its_own() -> bool:
    frame = sys._getframe(1)  # noqa: SLF001 - as in refusal.py
    while frame := frame.f_back:  # type: ignore[assignment]
        if _LOADS_ITS_OWN.search(frame.f_code.co_filename):
            return True
    return False


class _Places:
    """Checks sockets and host names."""

    def __init__(self, routes: Routes) -> None:
        self._sockets = routes.sockets()
        self._network = {(host, port) for name, port in routes.network() for host in (name, *_resolved(name, port))}
        self._names = {host for host, _ in self._network}

    def checks(self) -> dict[str, Callable[..., None]]:
        return {
            "socket.__new__": self.made,
            "socket.connect": self.reached,
            "socket.sendto": self.reached,
            "socket.sendmsg": self.reached,
            "socket.getaddrinfo": lambda host, *_: self.looked_up(host),
            "socket.gethostbyname": lambda host, *_: self.looked_up(host),
            "socket.gethostbyaddr": lambda host, *_: self.looked_up(host),
        }

    def made(self, _: Any, family: int, *__: Any) -> None:
        unix = getattr(socket, "AF_UNIX", None)
        if unix is None or self._sockets is None or family in {unix, -1}:  # -1: from an existing descriptor
            return
        refuse("open a network socket")

    def reached(self, _: Any, address: Any) -> None:
        if address is None:  # already connected
            return
        if isinstance(address, (str, bytes)):
            if os.fsdecode(address) not in (self._sockets or ()):
                refuse(f"connect to the socket {os.fsdecode(address)}")
        elif tuple(address[:2]) not in self._network:
            refuse(f"connect to {address[0]}:{address[1]}" if len(address) > 1 else f"connect to {address}")

    def looked_up(self, host: Any) -> None:
        text = os.fsdecode(host) if isinstance(host, (str, bytes)) else ""
        if text not in self._names and not _NUMERIC.fullmatch(text):
            refuse(f"look up the host {text}")


def _resolved(host: str, port: int) -> list[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port)]
    except OSError:
        return []


class _Files:
    """Checks files: those of a live SQLite database must not be written, moved or removed."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def checks(self) -> dict[str, Callable[..., None]]:
        moves = ("os.rename", "os.link", "os.symlink", "shutil.copyfile", "shutil.move")
        takes = ("os.remove", "os.truncate", "os.chmod", "os.chown")
        return {
            "open": self.opened,
            "sqlite3.connect": self.database,
            **dict.fromkeys(moves, self.moved),
            **dict.fromkeys(takes, self.taken),
        }

    def opened(self, path: Any, _: Any, flags: Any) -> None:
        if isinstance(flags, int) and flags & _WRITES:
            self.taken(path)

    def moved(self, source: Any, target: Any, *_: Any) -> None:
        self.taken(source)
        self.taken(target)

    def taken(self, path: Any, *_: Any) -> None:
        if isinstance(path, (str, bytes, os.PathLike)) and self._routes.is_live_file(os.fsdecode(path)):
            refuse(f"change the file {os.fsdecode(path)}")

    def database(self, path: Any) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        text = os.fsdecode(path)
        if text.startswith("file:"):
            text = text[len("file:") :].partition("?")[0]
        if text not in {"", ":memory:"} and not self._routes.is_scratch_file(text):
            refuse(f"open the SQLite file {text}")
