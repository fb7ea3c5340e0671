"""Run ``alembic upgrade`` through the project's env.py, with its own transactions, and observe each step."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from alembic import command
from alembic.config import CommandLine, Config
from alembic.runtime.migration import MigrationContext, MigrationStep

from alembic_rescue import errors
from alembic_rescue.connection.connections import Hold, listening
from alembic_rescue.connection.upgrading import UpgradeHold
from alembic_rescue.environment.printed import Tell
from alembic_rescue.environment.run import Run
from alembic_rescue.project.loading import Project

Steps = Callable[[MigrationContext, "tuple[str, ...]", "list[MigrationStep]"], Iterable[MigrationStep]]
"""Takes the context that env.py configured, its rows and the pending steps; yields each step, possibly changed."""


class UpgradeRun(Run):
    """A run of env.py that migrates for real."""

    def __init__(self, project: Project, tell: Tell) -> None:
        super().__init__(project, tell, read_only=False)

    def _hold(self, project: Project, *, read_only: bool) -> Hold:
        return UpgradeHold(project, read_only=read_only)

    def _transactions(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _failed_afterwards(self, explained: errors.RescueError, error: BaseException) -> None:
        """As ``alembic upgrade`` does: it fails, whatever was committed before."""
        raise explained from error

    def upgrade(self, target: str, steps: Steps, listeners: tuple[tuple[Any, str, Any], ...]) -> None:
        """Call ``alembic.command.upgrade``.

        Args:
            target: as for that function.
            steps: wraps the pending steps.
            listeners: SQLAlchemy listeners, active during the run.

        Raises:
            RescueError: as :meth:`Run.__call__`; also for an error that env.py swallowed.
        """

        def call() -> None:
            config = self._project.config
            with _as_typed(config, target), self._seeing(steps), listening(*listeners):
                command.upgrade(config, target)

        self(call, done=lambda: self.visits > 0)

    @contextmanager
    def _seeing(self, steps: Steps) -> Iterator[None]:
        """Insert `steps` between Alembic's list of pending steps and its run.

        ``run_migrations`` is public, and every env.py calls it.
        """
        original, run = MigrationContext.run_migrations, self

        def run_migrations(self: MigrationContext, **kw: Any) -> None:
            listed: Any = self._migrations_fn
            self._migrations_fn = lambda rows, context: steps(context, tuple(rows), list(listed(rows, context)))  # type: ignore[assignment]
            with run.visit():
                original(self, **kw)

        MigrationContext.run_migrations = run_migrations  # type: ignore[method-assign]
        try:
            yield
        finally:
            MigrationContext.run_migrations = original  # type: ignore[method-assign]


@contextmanager
def _as_typed(config: Config, target: str) -> Iterator[None]:
    """In the block, set ``sys.argv`` and ``cmd_opts`` as ``alembic upgrade`` does: some env.py files read them."""
    options, words = config.cmd_opts, sys.argv
    if options is not None:
        typed = vars(CommandLine(prog="alembic").parser.parse_args(["upgrade", target]))
        kept = {name: value for name, value in vars(options).items() if name != "cmd"}
        config.cmd_opts = Namespace(**{**typed, **kept})
    sys.argv = [*words[:1], "upgrade", target]
    try:
        yield
    finally:
        config.cmd_opts, sys.argv = options, words
