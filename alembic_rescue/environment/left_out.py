"""Skip the ``CREATE ... IF NOT EXISTS`` statements that env.py sends before its migrations, such as for a schema.

Looking writes nothing, and a read-only session refuses such a statement even if the object exists.  So the statement
is not sent while looking.  If the object exists, that makes no difference; if it does not, a note reports it.
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
    """Skips such statements; `listeners` must be active while env.py runs.

    Args:
        tell: called for each statement whose object does not exist.
    """

    def __init__(self, tell: Callable[[Note], None]) -> None:
        self.at_rest = False
        """The tool's own code is running, which handles its statements itself."""
        self._tell = tell
        self._told: set[str] = set()
        self.listeners = (
            (Engine, "do_execute", self._execute),
            (Engine, "do_execute_no_params", lambda cursor, sql, context: self._execute(cursor, sql, (), context)),
        )

    def _execute(self, _cursor: Any, statement: str, _parameters: Any, context: Any) -> bool | None:
        """Return True to keep SQLAlchemy from sending the statement."""
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
    """Whether the object exists; False if that cannot be determined."""
    return dialects.of(connection.dialect.name).server.holds(connection, kind, name)
