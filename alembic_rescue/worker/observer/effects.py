"""What else is asked of a scratch database about a step: what the statements seen do not tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import Dialect
from alembic_rescue.evidence.observation import Change, StatementKind


class Effects(Protocol):
    """Of the steps of one visit, one after the other."""

    def local_settings_kept(self, connection: Connection) -> AbstractContextManager[None]:
        """Have settings of the transaction hold in the next one, too: the block ends it."""

    def begin(self, connection: Connection) -> None:
        """A step begins: no transaction is open on `connection`, and none is afterwards."""

    def end(self, connection: Connection, sent: Sequence[str]) -> None:
        """The step's code is through, having sent that; its transaction may be open yet.  Never raises."""

    def kinds(self, connection: Connection, sent: Sequence[str], changes: Collection[Change]) -> list[StatementKind]:
        """The kind of each statement, now that the step is committed.  No transaction is open afterwards."""

    def unseen(self, kinds: Collection[StatementKind]) -> str | None:
        """What to tell where the server counted more than statements of these kinds explain."""


class _ByText:
    """Of a database that is asked nothing: its statements' own text tells."""

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
    """Those of a dialect."""
    made: Effects = dialect.effects() if dialect.effects is not None else _ByText(dialect.kind_of)
    return made
