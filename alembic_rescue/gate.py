"""The gate: a stamp marks as applied only revisions that are proved, or that a person accepted by name.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from alembic_rescue import errors
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence import unread
from alembic_rescue.evidence.model import RevisionEvidence, Verdict
from alembic_rescue.model import Revision


@dataclass(frozen=True)
class Acceptance:
    """The revisions that a person named, by full id.  Nothing accepts all of them at once."""

    unverifiable: frozenset[str] = frozenset()
    """``--accept``: its changes cannot be verified, and the person vouches for them."""
    missing: frozenset[str] = frozenset()
    """``--accept-missing``: something of it is missing, and the person can do without."""
    not_run: frozenset[str] = frozenset()
    """``--not-run`` of a repair: it may or may not have run, and the person says that it did not."""


def options(accept: Iterable[str], accept_missing: Iterable[str]) -> list[str]:
    """The command-line options that accept these, as words."""
    given = {"--accept": accept, "--accept-missing": accept_missing}
    return [word for option, revisions in given.items() for one in revisions for word in (option, one)]


def judged(skipped: Sequence[Revision], accepted: Acceptance) -> tuple[Revision, ...]:
    """Mark the revisions that the acceptance covers.  Each kind of acceptance covers its own verdicts only."""
    return tuple(replace(revision, accepted=_is_accepted(revision, accepted)) for revision in skipped)


def refusals(skipped: Sequence[Revision], accepted: Acceptance) -> Iterator[Refusal]:
    """One refusal for each revision that is neither proved nor accepted, and for each useless acceptance."""
    ids = [revision.revision for revision in skipped]
    for named in sorted((accepted.unverifiable | accepted.missing) - set(ids)):
        yield errors.AcceptedNotSkipped(named, ids)
    for revision in judged(skipped, accepted):
        if revision.accepted:
            continue
        if revision.verdict is Verdict.NOT_APPLIED:
            yield errors.RevisionNotApplied(revision.revision, [o.named for o in revision.missing])
        elif revision.verdict is Verdict.PARTIAL:
            missing = revision.missing
            yield errors.RevisionPartial(
                revision.revision, [o.named for o in missing], has_statements=any(o.sql for o in missing)
            )
        elif revision.verdict is Verdict.UNVERIFIABLE:
            reasons = list(unread.reasons(revision.unread, revision.revision))
            locked = sorted({o.locked for o in revision.unread if o.locked})
            yield errors.RevisionUnverifiable(revision.revision, reasons, locked)


def _is_accepted(revision: Revision, accepted: Acceptance) -> bool:
    if revision.verdict is Verdict.UNVERIFIABLE:
        return revision.revision in accepted.unverifiable
    if revision.verdict in {Verdict.PARTIAL, Verdict.NOT_APPLIED}:
        return revision.revision in accepted.missing
    return False


def reason(evidence: RevisionEvidence) -> str:
    """Why a revision cannot be verified, in one line: its first object or statement, and the number of others."""
    reasons = list(unread.reasons(evidence.unread, evidence.revision))
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else "it changes nothing in the catalog"
