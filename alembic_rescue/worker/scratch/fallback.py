"""Try revisions on copies of the live schema, if their chain does not run from empty.

There are two ways, each on a separate copy, because each changes it.  *Upward* runs each revision; an object that it
fails to create because it exists is dropped first and then created by the revision.  *Down and up* runs the
``downgrade()`` of each revision, latest first, and then its upgrade.  What either creates is compared with the original
copy: see :mod:`alembic_rescue.evidence.copies`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script
from sqlalchemy.engine import Connection

from alembic_rescue import dialects
from alembic_rescue.connection.failures import one_line
from alembic_rescue.dialects.base import CatalogReader
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.evidence.consequences import follows_another
from alembic_rescue.evidence.judging import objects
from alembic_rescue.evidence.live import TEXTS
from alembic_rescue.evidence.observation import Catalog, Change, Failure, Observation, Reading, Unobserved
from alembic_rescue.project.loading import Project
from alembic_rescue.worker.observer.effects import effects_of
from alembic_rescue.worker.observer.lines import absolute
from alembic_rescue.worker.observer.observer import CALLS, Around, Observer
from alembic_rescue.worker.observer.sent import Recorder
from alembic_rescue.worker.scratch import running
from alembic_rescue.worker.scratch.chain import Send, match
from alembic_rescue.worker.scratch.runs import ScratchVisit

_MOST_OBSTACLES = 50
"""How many objects may be dropped for one revision."""


@dataclass(frozen=True)
class Probed:
    """The outcome of one visit's revisions on a copy."""

    visit: int
    """Index of the requested visit, from 0."""
    steps: tuple[Observation | Unobserved, ...]
    """One for each revision in question, in the order of the chain."""
    copy: Reading
    """The copy's original state of everything that they touch."""
    opposites: tuple[str, ...] = ()
    """Revisions that undo themselves when run a second time.  Only `upward` looks for them."""


Make = Callable[[str], MigrationStep]
"""Returns the step of a revision."""
Given = dict[str, Any]
"""The arguments that Alembic passes to a revision's code."""
Walk = Callable[["_Copy", Sequence[str]], Iterator[MigrationStep]]


def probe(
    project: Project,
    way: str,
    visits: Sequence[ScratchVisit],
    send: Send,
    *,
    close: Callable[[], object] = lambda: None,
    around: Around = nullcontext,
) -> tuple[Probed, ...]:
    """Try the revisions in question on copies.

    Args:
        project: all its connections are redirected to copies.
        way: ``upward`` runs each revision, dropping what is in its way first; ``down_and_up`` downgrades each one,
            latest first, and upgrades it again.
        visits: those seen by the live look.  The copies' version tables have the revisions before those in question,
            or for ``down_and_up`` the last in question.
        send: see :data:`~alembic_rescue.worker.scratch.chain.Send`.
        close: confines the process to the scratch databases.
        around: see :func:`~alembic_rescue.worker.scratch.chain.observe`.
    """
    walk = {"upward": _upward, "down_and_up": _down_and_up}[way]
    tried = _Probe(project, visits, send, close, around, walk)
    error = running.run_env(project, tried.steps, tried.recorder.listeners, lambda: bool(tried.copies))
    return tuple(copy.result(error) for copy in tried.copies)


def _upward(copy: _Copy, todo: Sequence[str]) -> Iterator[MigrationStep]:
    for revision in todo:
        yield copy.made_again(revision)
        if copy.ended(revision).failure is not None:
            copy.found[revision] = copy.last


def _down_and_up(copy: _Copy, todo: Sequence[str]) -> Iterator[MigrationStep]:
    for revision in reversed(todo):
        if not hasattr(copy.script_of(revision).module, "downgrade"):
            copy.found[revision] = Unobserved(revision, "it has no downgrade()")
            continue
        yield copy.down(revision)
        back = copy.ended(revision)
        if back.failure is not None:
            copy.found[revision] = Unobserved(revision, f"its downgrade() fails: {back.failure.error}")
        elif not back.changes:
            copy.found[revision] = Unobserved(revision, "its downgrade() changes nothing")
        else:
            yield copy.up(revision)
            copy.found[revision] = copy.ended(revision)
            yield copy.down(revision)
            copy.ended(revision)


@dataclass
class _Probe:
    """One run of env.py on copies."""

    project: Project
    visits: Sequence[ScratchVisit]
    send: Send
    close: Callable[[], object]
    around: Around
    walk: Walk
    copies: list[_Copy] = field(default_factory=list)
    recorder: Recorder = field(default_factory=lambda: Recorder(lambda code: code is CALLS))

    def steps(self, _rows: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        """Alembic's ``fn``; see :meth:`alembic_rescue.worker.scratch.chain._Run.steps`."""
        number = match(self.visits, [copy.number for copy in self.copies], context)
        connection = context.connection
        if number is None or connection is None:
            return
        todo = self.visits[number].todo
        reader = dialects.of(connection.dialect.name).reader
        if reader is None or not todo:
            return
        self.recorder.files = running.files_of(self.project)
        running.without_effect(context)
        if not self.copies:
            self.close()
        copy = _Copy(self, number, connection, reader)
        self.copies.append(copy)
        yield from self.walk(copy, todo)


class _Watcher(Observer):
    """An observer that can ignore changes."""

    def look_away(self) -> None:
        """Attribute the changes up to now to no revision."""
        if self._watch is not None:
            self._watch.step(self._connection)


class _Copy:
    """One copy, and the results from it."""

    def __init__(self, probe: _Probe, number: int, connection: Connection, reader: CatalogReader) -> None:
        self.number = number
        self.found: dict[str, Observation | Unobserved] = {}
        self.opposites: list[str] = []
        self._probe, self._connection, self._cursor = (
            probe,
            connection,
            Cursor(connection.connection, connection.dialect),
        )
        dialect = dialects.of(connection.dialect.name)
        self._effects, self._reader = effects_of(dialect), reader
        with self._committed():  # so that session settings made by env.py survive the rollback of a failed revision
            self._before: Catalog = reader.everything(connection)
            self._observer = _Watcher(
                probe.recorder,
                probe.recorder.files,
                self._effects,
                dialect,
                connection,
                probe.project.secrets,
                probe.around,
            )
        self.last = Observation("")
        """The outcome of the last step."""
        self._failure: Failure | None = None
        self._begun: dict[str, None] = {}

    def script_of(self, revision: str) -> Script:
        """Return the revision's script."""
        return running.step_of(self._probe.project.script, revision)[1]

    # --- steps ---------------------------------------------------------------------------------------------------

    def up(self, revision: str) -> MigrationStep:
        """Return its upgrade step; a failure is recorded, and the run continues."""
        return self._tried(revision, self._upgrade, self._run)

    def down(self, revision: str) -> MigrationStep:
        """Return its downgrade step; a failure is recorded, and the run continues."""
        return self._tried(revision, self._downgrade, self._run)

    def made_again(self, revision: str) -> MigrationStep:
        """Return its upgrade step, which drops an object that it fails to create because it exists, and retries."""
        return self._tried(revision, self._upgrade, self._run_again)

    def _upgrade(self, revision: str) -> MigrationStep:
        return running.step_of(self._probe.project.script, revision)[0]

    def _downgrade(self, revision: str) -> MigrationStep:
        script = self._probe.project.script
        return MigrationStep.downgrade_from_script(script.revision_map, script.get_revision(revision))

    def _tried(self, revision: str, make: Make, run: Callable[[str, Make, Given], object]) -> MigrationStep:
        self._begun[revision] = None
        of = len(self._probe.visits[self.number].todo)
        self._probe.send({"visit": self.number, "revision": revision, "number": len(self._begun), "of": of})
        step = make(revision)

        def tried(**given: Any) -> None:
            self._failure = None
            run(revision, make, given)

        step.migration_fn = tried
        return step

    def _run(self, revision: str, make: Make, given: Given) -> BaseException | None:
        """Run the step; on failure, record the error and roll back."""
        error = self._error_of(make(revision), given)
        if error is not None:
            self._connection.connection.rollback()
            path = absolute(self.script_of(revision).path)
            hide = self._probe.project.secrets.hide
            self._failure = running.failure_of(error, self._probe.recorder.files, path, hide)
        return error

    def _run_again(self, revision: str, make: Make, given: Given) -> None:
        """Run the step until nothing is in its way.  If nothing was, run it again, because it may undo itself."""
        taken = 0
        while (error := self._run(revision, make, given)) is not None:
            taken += 1
            if taken > _MOST_OBSTACLES or not self._taken_away(error):
                return
            self._failure = None
        made = self.found[revision] = self.ended(revision)
        if not made.changes or taken:
            return
        if self._run(revision, make, given) is None and _is_opposite(made, self.ended(revision)):
            self._run(revision, make, given)
            self.opposites.append(revision)
        self._failure = None

    def _error_of(self, step: MigrationStep, given: Given) -> BaseException | None:
        """Return the error of one try; if it swallowed the error that aborted the transaction, return that."""
        try:
            self._observer.observing(step).migration_fn(**given)
            self._cursor.rows("SELECT 1")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a migration may raise anything
            log = self._observer.log
            if log.raised is not None and not follows_another(one_line(log.raised, str)):
                return error
            failed = (one.error for one in reversed(log.sent) if one.error and not follows_another(one.message or ""))
            return next(failed, error)
        return None

    def _taken_away(self, error: BaseException) -> bool:
        """Drop the object that a statement failed to create, with its dependents, and nothing else."""
        original = getattr(error, "orig", None) or error
        sent = next((one for one in reversed(self._observer.log.sent) if one.error is original), None)
        query = dialects.of(self._connection.dialect.name).obstacle(
            one_line(error, str), sent.sql if sent is not None else ""
        )
        if query is None:
            return False
        with suppress(Exception):  # the role lacks the privilege, or something else prevents it
            ((taking,),) = self._cursor.rows(query)
            self._cursor.run(taking)
            self._connection.connection.commit()
            self._observer.look_away()
            return True
        self._connection.connection.rollback()
        return False

    # --- results -------------------------------------------------------------------------------------------------

    def ended(self, revision: str) -> Observation:
        """Return what the last step did."""
        with self._committed():
            observed = self._observer.observed(self.script_of(revision))
            changes = tuple(map(self._spelled_as_before, observed.changes))
        self.last = replace(observed, changes=changes, failure=self._failure)
        return self.last

    def _spelled_as_before(self, change: Change) -> Change:
        """Return the change with the copy's text where both are equivalent: a restore changes the spelling."""
        after, before = change.after or {}, self._before.get(change.object, {})
        texts = [
            (change.object, fact, after[fact], before[fact])
            for fact in TEXTS & after.keys() & before.keys()
            if after[fact] != before[fact]
        ]
        answers = self._reader.settle(self._connection, texts) if texts else {}
        same = {fact: before[fact] for (_, fact), answer in answers.items() if answer}
        return replace(change, after={**after, **same}) if same else change

    @contextmanager
    def _committed(self) -> Iterator[None]:
        """Commit through the driver's connection, whatever transaction env.py has open, then run the block."""
        kept = self._probe.recorder.set_locally
        with self._effects.local_settings_kept(self._connection) if kept else nullcontext():
            self._connection.connection.commit()
            yield

    def result(self, error: BaseException | None) -> Probed:
        """Return all results, in the order of the chain."""
        why = "the run ended before it" if error is None else f"the run ended before it: {one_line(error, str)}"
        hide = self._probe.project.secrets.hide
        todo = self._probe.visits[self.number].todo
        steps = tuple(self.found.get(revision) or Unobserved(revision, hide(why)) for revision in todo)
        return Probed(self.number, steps, Reading(_about(self._before, steps)), tuple(self.opposites))


def _is_opposite(made: Observation, again: Observation) -> bool:
    """Whether the second run undid exactly what the first one did."""
    first = {change.object: (change.before, change.after) for change in made.changes}
    return first == {change.object: (change.after, change.before) for change in again.changes}


def _about(catalog: Catalog, steps: Sequence[Observation | Unobserved]) -> Catalog:
    """Return the part of a catalog that the steps touch, and what belongs to the same tables."""
    touched = objects(steps)
    parents = {one.name for one in touched} | {one.parent for one in touched if one.parent}
    return {one: facts for one, facts in catalog.items() if one in touched or one.parent in parents}
