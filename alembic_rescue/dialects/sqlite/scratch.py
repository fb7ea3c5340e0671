"""Scratch databases of SQLite: files in the run's own folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from alembic_rescue.dialects import scratch
from alembic_rescue.dialects.scratch import Alike, Copy, Guest, ScratchServer, Tell, Unavailable
from alembic_rescue.model import Identity
from alembic_rescue.servers.leftovers import run_folder


class Scratch(scratch.Scratch):
    """Files instead of a server."""

    @contextmanager
    def started(self, live_version: str, tell: Tell, alike: Alike, kept: Path) -> Iterator[ScratchServer]:
        """Provide a folder."""
        with run_folder() as folder:
            (home := folder.path / "files").mkdir(mode=0o700)
            yield ScratchServer(home.as_uri(), live_version)

    def copied(
        self,
        server: ScratchServer,
        live: Identity,
        database: str,
        rows: Sequence[str],
        dumped: Callable[[], Any],
        guest: Guest | None,
    ) -> Copy | Unavailable:
        """Run the statements of the live file's catalog, one by one."""
        folder = Path(unquote(urlsplit(server.admin_url).path))
        return _copied(live.database, folder / database, live.version_table, rows)


def _copied(live: str, copy: Path, table: str, rows: Sequence[str]) -> Copy | Unavailable:
    copy.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{Path(live).absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            made = source.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                "ORDER BY type <> 'table', rowid"
            )
            for (sql,) in made.fetchall():
                target.execute(sql)
            name = _quoted(table)
            target.execute(f"CREATE TABLE IF NOT EXISTS {name} (version_num VARCHAR(32) NOT NULL)")
            target.executemany(f"INSERT INTO {name} (version_num) VALUES (?)", [(row,) for row in rows])  # noqa: S608
            target.commit()
    except sqlite3.Error as error:
        return Unavailable(f"its schema cannot be copied: {error}")
    return Copy(str(copy))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
