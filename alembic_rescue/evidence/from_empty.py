"""The result of running a chain from an empty database, as values.  No I/O."""

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
"""The findings that make ``rehearse --from-empty`` fail; any other is a warning."""


@dataclass(frozen=True)
class FromEmpty:
    """The result on one empty database."""

    ran: tuple[str, ...]
    """The revisions that ran to their end, in Alembic's order."""
    not_run: tuple[str, ...] = ()
    """The revisions that did not run because an earlier one failed."""
    failed: str | None = None
    """The revision that failed and ended the run."""
    before: tuple[str, ...] = ()
    """The revisions that exist at the point that ``--against`` names: run first, and not reported."""
    against: str = ""
    """The branch, tag or commit; empty without ``--against``."""
    commit: str = ""
    """The git commit from which `before` was read."""
    models: tuple[str, ...] | None = None
    """The differences between the models and the migrated database; None if they were not compared."""
    failing: tuple[str, ...] = ()
    """The codes of the findings that make it fail."""

    @property
    def fails(self) -> bool:
        """Whether any finding makes it fail."""
        return bool(self.failing)
