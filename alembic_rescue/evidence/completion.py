"""What a partial revision lacks, and what takes it back once it is made.  Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Completion:
    """What is run for a revision, in this order: each part, and in it each statement."""

    revision: str
    first: tuple[str, ...]
    """Each by itself, because what they make can be used only once it is committed: labels of enums."""
    together: tuple[str, ...]
    """In one transaction, where the server has such for them."""
    last: tuple[str, ...]
    """Each by itself, because they run in no transaction: CONCURRENTLY."""
    by_hand: tuple[str, ...] = ()
    """What is missing besides, and for which no statement can be offered."""
    data: tuple[str, ...] = ()
    """What the revision does to rows, or calls, each with its place: never run here."""
    back: tuple[str, ...] = ()
    """The statements that take back what is made."""
    stays: tuple[str, ...] = ()
    """What no statement takes back."""

    untried: str = ""
    """Why it was not tried on a copy first."""

    @property
    def statements(self) -> tuple[str, ...]:
        """All that is run."""
        return (*self.first, *self.together, *self.last)
