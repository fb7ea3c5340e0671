"""Test whether the next ``alembic upgrade`` passes: run it on a copy of the schema, and query the live rows.

The copy tests the schema; the live rows decide what only they can.  Nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from alembic_rescue import dialects, errors, findings, inspection, selection
from alembic_rescue.client import Project
from alembic_rescue.connection.failures import shown
from alembic_rescue.evidence.causes import causes, undecided
from alembic_rescue.evidence.observation import Statement, StatementKind
from alembic_rescue.evidence.rehearsal import FILLED, Answer, Demand, Lock, Rehearsal, TableSize
from alembic_rescue.graph import path as paths
from alembic_rescue.inspection import View
from alembic_rescue.model import Action, DatabaseReport, Outcome, Recommendation, Report
from alembic_rescue.proof import told_cause
from alembic_rescue.redact import Secrets
from alembic_rescue.scratch import trial
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.chain import Asked
from alembic_rescue.worker.requests import Visited
from alembic_rescue.worker.scratch.runs import OwnVisit

_FILLED = re.compile(
    r"\b(?:TABLE|MATERIALIZED\s+VIEW)\b.*\bAS\b[\s(]*(?:SELECT|WITH|VALUES|TABLE|EXECUTE)\b|^\s*SELECT\b.*\bINTO\b",
    re.IGNORECASE | re.DOTALL,
)
_INSERTS = re.compile(r"\bINSERT\s+INTO\b", re.IGNORECASE)
_WITH_NO_DATA = re.compile(r"\bWITH\s+NO\s+DATA\W*\Z", re.IGNORECASE)
LARGE_BYTES, LARGE_ROWS = 100 * 1024**2, 1_000_000
"""A table of this size is large: sessions that wait for a lock on it wait long."""


def of_one(project: Project, view: View, visited: Visited, target: str | None, bench: Bench) -> DatabaseReport:
    """Rehearse what is pending on one database, up to `target`.

    Raises:
        Refusal: no path leads there from its current heads, or something else prevents it.
        RescueError: as :func:`rehearse`.
    """
    database, graph = visited.database, view.graph
    if database.broke_off:
        raise findings.broke_off(database, database.broke_off)
    try:
        paths.check_current(graph, database.current_heads)
    except errors.Refusal as refusal:
        if len(view.meant) > 1:
            refusal.message = f"{selection.told(database)}: {refusal.message}"
        raise
    todo, after = paths.pending(graph, database.current_heads), tuple(sorted(view.graph.heads))
    if target is not None:
        path = paths.find_path(graph, database.current_heads, target)
        todo, after = path.skipped, path.heads_after
    found = rehearse(view, visited, database.current_heads, todo, bench) if todo else Rehearsal(())
    return DatabaseReport(
        database=database,
        revisions=(),
        heads_after=tuple(sorted(after)),
        stamps=(),
        pending_after=todo,
        refusals=(),
        findings=(*findings.of(database), *inspection.hindrances(project, database)),
        recommendation=_advice(found),
        causes=found.causes,
        rehearsal=found,
    )


def judged(report: Report) -> Report:
    """Add the outcome to the report.

    Raises:
        NotRehearsed, RowsNotTold: the copy or the rows gave no answer, and nothing else fails.
    """
    found = [part.rehearsal for part in report.databases if part.rehearsal is not None]
    if any(one.fails for one in found):
        return replace(report, outcome=Outcome.FAILS)
    for one in found:
        if not one.passes:
            raise _not_known(report, one)
    return report if any(one.revisions for one in found) else replace(report, outcome=Outcome.NOTHING_TO_DO)


def _not_known(report: Report, found: Rehearsal) -> errors.RescueError:
    error: errors.RescueError = errors.RowsNotTold(found.why)
    if found.error:
        at = f" ({found.path}:{found.line})" if found.line else ""
        error = errors.NotRehearsed(f"on the copy, which has no rows, {found.failed} ends with {found.error}{at}")
    error.report = replace(report, outcome=Outcome.ERROR)
    return error


def of_next(view: View, planned: Sequence[DatabaseReport], bench: Bench) -> list[DatabaseReport]:
    """Add the rehearsal of the following upgrade to each plan.  Never raise: the report says if there is none."""
    return [_with_next(view, view.visited(part.database), part, bench) for part in planned]


def _with_next(view: View, visited: Visited, part: DatabaseReport, bench: Bench) -> DatabaseReport:
    return with_next(view, visited, part, part.heads_after, part.pending_after, bench) if part.stamps else part


def with_next(
    view: View, visited: Visited, part: DatabaseReport, rows: Sequence[str], todo: Sequence[str], bench: Bench
) -> DatabaseReport:
    """Add the rehearsal of `todo`, starting from `rows`.  Never raise: the report says if there is none."""
    if not todo:
        return part
    try:
        return replace(part, rehearsal=rehearse(view, visited, rows, todo, bench))
    except errors.RescueError as error:
        reason = error.reason if isinstance(error, errors.NotRehearsed) else error.message
        return replace(part, not_rehearsed=reason)


def _advice(found: Rehearsal) -> Recommendation:
    if not found.revisions:
        return Recommendation(Action.NOTHING, None, "the database is at the latest revision")
    if found.passes:
        return Recommendation(Action.RERUN, None, "no problem was found for the next upgrade: run it")
    return Recommendation(Action.STOP, None, found.why)


def rehearse(view: View, visited: Visited, rows: Sequence[str], todo: Sequence[str], bench: Bench) -> Rehearsal:
    """Run `todo` on a copy whose version table has `rows`, then query the live rows.

    Raises:
        NotRehearsed: there is no copy to run them on.
        RescueError: the scratch server, a worker, or the database fails.
    """
    project, secrets = bench.project, bench.project.secrets
    tried = trial.attempt(view, Asked(visited, (), tuple(todo)), rows, todo, bench)
    visit, upgrade = tried.visit, tried.upgrade
    assert upgrade is not None, "attempt raises where nothing was run"
    found = _ended(Rehearsal(tuple(todo)), visit, secrets, lacking=upgrade.lacking)
    why = tuple(told_cause(cause, secrets) for cause in causes(upgrade))
    if upgrade.handling.lost and not found.error and why:  # it ended without an error, but nothing of it was kept
        found = replace(found, error=why[0].error, path=why[0].path, line=why[0].line, fix=why[0].fix)
    found = replace(
        found,
        causes=why,
        unrehearsed=tuple(
            _place(one) for _, one in visit.sent if one.kind is not StatementKind.CATALOG or _is_filled_by_a_query(one)
        ),
    )
    rehearsal = dialects.of(visited.database.identity.dialect).rehearsal
    if not rehearsal.asks_rows:
        return replace(found, rows_unasked="rows are checked on PostgreSQL only")
    tables = sorted({lock.table for lock in visit.locks})
    if not visit.demands and not tables:
        return found
    asked = project.ask_rows(visited.database.identity.rows_key, visit.demands, tables)
    answers = tuple(_placed(answer, visit, secrets) for answer in asked.answers)
    return replace(found, answers=answers, locks=tuple(_on_large_tables(visit.locks, asked.sizes)))


def _ended(found: Rehearsal, visit: OwnVisit, secrets: Secrets, *, lacking: Collection[str]) -> Rehearsal:
    """How the run on the copy ended."""
    failure = visit.failure
    if visit.failed is None or failure is None:
        return found
    return replace(
        found,
        failed=visit.failed,
        error=secrets.hide(failure.error),
        path=failure.path and shown(Path(failure.path)),
        line=failure.line,
        statement=secrets.hide_sql(failure.statement),
        undecided=undecided(failure, lacking),
    )


def _place(statement: Statement) -> str:
    path = shown(Path(statement.path))
    return f"{path}:{statement.line}" if statement.line else path


def _placed(answer: Answer, visit: OwnVisit, secrets: Secrets) -> Answer:
    """Add the line that makes the demand, and earlier lines that change rows of its table."""
    demand = answer.demand
    upto = [revision for revision, _ in visit.sent]
    until = len(upto) - upto[::-1].index(demand.revision) if demand.revision in upto else 0
    before = visit.sent[:until]
    by = _demanding(demand, [one for revision, one in before if revision == demand.revision])
    mended = dict.fromkeys(_place(one) for _, one in before if _may_mend(one, demand))
    return replace(
        answer,
        demand=replace(demand, what=secrets.hide_sql(demand.what), where=secrets.hide_sql(demand.where)),
        keys=tuple(map(secrets.hide, answer.keys)),
        path=shown(Path(by.path)) if by else "",
        line=by.line if by else None,
        mended_by=tuple(mended),
    )


def _demanding(demand: Demand, statements: Sequence[Statement]) -> Statement | None:
    """The statement that makes the demand: the last one that names its table and the object in question."""
    filling = demand.kind == FILLED and not demand.about
    makes = _fills if filling else _is_of_the_catalog
    able = [one for one in statements if makes(one) and _names_one_of(one.sql, demand.names)]
    about = [one for one in able if demand.about.strip('"') in one.sql]
    return next(reversed(about or able), None)


def _may_mend(statement: Statement, demand: Demand) -> bool:
    """Whether the rows may have changed after this statement.

    Changes to rows of other tables only do not count.  An UPDATE counts if it is on the columns in question.  A query
    counts, because code may branch on it or loop over it.
    """
    if demand.kind == FILLED:
        return False
    of_the_table = _names_one_of(statement.sql, demand.names)
    verb = next(iter(statement.sql.split(None, 1)), "").upper()
    if statement.kind is StatementKind.CATALOG:
        return of_the_table and _is_filled_by_a_query(statement)
    if verb in {"UPDATE", "INSERT"} and not of_the_table:
        return False
    if statement.kind is StatementKind.QUERY:
        return of_the_table
    return verb != "UPDATE" or _names_one_of(statement.sql, demand.of)


def _is_of_the_catalog(statement: Statement) -> bool:
    return statement.kind is StatementKind.CATALOG


def _fills(statement: Statement) -> bool:
    return _INSERTS.search(statement.sql) is not None or _is_filled_by_a_query(statement)


def _is_filled_by_a_query(statement: Statement) -> bool:
    """Whether it fills a new table or materialized view with the rows of a query."""
    return _FILLED.search(statement.sql) is not None and not _WITH_NO_DATA.search(statement.sql)


def _names_one_of(sql: str, names: Sequence[str]) -> bool:
    return any(name.lower() in sql.lower() for name in names if name)


def _on_large_tables(locks: Sequence[Lock], sizes: dict[str, TableSize]) -> Iterator[Lock]:
    for lock in locks:
        size = sizes.get(lock.table)
        if size is not None and (size.bytes >= LARGE_BYTES or size.rows >= LARGE_ROWS):
            yield replace(lock, size=size)
