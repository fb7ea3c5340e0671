"""Ask a scratch database about effects of a step that the recorded statements do not show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import Dialect
from alembic_rescue.evidence.observation import Change, StatementKind


class Effects(Protocol):
    """The effects of the steps of one visit, one after another."""

    def local_settings_kept(self, connection: Connection) -> AbstractContextManager[None]:
        """Carry the transaction's local settings over to the next transaction: the block ends the current one."""

    def begin(self, connection: Connection) -> None:
        """Begin a step.  No transaction is open on `connection`, before or after."""

    def end(self, connection: Connection, sent: Sequence[str]) -> None:
        """End a step's code, which sent these statements; its transaction may still be open.  Never raises."""

    def kinds(self, connection: Connection, sent: Sequence[str], changes: Collection[Change]) -> list[StatementKind]:
        """Return the kind of each statement, after the step was committed.  No transaction is open afterwards."""

    def unseen(self, kinds: Collection[StatementKind]) -> str | None:
        """Return what to report if the server counted more than statements of these kinds explain."""


class _ByText:
    """For a database that is not asked: the kind of a statement is known from its text."""

    def __init__(self, kind_of: Callable[[str], StatementKind]) -> None:
        self._kind_of = kind_of

    def local_settings_kept(self, connection: Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def begin(self, connection: Connection) -> None:
        pass

    def end(self, connection: Connection, sent: Sequence[str]) -> None:
        pass

    def kinds(self, connection: Connection, sent: Sequence[str], changes: Collection[Change]) -> list[StatementKind]:  # noqa: ARG002
        return [self._kind_of(sql) for sql in sent]

    def unseen(self, kinds: Collection[StatementKind]) -> None:  # noqa: ARG002
        return None


def effects_of(dialect: Dialect) -> Effects:
    """Return the effects of a dialect."""
    made: Effects = dialect.effects() if dialect.effects is not None else _ByText(dialect.kind_of)
    return made
