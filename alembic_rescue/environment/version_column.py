"""The version column: whether Alembic can read it, and the statement that widens it, as rendered by Alembic."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from alembic_rescue import errors
from alembic_rescue.connection import failures

LENGTH = 128
"""Length of the widened column, in characters."""
_READ = re.compile(r"\s*SELECT [^,]*\bversion_num\b[^,\s]*\s+FROM (?P<table>.+?)\s*", re.DOTALL)
"""The statement that Alembic reads the version table with."""


def check_rows(rows: Sequence[object], table: str) -> None:
    """Refuse rows that Alembic read but that are not text.

    Args:
        table: the version table, for the message.

    Raises:
        VersionTableUnfit: the rows are bytes, numbers, or the like.
    """
    for row in rows:
        if row is not None and not isinstance(row, str):
            kind = "bytes" if isinstance(row, (bytes, bytearray, memoryview)) else type(row).__name__
            raise errors.VersionTableUnfit(table, f"its version_num is not text but {kind}")


def unfit(error: BaseException, database: str, hide: failures.Hide) -> errors.VersionTableUnfit | None:
    """Return the fault of the version table if it kept Alembic from reading the rows; None for any other error.

    Args:
        database: for the message.
    """
    for link in failures.chain(error):
        read = _READ.fullmatch(link.statement or "") if isinstance(link, DBAPIError) else None
        if read:
            return errors.VersionTableUnfit(f"{read['table']} in {database}", failures.one_line(link, hide))
        raised_in = traceback.extract_tb(link.__traceback__)[-1:]
        if isinstance(link, TypeError) and any(map(_takes_rows, raised_in)):
            return errors.VersionTableUnfit(f"the version table in {database}", "its version_num is not text")
    return None


def _takes_rows(frame: traceback.FrameSummary) -> bool:
    """Whether this is where Alembic puts the rows into a set, which fails for unhashable values."""
    return Path(frame.filename).match("alembic/runtime/migration.py") and frame.name == "__init__"


def widen(dialect: Dialect, table: str, schema: str | None, limit: int | None, *, exists: bool) -> str:
    """Return the SQL that widens the column to :data:`LENGTH` characters, or creates the missing table that way.

    Args:
        dialect: SQLAlchemy's dialect.
        table: the version table, in `schema`.
        limit: current length of the column; None if the database enforces no length, so nothing has to be done.
    """
    if limit is None:
        return ""
    written = StringIO()
    context = MigrationContext.configure(dialect=dialect, opts={"as_sql": True, "output_buffer": written})
    wide = sa.String(LENGTH)
    if exists:
        Operations(context).alter_column(
            table, "version_num", type_=wide, existing_type=sa.String(limit), existing_nullable=False, schema=schema
        )
    else:
        column = sa.Column("version_num", wide, nullable=False)
        key = sa.PrimaryKeyConstraint("version_num", name=f"{table}_pkc")
        Operations(context).create_table(table, column, key, schema=schema)
    return " ".join(written.getvalue().split()).rstrip(";").replace("( ", "(").replace(" )", ")")
