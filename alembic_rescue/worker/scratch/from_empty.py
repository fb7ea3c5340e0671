"""Run a chain from an empty database, without looking at the project's databases.

Each operation runs env.py with its connections redirected to scratch databases.  If env.py opens only one database,
every address leads to the scratch database: the configured one may be unset, wrong or out of reach.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from alembic.autogenerate import RevisionContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.util import CommandError
from sqlalchemy import String, inspect
from sqlalchemy.engine import URL, Engine

from alembic_rescue import dialects
from alembic_rescue.dialects.scratch import Making
from alembic_rescue.environment import visits as looking
from alembic_rescue.environment.databases import DEFAULT_ID_LIMIT
from alembic_rescue.evidence.observation import Failure
from alembic_rescue.project.loading import Project
from alembic_rescue.worker import script_files
from alembic_rescue.worker.isolation import guard
from alembic_rescue.worker.isolation.routes import Routes
from alembic_rescue.worker.loading import load
from alembic_rescue.worker.requests import Loading
from alembic_rescue.worker.scratch import chain, differences, places, running
from alembic_rescue.worker.scratch.as_project import run_as_project
from alembic_rescue.worker.scratch.reached import Compared, Reached, Seeing, Seen, StandIn
from alembic_rescue.worker.scratch.runs import ChainRun, OwnRun, ScratchVisit
from alembic_rescue.worker.scratch.transactions import Enough
from alembic_rescue.worker.serve import Conversation, Operation

Routed = Sequence[tuple[dict[str, Any], dict[str, Any]]]


def reach(conversation: Conversation, loading: Loading, stand_in: StandIn | None) -> Reached:
    """Run env.py up to the first database that it opens; that connection is not made."""
    project, _ = _loaded(conversation, loading, stand_in, Routes())
    script_files.run_none(project.script, tuple)
    opened: list[str] = []

    def do_connect(dialect: Any, *_: Any) -> None:
        opened.append(dialects.proper_name(dialect.name))
        raise Enough

    error = running.run_env(project, _nothing, ((Engine, "do_connect", do_connect),), lambda: bool(opened))
    opened += _by_a_function_of_its_own(error)
    scripts, unreadable = script_files.read(project.script)
    failure = None if error is None or opened else _failure(project, error)
    return Reached(next(iter(opened), ""), failure, scripts, unreadable)


def see(_: Conversation, project: Project, _led: Routes) -> Seeing:
    """Run env.py on an empty database, and return what it visits; no version table is created."""
    script_files.run_none(project.script, tuple)
    seen: list[Seen] = []

    def look(_rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        assert context.connection is not None, "online mode has a connection"
        engine = context.connection.engine
        seen.append(
            Seen(
                dialect=dialects.proper_name(engine.dialect.name),
                driver=f"{engine.dialect.name}+{engine.dialect.driver}",
                asked=_asked(project.url or engine.url),
                table=context.version_table,
                schema=context.version_table_schema,
                transactional=bool(context.impl.transactional_ddl),
                called=tuple(value for value in looking.keyword_arguments().values() if isinstance(value, str)),
            )
        )
        return iter(())

    error = running.run_env(project, look, (), lambda: bool(seen), dont_mutate=True)
    return Seeing(tuple(seen), None if error is None else _failure(project, error))


def bring(conversation: Conversation, project: Project, led: Routes, visits: Sequence[ScratchVisit]) -> ChainRun:
    """Run the earlier revisions, and commit each separately; see :func:`.chain.observe`."""
    return chain.observe(project, visits, conversation.progress, close=lambda: guard.close(led))


def run(conversation: Conversation, project: Project, led: Routes, visits: Sequence[ScratchVisit]) -> OwnRun:
    """Run the revisions as the project does; see :mod:`alembic_rescue.worker.scratch.as_project`."""
    hear = conversation.progress
    return run_as_project(project, visits, hear, close=lambda: guard.close(led), around=guard.undisturbed)


def widen(_: Conversation, project: Project, led: Routes, visits: Sequence[ScratchVisit]) -> tuple[int | None, ...]:
    """Widen the version tables for the ids of `visits`.

    Return how many characters each one held before; None: any number.
    """
    found: dict[int, int | None] = {}

    def look(_rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        assert context.connection is not None, "online mode has a connection"
        number = chain.match(visits, list(found), context)
        if number is not None:
            if not found:
                guard.close(led)
            found[number] = _limit(context)
            running.make_room(context, visits[number].todo)
            context.connection.connection.commit()
        return iter(())

    running.run_env(project, look, (), lambda: bool(found))
    return tuple(found.get(number) for number in range(len(visits)))


def compare_models(
    _: Conversation, project: Project, led: Routes, visits: Sequence[ScratchVisit]
) -> tuple[Compared, ...]:
    """Compare env.py's models with the databases that the chain has created, as ``alembic check`` does.

    A visit without ``target_metadata`` is left out.
    """
    found: list[int] = []
    told: list[Compared] = []

    def look(rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        number = chain.match(visits, found, context)
        if number is not None:
            if not found:
                guard.close(led)
            found.append(number)
            if (different := _different(project, rows, context)) is not None:
                told.append(Compared(number, tuple(map(project.secrets.hide, different))))
        return iter(())

    running.run_env(project, look, (), lambda: bool(found), template_args={"config": project.config})
    return tuple(told)


def _different(project: Project, rows: tuple[str, ...], context: MigrationContext) -> tuple[str, ...] | None:
    """Return the differences; None if there are no models, or if they cannot be compared."""
    if not context.opts.get("target_metadata"):
        return None
    options = {"message": None, "autogenerate": True, "sql": False, "head": "head", "splice": False}
    options |= {"branch_label": None, "version_path": None, "rev_id": None, "depends_on": None}
    asked = RevisionContext(project.config, project.script, options)
    try:
        asked.run_autogenerate(rows, context)  # as Alembic itself does
    except CommandError:  # revisions are pending: the target is before the heads
        return None
    if not asked.generated_revisions:  # a hook of env.py removed the empty script
        return ()
    operations = asked.generated_revisions[-1].upgrade_ops_list
    return tuple(sorted(differences.told(one.as_diffs() for one in operations)))  # Alembic goes through sets


def _by_a_function_of_its_own(error: BaseException | None) -> Iterator[str]:
    """Yield the dialect of an engine whose ``creator=`` was refused a connection: no SQLAlchemy event reports it."""
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None:
        engine = traceback.tb_frame.f_locals.get("self")
        if isinstance(engine, Engine):
            yield dialects.proper_name(engine.dialect.name)
        traceback = traceback.tb_next


def _nothing(_rows: tuple[str, ...], _context: MigrationContext) -> Iterator[MigrationStep]:
    return iter(())


def _failure(project: Project, error: BaseException) -> Failure:
    return running.failure_of(error, running.files_of(project), str(project.env_path), project.secrets.hide)


def _limit(context: MigrationContext) -> int | None:
    connection = context.connection
    assert connection is not None, "online mode has a connection"
    if not dialects.of(connection.dialect.name).enforces_lengths:
        return None
    columns = inspect(connection).get_columns(context.version_table, schema=context.version_table_schema)
    kind = next((column["type"] for column in columns if column["name"] == "version_num"), None)
    return kind.length if isinstance(kind, String) else DEFAULT_ID_LIMIT


def _asked(url: URL) -> dict[str, str]:
    def text(value: Any) -> str:
        return str(next(iter(value), "") if isinstance(value, tuple) else value or "")

    found = {"host": url.host or text(url.query.get("host")), "port": url.port or text(url.query.get("port"))}
    found |= {"database": url.database or "", "user": url.username or ""}
    return {name: str(value) for name, value in found.items() if value}


def _redirected(work: Callable[..., Any]) -> Operation:
    """Make an operation of `work`, which takes the project, loaded with all drivers redirected, and the routes."""

    def operation(
        conversation: Conversation,
        loading: Loading,
        stand_in: StandIn | None,
        making: Making | None,
        routes: Routed,
        files: Path,
        **arguments: Any,
    ) -> Any:
        if making is not None:
            conversation.progress(places.prepare(making))
        project, led = _loaded(conversation, loading, stand_in, _led(routes, files))
        return work(conversation, project, led, **arguments)

    return operation


def _led(routes: Routed, files: Path) -> Routes:
    """Return the routes to the scratch databases; if there is one server, every address leads to it."""
    servers = [scratch for _, scratch in routes if "file" not in scratch]
    led = Routes(default=servers[0] if len(servers) == 1 else None, folder=files)
    for asked, scratch in routes:
        if "file" in scratch:
            if "database" in asked:  # otherwise each file leads to its own scratch file
                led.add_file(str(asked["database"]), Path(str(scratch["file"])))
        else:
            led.add(asked, scratch)
    return led


def _loaded(
    conversation: Conversation, loading: Loading, stand_in: StandIn | None, led: Routes
) -> tuple[Project, Routes]:
    guard.bound_memory()
    guard.lead_away(led)
    if stand_in is not None:
        os.environ.update(dict.fromkeys(stand_in.variables, stand_in.url))
    project = load(conversation, loading)
    if stand_in is not None and project.url is None:
        project.config.set_section_option(project.config.config_ini_section, "sqlalchemy.url", stand_in.url)
    return project, led


OPERATIONS: dict[str, Operation] = {
    "reach": reach,
    "see": _redirected(see),
    "bring": _redirected(bring),
    "run_from_empty": _redirected(run),
    "widen": _redirected(widen),
    "compare_models": _redirected(compare_models),
}
