"""The JSON of format 1: one document for each command.  Fields may be added; existing ones keep their names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any

from alembic_rescue.errors import HalfWritten, LockTimeout, Refusal, RescueError, SchemaBehind, WaitTimedOut
from alembic_rescue.evidence.rehearsal import Rehearsal
from alembic_rescue.model import DatabaseReport, Note, Outcome, Receipt, Report, Revision
from alembic_rescue.records import ledger, receipts

FORMAT = 1


def document(report: Report) -> dict[str, Any]:
    """The document of a report."""
    target = report.target
    one = target.revisions[0] if target and len(target.revisions) == 1 else None
    return {
        "format": FORMAT,
        "command": report.command,
        "outcome": report.outcome.value,
        "refusals": [asdict(note) for note in report.refusals],
        "target": target and {"revision": one or target.asked, "revisions": list(target.revisions), "doc": target.doc},
        "script_heads": list(report.script_heads),
        "databases": [_database(part) for part in report.databases],
        "only": report.only,
        "left_out": [asdict(identity) for identity in report.left_out],
        "fingerprint": report.fingerprint,
        "reason": report.reason,
        "receipt": str(report.receipt) if report.receipt else None,
        "log": report.log and asdict(report.log),
        "deployment": report.deployment and asdict(report.deployment),
        "redeploy": report.redeploy and asdict(report.redeploy),
        "error": None,
    }


def failure(command: str, error: RescueError) -> dict[str, Any]:
    """The document of a refusal or an error, with everything known when it was raised."""
    base = Report(command, Outcome.ERROR, None, (), ())
    content = document(error.report or base)
    note = asdict(Note(error.code, error.message, error.help))
    if isinstance(error, (LockTimeout, HalfWritten, SchemaBehind, WaitTimedOut)):
        note["blockers"] = [asdict(blocker) for blocker in error.blockers]
    if isinstance(error, Refusal):
        content["outcome"] = Outcome.REFUSED.value
        if error.code not in {one["code"] for one in content["refusals"]}:
            content["refusals"] = [note, *content["refusals"]]
    else:
        content["outcome"] = Outcome.ERROR.value
        content["error"] = note
    return content


def receipt_list(found: Sequence[Receipt]) -> dict[str, Any]:
    """The document of ``receipts``."""
    content = document(Report("receipts", Outcome.READY, None, (), ()))
    return {**content, "receipts": [_receipt(found, receipt) for receipt in found]}


def _receipt(found: Sequence[Receipt], receipt: Receipt) -> dict[str, Any]:
    undone_by = list(dict.fromkeys(undo.id for undo in ledger.undone_by(found, receipt).values()))
    return {**receipts.to_json(receipt), "path": str(receipt.path), "undone_by": undone_by}


def dumped(content: Mapping[str, Any], hide: Callable[[str], str]) -> str:
    """The document as text with a final newline.  `hide` is applied to the values only, so that it stays valid JSON."""
    return json.dumps(_hidden(content, hide), indent=2) + "\n"


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(one, hide) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(one, hide) for one in value]
    if isinstance(value, Enum):
        return value.value
    return value if value is None or isinstance(value, (bool, int, float)) else hide(str(value))


def _database(part: DatabaseReport) -> dict[str, Any]:
    database, identity = part.database, part.database.identity
    return {
        **asdict(identity),
        "called": list(database.called),
        "version_table_exists": database.version_table_exists,
        "current_heads": list(database.current_heads),
        "heads_after": list(part.heads_after),
        "stamps": [list(stamp.revisions) for stamp in part.stamps],
        "revisions": [_revision(revision) for revision in part.revisions],
        "pending_after": list(part.pending_after),
        "blockers": [asdict(blocker) for blocker in database.blockers],
        "located": part.located and asdict(part.located),
        "completion": part.completion and asdict(part.completion),
        "rehearsal": part.rehearsal and _rehearsal(part.rehearsal),
        "not_rehearsed": part.not_rehearsed,
        "lost": part.lost and asdict(part.lost),
        "from_empty": part.from_empty and asdict(part.from_empty),
        "ran": list(part.ran),
        "causes": [asdict(cause) for cause in part.causes],
        "findings": [asdict(note) for note in part.findings],
        "recommendation": {
            **asdict(part.recommendation),
            "action": part.recommendation.action.value,
            "command": part.recommendation.command,
        },
    }


def _rehearsal(found: Rehearsal) -> dict[str, Any]:
    return {
        "passes": found.passes,
        "fails": found.fails,
        "fails_at": found.fails_at,
        "sure": found.is_sure,
        **asdict(found),
        "answers": [
            {
                **asdict(one),
                "query": one.demand.query() if one.demand.where else None,
                "violated": one.violated,
                "fix": one.fix,
            }
            for one in found.answers
        ],
    }


def _revision(revision: Revision) -> dict[str, Any]:
    return {
        **asdict(revision),
        "verdict": revision.verdict.value,
        "objects": [{**asdict(found), "presence": found.presence.value} for found in revision.objects],
    }
