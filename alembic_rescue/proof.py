"""The evidence for a range of revisions on one database, from within one run of env.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from alembic_rescue import catalog
from alembic_rescue.environment import keyword_arguments
from alembic_rescue.footprint import replay
from alembic_rescue.judging.cause import causes
from alembic_rescue.judging.evidence import furthest_proved, judge
from alembic_rescue.model_evidence import Footprint, ObjectEvidence, Opaque, Proof, Statement


def prove(
    context: MigrationContext,
    script: ScriptDirectory,
    revisions: Sequence[str],
    kw: Mapping[str, Any] | None = None,
    *,
    behind: Sequence[str] = (),
    seconds: float = 10.0,
    run_code: bool = True,
) -> Proof:
    """Hold what `revisions` would leave behind against the database that `context` is connected to.

    Call it within ``environment.look``: the session must be read-only.

    Args:
        revisions: those of the range, in the order in which Alembic would run them.
        kw: what env.py gives to ``run_migrations(**kw)``.  None reads it from the frame of that call, which must then
            be on the stack: Alembic hands it to a step's function only, and writes the version table after that.
        behind: the revisions that have run already, in order: what they made is then no proof for a later one, and
            what a later one makes again must fail.  Optional: they are replayed too, and that takes its time.
        seconds: the time limit for the replay of each revision.
        run_code: False judges without running migration code: every revision is unverifiable.
    """
    assert context.connection is not None, "online mode has a connection"
    given = keyword_arguments() if kw is None else kw
    before = catalog.read(context.connection)
    if run_code:
        footprints = replay(context, script, (*behind, *revisions), given, seconds, before.home)
    else:
        footprints = tuple(_not_replayed(revision) for revision in (*behind, *revisions))
    more = _schemas(footprints) - set(before.search_path)
    snapshot = catalog.read(context.connection, more) if more else before
    judged = judge(footprints, snapshot, len(behind))[len(behind) :]
    transactional = bool(context.impl.transactional_ddl)
    found = causes(footprints[len(behind) :], snapshot, transactional=transactional)
    return Proof(judged, furthest_proved(judged), found, transactional)


def without_secrets(proof: Proof, hide: Callable[[str], str]) -> Proof:
    """The proof with the passwords taken out of all text that comes from migrations."""

    def told(found: ObjectEvidence) -> ObjectEvidence:
        return replace(
            found,
            name=hide(found.name),
            detail=found.detail and hide(found.detail),
            sql=found.sql and hide(found.sql),
        )

    return replace(
        proof,
        revisions=tuple(replace(r, objects=tuple(told(o) for o in r.objects)) for r in proof.revisions),
        causes=tuple(
            replace(c, statement=hide(c.statement), error=hide(c.error), mend=hide(c.mend)) for c in proof.causes
        ),
    )


def _not_replayed(revision: str) -> Footprint:
    why = Opaque("it was not replayed, as asked")
    return Footprint(revision, (Statement(revision, "", (why,)),))


def _schemas(footprints: Sequence[Footprint]) -> frozenset[str]:
    keys = (
        key
        for footprint in footprints
        for statement in footprint.statements
        for effect in statement.effects
        for key in (getattr(effect, "key", None), getattr(effect, "to", None))
        if key is not None
    )
    return frozenset(key.schema for key in keys if key.schema)
