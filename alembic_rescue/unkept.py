"""What to do after an upgrade of which nothing was kept.  Its run shows what a diagnosis afterwards cannot know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from alembic_rescue import errors
from alembic_rescue.evidence.model import Presence
from alembic_rescue.model import Action, Blocker, DatabaseReport, Recommendation
from alembic_rescue.worker.requests import Ran

_MADE_BEFORE = re.compile(r"already exists|duplicate", re.IGNORECASE)
_CAUSES: Mapping[type, str] = {
    errors.StatementTimeout: "took longer than the statement timeout",
    errors.PermissionDenied: "lacks a permission",
}
"""What the statement did that failed, of the errors that the diagnosis does not find again."""
_BY_HAND = frozenset([Action.STOP, Action.COMPLETE])
_UNDONE_BEFORE = re.compile(r"\b(DROP|RENAME)\b", re.IGNORECASE)


def advice(part: DatabaseReport, ran: Ran, upgrade: str) -> Recommendation:
    """The recommendation for one database, given what its failed run showed.

    Args:
        part: the diagnosis afterwards.
        upgrade: the command that upgrades to the latest revisions.
    """
    found, error = part.recommendation, ran.failure
    if found.action is Action.RERUN and not ran.rolled_back and ran.for_a_lock:
        place = f" at {ran.place}" if ran.place else ""
        reason = (
            f"the run failed{place}, and part of it may have been committed: check what it changed before you upgrade"
        )
        return Recommendation(Action.STOP, None, reason)
    if not ran.rolled_back:
        return found
    is_open = found.action is Action.RERUN or (found.action is Action.STOP and found.choices)
    if is_open and isinstance(error, errors.LockTimeout) and error.blockers:
        return Recommendation(Action.RERUN, None, _blocked(error), (upgrade,))
    if is_open and ran.place and (cause := _CAUSES.get(type(error))):
        reason = f"everything was rolled back. {ran.place} {cause}. Fix that, then deploy again"
        return Recommendation(Action.RERUN, None, reason, (upgrade,))
    if not isinstance(error, errors.MigrationFailed) or found.action not in _BY_HAND:
        return found
    if _is_absent(part, error.revision) or (found.choices and not _ran_earlier(part, error)):
        reason = f"{error.revision} was rolled back. Fix {error.place}, then deploy again"
        return Recommendation(Action.RERUN, None, reason, (upgrade,))
    return found


def explained(part: DatabaseReport, ran: Ran, upgrade: str, again: str) -> DatabaseReport:
    """The report with :func:`advice`, and with the command that was run in place of Alembic's.

    Args:
        upgrade: Alembic's command.
        again: the command that was run.
    """
    found = advice(part, ran, upgrade)
    steps = tuple(again if step == upgrade else step for step in found.steps)
    return replace(part, recommendation=replace(found, steps=steps))


def _blocked(error: errors.LockTimeout) -> str:
    first, *others = error.blockers
    more = f", and {len(others)} more sessions are in the way" if len(others) > 1 else ""
    more = ", and another session is in the way" if len(others) == 1 else more
    return f"{_session(first)} holds {error.what}{more}. Wait for it or end it, then deploy again"


def _session(one: Blocker) -> str:
    if one.pid is None:
        return f"{one.application} ({one.state})"
    return f"pid {one.pid} ({', '.join(word for word in (one.application, one.state) if word)})"


def _is_absent(part: DatabaseReport, revision: str) -> bool:
    """Whether nothing of a revision is there: if something has one of its names, it is another revision's."""
    found = [one for each in part.revisions if each.revision == revision for one in each.objects if not one.vacuous]
    return bool(found) and not any(one.met or one.presence is Presence.UNVERIFIABLE for one in found)


def _ran_earlier(part: DatabaseReport, error: errors.MigrationFailed) -> bool:
    """Whether it may have failed because an earlier run, or somebody's hand, did the same before."""
    if _MADE_BEFORE.search(error.reason):
        return True
    if "does not exist" in error.reason and _UNDONE_BEFORE.search(error.statement):
        return True
    return any(found.met and not found.vacuous for one in part.revisions for found in one.objects)
