"""Support env.py files with ``USE_TWOPHASE = True``, or any ``begin_twophase()``.

A stamp runs outside a transaction, so there is none to prepare.  Looking must not prepare one either: a prepared
transaction outlives its session and holds its locks until somebody ends it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Dialect, Engine

from alembic_rescue.connection.connections import listening


def _begin(connection: Connection, _xid: object) -> None:
    connection.dialect.do_begin(connection.connection)


def _prepare(_connection: Connection, _xid: object) -> None:
    pass


def _rollback(connection: Connection, *_xid: object) -> None:
    connection.dialect.do_rollback(connection.connection)


def _commit(connection: Connection, *_xid: object) -> None:
    connection.dialect.do_commit(connection.connection)


_IN_ONE: dict[str, Callable[..., None]] = {
    "do_begin_twophase": _begin,
    "do_prepare_twophase": _prepare,
    "do_rollback_twophase": _rollback,
    "do_commit_twophase": _commit,
}


@contextmanager
def in_one_phase() -> Iterator[None]:
    """Turn two-phase transactions that env.py begins in the block into ordinary ones."""
    changed: list[Dialect] = []

    def change(connection: Connection, *_branch: Any) -> None:
        dialect = connection.dialect
        if "do_begin_twophase" not in vars(dialect):
            vars(dialect).update(_IN_ONE)
            changed.append(dialect)

    try:
        with listening((Engine, "engine_connect", change)):
            yield
    finally:
        for dialect in changed:
            for name in _IN_ONE:
                del vars(dialect)[name]
