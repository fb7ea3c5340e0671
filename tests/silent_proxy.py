"""A proxy between client and server that goes silent: it keeps the connections open, but forwards nothing any more.

Like a proxy that hangs, a NAT that forgot, a machine that was paused.  Or it cuts the connections.  It knows no
protocol: it recognises a client's message by words in it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

A_STATEMENT = rb"(?i)\b(select|set|show|begin|start)\b"
"""Any message, except those of the login."""


class Then(Enum):
    """What happens at that message."""

    HELD = "it is not delivered, nor is anything after it"
    UNANSWERED = "it is delivered, and that was the last"
    CUT = "it is delivered, and the connection is cut"


@dataclass
class Proxy:
    """Listens on 127.0.0.1:`port` while it is open.

    Args:
        to_server: opens a connection to the real server.
        words: of the message, as a pattern; an empty one matches the first message of a login.
        then: see there.
        later: instead of that connection, the next new one goes silent, at its first statement.
        all_of_it: once the proxy is silent, new connections are, too.
    """

    to_server: Callable[[], socket.socket]
    words: bytes
    then: Then = Then.HELD
    later: bool = False
    all_of_it: bool = True
    silent: bool = False
    connections: int = 0
    _seen: bool = False
    _kept: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Release all connections."""
        self._listener.close()
        for one in self._kept:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # our own threads wait for them
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = self.to_server()
                self._kept += [client, server]
                end = threading.Event()
                later = self.later and self._seen
                threading.Thread(target=self._to_server, args=(client, server, end, later), daemon=True).start()
                threading.Thread(target=self._to_client, args=(server, client, end), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, end: threading.Event, later: bool) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if end.is_set() or (self.silent and self.all_of_it):
                    end.set()
                    continue
                found = not self.silent and re.search(A_STATEMENT if later else self.words, data)
                if found and self.later and not later:
                    self._seen, found = True, None
                if found:
                    self.silent = True
                    end.set()
                if not found or self.then is not Then.HELD:
                    server.sendall(data)
                if found and self.then is Then.CUT:
                    _reset(client)
                    return
            if not end.is_set():
                server.shutdown(socket.SHUT_RDWR)

    def _to_client(self, server: socket.socket, client: socket.socket, end: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not end.is_set():
                    client.sendall(data)
            if not end.is_set():
                client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def dripping(to_server: Callable[[], socket.socket], seconds: float) -> Iterator[int]:
    """Yield the port of a proxy that forwards one byte of the server's answer every `seconds`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hand_on(source: socket.socket, to: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 if pause else 65536):
                to.sendall(data)
                time.sleep(pause)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, server = listener.accept()[0], to_server()
                for ends in ((client, server, 0.0), (server, client, seconds)):
                    threading.Thread(target=hand_on, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _reset(client: socket.socket) -> None:
    """Without a goodbye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    client.close()


@contextlib.contextmanager
def between(to_server: Callable[[], socket.socket], words: bytes, **more: object) -> Iterator[Proxy]:
    """Run a proxy for the block."""
    proxy = Proxy(to_server, words, **more)  # type: ignore[arg-type]
    try:
        yield proxy
    finally:
        proxy.close()
