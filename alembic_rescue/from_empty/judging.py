"""Turn a run from empty into causes and findings.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from alembic.script.revision import RevisionMap

from alembic_rescue import errors
from alembic_rescue.evidence import causes as known
from alembic_rescue.evidence.causes import Upgrade, first_words, fix_of
from alembic_rescue.evidence.consequences import follows_another
from alembic_rescue.evidence.from_empty import FAILS
from alembic_rescue.evidence.model import Cause
from alembic_rescue.evidence.observation import Failure, Observation
from alembic_rescue.graph import scripts
from alembic_rescue.model import Note
from alembic_rescue.worker.scratch.runs import OwnVisit

_ABSENT = fix_of("does not exist", "")
_TO_MAKE = "create it in an earlier revision. If it existed before the first one, pass it with --baseline FILE.sql"
_FIX_ENV = "fix env.py. If it expects something in the database, pass that with --baseline FILE.sql"
_SHOWN = 10
"""How many model differences a message lists; the JSON has all of them."""


def causes(visit: OwnVisit, revisions: Sequence[str]) -> Iterator[Cause]:
    """Yield what is wrong with the revisions that ran, including what the run itself tolerates."""
    upgrade = Upgrade(
        visit.failing, visit.failed, visit.failure, visit.transactional, (), visit.unheard, visit.handling
    )
    found = [_of_empty(cause) for cause in known.causes(upgrade, [Observation(one) for one in revisions])]
    yield from found
    if visit.failed is not None and visit.failure is not None and not _is_told(visit.failed, visit.failure, found):
        yield _failing(visit.failed, visit.failure)
    told = {(cause.revision, cause.path, cause.line) for cause in found}
    for one in visit.handling.ended:
        if not one.goes_back and (one.revision, one.at.path, one.at.line) not in told:
            yield replace(
                _coded("commit-in-migration", one.revision, one.at.path, one.at.line),
                error=f"calls {one.how} inside a migration: if a later statement fails, the earlier changes stay",
                fix="remove it, or put what must be committed earlier in `with op.get_context().autocommit_block():`",
            )


def _of_empty(cause: Cause) -> Cause:
    """Return the cause, worded for an empty database."""
    cause = replace(cause, fix=cause.fix.replace(_ABSENT, _TO_MAKE))
    if cause.code != "would-be-hidden":
        return cause
    return replace(
        cause,
        error=f"succeeds on an empty database. If it fails on rows, the except at line {cause.handler_line} hides it "
        "without a SAVEPOINT, and the whole run is rolled back",
    )


def _is_told(failed: str, failure: Failure, found: Sequence[Cause]) -> bool:
    """Return whether one of the causes is that failure, or the reason for it."""
    own = [cause for cause in found if cause.fails and (cause.revision == failed or cause.swallowed)]
    if any(not cause.swallowed for cause in own if cause.revision == failed):
        return True
    coded = any(cause.code in FAILS for cause in found if cause.revision == failed)
    return coded or (bool(own) and follows_another(failure.error))


def _failing(revision: str, failure: Failure) -> Cause:
    return Cause(
        revision=revision,
        path=failure.path,
        line=failure.line or 0,
        statement=first_words(failure.statement),
        error=failure.error,
        swallowed=False,
        handler_line=None,
        fix=_fix_of(failure),
    )


def _fix_of(failure: Failure) -> str:
    if not failure.statement:
        return "make it run on an empty database"
    return fix_of(failure.error, failure.statement).replace(_ABSENT, _TO_MAKE)


def too_long(
    limit: int | None, revisions: Sequence[str], lines: Mapping[str, tuple[str, int]], table: str
) -> Iterator[Cause]:
    """Yield a cause for each revision whose id does not fit into the version table.

    Args:
        limit: characters that fit; None: any number.
        lines: file and line of each id.
    """
    for revision in revisions:
        if limit is not None and len(revision) > limit:
            yield replace(
                _coded("revision-too-long", revision, *lines.get(revision, ("", 0))),
                error=f"has an id of {len(revision)} characters, but {table}.version_num holds only {limit}",
                fix=f"shorten it to {limit} characters, or widen the column in an earlier revision",
            )


def _coded(code: str, revision: str, path: str, line: int) -> Cause:
    return Cause(
        revision=revision,
        path=path,
        line=line,
        statement="",
        error="",
        swallowed=False,
        handler_line=None,
        fix="",
        aborts=False,
        fails=False,
        code=code,
    )


def told(cause: Cause) -> Note:
    """Return a cause as a finding."""
    said = f"{cause.place}: {cause.statement}" if cause.statement else cause.place
    fix = f"fix {cause.revision}: {cause.fix}"
    if cause.code:
        return Note(cause.code, f"{said} {cause.error}".strip(), fix if cause.statement else cause.fix)
    fails = f"{cause.revision} fails on an empty database. {said}: {cause.error}"
    if not cause.swallowed:
        return Note("revision-fails", fails, fix)
    after = (
        " without a SAVEPOINT: the transaction is aborted from there on, and the whole run is rolled back"
        if cause.aborts
        else ", so the version moves on regardless"
    )
    return Note("swallowed-error", f"{fails}, and the except at line {cause.handler_line} hides it{after}", fix)


def env_fails(failure: Failure, place: str) -> Note:
    """Return the finding for an env.py that failed outside of any revision."""
    return Note("env-fails", f"env.py fails on an empty database ({place}): {failure.error}", _FIX_ENV)


def env_does_not_visit(place: str) -> Note:
    """Return the finding for an env.py that ended without running migrations."""
    return Note("env-fails", f"env.py ({place}) runs no migrations on this database when it is empty", _FIX_ENV)


def several_heads(graph: RevisionMap, merged: RevisionMap | None, reference: str, shown: str) -> tuple[Note, ...]:
    """Return the finding for a chain whose ``head`` is ambiguous, now or after the merge; empty if it is not.

    Args:
        merged: the revisions once the branch is merged into `reference`; None without a reference.
        shown: one of the heads, with its file and line.
    """
    heads = scripts.heads(graph)
    if len(heads) > 1:
        return (
            Note(
                "several-heads",
                f"{shown} is one of {len(heads)} heads: {errors.listed(heads)}. `alembic upgrade head` refuses them",
                "merge them: `alembic merge heads`. If you upgrade with `heads`, rehearse that: "
                "`alembic-rescue rehearse heads --from-empty`",
            ),
        )
    after = scripts.heads(merged) if merged is not None else heads
    if len(after) > 1:
        return (
            Note(
                "several-heads",
                f"merged into {reference}, {shown} is one of {len(after)} heads: {errors.listed(after)}",
                f"merge {reference} into this branch, and set `down_revision` of the first new revision to "
                f"{errors.listed(one for one in after if one not in heads)}",
            ),
        )
    return ()


def models_differ(differences: Sequence[str]) -> tuple[Note, ...]:
    """Return the finding on which ``alembic check`` would fail, if there are differences."""
    if not differences:
        return ()
    shown = "; ".join(differences[:_SHOWN])
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    number = f"{len(differences)} place{'s' if len(differences) > 1 else ''}"
    return (
        Note(
            "models-differ",
            f"the models differ from what the migrations create, in {number}: {shown}{more}",
            "if the models are right, write the missing migration: `alembic revision --autogenerate`. If the migration "
            "is right, change the models. If an object is not meant to be compared, exclude it with include_object "
            "in env.py",
        ),
    )
