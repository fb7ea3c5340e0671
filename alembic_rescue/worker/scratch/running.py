"""Run env.py in a scratch worker as ``alembic upgrade`` does, but with steps chosen here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import String, inspect
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.exc import DBAPIError

from alembic_rescue import dialects, errors
from alembic_rescue.connection import urls
from alembic_rescue.connection.connections import listening
from alembic_rescue.connection.failures import one_line
from alembic_rescue.environment import handed_over
from alembic_rescue.environment.databases import DEFAULT_ID_LIMIT
from alembic_rescue.environment.handed_over import Given
from alembic_rescue.environment.two_phase import in_one_phase
from alembic_rescue.evidence.observation import Failure
from alembic_rescue.project.loading import Project
from alembic_rescue.project.sources import connections_of_its_own
from alembic_rescue.worker.observer.lines import Files, absolute

Steps = Callable[[tuple[str, ...], MigrationContext], Iterator[MigrationStep]]
"""Alembic's ``fn``: called with the version rows and the context configured by env.py, it yields the steps to run."""


def run_env(
    project: Project,
    steps: Steps,
    listeners: tuple[tuple[Any, str, Any], ...],
    visited: Callable[[], bool],
    **options: Any,
) -> BaseException | None:
    """Run env.py; return the error that it failed with.

    An env.py that looks for a connection in ``config.attributes``, and fails or does nothing without it, is run again
    with one.

    Args:
        visited: whether it has reached its migrations.
        options: further arguments of Alembic's ``EnvironmentContext``.
    """
    error, asked = _attempt(project, steps, listeners, Given.NOTHING, options)
    if not asked or visited() or not handed_over.is_missed(project, error):
        return error
    error, _ = _attempt(project, steps, listeners, Given.CONNECTION, options)
    if error is not None and not visited() and handed_over.is_of_wrong_kind(error):
        second, _ = _attempt(project, steps, listeners, Given.ENGINE, options)
        error = second if second is None or visited() or isinstance(error, (AttributeError, TypeError)) else error
    return error


def _attempt(
    project: Project,
    steps: Steps,
    listeners: tuple[tuple[Any, str, Any], ...],
    given: Given,
    options: Mapping[str, Any],
) -> tuple[BaseException | None, bool]:
    asked = False
    try:
        with ExitStack() as around:
            around.enter_context(listening(*_towards(project.url), *listeners))
            around.enter_context(in_one_phase())
            around.enter_context(project.around())
            around.enter_context(connections_of_its_own(project.config))
            attributes = around.enter_context(handed_over.giving(project, given))
            try:
                with EnvironmentContext(project.config, project.script, fn=steps, destination_rev="heads", **options):
                    project.script.run_env()
            finally:
                asked = attributes.asked
    except BaseException as error:  # noqa: BLE001 - SystemExit too: env.py may end the program
        return error, asked
    return None, asked


def _towards(chosen: URL | None) -> tuple[tuple[Any, str, Any], ...]:
    """Return the listener that applies ``--url`` to env.py's connections, as in the live look."""
    if chosen is None:
        return ()

    def do_connect(dialect: Dialect, _record: Any, cargs: list[Any], cparams: dict[str, Any]) -> None:
        urls.laid_over(chosen, dialect, cargs, cparams)

    return ((Engine, "do_connect", do_connect),)


def applied(script: ScriptDirectory, rows: tuple[str, ...]) -> frozenset[str]:
    """Return the revisions that are applied according to `rows`: those, and all that they come after or depend on."""
    found: set[str] = set()
    waiting = list(rows)
    while waiting:
        for one in script.get_revisions(waiting.pop()):
            if one.revision not in found:
                found.add(one.revision)
                waiting += [*_tuple(one.down_revision), *_tuple(one.dependencies)]
    return frozenset(found)


def _tuple(ids: Any) -> tuple[str, ...]:
    return (ids,) if isinstance(ids, str) and ids else tuple(ids or ())


def step_of(script: ScriptDirectory, revision: str) -> tuple[MigrationStep, Script]:
    """Return the step that upgrades to `revision`, as created by ``alembic upgrade``."""
    found = script.get_revision(revision)
    return MigrationStep.upgrade_from_script(script.revision_map, found), found


def make_room(context: MigrationContext, revisions: Sequence[str]) -> None:
    """Widen the version column of a scratch database if one of these ids does not fit.

    The evidence of a revision must not depend on whether its id fits into the live version table.
    """
    connection = context.connection
    assert connection is not None, "online mode has a connection"
    longest = max(map(len, revisions), default=0)
    if longest <= DEFAULT_ID_LIMIT or not dialects.of(connection.dialect.name).enforces_lengths:
        return
    table, schema = context.version_table, context.version_table_schema
    columns = inspect(connection).get_columns(table, schema=schema)
    kind = next((column["type"] for column in columns if column["name"] == "version_num"), None)
    if isinstance(kind, String) and kind.length is not None and kind.length < longest:
        wide = String(longest)
        Operations(context).alter_column(
            table, "version_num", type_=wide, existing_type=kind, existing_nullable=False, schema=schema
        )


def without_effect(context: MigrationContext) -> None:
    """Ignore failures of env.py's callbacks after each step (``on_version_apply``), so that they do not end the chain.

    A callback may notify a team, for example, which is refused here.  Database errors are still raised.
    """

    def tried(callback: Callable[..., None]) -> Callable[..., None]:
        def call(**given: Any) -> None:
            try:
                callback(**given)
            except DBAPIError:
                raise
            except Exception:  # noqa: BLE001, S110 - env.py may raise anything
                pass

        return call

    context.on_version_apply_callbacks = tuple(map(tried, context.on_version_apply_callbacks))


def files_of(project: Project) -> Files:
    """Return the object that identifies the project's files."""
    script = project.script
    folders = [Path(script.dir), *map(Path, script.version_locations or ())]
    config = project.config.config_file_name
    return Files(folders, [Path.cwd(), *([Path(config).parent] if config else [])])


def failure_of(error: BaseException, files: Files, path: str, hide: Callable[[str], str] = str) -> Failure:
    """Return `error` with the innermost project line in its traceback, or else with `path`."""
    at: tuple[str, int | None] = path, None
    traceback = error.__traceback__
    while traceback is not None:
        if files.is_own(traceback.tb_frame.f_code.co_filename):
            at = absolute(traceback.tb_frame.f_code.co_filename), traceback.tb_lineno
        traceback = traceback.tb_next
    statement = str(getattr(error, "statement", None) or "") if isinstance(error, DBAPIError) else ""
    return Failure(hide(_words(error)), *at, hide(statement))


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the program ({errors.said(error.code)})"
    said = one_line(error, str)
    return said if isinstance(error, DBAPIError) else f"{type(error).__name__}: {said}"
