"""Looking at the databases that are meant: what each is, and the evidence for the revisions that are asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from alembic.runtime.migration import MigrationContext
from alembic.script.revision import RevisionMap

from alembic_rescue import databases, environment, errors, findings, selection
from alembic_rescue import path as paths
from alembic_rescue.environment import Tell
from alembic_rescue.errors import Refusal
from alembic_rescue.model import Database, Identity, Note
from alembic_rescue.model_evidence import Proof
from alembic_rescue.project import Project
from alembic_rescue.proof import prove, without_secrets
from alembic_rescue.running.run import Remark


def look(
    project: Project,
    choose: Callable[[RevisionMap, Database], Sequence[str]],
    tell: Tell,
    *,
    only: str | None,
    replay: bool = True,
) -> tuple[list[tuple[Database, Proof]], tuple[Identity, ...]]:
    """Look at each database that is meant, and hold the revisions that `choose` names for it against its catalog.

    Returns:
        Those, each once, in the order in which env.py visits them first; and what it visits besides.
    """

    def see(context: MigrationContext, rows: tuple[str, ...]) -> tuple[Database, Proof]:
        database = databases.look_at(context, rows, project.secrets.hide)
        if not selection.may_mean(only, database):
            return database, Proof((), None, ())
        todo = choose(project.graph, database)
        ahead = set(todo)
        behind = [revision for revision in applied(project.graph, database) if revision not in ahead]
        proof = prove(context, project.script, todo, behind=behind if todo else (), run_code=replay)
        return database, without_secrets(proof, project.secrets.hide)

    remarks: list[Remark] = []
    looked = [
        (replace(database, remarks=tuple(one.note for one in remarks if one.visit in {None, number})), proof)
        for number, (database, proof) in enumerate(environment.look(project, see, tell, remarks))
    ]
    visited = [database for database, _ in looked]
    proofs = {database.identity.rows_key: proof for database, proof in reversed(looked)}
    meant = chosen(project, visited, only)
    return [(one, proofs[one.identity.rows_key]) for one in meant], left_out(visited, meant)


def chosen(project: Project, visited: Sequence[Database], only: str | None) -> list[Database]:
    """The databases that are meant, each once.

    Raises:
        SeveralDatabases, NoSuchDatabase, AmbiguousDatabase: see there.
    """
    first: dict[tuple[str, str], Database] = {}
    for database in visited:
        if project.url is not None and database.identity.rows_key in first:
            raise errors.SeveralDatabases(database.identity.sentence)
        first.setdefault(database.identity.rows_key, database)
    return selection.chosen(list(first.values()), only)


def left_out(visited: Sequence[Database], meant: Sequence[Database]) -> tuple[Identity, ...]:
    """What env.py visits besides those that are meant."""
    keys = {database.identity.rows_key for database in meant}
    return tuple(database.identity for database in visited if database.identity.rows_key not in keys)


def every(graph: RevisionMap, _: Database) -> tuple[str, ...]:
    """All revisions, in Alembic's order."""
    return paths.pending(graph, ())


def pending(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What is pending; nothing where the rows cannot be explained."""
    unexplained = refusal_of(partial(paths.check_current, graph, database.current_heads))
    return () if unexplained else paths.pending(graph, database.current_heads)


def applied(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What counts as applied, in Alembic's order; nothing where the rows cannot be explained."""
    unexplained = refusal_of(partial(paths.check_current, graph, database.current_heads))
    return () if unexplained else paths.in_order(graph, paths.up_to(graph, database.current_heads))


def refusal_of(check: Callable[[], None]) -> tuple[Note, ...]:
    """What `check` refuses, as a value."""
    try:
        check()
    except Refusal as refusal:
        return (findings.note(refusal),)
    return ()
