"""What env.py makes for itself before its migrations, if it is not there: ``CREATE SCHEMA IF NOT EXISTS tenant``.

Looking writes nothing, and the server would refuse the statement even where it has nothing to do.  So while looking
it is not sent, which changes nothing where the thing is there.  Where it is not, that is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection, Engine

from alembic_rescue import dialects
from alembic_rescue.model import Note

_NAME = r'(?:"(?:[^"]|"")+"|`[^`]+`|[\w$]+)'
_MAKES = re.compile(
    r"\s*CREATE\s+(?:(?:UNIQUE|UNLOGGED|MATERIALIZED)\s+)?(?P<kind>SCHEMA|DATABASE|EXTENSION|TABLE|SEQUENCE|INDEX|VIEW)"
    rf"\s+(?:CONCURRENTLY\s+)?IF\s+NOT\s+EXISTS\s+(?P<name>{_NAME}(?:\.{_NAME})?)(?P<rest>[^;]*);?\s*\Z",
    re.IGNORECASE,
)


class LeftOut:
    """Holds such statements back; `listeners` are to be active while env.py runs.

    Args:
        tell: is given each one whose thing is not there.
    """

    def __init__(self, tell: Callable[[Note], None]) -> None:
        self.at_rest = False
        """The tool's own part is at work, which handles statements itself."""
        self._tell = tell
        self._told: set[str] = set()
        self.listeners = (
            (Engine, "do_execute", self._execute),
            (Engine, "do_execute_no_params", lambda cursor, sql, context: self._execute(cursor, sql, (), context)),
        )

    def _execute(self, _cursor: Any, statement: str, _parameters: Any, context: Any) -> bool | None:
        """True keeps SQLAlchemy from sending the statement."""
        made = None if self.at_rest else _MAKES.match(statement)
        if made is None:
            return None
        if statement not in self._told and not _is_there(context.root_connection, made["kind"].upper(), made["name"]):
            self._told.add(statement)
            thing = f"{made['kind'].lower()} {made['name']}"
            self._tell(
                Note(
                    "env-creates",
                    f"env.py creates {thing} before its migrations if it does not exist "
                    f"({' '.join(statement.split())})",
                    "it does not seem to exist, and was not created, because this command writes nothing. "
                    "A stamp runs env.py, which creates it",
                )
            )
        return True


def _is_there(connection: Connection, kind: str, name: str) -> bool:
    """Whether there is such a thing; False where that cannot be told."""
    return dialects.of(connection.dialect.name).server.holds(connection, kind, name)
