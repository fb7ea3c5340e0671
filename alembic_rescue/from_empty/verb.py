"""The verb for CI: does the chain run from empty, or from a point in git?  Needs none of the project's databases.

config -> what env.py visits -> what is new -> the runs -> findings.  Nothing here prints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, excerpts
from alembic_rescue.client import Project
from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence.from_empty import FAILS, FromEmpty
from alembic_rescue.evidence.model import Cause
from alembic_rescue.from_empty import against as git
from alembic_rescue.from_empty import judging, reaching, running
from alembic_rescue.from_empty.against import Before
from alembic_rescue.from_empty.reaching import Ground
from alembic_rescue.from_empty.running import Ran, Todo
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import Action, DatabaseReport, Note, Outcome, Recommendation, Report
from alembic_rescue.proof import told_cause
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.worker.requests import Visited
from alembic_rescue.worker.scratch.runs import OwnVisit

_NOT_VISITED = OwnVisit(-1)
_ID = re.compile(r"revision\b[^=]*=")


def rehearse_from_empty(
    project: Project, target: str | None = None, *, against: str | None = None, only: str | None = None
) -> Report:
    """Run the chain on empty databases of the scratch server, and compare the models.  Opens no other database.

    Args:
        target: as for ``alembic upgrade``; None: ``head``, so several heads are an error.
        against: a branch, tag or commit of git; revisions that exist there are run first, and not reported.
        only: see :func:`alembic_rescue.diagnose`.

    Returns:
        A report whose outcome is PASSES or FAILS, or NOTHING_TO_DO if the project has no revisions.

    Raises:
        EnvNotReached, ReferenceNotRead, ReferenceFails: see there.
        BadUsage: the target is ``base``.
        Refusal: the target names no revision.
        RescueError: the scripts cannot be read, or there is no scratch server.
    """
    with Bench(project) as bench:
        ground = reaching.reached(project, only, bench)
        view = ground.view
        before = git.read([Path(one) for one in project.loaded.locations], against) if against else None
        chosen = _chosen(view.graph, target)
        todo = [_todo(view, one, chosen, before) for one in view.scripts.visited]
        ran = running.run(ground, todo, against or "", bench)
        of_all = _of_all(view, target, before)
        judge = _Judge(project, ground, ran, before, of_all)
        parts = tuple(judge.part(number, todo[number], one) for number, one in _meant(view))
    return Report(
        "rehearse",
        _outcome(parts, chosen),
        None,
        scripts.heads(view.graph),
        parts,
        only=only,
        left_out=view.left_out,
        chain=scripts.chain(view.graph),
        excerpts=excerpts.of(parts, project.secrets),
    )


def _meant(view: View) -> list[tuple[int, Visited]]:
    return [(number, one) for number, one in enumerate(view.scripts.visited) if one in view.meant]


def _chosen(graph: RevisionMap, target: str | None) -> tuple[str, ...]:
    """Return the revisions up to the target, in Alembic's order."""
    if target in {None, "head", "heads"}:
        return paths.pending(graph, ())
    path = paths.find_path(graph, (), target)
    if not path.targets:
        raise errors.BadUsage(
            f"there is nothing to rehearse up to {target}", "name a revision, or none for all of them"
        )
    return path.skipped


def _outcome(parts: Sequence[DatabaseReport], chosen: Sequence[str]) -> Outcome:
    if any(part.from_empty and part.from_empty.fails for part in parts):
        return Outcome.FAILS
    return Outcome.PASSES if chosen else Outcome.NOTHING_TO_DO


def _todo(view: View, visited: Visited, chosen: Sequence[str], before: Before | None) -> Todo:
    """Split the revisions into old and new ones; nothing to run on a database that was not selected."""
    if visited not in view.meant:
        return Todo()
    known = before.revisions if before else {}
    old: dict[str, None] = {}
    for revision in chosen:  # a revision after a new one counts as new, even if git has it
        if revision in known and paths.follows(view.graph, revision) <= old.keys():
            old[revision] = None
    return Todo(tuple(old), tuple(revision for revision in chosen if revision not in old))


def _of_all(view: View, target: str | None, before: Before | None) -> tuple[Note, ...]:
    """Return the findings about the scripts themselves."""
    found = tuple(git.changed(before, view.scripts.scripts)) if before else ()
    if target not in {None, "head"}:
        return found
    merged = None
    if before is not None:
        try:
            merged = scripts.graph(git.merged(before, view.scripts.scripts))
        except errors.RescueError:  # a deleted revision has its own finding
            merged = None
    reference, shown_head = (before.reference if before else ""), _shown_head(view, before)
    return (*judging.several_heads(view.graph, merged, reference, shown_head), *found)


def _shown_head(view: View, before: Before | None) -> str:
    """Return the last head, if possible a new one, with its file and line; empty if there are no revisions."""
    files = {file.revision: file.path for file in view.scripts.scripts}
    heads = scripts.heads(view.graph)
    new = [one for one in heads if before is None or one not in before.revisions]
    return "".join(f"{one} ({shown(files[one])}:{_line_of_id(files[one])})" for one in (new or heads)[-1:])


@dataclass(frozen=True)
class _Judge:
    """Turns the runs into reports, database by database."""

    project: Project
    ground: Ground
    ran: Ran
    before: Before | None
    of_all: tuple[Note, ...]

    def part(self, number: int, todo: Todo, visited: Visited) -> DatabaseReport:
        """Return the report of one database."""
        visit = self.ran.visits.get(number, _NOT_VISITED)
        compared = next((one.differences for one in self.ran.compared if one.visit == number), None)
        causes = tuple(self._causes(number, todo, visit))
        notes = [judging.told(cause) for cause in causes]
        if self.ran.failure is not None or visit is _NOT_VISITED:
            notes.append(self._env_fails())
        notes += [*self.of_all, *judging.models_differ(compared or ())]
        notes.sort(key=lambda note: note.code not in FAILS)
        failing = tuple(dict.fromkeys(note.code for note in notes if note.code in FAILS))
        ran = tuple(one for one in visit.ran if one in todo.revisions)
        identity = replace(visited.database.identity, server_version=self.ran.server_version)
        return DatabaseReport(
            database=replace(visited.database, identity=identity),
            revisions=(),
            heads_after=tuple(sorted(paths.rows_after(self.ground.view.graph, (), (*todo.before, *ran)))),
            stamps=(),
            pending_after=(),
            refusals=(),
            findings=tuple(notes),
            recommendation=_advice(notes, failing, todo),
            causes=causes,
            from_empty=FromEmpty(
                ran=ran,
                not_run=tuple(one for one in todo.revisions if one not in ran and one != visit.failed),
                failed=visit.failed,
                before=todo.before,
                against=self.before.reference if self.before else "",
                commit=self.before.commit if self.before else "",
                models=compared,
                failing=failing,
            ),
        )

    def _causes(self, number: int, todo: Todo, visit: OwnVisit) -> list[Cause]:
        secrets = self.project.secrets
        limit = self.ran.limits[number] if self.ran.limits else None
        table = self.ground.view.scripts.visited[number].database.identity.table
        files = {one.revision: (str(one.path), _line_of_id(one.path)) for one in self.ground.view.scripts.scripts}
        found = [*judging.too_long(limit, todo.revisions, files, table), *judging.causes(visit, todo.revisions)]
        order = {revision: at for at, revision in enumerate(todo.revisions)}
        found.sort(key=lambda cause: order.get(cause.revision, 0))
        return [told_cause(cause, secrets) for cause in found]

    def _env_fails(self) -> Note:
        failure = self.ran.failure
        if failure is None:
            return judging.env_does_not_visit(shown(self.project.loaded.env))
        return judging.env_fails(failure, reaching.place_of(failure))


def _line_of_id(path: Path) -> int:
    """Return the line of a file that sets the revision's id; 0 if none is found."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return 0
    return next((number for number, line in enumerate(lines, 1) if _ID.match(line)), 0)


def _advice(notes: Sequence[Note], failing: Sequence[str], todo: Todo) -> Recommendation:
    if failing:
        return Recommendation(Action.STOP, None, notes[0].message)
    there = "the chain runs from empty" if todo != Todo() else "the project has no revisions"
    return Recommendation(Action.NOTHING, None, there)
