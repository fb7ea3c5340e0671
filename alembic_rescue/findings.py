"""Findings about a database, and what to do about each.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alembic_rescue import dialects, errors
from alembic_rescue.connection import urls
from alembic_rescue.dialects import Dialect
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.model import Cause, Proof, Verdict
from alembic_rescue.model import Blocker, BrokenOff, Database, Note


def note(error: RescueError) -> Note:
    """Convert an error to a value."""
    return Note(error.code, error.message, error.help)


def of(database: Database) -> tuple[Note, ...]:
    """What a person should know, though nothing is refused for it."""
    table = database.identity.table
    found = list(database.remarks)
    if not database.version_table_exists:
        found.append(
            Note(
                "version-table-missing",
                f"version table {table} does not exist: to Alembic, nothing is applied (base)",
                "if migrations have run here, this is the wrong database, schema or table name. A stamp "
                "would mark every revision up to the target as applied",
            )
        )
    elif not database.current_heads:
        found.append(
            Note(
                "version-table-empty",
                f"version table {table} has no rows: to Alembic, nothing is applied (base)",
                "if migrations have run here, the row was lost. A stamp would mark every revision up to "
                "the target as applied",
            )
        )
    found += under_way(database)
    if database.broke_off:
        found.append(note(broke_off(database, database.broke_off)))
    if database.pooled:
        found.append(
            Note(
                "behind-a-pooler",
                f"the connection to {database.identity.name} goes through a pooler",
                "session settings are left alone; each transaction is read-only instead. If there is a "
                "direct address (often port 5432 instead of 6543), prefer it, with --url",
            )
        )
    found += [_blocked(blocker, table) for blocker in database.blockers if blocker.blocks and not blocker.awaits]
    return tuple(found)


def under_way(database: Database) -> tuple[Note, ...]:
    """A note that another rescue is writing there now."""
    return (note(errors.RescueUnderWay(database.identity.name)),) if database.rescue_at_work else ()


def broke_off(database: Database, what: BrokenOff) -> errors.BrokeOff:
    """The refusal for an interrupted command, with the commands that finish it or go back."""
    return errors.BrokeOff(what.command, what.receipt, database.current_heads, _either_end(what))


def end_not_seen(receipt: str, rows_after: Sequence[str]) -> Note:
    """For a stamp whose receipt does not record its outcome: an upgrade may have written the same rows."""
    return Note(
        "end-not-seen",
        f"receipt {receipt} does not record how its stamp ended: {errors.rows(rows_after)} may come from "
        "it, or from a later alembic upgrade",
        "if the migrations have run since, leave the rows as they are; after an undo, they would run a second time",
    )


def _either_end(broke_off: BrokenOff) -> str:
    accepted = "".join(f" --accept {revision}" for revision in broke_off.accepted)
    accepted += "".join(f" --accept-missing {revision}" for revision in broke_off.accepted_missing)
    forward = "repair" if broke_off.is_repair else f"stamp {broke_off.target}"
    return (
        f"To go forward, to {errors.rows(broke_off.rows_after)}: `alembic-rescue {forward}{accepted}`. To "
        f"go back, to {errors.rows(broke_off.rows_before)}: `alembic-rescue undo`"
    )


def _blocked(root: Blocker, table: str) -> Note:
    """For a blocker that waits for nobody.  The sessions waiting for it continue once it has ended."""
    held_up = [table if _bare(one) == _bare(table) else one for one in root.blocks]
    who = root.application if root.pid is None else f"session {root.pid} ({root.state}, {root.application})"
    behind = f"; waiting for it: {root.waiting}"
    to_end = (
        f"to end it: {errors.code(root.end_command)}" if root.end_command else "wait until it ends, then check again"
    )
    return Note(
        "blocked",
        f"{who} holds up {errors.listed(held_up)}" + (behind if root.waiting else ""),
        f"whatever waits for it will time out; {root.note + '; ' if root.note else ''}{to_end}",
    )


def _bare(table: str) -> str:
    return table.replace('"', "").rpartition(".")[2]


def more_rows(current: Sequence[str], heads_after: Sequence[str]) -> tuple[Note, ...]:
    """A note if a stamp leaves more rows than there are, as the upgrade in its place would."""
    if not current or len(heads_after) <= len(current):
        return ()
    new = errors.listed(sorted(set(heads_after) - set(current)))
    return (
        Note(
            "branch-begins",
            f"{new} begins a branch: the version table will have {len(heads_after)} rows instead of {len(current)}",
            "alembic upgrade would leave the same rows. From then on, use heads or BRANCH@head instead of head",
        ),
    )


def not_begun(revisions: Sequence[str], heads: Sequence[str]) -> Note:
    """For separate bases that have no row here, and of which nothing exists."""
    number = f"{len(revisions)} revision{'s' if len(revisions) > 1 else ''}"
    return Note(
        "branch-not-begun",
        f"{number} up to {errors.listed(heads)} belong to a base that was never applied here, and none of "
        "their objects exist, so they are not counted as pending",
        "`alembic upgrade heads` would run them. If they are not meant for this database, upgrade only your branch",
    )


def limits(database: Database, proof: Proof) -> tuple[Note, ...]:
    """What this dialect cannot do, where that matters for these revisions."""
    dialect = _dialect(database)
    name = dialect.title
    found = []
    if not dialect.holds_sessions:
        found.append(
            Note(
                "not-held-read-only",
                f"a session on {name} cannot be made read-only, and has no timeouts: whatever env.py writes is kept",
                "use a role that can only read, with --url",
            )
        )
    unsettled = [r.revision for r in proof.revisions if r.verdict not in {Verdict.APPLIED, Verdict.EMPTY}]
    if unsettled and not proof.transactional:
        each = "commits each DDL statement" if dialect.commits_each_statement else "runs each statement separately here"
        found.append(
            Note(
                "no-transactional-ddl",
                f"{name} {each}: a migration that failed half-way leaves behind what it created",
                "add what a revision lacks by hand, then stamp it; if it ran again, it would fail on existing objects",
            )
        )
    return tuple(found)


def _dialect(database: Database) -> Dialect:
    return dialects.of_server(database.identity.dialect, database.identity.server_version)


def of_stamp(database: Database) -> tuple[Note, ...]:
    """What a stamp lacks on this dialect."""
    dialect = _dialect(database)
    if dialect.has_rescue_lock:
        return ()
    return (
        Note(
            "no-rescue-lock",
            f"{dialect.title} has no lock to keep out a second rescue",
            "each row is changed only if it still has the planned value. Make sure that nothing else writes meanwhile",
        ),
    )


def left_over(proof: Proof) -> tuple[Note, ...]:
    """Interrupted table copies, which have to be fixed before anything else."""
    return tuple(
        note(errors.BatchBrokeOff(left.table, left.copy, left.holds_the_rows, left.sql)) for left in proof.left_over
    )


def hindrance(database: Database) -> RescueError | None:
    """What would prevent any stamp, whatever its target."""
    identity = database.identity
    if database.read_only:
        return errors.ReadOnlyServer(identity.name, database.read_only, database.read_only_for)
    if database.missing_privileges:
        return errors.PermissionDenied(identity.role or "in use", errors.listed(database.missing_privileges))
    return None


def other_database(database: Database, environment: Mapping[str, str]) -> tuple[Note, ...]:
    """The refusal if DATABASE_URL names a database other than the one that env.py opened."""
    named = environment.get("DATABASE_URL")
    if not named:
        return ()
    try:
        theirs = urls.with_defaults(urls.parse(named), environment)
    except errors.BadUrl:
        return ()
    opened = urls.parse(database.identity.url)
    if urls.same_database(theirs, opened):
        return ()
    return (note(errors.OtherDatabase("DATABASE_URL", urls.name_of(theirs), urls.name_of(opened))),)


def causes(found: Sequence[Cause]) -> tuple[Note, ...]:
    """The statements bound to fail here: all that would go unnoticed, and the first other one, which ends the run."""
    seen = [cause for cause in found if not cause.logged]  # causes from the log have their own finding
    unheard = [cause for cause in seen if cause.swallowed or cause.code or not cause.fails]
    told = [cause for cause in seen if cause not in unheard][:1]
    return tuple(_cause(cause) for cause in unheard + told)


def _cause(cause: Cause) -> Note:
    place = cause.place
    if cause.code:
        said = f"{place}: {cause.statement}" if cause.statement else place
        return Note(cause.code, f"{said} {cause.error}", cause.fix)
    if not cause.fails:
        return Note("left-as-it-is", f"{place}: {cause.statement}: {cause.error}", _fix(cause))
    word = "fails on a copy of the schema, without rows" if cause.without_rows else "will fail on this database"
    fails = f"{place}: {cause.statement} {word}: {cause.error}"
    if not cause.swallowed:
        return Note("will-fail", fails, _fix(cause))
    if not cause.aborts:
        return Note(
            "swallowed-error",
            f"{fails}, and the except at line {cause.handler_line} hides it, so the version moves on regardless",
            _fix(cause),
        )
    return Note(
        "swallowed-error",
        f"{fails}, and the except at line {cause.handler_line} hides it without a SAVEPOINT: the "
        "transaction is aborted from there on, and the whole run is rolled back",
        _fix(cause),
    )


def _fix(cause: Cause) -> str:
    """The fix, in the revision's file or by a statement."""
    return cause.fix if cause.steps else f"fix {cause.revision}: {cause.fix}"
