"""Compare the deployment's log with the evidence: whether it is from this database and these scripts, and what failed.

Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath

from alembic.script.revision import RevisionMap
from alembic.util import to_tuple

from alembic_rescue import dialects
from alembic_rescue.errors import listed, rows, some
from alembic_rescue.evidence.causes import first_words
from alembic_rescue.evidence.logs.remedies import remedy
from alembic_rescue.evidence.logs.values import REFUSED, Address, DeploymentLog, LoggedError, Run
from alembic_rescue.evidence.model import Cause, Proof, Verdict
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Database, Identity, Note, Revision
from alembic_rescue.redact import Secrets

_NOT_LOCATED = re.compile(r"Can't locate revision identified by '([^']+)'")
_SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])
_IS_IT = "is this the deployment's database? If not, select it with --url. If so, pass this database's log"
_OTHER_DATABASE, _OTHER_VERSION = "log-of-another-database", "log-of-another-version"


def without_secrets(log: DeploymentLog, secrets: Secrets) -> DeploymentLog:
    """The same log without secrets, which other programs may have logged."""

    def hidden(error: LoggedError) -> LoggedError:
        frame = error.frame and replace(error.frame, code=secrets.hide_sql(error.frame.code))
        return replace(
            error,
            message=secrets.hide(error.message),
            statement=error.statement and secrets.hide_sql(error.statement),
            details=tuple(secrets.hide(line) for line in error.details),
            frame=frame,
        )

    run = log.run
    if run is None:
        return log
    return replace(
        log,
        run=replace(
            run,
            steps=tuple(replace(step, doc=secrets.hide(step.doc)) for step in run.steps),
            failure=run.failure and hidden(run.failure),
            first=run.first and hidden(run.first),
            swallowed=tuple(map(hidden, run.swallowed)),
        ),
    )


def held_against(
    log: DeploymentLog, graph: RevisionMap, found: Sequence[tuple[Database, Proof]]
) -> list[tuple[tuple[Cause, ...], tuple[Note, ...]]]:
    """For each database: its causes, plus the one that only the log shows, and the findings.

    With several databases, the log is reported for those that it can belong to, or for all if it fits none.
    """
    if log.run is None:
        return [(proof.causes, (_says_nothing(log),)) for _, proof in found]
    told = [_Held(log, log.run, graph, *one).told() for one in found]
    fitting = [not any(note.code == _OTHER_DATABASE for note in notes) for _, notes in told]
    return [
        one if fits or not any(fitting) else (proof.causes, ())
        for one, fits, (_, proof) in zip(told, fitting, found, strict=True)
    ]


def _says_nothing(log: DeploymentLog) -> Note:
    lines = f"{log.lines} line{'' if log.lines == 1 else 's'}"
    return Note(
        "log-says-nothing",
        f"the log has {lines}, but no Alembic run and no database error",
        "pass the part from Alembic's `Running upgrade` to the end of the traceback. Some platforms show "
        "only the last lines, or keep the release log apart from the application's",
    )


class _Held:
    """One log compared with one database."""

    def __init__(self, log: DeploymentLog, run: Run, graph: RevisionMap, database: Database, proof: Proof) -> None:
        self.log, self.run, self.graph, self.database, self.proof = log, run, graph, database, proof
        self.known = {one.revision for one in graph.iterate_revisions("heads", "base")}
        self.applied = paths.up_to(graph, self.known & set(database.stands_at))
        self.error = run.real or run.failure
        self.script, self.line = self._place(self.error)
        self.revision = run.revision or (self.script.revision if self.script else None)

    def told(self) -> tuple[tuple[Cause, ...], tuple[Note, ...]]:
        """The causes and the findings."""
        against = (*self._of_another_version(), *self._of_another_database())
        outdated = () if against else tuple(self._outdated())
        aside = () if against else tuple(self._elsewhere())
        if self.run.failure is None:
            return self.proof.causes, (*against, *outdated, *aside, self._ended_well())
        cause = None if against or outdated else self._cause()
        return self._causes_with(cause), (*against, *outdated, *aside, self._failed())

    # --- where it is from ----------------------------------------------------------------------------------------

    def _of_another_version(self) -> Iterator[Note]:
        steps = self.run.steps
        unknown = [step.revision for step in steps if step.revision not in self.known]
        moved = [step for step in steps if step.revision not in unknown and not self._follows(step.revision, step.down)]
        help_ = "check out the commit that was deployed, or pass the log of this one"
        if unknown:
            fact = f"the log runs {some(unknown, verb=False)}, which is not in the scripts here"
            yield Note(_OTHER_VERSION, fact, help_)
        elif moved:
            step = moved[0]
            here = listed(self._down(step.revision)) if self._down(step.revision) else "the base"
            there = listed(step.down) if step.down else "the base"
            fact = f"in the log {step.revision} follows {there}; in the scripts here it follows {here}"
            yield Note(_OTHER_VERSION, fact, help_)
        elif lacks := self._lacking_there():
            yield Note(
                _OTHER_VERSION,
                f"the deployed scripts lack {lacks}, which these have",
                "deploy the version that has it. An older one cannot run on a database that is ahead of it",
            )
        elif self._refused("Multiple head revisions") and len(self.graph.heads) == 1:
            fact = "the deployed scripts have several heads; these have one"
            yield Note(_OTHER_VERSION, fact, "deploy the version that has the merge")

    def _down(self, revision: str) -> tuple[str, ...]:
        script = self.graph.get_revision(revision)
        assert script is not None
        return tuple(to_tuple(script.down_revision, default=()))

    def _follows(self, revision: str, down: tuple[str, ...] | None) -> bool:
        """Whether the scripts here agree on what a revision follows."""
        if down is None:
            return True
        if not down:
            return not self._down(revision)
        return set(down) <= {*self._down(revision), *paths.follows(self.graph, revision)}

    def _lacking_there(self) -> str | None:
        """The revision that the deployed Alembic could not locate, and that exists here."""
        found = _NOT_LOCATED.search(self.error.message) if self.error is not None else None
        return found[1] if found and self._refused(found[0]) and found[1] in self.known else None

    def _refused(self, words: str) -> bool:
        return self.error is not None and self.error.kind == REFUSED and words in self.error.message

    def _of_another_database(self) -> Iterator[Note]:
        identity = self.database.identity
        ours = dialects.of(identity.dialect)
        theirs = next((one for one in dialects.known() if self.run.impl and one.is_kin(self.run.impl)), None)
        if theirs is not None and not ours.is_kin(theirs.name):
            fact = f"the log is from {theirs.title}, but {identity.name} is on {ours.title}"
            yield Note(_OTHER_DATABASE, fact, _IS_IT)
        elif named := self._named_otherwise():
            yield Note(_OTHER_DATABASE, f"the log is from database {named}, but this is {identity.name}", _IS_IT)
        elif ahead := self._ahead():
            yield Note(
                _OTHER_DATABASE,
                f"the log continues from {listed(ahead)}, but this database is before that, at "
                f"{rows(self.database.current_heads)}",
                f"the log is from another database, or this one was restored or set back since. {_IS_IT}",
            )

    def _addresses(self) -> list[Address]:
        """The log's addresses that may be a database of this kind."""
        ours = dialects.of(self.database.identity.dialect)
        return [a for a in self.log.addresses if not a.scheme or ours.is_kin(dialects.proper_name(a.scheme))]

    def _named_otherwise(self) -> str | None:
        """The log's name for its database, if none of the names in it is this one's."""
        names = dict.fromkeys(one.database for one in self._addresses() if one.database)
        of_file = dialects.of(self.database.identity.dialect).is_file
        return None if not names or of_file or self.database.identity.database in names else some(names, verb=False)

    def _elsewhere(self) -> Iterator[Note]:
        """Another host name.  A server may have two, so this is reported and nothing else follows from it."""
        identity = self.database.identity
        hosts = [one for one in self._addresses() if one.hosts]
        if hosts and all(_is_elsewhere(one, identity) for one in hosts):
            names = some(dict.fromkeys(one.hosts[0] for one in hosts), verb=False)
            yield Note(
                _OTHER_DATABASE,
                f"the log is from server {names}, but this is {identity.name}: the log is from another "
                "database, unless both names lead to the same server",
                _IS_IT,
            )

    def _ahead(self) -> list[str]:
        """The revisions that the run started from, if they are not applied here."""
        first = self.run.steps[0].down if self.run.steps else ()
        return [one for one in first or () if one in self.known - self.applied]

    def _outdated(self) -> Iterator[Note]:
        if self.revision in self.applied and self.run.failure is not None:
            yield Note(
                "log-outdated",
                f"{self.revision}, where the log ends, is applied by now: the database is at "
                f"{rows(self.database.current_heads)}",
                "the log is older than that. Pass the log of the last deployment",
            )

    # --- what failed ---------------------------------------------------------------------------------------------

    def _place(self, error: LoggedError | None) -> tuple[Revision | None, int]:
        """The revision and line in the traceback; else the revision that was running; none if it is unknown here."""
        frame, at = error.frame if error is not None else None, self.run.revision
        if frame is not None:
            name = PurePath(frame.path.replace("\\", "/")).name
            for one in scripts.revisions(self.graph, self.known):
                if PurePath(one.path).name == name:
                    return one, frame.line
        if at in self.known:
            assert at is not None
            return scripts.revisions(self.graph, [at])[0], 0
        return None, 0

    def _found(self) -> Cause | None:
        """The cause found here that matches the log's failure."""
        of_it = [cause for cause in self.proof.causes if cause.revision == self.revision and cause.fails]
        if self.run.real is None:
            return next((cause for cause in of_it if cause.swallowed), None)
        message = self.run.real.message
        if not message:
            return None
        return next((one for one in of_it if one.error.startswith(message) or message.startswith(one.error)), None)

    def _cause(self) -> Cause | None:
        """What fails according to the log, if no matching cause was found here."""
        real, failure = self.run.real, self.run.failure
        unsettled = {one.revision for one in self.proof.revisions if one.verdict not in _SETTLED and not one.is_there}
        if failure is None or self.script is None or self.revision not in unsettled or self._found() is not None:
            return None
        if any(cause.revision == self.revision and cause.aborts for cause in self.proof.causes) and real is None:
            return None
        error, statement = (
            (real.message or real.kind or "the log does not show it", real.statement or "")
            if real
            else ("the log does not show it", "")
        )
        return Cause(
            revision=self.script.revision,
            path=self.script.path,
            line=self.line if real else 0,
            statement=first_words(statement),
            error=error,
            swallowed=failure.is_consequence,
            handler_line=None,
            fix=self._remedy(),
            aborts=self.proof.transactional,
            logged=True,
        )

    def _remedy(self) -> str:
        real = self.run.real
        if real is None:
            return f"find the try/except in {self.script.path if self.script else 'it'}, and re-raise the error"
        fix = remedy(real.kind, real.message, real.statement or "")
        return f"{fix}, or `with op.get_bind().begin_nested():` inside the try" if self.run.first is real else fix

    def _causes_with(self, cause: Cause | None) -> tuple[Cause, ...]:
        """The causes plus this one, in the order in which the revisions run."""
        if cause is None:
            return self.proof.causes
        order = {one.revision: number for number, one in enumerate(self.proof.revisions)}
        seen = (one for one in self.proof.causes if one.code != "would-be-hidden")  # the log shows the hidden error
        return tuple(sorted((*seen, cause), key=lambda one: order.get(one.revision, 0)))

    def _failed(self) -> Note:
        error, found = self.error, self._found()
        assert error is not None
        message = f"{self._which()}, {self._what(error)}"
        if found is not None:
            return Note("log-failure", f"{message}; found here, at {found.place}", f"fix {self.revision}: {found.fix}")
        if error.kind == REFUSED:
            return Note("log-failure", message, _way_on(error.message))
        return Note("log-failure", message, self._remedy())

    def _which(self) -> str:
        if self.log.failed == 1:
            return "in the log"
        others = "all failed in the same way" if self.log.alike else "not all failed in the same way"
        return f"in the last of {self.log.failed} failed runs in the log ({others})"

    def _what(self, error: LoggedError) -> str:
        if error.kind == REFUSED:
            return f"Alembic refused: {error.message}"
        revision = self.revision
        if revision is None:
            where = (
                "Alembic failed before it ran a revision" if self.run.impl else "no revision is named beside the error"
            )
            return f"{where}: {error.named}"
        at = self._at(error)
        statement = f" ({first_words(error.statement)})" if error.statement else ""
        failure = self.run.failure
        if failure is None or not failure.is_consequence:
            return f"{revision} failed{at}: {error.named}{statement}"
        code = f" ({failure.code})" if failure.code else ""
        done = "be recorded" if failure.frame is None else "go on"
        aborted = f"{revision} could not {done}, because its transaction was aborted{code} by a failure that an except"
        if self.run.first is None:
            return f"{aborted} hides, and which the log does not show"
        return f"{aborted} hides{at}: {error.named}{statement}"

    def _at(self, error: LoggedError) -> str:
        script, line = self._place(error)
        return f" at {script.path}:{line}" if script is not None and line else ""

    def _ended_well(self) -> Note:
        at = f" after {self.revision} began" if self.revision else ""
        told = f"the log shows no failure. It ends{at}, and Alembic never logs that a run succeeded"
        if hidden := self.run.swallowed:
            told = f"{told}. It shows an error that did not stop the run{self._at(hidden[-1])}: {hidden[-1].named}"
        return Note("log-without-failure", told, "pass the log up to its end, or the log of the deployment that failed")


def _is_elsewhere(address: Address, identity: Identity) -> bool:
    """Whether the log's host cannot be this server: both have full names, and they differ."""
    named, here = address.hosts[0].lower().rstrip("."), (identity.host or "").lower().rstrip(".")
    if identity.server_address and any(identity.server_address.startswith(host) for host in address.hosts):
        return False
    if any("." not in host or _is_address(host) for host in (named, here)):
        return False  # it may have another name inside the deployment's network
    return named.partition(".")[0].removesuffix("-pooler") != here.partition(".")[0].removesuffix("-pooler")


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        return bool(ipaddress.ip_address(host.strip("[]")))
    return False


def _way_on(message: str) -> str:
    """What to do about Alembic's refusal."""
    if "Can't locate revision" in message:
        return "deploy the version that has it. If none has it anymore: `alembic-rescue diagnose --locate`"
    if "ultiple head" in message:
        return "merge them (`alembic merge heads`) and deploy that, or run `alembic upgrade heads`"
    if "overlaps" in message:
        return "one row of the version table is an ancestor of another. To fix it: `alembic-rescue repair`"
    if "not up to date" in message:
        return "run alembic upgrade heads first"
    return "follow Alembic's message"
