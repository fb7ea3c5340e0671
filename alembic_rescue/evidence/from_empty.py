"""What a chain comes to that starts from nothing, as values.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass

FAILS = frozenset(
    [
        "revision-fails",
        "swallowed-error",
        "revision-too-long",
        "ends-transaction",
        "env-never-commits",
        "env-hides-errors",
        "env-fails",
        "autocommit-block-fails",
        "several-heads",
        "models-differ",
        "revision-changed",
        "revision-deleted",
    ]
)
"""The codes of findings on which ``rehearse --from-empty`` fails; any other one is a warning."""


@dataclass(frozen=True)
class FromEmpty:
    """What was run on one empty database."""

    ran: tuple[str, ...]
    """The revisions that came to their end, in Alembic's order."""
    not_run: tuple[str, ...] = ()
    """Those that an earlier failure kept from running."""
    failed: str | None = None
    """The revision at which the run ended."""
    before: tuple[str, ...] = ()
    """Those that were run first, without being reported: ``--against`` names a point at which they were there."""
    against: str = ""
    """The branch or tag; empty without ``--against``."""
    commit: str = ""
    """Of git, at which the revisions before were read."""
    models: tuple[str, ...] | None = None
    """Where the models and the chain part; None: they were not compared."""
    failing: tuple[str, ...] = ()
    """The codes of the findings on which it fails."""

    @property
    def fails(self) -> bool:
        """Whether it does."""
        return bool(self.failing)
