"""A connection pooler in transaction mode, small enough to read: what PgBouncer does, for simple queries only.

Each transaction of a client gets a server session from the pool, the last one used first, and returns it at its end,
with whatever was SET on it.  Speaks PostgreSQL's wire protocol 3; the sessions are those of a real server.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from tests.servers import Server

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


class Pooler:
    """Listens on 127.0.0.1:`port` while it is open.

    Args:
        takes_options: accept startup options.  PgBouncer refuses those that it does not know, unless it is configured
            to ignore them.
    """

    def __init__(self, server: Server, *, takes_options: bool = True) -> None:
        self._server, self._takes_options = server, takes_options
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._idle: dict[bytes, list[Backend]] = defaultdict(list)
        self._running: dict[int, Backend] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for backends in self._idle.values():
            for backend in backends:
                backend.socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client:
            startup = self._greet(client)
            if startup is None:
                return
            if not self._takes_options and b"options\x00" in startup:
                report = b"SFATAL\x00VFATAL\x00C08P01\x00Munsupported startup parameter: options\x00\x00"
                client.sendall(b"E" + struct.pack("!I", len(report) + 4) + report)
                return
            client_id = client.getpeername()[1]
            client.sendall(self._take(startup).greeting_for(client_id, give_back=self._idle[startup]))
            try:
                while (message := _message(client))[:1] != b"X":
                    backend = self._running.get(client_id) or self._take(startup)
                    self._running[client_id] = backend
                    backend.run(message, client, partial(self._give_back, client_id, startup))
            finally:
                if (left_open := self._running.pop(client_id, None)) is not None:
                    left_open.socket.close()  # the client left within a transaction

    def _greet(self, client: socket.socket) -> bytes | None:
        """Read up to the startup message; return None after a cancel request, which is passed on."""
        while True:
            body = exactly(client, struct.unpack("!I", exactly(client, 4))[0] - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code in (SSL_REQUEST, GSS_REQUEST):
                client.sendall(b"N")
            elif code == CANCEL_REQUEST:
                running = self._running.get(struct.unpack("!I", body[4:8])[0])
                if running:
                    with _to(self._server) as other:
                        other.sendall(struct.pack("!II", 16, CANCEL_REQUEST) + running.key)
                return None
            else:
                return body

    def _give_back(self, client_id: int, startup: bytes) -> None:
        self._idle[startup].append(self._running.pop(client_id))

    def _take(self, startup: bytes) -> Backend:
        with self._lock:
            return self._idle[startup].pop() if self._idle[startup] else Backend(self._server, startup)


class Backend:
    """A session of the real server."""

    def __init__(self, server: Server, startup: bytes) -> None:
        self.socket = _to(server)
        self.socket.sendall(struct.pack("!I", len(startup) + 4) + startup)
        self.greeting = b""
        self.key = b""
        while not self.greeting.endswith(b"Z\x00\x00\x00\x05I"):
            message = _message(self.socket)
            if message[:1] == b"K":
                self.key = message[5:13]
                continue
            self.greeting += message

    def greeting_for(self, client_id: int, give_back: list[Backend]) -> bytes:
        """Send the server's greeting, with a process id and a key that the pooler made up."""
        give_back.append(self)
        ready = b"Z\x00\x00\x00\x05I"
        return self.greeting[: -len(ready)] + b"K" + struct.pack("!III", 12, client_id, 1) + ready

    def run(self, message: bytes, client: socket.socket, at_the_end: Callable[[], None]) -> None:
        """Pass a query on and its answer back; call `at_the_end` before the client learns of the transaction's end."""
        self.socket.sendall(message)
        while True:
            answer = _message(self.socket)
            if answer[:1] == b"Z" and answer[5:6] == b"I":
                at_the_end()
            client.sendall(answer)
            if answer[:1] == b"Z":
                return


@contextlib.contextmanager
def pooling(server: Server, **more: bool) -> Iterator[Pooler]:
    """Run a pooler in front of `server`, for the block."""
    pooler = Pooler(server, **more)
    try:
        yield pooler
    finally:
        pooler.close()


def _to(server: Server) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{server.pgdata}/.s.PGSQL.{server.port}")
    return connection


def _message(source: socket.socket) -> bytes:
    head = exactly(source, 5)
    return head + exactly(source, struct.unpack("!I", head[1:])[0] - 4)


def exactly(source: socket.socket, length: int) -> bytes:
    """Read that many bytes; raise EOFError if the other side has closed."""
    found = b""
    while len(found) < length:
        more = source.recv(length - len(found))
        if not more:
            raise EOFError
        found += more
    return found
