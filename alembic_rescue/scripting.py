"""A plan as one file, for a host without Python: which evidence the file can check, and everything it prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version

from alembic_rescue import dialects, errors, gate, selection
from alembic_rescue.client import Project
from alembic_rescue.dialects.handover import HandOver, Standing
from alembic_rescue.evidence.model import ObjectEvidence, Presence
from alembic_rescue.model import DatabaseReport, Report, Revision, addressed
from alembic_rescue.redact import Secrets

_TOOL = "alembic-rescue"


@dataclass(frozen=True)
class Script:
    """A stamp as a file, with its plan."""

    report: Report
    shell: str
    text: str | None = None
    """None if there is nothing to do."""
    not_asked: tuple[str, ...] = ()
    """The evidence that the file does not check, each as a sentence with the reason."""
    run: str = ""
    """How to run it."""


def command(target: str, shell: str, accept: Iterable[str], accept_missing: Iterable[str], only: str | None) -> str:
    """The command that makes such a file."""
    words = [_TOOL, "script", target, "--for", shell, *gate.options(accept, accept_missing)]
    return addressed(shlex.join(words), only)


def of_one(planned: Report, target: str, shell: str) -> DatabaseReport:
    """The plan's only database, if a file can be made for it.

    Raises:
        ScriptForOneDatabase, NoScriptFor, ScriptCannotName: see there.
    """
    if len(planned.databases) != 1:
        names = selection.own_names([part.database for part in planned.databases])
        raise errors.ScriptForOneDatabase(target, shell, names)
    (part,) = planned.databases
    dialect = dialects.of(part.database.identity.dialect)
    if shell not in dialect.scripts.shells:
        raise errors.NoScriptFor(dialect.title, [one.title for one in dialects.known() if one.scripts.shells])
    identity = part.database.identity
    for name in (identity.schema or "", identity.version_table):
        if not name.isprintable():
            raise errors.ScriptCannotName(name)
    return part


def script(project: Project, planned: Report, part: DatabaseReport, shell: str, made_with: str, upgrade: str) -> Script:
    """Read the proved objects again, in a form that the file can query, and make the file.

    Raises:
        ScriptHoldsSecret: see there.
        RescueError: the database cannot be read.
    """
    identity, scripts = part.database.identity, dialects.of(part.database.identity.dialect).scripts
    evidence = [(revision, found) for revision in part.revisions for found in revision.objects]
    present = {found.name for _, found in evidence if found.met and found.expected == Presence.PRESENT.value}
    standing = project.standing(identity.rows_key, sorted(present)) if present else ()
    known = {(one.kind, one.name) for one in standing}
    absent = {(f.kind, f.name) for _, f in evidence if f.met and f.expected == Presence.ABSENT.value} - known
    cannot = scripts.unasked_kinds({kind for kind, _ in absent})
    gone = tuple(Standing(kind, name, None) for kind, name in sorted(absent) if kind not in cannot)
    asked = known | {(one.kind, one.name) for one in gone}
    order = [(found.kind, found.name) for _, found in evidence]  # in the order of the evidence, then what belongs to it
    in_order = sorted(standing, key=lambda one: order.index(one[:2]) if one[:2] in order else len(order))
    there, hidden = _without_secrets(in_order, project.secrets)
    not_asked = (*_not_asked(evidence, asked), *hidden)
    loaded, heads = project.loaded, "head" if len(planned.script_heads) == 1 else "heads"
    text = scripts.file(
        shell,
        HandOver(
            identity=identity,
            before=tuple(sorted(part.database.current_heads)),
            after=tuple(sorted(part.heads_after)),
            makes_table=not part.database.version_table_exists,
            there=there,
            gone=gone,
            not_asked=not_asked,
            skipped=tuple(project.secrets.hide(_skipped(revision)) for revision in part.revisions),
            pending=part.pending_after,
            target=planned.target.asked if planned.target else "",
            reason=planned.reason,
            upgrade=f"{upgrade} {heads}",
            command=made_with,
            fingerprint=planned.fingerprint or "",
            tool=f"{_TOOL} {version(_TOOL)}",
            made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
            lock_seconds=loaded.lock_seconds,
            statement_seconds=loaded.statement_seconds,
        ),
    )
    if project.secrets.hide_known(text) != text:
        raise errors.ScriptHoldsSecret
    return Script(planned, shell, text, not_asked, scripts.run(shell, identity))


def _without_secrets(standing: Sequence[Standing], secrets: Secrets) -> tuple[tuple[Standing, ...], tuple[str, ...]]:
    """The objects.  If a definition holds a secret, check only that the object exists."""
    there, hidden = [], []
    for one in standing:
        if secrets.hide_sql(one.name) != one.name:
            hidden.append(f"a {one.kind}: its name contains a secret")
        elif any(secrets.hide_value(one.name, fact) != fact for fact in (one.facts or {}).values()):
            there.append(one._replace(facts=None))
            hidden.append(f"the definition of {one.kind} {one.name}, which contains a secret; only that it exists")
        else:
            there.append(one)
    return tuple(there), tuple(hidden)


def _not_asked(evidence: Sequence[tuple[Revision, ObjectEvidence]], asked: set[tuple[str, str]]) -> tuple[str, ...]:
    told = []
    for revision, found in evidence:
        named = f"{found.named} of {revision.revision}"
        if found.presence is Presence.UNVERIFIABLE:
            told.append(f"{named}: it cannot be verified, and was accepted")
        elif not found.met:
            told.append(f"{named}: it is missing, and was accepted")
        elif (found.kind, found.name) not in asked:
            told.append(f"{named}: it was proved, but psql has no short way to check it")
    return tuple(dict.fromkeys(told))


def _skipped(revision: Revision) -> str:
    accepted = ", accepted" if revision.accepted else ""
    return f"{revision.revision}  {revision.doc} ({revision.verdict.words}{accepted})"
