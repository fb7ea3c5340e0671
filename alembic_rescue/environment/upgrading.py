"""``alembic upgrade`` itself, through the project's env.py: its own transactions, and each of its steps seen."""

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
"""Given the context that env.py configured, its rows and what is to run, it yields each, changed as it likes."""


class UpgradeRun(Run):
    """A run of env.py that migrates."""

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
            target: as that takes it.
            listeners: to be active meanwhile.

        Raises:
            RescueError: as :meth:`Run.__call__`; an error that env.py swallowed, too.
        """

        def call() -> None:
            config = self._project.config
            with _as_typed(config, target), self._seeing(steps), listening(*listeners):
                command.upgrade(config, target)

        self(call, done=lambda: self.visits > 0)

    @contextmanager
    def _seeing(self, steps: Steps) -> Iterator[None]:
        """Put `steps` between Alembic's list of what is to run and its run: each env.py calls this public method."""
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
    """In the block, what some env.py files read is there as ``alembic upgrade`` has it: words and options."""
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
