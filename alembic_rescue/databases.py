"""What a database says of itself: which one it is, where its version table stands, and what hinders a stamp.

Everything is read through the connection and the context that env.py configured, in a fixed number of queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import String, inspect
from sqlalchemy.engine import URL, Connection

from alembic_rescue import environment, errors, urls
from alembic_rescue.connecting import connections, mysql, poolers
from alembic_rescue.connecting.sessions import blockers, qualified, query
from alembic_rescue.environment import Tell
from alembic_rescue.model import Database, Identity
from alembic_rescue.project import Project

DEFAULT_ID_LIMIT = 32
"""``version_num VARCHAR(32)``, as Alembic creates it."""

_POSTGRESQL = """
    SELECT current_database() AS database, current_user::text AS role, current_setting('server_version') AS version,
           (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid,
           (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS encrypted,
           pg_catalog.pg_is_in_recovery() AS in_recovery,
           has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask_id,
           (SELECT reset_val = 'on' FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only')
               AS set_read_only,
           coalesce((SELECT nspname::text FROM pg_catalog.pg_class c
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = to_regclass(:table)), current_schema()::text) AS found_in,
           (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
             WHERE NOT has_table_privilege(to_regclass(:table), p)) AS denied,
           row_security_active(to_regclass(:table)::oid) AS row_security,
           has_schema_privilege(to_regnamespace(quote_ident(coalesce(:schema, current_schema())))::oid, 'CREATE')
               AS may_create
"""
_FOUND = """
    SELECT (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()),
           coalesce((SELECT nspname::text FROM pg_catalog.pg_class c
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = to_regclass({table})), current_schema()::text)
"""
_MAY_ASK_ID = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
_SYSTEM_ID = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


def look(project: Project, tell: Tell = environment.silent) -> list[Database]:
    """Look at each database that env.py visits, in its order; at least one.

    Raises:
        UsageError, DatabaseError: see :func:`alembic_rescue.environment.look`.
    """
    return environment.look(project, lambda context, rows: look_at(context, rows, project.secrets.hide), tell)


def look_at(context: MigrationContext, rows: tuple[str, ...], hide: Callable[[str], str]) -> Database:
    """Read one database.  `rows` are those of its version table, as Alembic read them."""
    connection = context.connection
    assert connection is not None, "online mode has a connection"
    table = qualified(connection.dialect, context.version_table, context.version_table_schema)
    facts = _facts(connection, context, table)
    exists = _table_exists(connection, context)
    return Database(
        identity=_identity(connection, context, facts),
        current_heads=tuple(sorted(rows)),
        version_table_exists=exists,
        id_limit=_id_limit(connection, context) if exists else _enforced(connection, DEFAULT_ID_LIMIT),
        read_only=_read_only(facts),
        missing_privileges=_missing_privileges(facts, context.version_table, exists=exists),
        blockers=blockers(connection, table, hide, connections.own_sessions()),
        pooled=poolers.is_pooled(connection),
        called=tuple(value for value in environment.keyword_arguments().values() if isinstance(value, str)),
    )


def rows_key(connection: Connection, table: str, schema: str | None) -> tuple[str, str]:
    """The :attr:`Identity.rows_key` of a version table, read through the driver's cursor, within SQLAlchemy's events.

    Args:
        table, schema: as env.py configured them.
    """
    server_id, found_in = _server_id(connection, qualified(connection.dialect, table, schema))
    home = schema or found_in
    return (server_id, f"{home}.{table}" if home else table)


def check_unmoved(connection: Connection, identity: Identity, rows: tuple[str, ...] | None) -> None:
    """The last check, on the very connection that is about to write: it leads to `identity`, and finds `rows` there.

    Reads through the driver's cursor, because it runs inside an event of SQLAlchemy.  `rows` are None where the
    version table is about to be made.

    Raises:
        DatabaseChanged, DatabaseMoved: it does not.
    """
    found_key = rows_key(connection, identity.version_table, identity.version_table_schema)
    if found_key != identity.rows_key:
        raise errors.DatabaseChanged(_told(identity.name, identity.rows_key), _told("another one", found_key))
    if rows is None:
        return
    table = qualified(connection.dialect, identity.version_table, identity.version_table_schema)
    found = connections.fetch(connection, f"SELECT version_num FROM {table}")  # noqa: S608 - quoted by the dialect
    if (now := tuple(sorted(str(row[0]) for row in found))) != rows:
        raise errors.DatabaseMoved(rows, now)


def _told(name: str, key: tuple[str, str]) -> str:
    server_id, table = key
    return f"{name} (server id {server_id}, {table})"


def _server_id(connection: Connection, table: str) -> tuple[str, str | None]:
    """The server id, and the schema in which `table`, quoted, is found or would be made."""
    if connection.dialect.name == "postgresql":
        literal = "'" + table.replace("'", "''") + "'"
        oid, found_in = connections.fetch(connection, _FOUND.format(table=literal))[0]
        may_ask = connections.fetch(connection, _MAY_ASK_ID)[0][0]
        system = connections.fetch(connection, _SYSTEM_ID)[0][0] if may_ask else "-"
        return f"{system}/{oid}", found_in
    if connection.dialect.name in mysql.DIALECTS:
        return mysql.server_id(partial(connections.fetch, connection)), None
    if connection.dialect.name == "sqlite":
        return _file_id(connections.fetch(connection, "PRAGMA database_list")[0][2]), None
    return _address(connections.opened_at(connection)), None


def _address(url: URL) -> str:
    """What tells a database apart where its server has no id."""
    return f"{urls.host_of(url) or 'local'}:{urls.port_of(url) or ''}/{url.database}"


def _file_id(file: str) -> str:
    if not file:
        return ":memory:"
    found = Path(file).stat()
    return f"{found.st_dev:x}:{found.st_ino:x}"


def _facts(connection: Connection, context: MigrationContext, table: str) -> Mapping[str, Any]:
    if connection.dialect.name == "postgresql":
        facts = dict(query(connection, _POSTGRESQL, table=table, schema=context.version_table_schema)[0])
        system = query(connection, _SYSTEM_ID)[0]["system_identifier"] if facts["may_ask_id"] else "-"
        return {**facts, "server_id": f"{system}/{facts['database_oid']}"}
    if connection.dialect.name == "sqlite":
        file = query(connection, "PRAGMA database_list")[0]["file"]
        version = query(connection, "SELECT sqlite_version() AS version")[0]["version"]
        return {"server_id": _file_id(file), "version": version, "database": file or ":memory:"}
    if connection.dialect.name in mysql.DIALECTS:
        return mysql.facts(partial(connections.fetch, connection))
    version_info = connection.dialect.server_version_info or ()
    url = connections.opened_at(connection)
    return {
        "server_id": _address(url),
        "version": ".".join(str(part) for part in version_info),
        "database": url.database or "",
        "role": url.username,
    }


def _identity(connection: Connection, context: MigrationContext, facts: Mapping[str, Any]) -> Identity:
    url = connections.opened_at(connection)
    shown = url.set(database=facts["database"])
    if url.username and connection.engine.url.password:
        shown = shown.set(password="***")  # noqa: S106 - a mask
    return Identity(
        url=urls.masked(shown),
        dialect=connection.dialect.name,
        server_version=str(facts["version"]),
        server_id=str(facts["server_id"]),
        host=urls.host_of(url),
        port=urls.port_of(url),
        database=str(facts["database"]),
        role=facts.get("role"),
        encrypted=facts.get("encrypted"),
        version_table=context.version_table,
        version_table_schema=context.version_table_schema,
        version_table_found_in=facts.get("found_in"),
    )


def _table_exists(connection: Connection, context: MigrationContext) -> bool:
    return bool(inspect(connection).has_table(context.version_table, schema=context.version_table_schema))


def _id_limit(connection: Connection, context: MigrationContext) -> int | None:
    columns = inspect(connection).get_columns(context.version_table, schema=context.version_table_schema)
    kinds = [column["type"] for column in columns if column["name"] == "version_num"]
    return _enforced(connection, kinds[0].length) if kinds and isinstance(kinds[0], String) else None


def _enforced(connection: Connection, length: int | None) -> int | None:
    return None if connection.dialect.name == "sqlite" else length


def _read_only(facts: Mapping[str, Any]) -> str | None:
    if facts.get("in_recovery"):
        return "it is a replica in recovery"
    if facts.get("refuses_writes"):
        return str(facts["refuses_writes"])
    if facts.get("set_read_only"):
        return "default_transaction_read_only is on for this role or database"
    return None


def _missing_privileges(facts: Mapping[str, Any], table: str, *, exists: bool) -> tuple[str, ...]:
    if exists and facts.get("denied"):
        return (f"it lacks {facts['denied']} on {table}",)
    if exists and facts.get("row_security"):
        return (f"row-level security hides rows of {table} from it",)
    if not exists and facts.get("may_create") is False:
        return (f"it lacks CREATE in the schema where {table} would be made",)
    return ()
