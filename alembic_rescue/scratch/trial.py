"""What the pending revisions run into on a copy of the live schema, in the project's own transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from alembic_rescue import errors
from alembic_rescue.evidence.causes import Upgrade, never_committed
from alembic_rescue.inspection import View
from alembic_rescue.model import Note
from alembic_rescue.scratch import copy as copies
from alembic_rescue.scratch.bench import Bench, address_of
from alembic_rescue.scratch.chain import Asked, hear_steps
from alembic_rescue.scratch.copy import Copy, Unavailable
from alembic_rescue.worker.requests import Place
from alembic_rescue.worker.runs import OwnRun, ScratchVisit


@dataclass(frozen=True)
class Trial:
    """One run of the pending revisions."""

    upgrade: Upgrade | None = None
    """None: there was no copy to run them on."""
    notes: tuple[Note, ...] = ()


def run(view: View, one: Asked, rows: Sequence[str], todo: Sequence[str], bench: Bench) -> Trial:
    """Run `todo` on a copy of the live schema whose version table has `rows`.

    Never raises: that there is no copy is told.
    """
    try:
        return _run(view, one, rows, tuple(todo), bench)
    except errors.RescueError as error:
        return Trial(None, (_not_tried(error.message),))


def _run(view: View, one: Asked, rows: Sequence[str], todo: tuple[str, ...], bench: Bench) -> Trial:
    places = bench.placed(view, "_copy")
    place = places[address_of(one.visited)]
    made = copied(one, place, rows, bench)
    if isinstance(made, Unavailable):
        return Trial(None, (_not_tried(made.reason),))
    ran: OwnRun = bench.run(
        "upgrade",
        places,
        view,
        hear_steps(bench),
        visits=visits_of(view, one, (), todo),
    )
    keys = [visited.database.identity.rows_key for visited in view.scripts.visited]
    own = next((visit for visit in ran.visits if visit.visit == keys.index(one.key)), None)
    if own is None:
        reason = ran.error.error if ran.error else "env.py does not come to the copy"
        return Trial(None, (_not_tried(reason),))
    notes: tuple[Note, ...] = ()
    if own.never_commits:
        notes = (never_committed(own.rows_expected, own.rows_found or ()),)
    lacking = [lack.what for lack in made.lacks]
    return Trial(Upgrade(own.failing, own.failed, own.failure, own.transactional, lacking), notes)


def visits_of(view: View, one: Asked, behind: tuple[str, ...], todo: tuple[str, ...]) -> tuple[ScratchVisit, ...]:
    """One for each of env.py's visits; only that of `one` has something to run."""
    found = []
    for visited in view.scripts.visited:
        identity = visited.database.identity
        own = (behind, todo) if identity.rows_key == one.key else ((), ())
        found.append(ScratchVisit(identity.version_table_schema, identity.version_table, *own))
    return tuple(found)


def copied(one: Asked, place: Place, rows: Sequence[str], bench: Bench) -> Copy | Unavailable:
    """Make `place` a copy of the live schema, whose version table has `rows`."""
    identity = one.visited.database.identity
    server = bench.server(one.visited)
    if identity.dialect == "sqlite":
        folder = Path(unquote(urlsplit(server.admin_url).path))
        return _sqlite_copy(identity.database, folder / place.database, identity.version_table, rows)
    if identity.dialect != "postgresql" or server.programs is None:
        return Unavailable(f"no copy of a {identity.dialect} schema can be made here")
    if one.key not in bench.dumps:
        bench.dumps[one.key] = bench.project.dump(one.key, server.programs)
    dumped: Any = bench.dumps[one.key]
    if isinstance(dumped, Unavailable):
        return dumped
    table = _quoted(identity.version_table)
    if identity.schema:
        table = f"{_quoted(identity.schema)}.{table}"
    return copies.restore(server.admin_url, server.programs, dumped, place.database, {table: tuple(rows)})


def _sqlite_copy(live: str, copy: Path, table: str, rows: Sequence[str]) -> Copy | Unavailable:
    copy.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{Path(live).absolute().as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
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


def _not_tried(reason: str) -> Note:
    return Note(
        "upgrade-not-tried",
        f"the pending revisions were not tried on a copy of the schema: {reason}",
        "what would fail on this database is not known",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
