"""The operations of the scratch worker: run the project's chain with access to the scratch databases only.

One request creates the databases.  The following ones have the routes to them, and from then on all drivers are
redirected there.  Nothing of the project is imported before that.
"""

from __future__ import annotations

import io
import re
import runpy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script.revision import RevisionError

from alembic_rescue import dialects, errors
from alembic_rescue.connection.failures import one_line, place_of
from alembic_rescue.dialects.admin import connected
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.scratch import Making, Prepared
from alembic_rescue.evidence.observation import CatalogObject, Failure, Made
from alembic_rescue.project.loading import Project
from alembic_rescue.worker import script_files, sources
from alembic_rescue.worker.isolation import guard
from alembic_rescue.worker.isolation.routes import Routes
from alembic_rescue.worker.loading import load
from alembic_rescue.worker.requests import Loading, ScriptFile
from alembic_rescue.worker.scratch import chain, fallback, from_empty, places
from alembic_rescue.worker.scratch.as_project import run_as_project
from alembic_rescue.worker.scratch.runs import ChainRun, OwnRun, ScratchVisit
from alembic_rescue.worker.serve import Conversation, Operation

Routed = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""For each of the project's databases, its arguments and those of its scratch database."""


@dataclass(frozen=True)
class Observed:
    """The outcome of one run, and which of the project's files it read."""

    run: ChainRun
    files: tuple[str, ...]


def prepare(_: Conversation, making: Making) -> Prepared:
    """Create the scratch databases; see :func:`alembic_rescue.worker.scratch.places.prepare`."""
    return places.prepare(making)


def remove(_: Conversation, admin_url: str, databases: Sequence[str], roles: Sequence[str]) -> None:
    """Drop them again, on a server that keeps running."""
    places.remove(admin_url, databases, roles)


def observe(
    conversation: Conversation,
    loading: Loading,
    making: Making | None,
    routes: Routed,
    files: Path,
    visits: Sequence[ScratchVisit],
    stamped_over: Collection[str],
) -> Observed:
    """Run and observe the chain; see :func:`alembic_rescue.worker.scratch.chain.observe`."""
    opened = sources.Opened()
    opened.begin()
    led, loaded = _ready(conversation, loading, making, routes, files)
    run = chain.observe(
        loaded,
        visits,
        conversation.progress,
        stamped_over=stamped_over,
        close=lambda: guard.close(led),
        around=guard.undisturbed,
    )
    return Observed(run, tuple(sorted(sources.loaded() | opened.end())))


def upgrade(
    conversation: Conversation,
    loading: Loading,
    making: Making | None,
    routes: Routed,
    files: Path,
    visits: Sequence[ScratchVisit],
) -> OwnRun:
    """Run the pending revisions as the project does; see :mod:`alembic_rescue.worker.scratch.as_project`."""
    with _telling_what_is_read(conversation):
        led, loaded = _ready(conversation, loading, making, routes, files)
        return run_as_project(
            loaded, visits, conversation.progress, close=lambda: guard.close(led), around=guard.undisturbed
        )


def probe(
    conversation: Conversation,
    way: str,
    loading: Loading,
    making: Making | None,
    routes: Routed,
    files: Path,
    visits: Sequence[ScratchVisit],
) -> tuple[fallback.Probed, ...]:
    """Try revisions on copies, `upward` or `down_and_up`; see :mod:`alembic_rescue.worker.scratch.fallback`."""
    with _telling_what_is_read(conversation):
        led, loaded = _ready(conversation, loading, making, routes, files)
        return fallback.probe(
            loaded, way, visits, conversation.progress, close=lambda: guard.close(led), around=guard.undisturbed
        )


@contextmanager
def _telling_what_is_read(conversation: Conversation) -> Iterator[None]:
    """Report at the end of the block which of the project's files were read in it."""
    opened = sources.Opened()
    opened.begin()
    yield
    conversation.progress({"files": sorted(sources.loaded() | opened.end())})


def arrive(
    conversation: Conversation,
    loading: Loading,
    making: Making | None,
    routes: Routed,
    files: Path,
    visits: Sequence[ScratchVisit],
    stamped_over: Collection[str],
) -> bool:
    """Run the chain up to a position; return whether it got there."""
    led, loaded = _ready(conversation, loading, making, routes, files)
    run = chain.observe(
        loaded, visits, conversation.progress, stamped_over=stamped_over, close=lambda: guard.close(led)
    )
    return run.is_whole


def compare(
    _: Conversation,
    dialect: str,
    scratch_database: Mapping[str, Any],
    texts: Sequence[tuple[CatalogObject, str, str, str]],
) -> tuple[bool | None, ...]:
    """Ask the server whether pairs of texts are equivalent, at the position that a chain has reached."""
    kind = dialects.of(dialect)
    reader, url = kind.reader, kind.places.url(scratch_database)
    if reader is None or url is None:
        return (None,) * len(texts)
    with connected(url) as connection:
        return tuple(reader.settle(connection, [text]).get((text[0], text[1])) for text in texts)


def settle(
    conversation: Conversation,
    dialect: str,
    scratch_database: Mapping[str, Any],
    texts: Sequence[tuple[CatalogObject, str, str, str]],
    **run: Any,
) -> tuple[bool | None, ...]:
    """Run :func:`arrive`, then :func:`compare`."""
    if not arrive(conversation, **run):
        return (None,) * len(texts)
    return compare(conversation, dialect, scratch_database, texts)


def make(_: Conversation, dialect: str, scratch_database: Mapping[str, Any], statements: Sequence[str]) -> Made:
    """Run statements on a copy, one at a time, and return what they changed there."""
    kind = dialects.of(dialect)
    reader, url = kind.reader, kind.places.url(scratch_database)
    assert reader is not None, "what was proved was read"
    assert url is not None, "what was proved was made on one"
    with connected(url) as connection:
        watch = reader.watch(connection)
        cursor = Cursor(connection.connection, connection.dialect)
        for statement in statements:
            try:
                cursor.run(statement)
            except cursor.error as error:
                return Made(failure=Failure(one_line(error, str), "", None, statement))
        changes, _renames = watch.step(connection)
    return Made(changes)


def offline(conversation: Conversation, loading: Loading, revisions: Sequence[str]) -> dict[str, str]:
    """Return the SQL of each revision, as in ``alembic upgrade --sql``, without access to anything.

    A revision that fails without a database, and those after it, are omitted.
    """
    led, loaded = _led_and_loaded(conversation, loading)
    guard.close(led)
    told: dict[str, str] = {}
    with loaded.around():
        for revision in revisions:
            before = loaded.script.get_revision(revision).down_revision
            before = before if isinstance(before, str) or before is None else before[0]
            loaded.config.output_buffer = output = io.StringIO()
            try:
                command.upgrade(loaded.config, f"{before or 'base'}:{revision}", sql=True)
            except (Exception, SystemExit):  # noqa: BLE001 - a migration or env.py that needs a database
                break
            told[revision] = _offered(output.getvalue(), loaded.secrets.hide_sql)
    return told


def _offered(script: str, hide: Callable[[str], str]) -> str:
    """Return a revision's statements without Alembic's own; one with a secret is replaced by a comment."""
    statements = re.split(r";\n\n", script)
    own = re.compile(r"\s*(BEGIN|COMMIT|CREATE TABLE alembic_version\b|(INSERT INTO|UPDATE) alembic_version\b)")
    kept = [one.strip() for one in statements if one.strip() and not own.match(re.sub(r"--[^\n]*\n", "", one).lstrip())]
    told = [one if hide(one) == one else "-- a statement that holds a secret is not shown" for one in kept]
    return ";\n".join(told) + ";" if told else ""


def graph(conversation: Conversation, loading: Loading, files: Sequence[Path]) -> tuple[ScriptFile, ...]:
    """Run these revision files, without access to anything, and return their revisions.

    Raises:
        BadConfig, ModuleMissing: one of them cannot be run.
    """
    led, loaded = _led_and_loaded(conversation, loading)
    guard.close(led)
    told = []
    with loaded.around():
        for path in files:
            try:
                told.append(_told(path))
            except (Exception, SystemExit) as error:
                place = place_of(error, path)
                if isinstance(error, ModuleNotFoundError):
                    raise errors.ModuleMissing(str(error.name), place) from error
                words = one_line(error, loaded.secrets.hide)
                raise errors.BadConfig(place, f"{type(error).__name__}: {words}") from error
    return tuple(told)


def _told(path: Path) -> ScriptFile:
    names = runpy.run_path(str(path))
    if "revision" not in names:
        raise RevisionError(f"{path.name} has no revision id")
    return script_files.told_by(names, path)


def _ready(
    conversation: Conversation, loading: Loading, making: Making | None, routes: Routed, files: Path
) -> tuple[Routes, Project]:
    """Create missing scratch databases, redirect all drivers to them, then load the project.

    `making` is None if another worker has created them.
    """
    if making is not None:
        conversation.progress(prepare(conversation, making))
    return _led_and_loaded(conversation, loading, routes, files)


def _led_and_loaded(
    conversation: Conversation, loading: Loading, routes: Routed = (), files: Path | None = None
) -> tuple[Routes, Project]:
    led = _led(routes, files)
    return led, load(conversation, loading)


def _led(routes: Routed, files: Path | None) -> Routes:
    """Redirect all drivers, before anything of the project is imported."""
    guard.bound_memory()
    led = Routes(folder=files)
    for asked, scratch_database in routes:
        if file := scratch_database.get("file"):
            led.add_file(str(asked["database"]), Path(str(file)))
        else:
            led.add(dict(asked), dict(scratch_database))
    guard.lead_away(led)
    return led


OPERATIONS: Mapping[str, Operation] = {
    "prepare": prepare,
    "remove": remove,
    "observe": observe,
    "upgrade": upgrade,
    "probe": probe,
    "settle": settle,
    "arrive": arrive,
    "compare": compare,
    "make": make,
    "offline": offline,
    "graph": graph,
    **from_empty.OPERATIONS,
}
