"""What a partial revision lacks, and how to undo it once created.  Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Completion:
    """The statements to run for a revision: each part in this order, and its statements in order."""

    revision: str
    first: tuple[str, ...]
    """Each on its own, because their effects can be used only after a commit: enum labels."""
    together: tuple[str, ...]
    """In one transaction, if the server has transactional DDL."""
    last: tuple[str, ...]
    """Each on its own, because they cannot run in a transaction: CONCURRENTLY."""
    by_hand: tuple[str, ...] = ()
    """What else is missing, without a statement to offer."""
    data: tuple[str, ...] = ()
    """What the revision does to rows, or calls, each with its place: never run here."""
    back: tuple[str, ...] = ()
    """The statements that undo what is created."""
    stays: tuple[str, ...] = ()
    """What no statement undoes."""

    untried: str = ""
    """Why it was not tried on a copy first."""

    @property
    def statements(self) -> tuple[str, ...]:
        """All statements, in order."""
        return (*self.first, *self.together, *self.last)
