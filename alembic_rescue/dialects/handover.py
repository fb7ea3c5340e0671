"""A stamp as one file, for a host without Python: what the file is made of, and what is asked of a dialect for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from alembic_rescue.model import Identity

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class Standing(NamedTuple):
    """An object of a live database as it stands: what a file can ask for again, wherever it is run."""

    kind: str
    """As :class:`~alembic_rescue.evidence.model.ObjectEvidence` has it."""
    name: str
    facts: Mapping[str, str] | None
    """What it is like, in the server's words, each under its name; None: that is not asked, only that it is there."""


@dataclass(frozen=True)
class HandOver:
    """All that a file says."""

    identity: Identity
    before: tuple[str, ...]
    """The rows that it finds, sorted."""
    after: tuple[str, ...]
    """The rows that it leaves, sorted."""
    makes_table: bool
    """There was no version table: it makes one, as Alembic does."""
    there: tuple[Standing, ...]
    """The evidence: what must be as it is."""
    gone: tuple[Standing, ...]
    """The evidence: what must not be there."""
    not_asked: tuple[str, ...]
    """The rest, of which the file cannot ask, each as a sentence says it, with the reason."""
    skipped: tuple[str, ...]
    """The revisions that are marked as applied, each with what it is and how it was judged."""
    pending: tuple[str, ...]
    """The revisions that Alembic runs next."""
    target: str
    reason: str
    upgrade: str
    """The command that runs them."""
    command: str
    """What made the file."""
    fingerprint: str
    tool: str
    """Name and version."""
    made: str
    """When: UTC, in words."""
    lock_seconds: float
    statement_seconds: float


class Scripts(Protocol):
    """Makes such files.  By itself: there are none."""

    shells: tuple[str, ...] = ()
    """What it makes them for."""

    def standing(self, connection: Connection, names: Collection[str]) -> tuple[Standing, ...]:
        """The objects of these names, and what belongs to them, of a live database.

        `connection` is the reader's own: read-only, in autocommit.
        """
        return ()

    def unasked_kinds(self, kinds: Collection[str]) -> frozenset[str]:
        """Those of these kinds of objects for which no file can ask."""
        return frozenset(kinds)

    def run(self, shell: str, identity: Identity) -> str:
        """The command that runs ``FILE``, for one of :attr:`shells`."""
        raise NotImplementedError(shell)

    def file(self, shell: str, handed_over: HandOver) -> str:
        """The text of the file for one of :attr:`shells`."""
        raise NotImplementedError(shell)
