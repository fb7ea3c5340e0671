"""What a deployment's log says about Alembic, as frozen values: shared by the text output, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass

from alembic_rescue.evidence.consequences import follows_another

REFUSED = "alembic.util.exc.CommandError"
"""The class of errors that Alembic itself raises."""


def is_consequence(kind: str, message: str) -> bool:
    """Return whether an error only says that another failed before; rich splits its message over several lines."""
    return follows_another(message) or "InFailedS" in kind


@dataclass(frozen=True)
class Step:
    """A revision that Alembic said it was running."""

    revision: str
    down: tuple[str, ...] | None
    """The revisions that it follows in the scripts that ran there; empty for a base.  None if only its SQL is known."""
    doc: str = ""


@dataclass(frozen=True)
class Frame:
    """A line of a revision's file, from a traceback."""

    path: str
    """On the machine that ran it."""
    line: int
    code: str = ""


@dataclass(frozen=True)
class LoggedError:
    """An error in the log."""

    kind: str
    """Its class in the log's spelling, such as ``psycopg2.errors.NotNullViolation``; empty if there is none."""
    code: str | None
    """SQLSTATE or the driver's number: from the log, or derived from the class."""
    message: str
    """The server's words, on one line."""
    statement: str | None = None
    """Without its parameters."""
    details: tuple[str, ...] = ()
    """The lines below the message: ``LINE 1:``, ``DETAIL:``, ``HINT:``."""
    frame: Frame | None = None
    """The last line of a revision's file in its traceback."""
    number: int = 0
    """The number of its line in the log, from 1."""

    @property
    def is_consequence(self) -> bool:
        """Whether it only says that another one failed before, in the same transaction."""
        return is_consequence(self.kind, self.message)

    @property
    def named(self) -> str:
        """For a sentence: ``NotNullViolation (23502): null value in column "owner"``."""
        name = self.kind.rpartition(".")[2]
        code = f" ({self.code})" if self.code else ""
        return ": ".join(filter(None, (f"{name}{code}", self.message))) or "an error that the log cuts off"


@dataclass(frozen=True)
class Run:
    """One run of Alembic, on one database."""

    impl: str | None
    """Alembic's name for the dialect, in lower case: ``postgresql``."""
    steps: tuple[Step, ...]
    """In order; only the last ones if there are very many."""
    failure: LoggedError | None
    """What ended it; None if it succeeded, or the log ends first."""
    first: LoggedError | None = None
    """The error that made all later ones fail, if it is another one and in the log."""
    swallowed: tuple[LoggedError, ...] = ()
    """Errors in the log that did not end the run."""
    number: int = 0
    """The line of the log where it begins."""

    @property
    def revision(self) -> str | None:
        """The last revision that it was running."""
        return self.steps[-1].revision if self.steps else None

    @property
    def real(self) -> LoggedError | None:
        """The error to fix, not one that follows from another; None if the log does not show it."""
        if self.failure is None or not self.failure.is_consequence:
            return self.failure
        return self.first

    @property
    def key(self) -> tuple[str | None, str, str]:
        """Equal for two runs that failed the same way."""
        error = self.real or self.failure
        return (self.revision, error.kind if error else "", error.message if error else "")


@dataclass(frozen=True)
class Address:
    """A database that the log names."""

    scheme: str | None = None
    """The URL's scheme, without the driver."""
    hosts: tuple[str, ...] = ()
    """Name and IP address of the same host."""
    database: str | None = None


@dataclass(frozen=True)
class DeploymentLog:
    """What a deployment's log says about Alembic."""

    lines: int
    """The number of lines read."""
    run: Run | None
    """The last run that did something: ran a revision, or failed."""
    failed: int = 0
    """How many runs failed, including this one."""
    alike: bool = True
    """All failed runs failed like the last one that did."""
    addresses: tuple[Address, ...] = ()
    """The databases that it names; without passwords."""
