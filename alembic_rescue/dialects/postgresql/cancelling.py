"""Ask PostgreSQL to cancel a statement, from a thread other than the one that waits for it."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_CANCEL_REQUEST = 80877102
"""The code of "CancelRequest" in PostgreSQL's protocol."""
_DESCRIPTORS = 4096


def cancel(raw: Any, seconds: float) -> bool:
    """Cancel what the driver's connection `raw` is running; return False if it is not PostgreSQL's."""
    if hasattr(raw, "cancel"):  # psycopg2, psycopg
        _apart(raw.cancel, seconds)
        return True
    if not (reached := _address_and_key(raw)):
        return False
    family, address, key = reached
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.settimeout(seconds)
        asking.connect(address)
        asking.sendall(struct.pack("!ii", 8 + len(key), _CANCEL_REQUEST) + key)
        with suppress(OSError):
            asking.recv(1)  # the server closes the connection when it has forwarded the request
    return True


def _apart(ask: Callable[[], None], seconds: float) -> None:
    """Call `ask` in a child process where fork is available: psycopg2 holds the GIL during the request.

    Otherwise every thread of this process would block as long as a dead network does not answer.
    """
    if not hasattr(os, "fork"):
        ask()
        return
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(round(seconds))  # in case the parent no longer exists to end it
            os.closerange(0, _DESCRIPTORS)  # readers of our output must not wait for this process
            ask()
        finally:
            os._exit(0)
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def _address_and_key(raw: Any) -> tuple[int, Any, bytes] | None:
    if key := getattr(raw, "_backend_key_data", None):  # pg8000
        return raw._usock.family, raw._usock.getpeername(), bytes(key)  # noqa: SLF001
    protocol = getattr(raw, "_protocol", None)
    if (secret := getattr(protocol, "backend_secret", None)) is None:  # asyncpg
        return None
    address = raw._addr  # noqa: SLF001
    key = struct.pack("!ii", raw.get_server_pid(), secret)
    if isinstance(address, str):
        return socket.AF_UNIX, address, key
    host, port = address[:2]
    family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, resolved, key
