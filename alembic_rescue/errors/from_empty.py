"""Errors that keep ``rehearse --from-empty`` from running the chain (exit status 2)."""

from __future__ import annotations

from alembic_rescue.errors.base import Text, UsageError


class EnvNotReached(UsageError):
    """env.py opens no database, although any would do."""

    code = "env-opens-no-database"
    reason: str
    place: str = ""

    def _text(self) -> Text:
        at = f" ({self.place})" if self.place else ""
        return Text(
            f"env.py opens no database: {self.reason}{at}",
            "any URL with the right driver will do, because nothing connects to it. Pass it with --url, or set the "
            "variable that env.py reads",
        )


class EnvFailsOnEmpty(UsageError):
    """env.py opens a database, but runs no migrations if it is empty."""

    code = "env-fails-on-empty"
    reason: str
    place: str = ""

    def _text(self) -> Text:
        at = f" ({self.place})" if self.place else ""
        return Text(
            f"env.py runs no migrations on an empty database: {self.reason}{at}",
            "put what env.py expects (schemas, roles, rows) into a file, and pass it with --baseline FILE.sql",
        )


class ReferenceNotRead(UsageError):
    """The reference passed with ``--against``, or where ``HEAD`` left it, cannot be read from git."""

    code = "reference-not-read"
    reference: str
    reason: str
    way_on: str = "run it in a checkout of the repository, or omit --against"

    def _text(self) -> Text:
        return Text(f"the revisions at {self.reference} cannot be read from git: {self.reason}", self.way_on)


class ReferenceFails(UsageError):
    """A revision that ``--against`` assumes to be applied fails on an empty database."""

    code = "reference-fails"
    reference: str
    revision: str
    reason: str
    place: str = ""

    def _text(self) -> Text:
        at = f" ({self.place})" if self.place else ""
        return Text(
            f"{self.revision}, which is already in {self.reference}, fails on an empty database: {self.reason}{at}",
            "pass what existed before the first revision with --baseline FILE.sql. To see all that fails, omit "
            "--against",
        )
