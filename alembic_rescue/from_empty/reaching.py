"""Find out what env.py visits by running it on empty scratch databases; none of the project's is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from alembic_rescue import dialects, errors, selection
from alembic_rescue.client import Project
from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence.observation import Failure
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import Database, Identity
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.chain import hear_steps, load_baseline
from alembic_rescue.worker.requests import Look, ScriptFile, Visited
from alembic_rescue.worker.scratch.reached import Reached, Seeing, Seen, StandIn

ON_EMPTY = "on an empty database"
_STAND_IN = "//alembic_rescue@localhost/alembic_rescue"
_DRIVERS = (
    *("postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg", "postgresql+pg8000"),
    *("mysql+pymysql", "sqlite+pysqlite"),
)
"""The drivers to try for a stand-in URL; the first with which env.py opens a database is used."""
_NOWHERE = "it ends without running migrations"
_VARIABLE = "DATABASE_URL"
"""The variable from which many env.py files, or the settings that they import, read the URL."""
_ASKED = re.compile(r"KeyError: '([A-Z0-9_]*(?:URL|URI|DSN|DATABASE|DB)[A-Z0-9_]*)'")
"""A missing variable whose name suggests that it holds a URL."""
_MOST_VARIABLES = 3
_MODULES = {"psycopg2", "psycopg", "asyncpg", "pg8000", "pymysql", "MySQLdb"}
"""Drivers; if one is not installed, another may be."""
_IN_MEMORY = {"", ":memory:"}
"""SQLite's names for a database that only one connection sees."""


@dataclass(frozen=True)
class Ground:
    """What to run the chain on."""

    view: View
    stand_in: StandIn | None
    """Replaces the project's URL if that is missing or invalid."""


def reached(project: Project, only: str | None, bench: Bench) -> Ground:
    """Run env.py without a database, then on an empty one.

    Raises:
        EnvNotReached: it opens no database, or none that can be replaced.
        EnvFailsOnEmpty: it runs no migrations on an empty database.
        NoSuchDatabase, AmbiguousDatabase: see :mod:`alembic_rescue.selection`.
        DuplicateRevision, RevisionCycle, MissingRevision, BadConfig: the script files contradict one another.
        ScratchMissing, ScratchUnfit, ScratchFailed: there is no scratch server.
    """
    found, stand_in = _first(project, bench)
    files = (*found.scripts, *_to_be_run(project, found))
    graph = scripts.graph(files)
    first = _visited(Seen(found.dialect, found.dialect, {}, "alembic_version", None, transactional=True))
    seeing = _seen(first, files, stand_in, bench)
    visits = tuple(on_nothing(_visited(seen), bench) for seen in seeing.visits)
    if not visits:
        failure = seeing.failure
        told = (failure.error, place_of(failure)) if failure else (_NOWHERE,)
        raise errors.EnvFailsOnEmpty(*told)
    if any(one.dialect != found.dialect for one in seeing.visits):
        raise errors.EnvNotReached("it opens databases of several kinds, but only one scratch server can be used")
    if dialects.of(found.dialect).is_file and any(_path(one) in _IN_MEMORY for one in visits):
        raise errors.EnvNotReached("it opens a database in memory, which is gone when the connection is closed")
    distinct = {one.database.identity.rows_key: one for one in visits}
    chosen = selection.chosen([one.database for one in distinct.values()], only)
    meant = tuple(distinct[database.identity.rows_key] for database in chosen)
    view = View(graph, Look(tuple(distinct.values()), files), meant, ())
    return Ground(replace(view, left_out=view.without(chosen)), stand_in)


def _path(visited: Visited) -> str:
    return visited.database.identity.database


def _first(project: Project, bench: Bench) -> tuple[Reached, StandIn | None]:
    """Return the first database that env.py opens; if it needs a URL, with a stand-in that leads nowhere."""
    first: Reached = bench.ask("reach", loading=project.named, stand_in=None)
    if first.dialect:
        return first, None
    _refuse_a_missing_module(first.failure)
    for driver in () if project.loaded.has_url else _DRIVERS:
        stand_in = StandIn(f"{driver}:{_STAND_IN}", (_VARIABLE,))
        for _ in range(_MOST_VARIABLES):
            found: Reached = bench.ask("reach", loading=project.named, stand_in=stand_in)
            if found.dialect:
                return found, stand_in
            asked = _ASKED.match(found.failure.error) if found.failure else None
            if asked is None or asked[1] in stand_in.variables:
                break
            stand_in = StandIn(stand_in.url, (*stand_in.variables, asked[1]))
    raise _not_reached(first.failure)


def _refuse_a_missing_module(failure: Failure | None) -> None:
    """Refuse if a module is missing, unless it is a driver: no URL would help."""
    missing = failure and re.match(r"ModuleNotFoundError: No module named '([^']+)'", failure.error)
    if failure is not None and missing and missing[1].partition(".")[0] not in _MODULES:
        raise errors.ModuleMissing(missing[1], place_of(failure))


def place_of(failure: Failure) -> str:
    """Return file and line; only the file if the line is unknown."""
    return f"{shown(Path(failure.path))}:{failure.line}" if failure.line else shown(Path(failure.path))


def _not_reached(failure: Failure | None) -> errors.EnvNotReached:
    if failure is None:
        return errors.EnvNotReached(_NOWHERE)
    return errors.EnvNotReached(failure.error, place_of(failure))


def _to_be_run(project: Project, found: Reached) -> tuple[ScriptFile, ...]:
    return project.told_by_running(found.unreadable) if found.unreadable else ()


def _seen(first: Visited, files: tuple[ScriptFile, ...], stand_in: StandIn | None, bench: Bench) -> Seeing:
    """Return what env.py visits on an empty database, whatever addresses it uses."""
    first = on_nothing(first, bench)
    stub = View(scripts.graph(files), Look((first,), files), (first,), ())
    places = bench.placed(stub, "_look")
    seeing: Seeing = bench.run("see", places, stub, hear_steps(bench, ON_EMPTY), stand_in=stand_in)
    if not seeing.visits and bench.project.baseline is not None:
        load_baseline(stub, places, bench)
        seeing = bench.run("see", places, stub, hear_steps(bench, ON_EMPTY), stand_in=stand_in)
    return seeing


def on_nothing(visited: Visited, bench: Bench) -> Visited:
    """Return the visit with the surroundings of an empty database."""
    server, identity = bench.server(visited), visited.database.identity
    around = dialects.of(identity.dialect).scratch.of_nothing(server, identity.role or "")
    return replace(visited, surroundings=around)


def _visited(seen: Seen) -> Visited:
    """Return what a look would report for an empty database on the scratch server."""
    database = seen.asked.get("database") or seen.asked.get("user") or ""
    identity = Identity(
        url="",
        dialect=seen.dialect,
        server_version="",
        server_id="",
        server_address=None,
        socket=None,
        host=None,
        port=None,
        database=database,
        role=seen.asked.get("user"),
        encrypted=None,
        version_table=seen.table,
        version_table_schema=seen.schema,
        version_table_found_in=None,
    )
    return Visited(
        database=Database(
            identity=identity,
            current_heads=(),
            version_table_exists=False,
            id_limit=None,
            read_only=None,
            missing_privileges=(),
            blockers=(),
            pooled=False,
            called=seen.called,
        ),
        asked=seen.asked,
        driver=seen.driver,
        transactional=seen.transactional,
    )
