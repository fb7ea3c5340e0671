"""What a deployment's log says of Alembic, as frozen values: the same for the text, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass

from alembic_rescue.evidence.consequences import follows_another

REFUSED = "alembic.util.exc.CommandError"
"""The class of what Alembic itself refuses."""


def is_consequence(kind: str, message: str) -> bool:
    """Whether an error only says that another failed before; rich breaks its message into lines."""
    return follows_another(message) or "InFailedS" in kind


@dataclass(frozen=True)
class Step:
    """A revision that Alembic said that it runs."""

    revision: str
    down: tuple[str, ...] | None
    """What it follows, by the scripts that ran there: nothing, at a base.  None where only its statement is told."""
    doc: str = ""


@dataclass(frozen=True)
class Frame:
    """A line of a revision's file, as a traceback names it."""

    path: str
    """On the machine that ran it."""
    line: int
    code: str = ""


@dataclass(frozen=True)
class LoggedError:
    """An error that the log shows."""

    kind: str
    """Its class as the log has it, such as ``psycopg2.errors.NotNullViolation``; empty where it has none."""
    code: str | None
    """SQLSTATE or the driver's number: as the log has it, or as the class means it."""
    message: str
    """The server's words, on one line."""
    statement: str | None = None
    """Without its parameters."""
    details: tuple[str, ...] = ()
    """What stands below the message: ``LINE 1:``, ``DETAIL:``, ``HINT:``."""
    frame: Frame | None = None
    """The last line of a revision's file in its traceback."""
    number: int = 0
    """The line of the log that it stands in, from 1."""

    @property
    def is_consequence(self) -> bool:
        """It only says that another failed before, in the same transaction."""
        return is_consequence(self.kind, self.message)

    @property
    def named(self) -> str:
        """For a sentence: ``NotNullViolation (23502): null value in column "owner"``."""
        name = self.kind.rpartition(".")[2]
        code = f" ({self.code})" if self.code else ""
        return ": ".join(filter(None, (f"{name}{code}", self.message))) or "an error that the log cuts off"


@dataclass(frozen=True)
class Run:
    """One time that Alembic ran, on one database."""

    impl: str | None
    """What Alembic calls the dialect, in small letters: ``postgresql``."""
    steps: tuple[Step, ...]
    """In their order; of very many the last ones."""
    failure: LoggedError | None
    """What ended it; None where it ended well, or the log ends first."""
    first: LoggedError | None = None
    """The error that made all later ones fail, where that is another one and the log shows it."""
    swallowed: tuple[LoggedError, ...] = ()
    """Errors that the log shows, and that did not end it."""
    number: int = 0
    """The line of the log that it begins in."""

    @property
    def revision(self) -> str | None:
        """The revision that it was at last."""
        return self.steps[-1].revision if self.steps else None

    @property
    def real(self) -> LoggedError | None:
        """What is to be fixed: not the error that follows from another; None where the log does not show it."""
        if self.failure is None or not self.failure.is_consequence:
            return self.failure
        return self.first

    @property
    def key(self) -> tuple[str | None, str, str]:
        """Equal for two runs that failed alike."""
        error = self.real or self.failure
        return (self.revision, error.kind if error else "", error.message if error else "")


@dataclass(frozen=True)
class Address:
    """A database that the log names."""

    scheme: str | None = None
    """As in the URL, without the driver."""
    hosts: tuple[str, ...] = ()
    """Name and number of the same host."""
    database: str | None = None


@dataclass(frozen=True)
class DeploymentLog:
    """What a deployment's log says of Alembic."""

    lines: int
    """How many were read."""
    run: Run | None
    """The last that did something: ran a revision, or failed."""
    failed: int = 0
    """How many runs failed, this one included."""
    alike: bool = True
    """All that failed did so as the last one that did."""
    addresses: tuple[Address, ...] = ()
    """Which databases it names; without passwords."""
