"""Complete a partial revision: find what it lacks, try it on a copy, and find what takes it back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from alembic.script.revision import RevisionMap

from alembic_rescue import dialects, errors, findings, inspection, rehearsal
from alembic_rescue.client import Project
from alembic_rescue.dialects.scratch import Unavailable
from alembic_rescue.evidence.completion import Completion
from alembic_rescue.evidence.model import Proof, Verdict
from alembic_rescue.evidence.observation import Made
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.graph import path as paths
from alembic_rescue.inspection import Choose, View
from alembic_rescue.model import (
    Action,
    Choice,
    Database,
    DatabaseReport,
    Note,
    Outcome,
    Receipt,
    ReceiptPart,
    ReceiptState,
    Recommendation,
    Report,
    Revision,
)
from alembic_rescue.records import receipts
from alembic_rescue.redact import Secrets
from alembic_rescue.scratch.bench import Bench, address_of
from alembic_rescue.scratch.chain import Asked
from alembic_rescue.scratch.trial import copied
from alembic_rescue.worker.requests import ToWrite, Visited

_LABEL, _CONCURRENTLY = ("ALTER TYPE", " ADD VALUE "), " CONCURRENTLY "
_RENAMES = re.compile(r"\bRENAME\b", re.IGNORECASE)
_LOSES = re.compile(r"\bDROP\s+(?:TABLE|COLUMN|SCHEMA|SEQUENCE|TYPE)\b|\bTYPE\b|\bRENAME\b", re.IGNORECASE)
"""These statements delete, change or move rows.  If the revision's data changes have not run yet, they have nothing
left to work on."""
_WAYS = {
    Verdict.NOT_APPLIED: ("none of its objects exist", "alembic upgrade creates all of it"),
    Verdict.UNVERIFIABLE: ("its changes cannot be verified", "to see why: `alembic-rescue diagnose`"),
}


def choosing(revision: str) -> tuple[Choose, Choose]:
    """The revisions to examine for `revision`, and those besides: what is pending, or what counts as applied.

    All revisions if the rows cannot be explained.
    """

    def choose(graph: RevisionMap, database: Database) -> Sequence[str]:
        pending = inspection.pending(graph, database)
        if revision in pending:
            return pending
        return inspection.applied(graph, database) or inspection.every(graph, database)

    def besides(graph: RevisionMap, database: Database) -> Sequence[str]:
        pending = inspection.pending(graph, database)
        return () if revision in pending else pending

    return choose, besides


def plan_each(
    project: Project, view: View, proved: Sequence[tuple[Database, Proof]], revision: str, bench: Bench
) -> list[DatabaseReport]:
    """Plan the completion of `revision` on each database.  Only one at a time can be completed.

    Raises:
        SeveralPartial: it is partial in several databases.
    """
    parts = [
        plan_one(project, view, view.visited(database), database, proof, revision, bench) for database, proof in proved
    ]
    partial = [part.database for part in parts if part.completion is not None]
    if len(partial) > 1:
        raise errors.SeveralPartial(revision, [database.identity.sentence for database in partial])
    return parts


def outcome(parts: Sequence[DatabaseReport]) -> Outcome:
    """READY if there is something to run, REFUSED if something is refused, else NOTHING_TO_DO."""
    if any(part.refusals for part in parts):
        return Outcome.REFUSED
    return Outcome.READY if any(part.completion for part in parts) else Outcome.NOTHING_TO_DO


def plan_one(
    project: Project, view: View, visited: Visited, database: Database, proof: Proof, revision: str, bench: Bench
) -> DatabaseReport:
    """Plan the completion of `revision` on one database; no statements if nothing is missing.

    Raises:
        RescueError: the copy to try it on cannot be made.
    """
    graph = view.graph
    (one,) = inspection.with_evidence(graph, [revision], proof)
    refusals = [*inspection.hindrances(project, database), *findings.left_over(proof), *findings.under_way(database)]
    if database.broke_off:
        refusals.append(findings.note(findings.broke_off(database, database.broke_off)))
    if unwritable := findings.hindrance(replace(database, missing_privileges=())):
        refusals.append(findings.note(unwritable))
    completion = None
    if one.verdict not in {Verdict.APPLIED, Verdict.EMPTY}:
        explained = inspection.is_explained(graph, database.stands_at)
        runs = revision in inspection.pending(graph, database) or not explained
        found = _refusal(one, pending=runs)
        if found is None and not refusals:
            completion, found = _tried(view, visited, _completion(database, one), bench)
        refusals += [findings.note(found)] if found is not None else []
    return DatabaseReport(
        database=database,
        revisions=(one,),
        heads_after=database.current_heads,
        stamps=(),
        pending_after=inspection.pending(graph, database),
        refusals=tuple(refusals),
        findings=(*findings.of(database), *_told(completion)),
        recommendation=Recommendation(Action.COMPLETE, revision, f"{revision} lacks something"),
        completion=completion,
    )


def in_place_of_what_is_refused(
    project: Project, view: View, part: DatabaseReport, proof: Proof, bench: Bench
) -> DatabaseReport:
    """Return the report; if it recommends a completion that would be refused, with what to do by hand instead.

    Args:
        proof: has to include the revision to complete.
    """
    advice = part.recommendation
    if advice.action is not Action.COMPLETE or advice.revision is None:
        return part
    database = part.database
    try:
        planned = plan_one(project, view, view.visited(database), database, proof, advice.revision, bench)
    except errors.RescueError:  # it cannot be tried: ``complete`` reports that when it is run
        return part
    if not planned.refusals:
        return part
    refused, (one,) = planned.refusals[0], planned.revisions
    choices: tuple[Choice, ...] = ()
    if one.revision in planned.pending_after:
        accepted = f" --accept {one.revision}" if one.unread else ""
        rows = ", and its rows are as they should be" if accepted else ""
        made = f"you created by hand what {one.revision} lacks{rows}"
        choices = (Choice(made, (f"alembic-rescue stamp {one.revision}{accepted}",)),)
    reason = f"{one.revision} is partially applied. {sentence(refused.message)}. {sentence(refused.help)}"
    return replace(part, recommendation=Recommendation(Action.STOP, None, reason, choices=choices))


def _refusal(one: Revision, *, pending: bool) -> errors.Refusal | None:
    """Why there is nothing to complete.  An applied revision of which nothing exists can be completed."""
    if one.verdict is Verdict.UNVERIFIABLE or (one.verdict is Verdict.NOT_APPLIED and pending):
        return errors.NotPartial(one.revision, *_WAYS[one.verdict])
    losing = [found.named for found in one.missing if found.sql and _LOSES.search(found.sql)]
    if losing and one.unread:
        why = f"it drops or converts {errors.listed(losing)}, and its changes to rows cannot be verified"
        way = "check the rows, create what is missing by hand in the order of the file, then stamp it"
        return errors.NotPartial(one.revision, why, way)
    if not any(found.sql for found in one.missing):
        lacks = errors.listed([found.named for found in one.missing])
        return errors.NotPartial(one.revision, f"no statement is available for {lacks}", "make that change by hand")
    return None


def _completion(database: Database, one: Revision) -> Completion:
    """The statements, in the revision's own order."""
    split = dialects.of(database.identity.dialect).split
    every = [statement for found in one.missing if found.sql for statement in split(found.sql)]
    statements = list(dict.fromkeys(every))  # two objects may need the same rename
    first = [sql for sql in statements if all(words in sql.upper() for words in _LABEL)]
    last = [sql for sql in statements if _CONCURRENTLY in sql.upper()]
    return Completion(
        one.revision,
        first=tuple(first),
        together=tuple(sql for sql in statements if sql not in first and sql not in last),
        last=tuple(last),
        by_hand=tuple(found.named for found in one.missing if not found.sql and not _brought_along(one, found.name)),
        data=tuple(f"{found.path}:{found.line}: {found.name}" if found.line else found.name for found in one.unread),
    )


def _brought_along(one: Revision, name: str) -> bool:
    """Whether a statement for another object covers it, as CREATE TABLE covers the table's columns and keys."""
    own = name.partition(" on ")[0].rpartition(".")[2].strip('"')
    return any(found.sql and own in found.sql for found in one.missing)


def _tried(
    view: View, visited: Visited, completion: Completion, bench: Bench
) -> tuple[Completion | None, errors.Refusal | None]:
    """Try it on a copy of the schema: whether it runs, and which statements take it back."""
    identity = visited.database.identity
    place = bench.placed(view, "_completed")[address_of(visited)]
    made = copied(view, Asked(visited, (), ()), place, visited.database.current_heads, bench)
    if isinstance(made, Unavailable):
        return replace(completion, untried=made.reason), None
    found: Made = bench.ask_server(
        "make",
        dialect=identity.dialect,
        scratch_database=bench.route(place)[1],
        statements=completion.statements,
    )
    secrets = bench.project.secrets
    if found.failure is not None:
        sql, reason = secrets.hide_sql(found.failure.statement), secrets.hide(found.failure.error)
        return None, errors.CompletionWouldFail(completion.revision, " ".join(sql.split()), reason)
    back, stays = dialects.of(identity.dialect).taken_back(found.changes)
    if renames := [sql for sql in completion.statements if _RENAMES.search(sql)]:  # seen as drop and create
        back, stays = (), tuple(renames)
    return replace(completion, back=_shown(back, secrets), stays=stays), None


def _shown(statements: Sequence[str], secrets: Secrets) -> tuple[str, ...]:
    """The statements without secrets.  With a secret hidden, a statement cannot be run."""
    return tuple(sql for sql in statements if secrets.hide_sql(sql) == sql)


def _told(completion: Completion | None) -> tuple[Note, ...]:
    if completion is None:
        return ()
    found = []
    if completion.untried:
        found.append(
            Note(
                "completion-not-tried",
                f"the statements could not be tried on a copy of the schema first: {completion.untried}",
                "a failure will only show on the database itself, and there is no SQL to remove what they create",
            )
        )
    if completion.by_hand:
        found.append(
            Note(
                "made-by-hand",
                f"no statement is offered for {errors.listed(completion.by_hand)}",
                f"make that change by hand before you stamp {completion.revision}",
            )
        )
    if completion.data:
        found.append(
            Note(
                "rows-not-run",
                f"statements of {completion.revision} that change rows or call functions are not run: "
                f"{errors.listed(completion.data)}",
                "check whether the rows are as they should be. If not, run these statements by hand, in "
                "the order of the file",
            )
        )
    return tuple(found)


def carry_out(project: Project, planned: Report, part: DatabaseReport, folder: Path, reason: str) -> Receipt:
    """Write the receipt to disk, and run the statements.

    Raises:
        RescueError: see :meth:`alembic_rescue.client.Project.complete`; the receipt records what may remain.
    """
    completion, database = part.completion, part.database
    assert completion is not None, "there is something to run"
    begun: list[Receipt] = []

    def begin(tables: object) -> None:
        del tables
        kept = ReceiptPart(
            database=database.identity,
            state=ReceiptState.BEGUN,
            rows_before=database.current_heads,
            rows_after=database.current_heads,
            rows_found=None,
            skipped=tuple(replace(one, objects=one.missing) for one in part.revisions),
            sql=completion.back,
        )
        told = project.secrets.hide(reason)
        alembic = project.loaded.versions["alembic"]
        begun.append(receipts.begin(folder, "complete", completion.revision, told, [kept], alembic=alembic))

    to_write = ToWrite(database.identity, database.current_heads, ())
    others = [*planned.left_out, *(one.database.identity for one in planned.databases if one is not part)]
    try:
        project.complete(to_write, [one.rows_key for one in others], completion, begin)
    except KeyboardInterrupt as interrupt:
        told = f"the statements had started. To check what is missing: `alembic-rescue complete {completion.revision}`"
        raise errors.Interrupted(told if begun else "nothing was written") from interrupt
    except errors.RescueError as error:
        if begun:
            nothing = isinstance(error, errors.CompletionFailed) and not error.kept
            ended(begun[0], ReceiptState.NOT_WRITTEN if nothing else ReceiptState.FAILED)
        raise
    return begun[0]


def unmoved(planned: DatabaseReport, proof: Proof) -> None:
    """Refuse if the revision's evidence has changed since it was planned.

    Raises:
        CompletionMoved: a part of it was created or removed in the meantime.
    """
    (revision,) = planned.revisions
    if not inspection.is_as_it_was(planned.revisions, proof):
        raise errors.CompletionMoved(revision.revision)


def ended(receipt: Receipt, state: ReceiptState) -> Receipt:
    """Record the outcome in the receipt, on disk too."""
    return receipts.complete(receipt, [replace(part, state=state) for part in receipt.parts])


def judged(view: View, planned: DatabaseReport, proof: Proof, receipt: Receipt) -> DatabaseReport:
    """Return the report with the new proof.

    Args:
        receipt: of the statements that ran.

    Raises:
        NotCompleted: something is still missing although its statement ran.
    """
    assert planned.completion is not None, "it was run"
    (one,) = (found for found in proof.revisions if found.revision == planned.completion.revision)
    still = [found.named for found in one.missing if found.named not in planned.completion.by_hand]
    if still:
        raise errors.NotCompleted(one.revision, still, str(receipt.path), planned.completion.back)
    (revision,) = planned.revisions
    told = replace(revision, verdict=one.verdict, objects=one.objects)
    return replace(planned, revisions=(told,), recommendation=_next(view.graph, planned, told))


def with_next(view: View, done: DatabaseReport, bench: Bench) -> DatabaseReport:
    """Add the rehearsal of the next upgrade, once the revision is stamped."""
    (revision,) = done.revisions
    rows, todo = done.database.current_heads, done.pending_after
    if revision.revision in todo:
        path = paths.find_path(view.graph, rows, revision.revision)
        rows, todo = path.heads_after, path.pending_after
    return rehearsal.with_next(view, view.visited(done.database), done, rows, todo, bench)


def _next(graph: RevisionMap, planned: DatabaseReport, revision: Revision) -> Recommendation:
    if revision.verdict is Verdict.PARTIAL:
        lacks = errors.some(found.named for found in revision.missing)
        reason = (
            f"{revision.revision} is still partially applied: {lacks} missing or different. Make the change by hand"
        )
        return Recommendation(Action.STOP, None, f"{reason}, then check again: `alembic-rescue diagnose`")
    rows = "; its changes to rows were not run, see above" if planned.completion and planned.completion.data else ""
    if not inspection.is_explained(graph, planned.database.stands_at):
        reason = (
            f"{revision.revision} is complete, as far as the catalog shows{rows}. Set the rows of the version table"
        )
        return Recommendation(Action.REPAIR, None, reason)
    if revision.revision not in planned.pending_after:
        whole = f"{revision.revision} is complete, as far as the catalog shows{rows}"
        return Recommendation(
            Action.NOTHING, None, f"{whole}. To check the others: `alembic-rescue diagnose --applied`"
        )
    if revision.verdict is Verdict.APPLIED:
        return Recommendation(Action.STAMP, revision.revision, f"{revision.revision} is complete")
    return Recommendation(Action.STOP, None, f"{revision.revision} cannot be fully verified: `alembic-rescue diagnose`")
