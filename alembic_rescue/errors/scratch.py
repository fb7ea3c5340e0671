"""The migrations cannot be run on a scratch database (exit status 2)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Text, UsageError
from alembic_rescue.errors.words import listed, them

_PLACE = "pass an empty database, or a server where one can be created, with `--scratch URL`"


class ScratchMissing(UsageError):
    """There is no server of this kind for a scratch database, so no revision can be proved."""

    code = "scratch-missing"
    reason: str
    way: str
    """How to get one."""

    def _text(self) -> Text:
        return Text(f"no scratch database is available to run the migrations on: {self.reason}", self.way)


class ScratchUnfit(UsageError):
    """``--scratch`` names something that cannot host a scratch database of this kind."""

    code = "scratch-unfit"
    choice: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"--scratch {self.choice} cannot be used: {self.reason}",
            f"{_PLACE}, or use `--scratch local` or `--scratch none`",
        )


class ScratchNotEmpty(UsageError):
    """The database named with ``--scratch`` is not empty, and may be in use."""

    code = "scratch-not-empty"
    database: str
    found: str
    """What it contains, for use in a sentence: ``the table orders``."""

    def _text(self) -> Text:
        return Text(
            f"the scratch database {self.database} is not empty: it has {self.found}",
            f"the migrations run there from the start, and their objects are dropped afterwards. {_PLACE}",
        )


class ScratchIsProjects(UsageError):
    """``--scratch`` names a database that env.py opens, or another one on its server."""

    code = "scratch-is-the-projects"
    database: str
    opened: str = "the project's database"
    """The database that env.py opens."""

    def _text(self) -> Text:
        return Text(
            f"the scratch database {self.database} is on the same server as {self.opened}",
            "migrations really run there, and can change what the whole server shares (roles, database "
            "settings). Pass another server, or use --scratch local",
        )


class ScratchFailed(UsageError):
    """The scratch server does not start, or cannot be used."""

    code = "scratch-failed"
    server: str
    reason: str
    """In the server's own words."""

    def _text(self) -> Text:
        return Text(
            f"the scratch server ({self.server}) cannot be used: {self.reason}",
            f"{_PLACE}. To go on without one, and without proof, use `--scratch none`",
        )


class NotRehearsed(UsageError):
    """The pending revisions cannot be run on a copy of the live schema."""

    code = "not-rehearsed"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the next upgrade cannot be rehearsed: {self.reason}",
            "whether it succeeds is unknown. Take a backup before you run it, or pass another server for "
            "the rehearsal: --scratch URL",
        )


class RowsNotTold(UsageError):
    """The pending revisions run on a copy, but the live rows could not be checked for what they require."""

    code = "rows-not-told"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"cannot tell whether the next upgrade will succeed: {self.reason}",
            "check those rows yourself before you run it. No other problem was found",
        )


class ExtensionMissing(UsageError):
    """The scratch server lacks an extension that the project's database has, or that the migrations create."""

    code = "scratch-extension-missing"
    extensions: Sequence[str]
    server: str

    def _text(self) -> Text:
        one = len(self.extensions) == 1
        return Text(
            f"the scratch server ({self.server}) lacks {'the extension' if one else 'the extensions'} "
            f"{listed(self.extensions)}, but the migrations need {them(self.extensions)}",
            f"install {them(self.extensions)} there, or pass a server that has {them(self.extensions)} with "
            "`--scratch URL`, for example one running the deployment's image",
        )


class BaselineFailed(UsageError):
    """The ``--baseline`` file cannot be loaded into the scratch database."""

    code = "baseline-failed"
    path: str
    reason: str
    """In the server's own words, or why the file cannot be read."""
    line: int | None = None

    def _text(self) -> Text:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return Text(
            f"the baseline cannot be loaded into the scratch database; it fails at {place}: {self.reason}",
            "it must be plain SQL that runs on an empty database and creates what existed before the first "
            "revision, such as a schema-only dump",
        )
