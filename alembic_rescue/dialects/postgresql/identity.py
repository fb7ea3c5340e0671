"""The identity of a PostgreSQL database, and its version table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import Facts, Where
from alembic_rescue.dialects.cursor import fetch, query
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed

_ASKED = unshadowed("""
    SELECT current_database() AS database, current_user::text AS role, current_setting('server_version') AS version,
           (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database_oid,
           (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,
           host(inet_server_addr()) || ':' || inet_server_port() AS address, pg_is_in_recovery() AS in_recovery,
           has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask_id,
           (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only')
               AND (coalesce(current_setting('alembic_rescue.held', true), '') <> 'on')  -- by PGOPTIONS
               AS set_read_only,
           (SELECT CASE WHEN setrole = 0 THEN 'this database' ELSE 'role ' || session_user END FROM pg_db_role_setting
             WHERE array_to_string(setconfig, ' ') ~ 'default_transaction_read_only='
               AND (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
               AND (setrole = 0 OR setrole = (SELECT oid FROM pg_roles WHERE rolname = session_user))
             ORDER BY setrole DESC LIMIT 1) AS read_only_for,
           coalesce((SELECT nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = to_regclass(:table)::oid), current_schema()::text) AS found_in,
           (SELECT string_agg(p, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
             WHERE NOT has_table_privilege(to_regclass(:table)::oid, p)) AS denied,
           row_security_active(to_regclass(:table)::oid) AS row_security,
           has_schema_privilege(to_regnamespace(quote_ident(coalesce(:schema, current_schema())))::oid, 'CREATE')
               AS may_create
""")
_FOUND = unshadowed("""
    SELECT current_database()::text, host(inet_server_addr()) || ':' || inet_server_port(),
           (SELECT oid::text FROM pg_database WHERE datname = current_database()),
           coalesce((SELECT nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = to_regclass({table})::oid), current_schema()::text)
""")
_MAY_ASK_ID = unshadowed("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')")
_SYSTEM_ID = unshadowed("SELECT system_identifier::text FROM pg_control_system()")
_VERSION_TABLE = unshadowed("""
    SELECT (SELECT a.atttypmod - 4 FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname = 'version_num' AND a.atttypmod > 4
               AND (a.atttypid = 'pg_catalog.varchar'::regtype OR a.atttypid = 'pg_catalog.bpchar'::regtype)
           ) AS id_limit
      FROM pg_class c
     WHERE c.oid = to_regclass(:table)::oid AND c.relkind = ANY (ARRAY['r', 'p', 'v', 'm', 'f']::"char"[])
""")


class Identity(base.IdentityReader):
    """The id is the system identifier (``-`` if the role may not read it) and the database's oid."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """Read the facts in two queries."""
        told = query(connection, _ASKED, table=table, schema=schema)[0]
        system = query(connection, _SYSTEM_ID)[0]["system_identifier"] if told["may_ask_id"] else "-"
        return Facts(
            version=told["version"],
            database=told["database"],
            server_id=f"{system}/{told['database_oid']}",
            server_address=told["address"],
            role=told["role"],
            encrypted=told["encrypted"],
            found_in=told["found_in"],
            refuses_writes=_refuses_writes(told),
            refused_for="" if told["in_recovery"] else told["read_only_for"] or "",
            denied=told["denied"],
            row_security=bool(told["row_security"]),
            may_create=told["may_create"],
        )

    def version_table(self, connection: Connection, name: str, schema: str | None) -> tuple[bool, int | None]:
        """Read the version table in the tool's own query: SQLAlchemy's queries take operators from the search path."""
        quote = connection.dialect.identifier_preparer.quote_identifier
        found = query(connection, _VERSION_TABLE, table=".".join(quote(part) for part in (schema, name) if part))
        return bool(found), found[0]["id_limit"] if found else None

    def where(self, connection: Connection, table: str) -> Where:
        """Read what identifies the database in three queries."""
        literal = "'" + table.replace("'", "''") + "'"
        database, address, oid, found_in = fetch(connection, _FOUND.format(table=literal))[0]
        may_ask = fetch(connection, _MAY_ASK_ID)[0][0]
        system = fetch(connection, _SYSTEM_ID)[0][0] if may_ask else "-"
        return Where(database, f"{system}/{oid}", address, found_in)


def _refuses_writes(told: Mapping[str, Any]) -> str | None:
    if told["in_recovery"]:
        return "it is a replica in recovery"
    return "default_transaction_read_only is on" if told["set_read_only"] else None
