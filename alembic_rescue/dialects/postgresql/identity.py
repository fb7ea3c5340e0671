"""Which PostgreSQL database it is, and where its version table stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import Facts, Where
from alembic_rescue.dialects.cursor import fetch, query

_ASKED = """
    SELECT current_database() AS database, current_user::text AS role, current_setting('server_version') AS version,
           (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()) AS database_oid,
           (SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()) AS encrypted,
           pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port() AS address,
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
    SELECT current_database()::text,
           pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port(),
           (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()),
           coalesce((SELECT nspname::text FROM pg_catalog.pg_class c
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = to_regclass({table})), current_schema()::text)
"""
_MAY_ASK_ID = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
_SYSTEM_ID = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


class Identity(base.IdentityReader):
    """The id is the system identifier and the database's oid; ``-`` in its place where the role may not ask it."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """In two queries."""
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
            denied=told["denied"],
            row_security=bool(told["row_security"]),
            may_create=told["may_create"],
        )

    def where(self, connection: Connection, table: str) -> Where:
        """In three."""
        literal = "'" + table.replace("'", "''") + "'"
        database, address, oid, found_in = fetch(connection, _FOUND.format(table=literal))[0]
        may_ask = fetch(connection, _MAY_ASK_ID)[0][0]
        system = fetch(connection, _SYSTEM_ID)[0][0] if may_ask else "-"
        return Where(database, f"{system}/{oid}", address, found_in)


def _refuses_writes(told: Mapping[str, Any]) -> str | None:
    if told["in_recovery"]:
        return "it is a replica in recovery"
    return "default_transaction_read_only is on for this role or database" if told["set_read_only"] else None
