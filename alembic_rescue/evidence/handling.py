"""What env.py and the revisions did to Alembic's transaction, and to errors, in one run; reported as causes.  Pure.

A run can succeed and persist nothing, or fail without saying so.  The fault is then not in a statement, but in the code
around it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from alembic_rescue.evidence.model import Cause
from alembic_rescue.evidence.observation import At, Ended, Observation, Unobserved


@dataclass(frozen=True)
class Handling:
    """How one run handled its transaction and its errors."""

    begun: At | None = None
    """The line that began the transaction of the revisions before Alembic could."""
    begun_late: bool = False
    """It did so after ``context.configure()``."""
    ended: tuple[Ended, ...] = ()
    unblocked: Ended | None = None
    """The ``autocommit_block()`` that failed because it could not end the transaction."""
    hides: At | None = None
    """The line that hides a run's errors: ``alembic upgrade`` ends as if it had succeeded."""
    lost: bool = False
    """The run succeeded, but some or all of its effects did not persist."""
    expected: tuple[str, ...] = ()
    """The version table's rows at the end of the run."""
    found: tuple[str, ...] = ()
    """The rows that a new connection read afterwards."""
    env: str = ""
    """env.py's path."""


NOTHING = Handling()
_COMMIT_FIRST = "commit it before context.configure() (connection.commit())"
_LET_ALEMBIC = "begin it only with context.begin_transaction(), after context.configure()"


def causes(done: Handling, failed: str | None, revisions: Sequence[str]) -> Iterator[Cause]:
    """Yield a cause for each problem.

    Args:
        done: how the run went.
        failed: the revision that ended the run.
        revisions: those that ran, or would have run.
    """
    first = next(iter(revisions), "")
    ended = [one for one in done.ended if done.lost or one.goes_back or failed is not None]
    for one in ended[:1]:
        yield _ends(one)
    if done.lost and not ended:
        yield _never_committed(done, first)
    if done.unblocked is not None:
        yield _no_block(done, done.unblocked)
    if done.hides is not None:
        what = f"the failure of {failed}" if failed else "the errors of migrations"
        error = f"hides {what}, so alembic upgrade ends as if it had succeeded"
        yield _told("env-hides-errors", failed or first, done.hides, error, "re-raise it there")


def unrecorded(ran: Sequence[Observation | Unobserved]) -> tuple[Cause, ...]:
    """Return why the version table lacks the last of these applied revisions: it commits on its own.

    Args:
        ran: the observations of these revisions.
    """
    last = ran[-1] if ran else None
    commits = [one for one in last.ends if not one.goes_back] if isinstance(last, Observation) else []
    return tuple(_ends(one) for one in commits[:1])


def _ends(one: Ended) -> Cause:
    return _told(
        "ends-transaction",
        one.revision,
        one.at,
        f"calls {one.how}, which {_LOSES[one.goes_back]}",
        _INSTEAD[one.goes_back],
    )


_LOSES = {
    True: "ends the transaction that Alembic began, so everything before it in the same run is lost",
    False: "ends the transaction that Alembic began: what ran before it is kept, and what follows, "
    "including the version row, is never committed",
}
_INSTEAD = {
    True: "remove it, and put what may fail in `with op.get_bind().begin_nested():`",
    False: "remove it, because Alembic commits by itself. Put what must be committed earlier in `with "
    "op.get_context().autocommit_block():`",
}


def _never_committed(done: Handling, revision: str) -> Cause:
    when = "after" if done.begun_late else "before"
    begun = f"begins a transaction {when} context.configure() and never commits it"
    what = begun if done.begun else "never commits what it runs"
    fix = f"{_COMMIT_FIRST}, or run all of it within `with connection.begin():`"
    if done.begun_late:
        fix = "commit it, or use `with context.begin_transaction():` instead"
    return _told(
        "env-never-commits",
        revision,
        done.begun or At(done.env, 0),
        f"{what}: after a successful run, a new connection "
        f"finds {_rows(done.found)} in the version table, not {_rows(done.expected)}",
        fix,
    )


def _no_block(done: Handling, block: Ended) -> Cause:
    where = f"the autocommit_block() in line {block.at.line} of {block.revision}"
    if done.begun is None:
        error = f"{block.how} fails, because the transaction is not Alembic's"
        return _told("autocommit-block-fails", block.revision, block.at, error, _LET_ALEMBIC)
    when, fix = ("after", _LET_ALEMBIC) if done.begun_late else ("before", _COMMIT_FIRST)
    error = f"begins a transaction {when} context.configure(): {where} cannot commit it, and fails"
    return _told("autocommit-block-fails", block.revision, done.begun, error, fix)


def _told(code: str, revision: str, at: At, error: str, fix: str) -> Cause:
    return Cause(
        revision=revision,
        path=at.path,
        line=at.line,
        statement="",
        error=error,
        swallowed=False,
        handler_line=None,
        fix=fix,
        aborts=False,
        fails=False,
        code=code,
    )


def _rows(rows: Collection[str]) -> str:
    return ", ".join(sorted(rows)) if rows else "no row"
