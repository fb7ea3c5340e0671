"""Read a database: its identity, the state of its version table, and anything that would prevent a stamp.

All reads use the connection and context configured by env.py, and the number of queries is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import URL, Connection

from alembic_rescue import dialects, errors
from alembic_rescue.connection import connections, poolers, urls
from alembic_rescue.connection.sessions import blockers, qualified
from alembic_rescue.dialects.base import Facts
from alembic_rescue.dialects.cursor import fetch
from alembic_rescue.environment import version_column, visits
from alembic_rescue.environment.printed import Tell
from alembic_rescue.model import NULL_ROW, Database, Identity, address_of, database_key
from alembic_rescue.project.loading import Project

DEFAULT_ID_LIMIT = 32
"""``version_num VARCHAR(32)``, as Alembic creates it."""


def look(project: Project, tell: Tell = visits.silent) -> list[Database]:
    """Read each database that env.py visits, in that order; at least one.

    Raises:
        UsageError, DatabaseError: see :func:`alembic_rescue.environment.visits.look`.
    """
    return visits.look(project, lambda context, rows: look_at(context, rows, project.secrets.hide), tell)


def look_at(context: MigrationContext, rows: tuple[str, ...], hide: Callable[[str], str]) -> Database:
    """Read one database.  `rows` is the content of its version table as read by Alembic."""
    connection = context.connection
    assert connection is not None, "online mode has a connection"
    table = qualified(connection.dialect, context.version_table, context.version_table_schema)
    dialect = dialects.of(connection.dialect.name)
    facts = dialect.identity.facts(connection, table, context.version_table_schema)
    exists, limit = dialect.identity.version_table(connection, context.version_table, context.version_table_schema)
    limit = (limit if exists else DEFAULT_ID_LIMIT) if dialect.enforces_lengths else None
    home = context.version_table_schema or facts.found_in
    identity = _identity(connection, context, facts)
    version_column.check_rows(rows, identity.sentence)
    return Database(
        identity=identity,
        current_heads=in_order(rows),
        version_table_exists=exists,
        id_limit=limit,
        widen=version_column.widen(connection.dialect, context.version_table, home, limit, exists=exists),
        read_only=facts.refuses_writes,
        read_only_for=facts.refused_for,
        missing_privileges=_missing_privileges(facts, context.version_table, exists=exists),
        blockers=blockers(connection, table, hide, connections.own_sessions()),
        pooled=poolers.is_pooled(connection),
        called=tuple(value for value in visits.keyword_arguments().values() if isinstance(value, str)),
    )


def rows_key(connection: Connection, table: str, schema: str | None) -> tuple[str, str]:
    """Return the :attr:`Identity.rows_key` of a version table.

    Reads through the driver's cursor, so it is safe inside SQLAlchemy events.

    Args:
        table, schema: as configured by env.py.
    """
    where = dialects.of(connection.dialect.name).identity.where(
        connection, qualified(connection.dialect, table, schema)
    )
    url = connections.opened_at(connection)
    database = url.database or "" if where.database is None else where.database
    home = schema or where.found_in
    address = address_of(urls.host_of(url), urls.port_of(url), urls.socket_of(url))
    key = database_key(database, address, where.server_id or _address(url), where.server_address)
    return (key, f"{home}.{table}" if home else table)


def check_unmoved(connection: Connection, identity: Identity, rows: tuple[str, ...] | None) -> None:
    """Check, on the connection that is about to write, that it is connected to `identity` and finds `rows` there.

    This is the last check.  It reads through the driver's cursor, because it runs inside a SQLAlchemy event.  `rows`
    is None if the version table is about to be created.

    Raises:
        DatabaseChanged: the connection leads to another database or version table.
        DatabaseMoved: the rows have changed.
    """
    found_key = rows_key(connection, identity.version_table, identity.version_table_schema)
    if found_key != identity.rows_key:
        raise errors.DatabaseChanged(*(f"{table} in {where}" for where, table in (identity.rows_key, found_key)))
    if rows is None:
        return
    table = qualified(connection.dialect, identity.version_table, identity.version_table_schema)
    found = fetch(connection, f"SELECT version_num FROM {table}")  # noqa: S608 - quoted by the dialect
    if (now := in_order(row[0] for row in found)) != rows:
        raise errors.DatabaseMoved(rows, now)


def in_order(rows: Iterable[str | None]) -> tuple[str, ...]:
    """Return the rows of a version table as :attr:`Database.current_heads` has them."""
    return tuple(sorted(NULL_ROW if row is None else str(row) for row in rows))


def _address(url: URL) -> str:
    """Return what identifies a database if its server has no id."""
    return f"{urls.host_of(url) or 'local'}:{urls.port_of(url) or ''}/{url.database}"


def _identity(connection: Connection, context: MigrationContext, facts: Facts) -> Identity:
    url = connections.opened_at(connection)
    database = url.database or "" if facts.database is None else facts.database
    shown = url.set(database=database)
    if url.username and connection.engine.url.password:
        shown = shown.set(password="***")  # noqa: S106 - a mask
    return Identity(
        url=urls.masked(shown),
        dialect=connection.dialect.name,
        server_version=facts.version,
        server_id=facts.server_id or _address(url),
        server_address=facts.server_address,
        socket=urls.socket_of(url),
        host=urls.host_of(url),
        port=urls.port_of(url),
        database=database,
        role=url.username if facts.role is None else facts.role,
        encrypted=facts.encrypted,
        version_table=context.version_table,
        version_table_schema=context.version_table_schema,
        version_table_found_in=facts.found_in,
    )


def _missing_privileges(facts: Facts, table: str, *, exists: bool) -> tuple[str, ...]:
    if exists and facts.denied:
        return (f"{facts.denied} on {table}",)
    if exists and facts.row_security:
        return (f"row-level security hides rows of {table} from this role",)
    if not exists and facts.may_create is False:
        return (f"CREATE in the schema where {table} would be made",)
    return ()
