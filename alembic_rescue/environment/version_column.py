"""The statement that lets the version column hold longer ids, as Alembic itself writes it for that database."""

from __future__ import annotations

from io import StringIO

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Dialect

LENGTH = 128
"""Of the widened column, in characters."""


def widen(dialect: Dialect, table: str, schema: str | None, limit: int | None, *, exists: bool) -> str:
    """What makes the column hold :data:`LENGTH` characters; where there is no table yet, what makes it so.

    Args:
        dialect: SQLAlchemy's.
        table: the version table, in `schema`.
        limit: what its column holds; None where nothing is enforced, and nothing is to be done.
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
