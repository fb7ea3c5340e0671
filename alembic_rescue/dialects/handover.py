"""A stamp as one file for a host without Python: the content of the file, and the protocol of the dialect."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from alembic_rescue.model import Identity

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class Standing(NamedTuple):
    """The current state of an object of a live database, which a file can check again wherever it is run."""

    kind: str
    """As in :class:`~alembic_rescue.evidence.model.ObjectEvidence`."""
    name: str
    facts: Mapping[str, str] | None
    """Its facts in the server's words, by name; None: only check that it exists."""


@dataclass(frozen=True)
class HandOver:
    """The content of a file."""

    identity: Identity
    before: tuple[str, ...]
    """The rows that it expects, sorted."""
    after: tuple[str, ...]
    """The rows that it writes, sorted."""
    makes_table: bool
    """There was no version table: the file creates one, as Alembic does."""
    there: tuple[Standing, ...]
    """The evidence: objects that must exist unchanged."""
    gone: tuple[Standing, ...]
    """The evidence: objects that must not exist."""
    not_asked: tuple[str, ...]
    """The rest, which the file cannot check: each worded for a sentence, with the reason."""
    skipped: tuple[str, ...]
    """The revisions that are marked as applied, each with its description and verdict."""
    pending: tuple[str, ...]
    """The revisions that Alembic runs next."""
    target: str
    reason: str
    upgrade: str
    """The command that runs the pending revisions."""
    command: str
    """The command that wrote the file."""
    fingerprint: str
    tool: str
    """Name and version."""
    made: str
    """The time, in UTC, as text."""
    lock_seconds: float
    statement_seconds: float


class Scripts(Protocol):
    """Writes such files.  Default: none."""

    shells: tuple[str, ...] = ()
    """The supported shells."""

    def standing(self, connection: Connection, names: Collection[str]) -> tuple[Standing, ...]:
        """Read the objects with these names, and what belongs to them, from a live database.

        `connection` is the reader's own: read-only, in autocommit.
        """
        return ()

    def unasked_kinds(self, kinds: Collection[str]) -> frozenset[str]:
        """Return those of these kinds of objects that no file can check."""
        return frozenset(kinds)

    def run(self, shell: str, identity: Identity) -> str:
        """Return the command that runs ``FILE``, for one of :attr:`shells`."""
        raise NotImplementedError(shell)

    def file(self, shell: str, handed_over: HandOver) -> str:
        """Return the text of the file for one of :attr:`shells`."""
        raise NotImplementedError(shell)
