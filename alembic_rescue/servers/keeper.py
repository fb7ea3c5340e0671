"""Run one server, and end it: a separate process between the caller and the server.

Its standard input is its lifeline.  When that closes, whatever happened to the caller, it stops the server and removes
the server's folder; and if this process is killed, the kernel sends the server a signal (Linux).  It runs in a separate
session, so that a terminal's Ctrl-C does not reach it.

The server gets no network if the platform allows it (a separate network namespace, for root or with user namespaces;
its Unix socket still works), and on Linux it can neither connect to anything nor start a program: ``dblink``,
``postgres_fdw``, subscriptions and ``COPY TO PROGRAM`` end in an error, for a superuser too.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alembic_rescue.servers import seccomp

PREPARING = 120.0
"""Seconds to create the server's files."""
STARTING = 60.0
"""Seconds within which it must accept connections."""
STOPPING = 5.0
"""Seconds from telling a server to stop until killing it."""

_KEPT = 3
"""How many servers' freshly created files to keep."""
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True)
class Wanted:
    """The server to run.  Passed as JSON."""

    folder: str
    """Removed at the end, with everything in it."""
    prepare: list[str]
    """The command that creates its files."""
    run: list[str]
    """The server's command: the program's path first."""
    ready: list[str]
    """It is ready when this file exists or, if there are two entries, has a line equal to the second."""
    log: str
    stop: int
    """The signal that ends it immediately."""
    user: dict[str, Any]
    """The user that it runs as: arguments of ``subprocess.Popen``; empty for this process's own user."""
    connects: bool
    """The server itself must open connections to run at all (PostgreSQL before 15, to its own loopback)."""
    data: str = ""
    """The folder with its files."""
    kept: str = ""
    """Where to keep fresh files for later runs, which copy them because that is faster.  Empty: nowhere."""

    def argument(self) -> str:
        """Return it as the keeper's only argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Run the server that the only argument describes; answer with one line of JSON on standard output."""
    wanted = Wanted(**json.loads(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when the caller does
    try:
        _keep(wanted)
    finally:
        shutil.rmtree(wanted.folder, ignore_errors=True)


def _keep(wanted: Wanted) -> None:
    alone = _leave_the_network()
    with Path(wanted.log).open("ab") as log:
        if not _taken_from_kept(wanted):
            try:
                done = _start(wanted, wanted.prepare, log).wait(PREPARING)
            except subprocess.TimeoutExpired:
                done = -1
            if done != 0:
                _answer(failed=f"{Path(wanted.prepare[0]).name} ended with {done}", log=wanted.log)
                return
            _keep_files(wanted)
        server = _start(wanted, wanted.run, log)
    try:
        if not _ready(wanted, server):
            _answer(failed=f"it ended with {server.poll()}" if server.poll() else "it does not start", log=wanted.log)
            return
        _answer(alone=alone)
        while not _lifeline_cut(1.0) and server.poll() is None:
            pass
    finally:
        _stop(server, wanted.stop)


def _taken_from_kept(wanted: Wanted) -> bool:
    """Copy the files that an earlier run has kept; return False if this user has none."""
    kept, data = Path(wanted.kept), Path(wanted.data)
    if not wanted.kept or not _is_ours(kept):
        return False
    try:
        shutil.copytree(kept, data, dirs_exist_ok=True)
        if wanted.user:
            for path in (data, *data.rglob("*")):
                os.chown(path, wanted.user["user"], wanted.user["group"])
    except OSError:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        if wanted.user:
            os.chown(data, wanted.user["user"], wanted.user["group"])
        return False
    with contextlib.suppress(OSError):
        kept.touch()
    return True


def _is_ours(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return folder.stat().st_uid == os.geteuid()
    return False


def _keep_files(wanted: Wanted) -> None:
    """Keep the fresh files, completely or not at all, and those of the two other servers used most recently."""
    if not wanted.kept:
        return
    kept = Path(wanted.kept)
    beside = kept.with_name(f".{kept.name}-{os.getpid()}")
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _is_ours(kept.parent):
            shutil.copytree(wanted.data, beside)
            beside.rename(kept)
            others = sorted(kept.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in others[_KEPT:]:
                shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(beside, ignore_errors=True)


def _start(wanted: Wanted, command: list[str], log: Any) -> subprocess.Popen[bytes]:
    program = os.open(command[0], os.O_RDONLY)
    server = command is wanted.run

    def confined() -> None:
        seccomp.die_with_parent(wanted.stop if server else signal.SIGKILL)
        if server and seccomp.available():
            # The server is the last program to run: it starts from its descriptor, and nothing can start by path.
            os.set_inheritable(program, False)
            rules = [rule for rule in seccomp.NO_CHILDREN if rule.call == "execve"]
            refused = [*rules, *seccomp.NO_MEDDLING, *([] if wanted.connects else [seccomp.Rule("connect")])]
            if seccomp.refuse(refused):
                os.execve(program, command, os.environ)  # noqa: S606 - the server's own program

    try:
        return subprocess.Popen(  # noqa: S603 - the server's own program
            command,
            cwd=wanted.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=confined,  # noqa: PLW1509 - this process has one thread
            **wanted.user,
        )
    finally:
        os.close(program)


def _ready(wanted: Wanted, server: subprocess.Popen[bytes]) -> bool:
    path, *words = wanted.ready
    until = time.monotonic() + STARTING
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            if not words:
                os.stat(path)  # noqa: PTH116 - pathlib would be the only reason to make an object 100 times
                return True
            if words[0] in [line.strip() for line in Path(path).read_text("utf-8", "replace").splitlines()]:
                return True
        if _lifeline_cut(0.005):
            return False
    return False


def _lifeline_cut(seconds: float) -> bool:
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and os.read(0, 1) == b""


def _stop(server: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(number)
    try:
        server.wait(STOPPING)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _answer(*, failed: str = "", log: str = "", alone: bool = False) -> None:
    output = Path(log).read_text("utf-8", "replace").strip().splitlines()[-3:] if log else []
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({"failed": " | ".join([failed, *output]), "alone": alone}), flush=True)  # noqa: T201


# --- without a network -------------------------------------------------------------------------------------------


def _leave_the_network() -> bool:
    """Enter a separate network namespace, which has only a loopback; return False if that is not possible."""
    if sys.platform != "linux":
        return False
    # Try it in a child first, because it cannot be undone half-way.
    child = os.fork()
    if child == 0:
        try:
            _unshare()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        return False
    _unshare()
    return True


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    flags = _NEW_NETWORK if user == 0 else _NEW_NETWORK | _NEW_USER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")
    _raise_the_loopback()


def _raise_the_loopback() -> None:
    """Bring the loopback up: PostgreSQL before 15 uses it for its statistics."""
    import socket  # noqa: PLC0415 - only here

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


if __name__ == "__main__":
    main()
