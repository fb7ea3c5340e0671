"""A proxy between client and server that counts the statements, and stops the client at one of them.

Speaks enough of PostgreSQL's wire protocol 3 to tell simple queries, as psycopg2 sends them, from everything else.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.pooler import exactly
from tests.servers import Server

_PROTOCOL_3 = 3 << 16


@dataclass
class Proxy:
    """Listens on 127.0.0.1:`port` while it is open.

    Args:
        server: the real server.
        at: number of the statement, over all connections, after which its connection forwards nothing; 0 for never.
        delivered: deliver that statement, too.
    """

    server: Server
    at: int = 0
    delivered: bool = False
    statements: list[tuple[int, str]] = field(default_factory=list)
    """Each with the number of its connection."""
    reached: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections; those that are open end with their clients."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server.port))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections += 1
                for work in (self._to_server, _to_client):
                    threading.Thread(target=work, args=(client, server, self._connections), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, number: int) -> None:
        try:
            while True:
                body = _body(client)
                server.sendall(body)
                if struct.unpack("!I", body[4:8])[0] == _PROTOCOL_3:
                    break  # until then, requests for encryption
            while True:
                kind = exactly(client, 1)
                body = _body(client)
                if kind == b"Q" and self._is_it(number, body[4:-1].decode()):
                    if self.delivered:
                        server.sendall(kind + body)
                    self.reached.set()
                    while client.recv(65536):  # until it is killed
                        pass
                    break
                server.sendall(kind + body)
        except (OSError, EOFError):  # it is gone
            pass
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)

    def _is_it(self, number: int, statement: str) -> bool:
        with self._turn:
            self.statements.append((number, statement))
            return len(self.statements) == self.at


def _to_client(client: socket.socket, server: socket.socket, _number: int) -> None:
    with contextlib.suppress(OSError), client, server:
        while data := server.recv(65536):
            client.sendall(data)


def _body(source: socket.socket) -> bytes:
    head = exactly(source, 4)
    return head + exactly(source, struct.unpack("!I", head)[0] - 4)


@contextlib.contextmanager
def counting(server: Server, at: int = 0, *, delivered: bool = False) -> Iterator[Proxy]:
    """Run a proxy for the block."""
    proxy = Proxy(server, at, delivered)
    try:
        yield proxy
    finally:
        proxy.close()
