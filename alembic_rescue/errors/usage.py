"""The command cannot be run: its options, its files, or the choice of a database (exit status 2)."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.errors.base import Text, UsageError
from alembic_rescue.errors.words import code, listed


class BadUsage(UsageError):
    """The command line itself is wrong."""

    code = "usage"
    message: str
    help: str = "to list commands and options: `alembic-rescue --help`"

    def _text(self) -> Text:
        return Text(self.message, self.help)


class NoTerminal(UsageError):
    """The command has to ask a question, and there is no terminal."""

    code = "no-terminal"
    command: str
    look: str = "alembic-rescue plan ..."
    """The command that shows the same and writes nothing."""
    typed: str = ""
    """The command with all its arguments, as typed."""

    def _text(self) -> Text:
        confirmed = code(f"{self.typed or self.command} --yes")
        return Text(
            f"{self.command} asks before it writes, but there is no terminal",
            f"check first (`{self.look}`), then repeat with: {confirmed}",
        )


class BadUrl(UsageError):
    """A URL cannot be parsed, or its driver is not installed."""

    code = "bad-url"
    reason: str
    whose: str = "given with --url"

    def _text(self) -> Text:
        return Text(
            f"the URL {self.whose} cannot be used: {self.reason}",
            "write it as postgresql://user:***@host:5432/database, with special characters in the password "
            "(***) percent-encoded: %40 for @, %2F for /, %25 for %",
        )


class UrlNotHeeded(UsageError):
    """``--url`` was given, but this env.py opens no database that it could replace."""

    code = "url-not-heeded"
    reason: str

    def _text(self) -> Text:
        return Text(
            f"--url cannot be applied to this env.py: {self.reason}",
            "omit --url and set the URL where env.py reads it",
        )


class SeveralDatabases(UsageError):
    """``--url`` names one database, but env.py opens several."""

    code = "several-databases"
    twice: str

    def _text(self) -> Text:
        return Text(
            f"env.py opens several databases, and --url points each of them to the same rows, {self.twice}",
            "omit --url and choose one of env.py's databases with --only",
        )


class NoSuchDatabase(UsageError):
    """``--only`` matches none of the databases that env.py visits."""

    code = "no-such-database"
    only: str
    visited: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"--only {self.only} matches none of env.py's databases: {listed(self.visited)}",
            "choose one by its database, schema, version table, or part of its URL",
        )


class AmbiguousDatabase(UsageError):
    """``--only`` matches several of the databases that env.py visits."""

    code = "ambiguous-database"
    only: str
    fitting: Sequence[str]

    def _text(self) -> Text:
        return Text(
            f"--only {self.only} matches {len(self.fitting)} of env.py's databases: {listed(self.fitting)}",
            "choose one by its database, schema, version table (schema.table), or more of its URL",
        )


class BadPlanFile(UsageError):
    """The file given with ``--plan`` is not a sealed plan."""

    code = "bad-plan-file"
    path: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.path} is not a sealed plan: {self.reason}",
            "create one with: `alembic-rescue plan REVISION --out FILE`",
        )


class PlanKeyNeeded(UsageError):
    """The plan was sealed with a key, but no key is set here."""

    code = "plan-key-needed"
    path: str
    variable: str

    def _text(self) -> Text:
        return Text(
            f"{self.path} is sealed with a key, but no key is set here",
            f"set {self.variable} to the value used when the plan was made",
        )


class LogNotReadable(UsageError):
    """The file given with ``--log`` cannot be read."""

    code = "log-not-readable"
    path: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the log {self.path} cannot be read: {self.reason}",
            "pass the file with the deployment's log, or - to read it from stdin",
        )


class BadReceipt(UsageError):
    """The named receipt cannot be read."""

    code = "bad-receipt"
    path: str
    reason: str

    def _text(self) -> Text:
        return Text(f"{self.path} is not a receipt: {self.reason}", "to list receipts: `alembic-rescue receipts`")


class CannotWriteFile(UsageError):
    """An output file cannot be written."""

    code = "cannot-write-file"
    path: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.path} cannot be written: {self.reason}", "choose another path; the database was not changed"
        )


class ReceiptNotWritten(UsageError):
    """The receipt cannot be written to disk, so nothing is stamped."""

    code = "receipt-not-written"
    folder: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"the receipt cannot be written to {self.folder}: {self.reason}; nothing was stamped",
            "without a receipt there is no undo. Choose another folder with `--receipts DIR`",
        )


class DemoNotInstalled(UsageError):
    """The demo's private PostgreSQL is not installed."""

    code = "demo-not-installed"
    package: str

    def _text(self) -> Text:
        return Text(
            f"the demo starts its own PostgreSQL, which needs the Python package {self.package}",
            "to install it: `pip install 'alembic-rescue[demo]'`",
        )


class DemoFolderUnfit(UsageError):
    """The folder given for the demo cannot be used."""

    code = "demo-folder"
    folder: str
    reason: str

    def _text(self) -> Text:
        return Text(
            f"{self.folder} cannot be used for the demo: {self.reason}",
            "to create a new one: `alembic-rescue demo --keep DIR`",
        )
