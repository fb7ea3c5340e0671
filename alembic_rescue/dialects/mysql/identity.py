"""The identity of a MySQL or MariaDB database, and whether it accepts writes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlalchemy.engine import Connection

from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import Facts, Where
from alembic_rescue.dialects.cursor import fetch

_VARIABLES = """
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir',
        'group_replication_group_name', 'wsrep_on', 'read_only', 'super_read_only', 'innodb_read_only',
        'tx_read_only', 'transaction_read_only')
"""
_SESSION = "SELECT DATABASE(), CURRENT_USER(), VERSION()"
_CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
_CLUSTER = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'"
_MAY_WRITE_ALL_THE_SAME = """
    SELECT 1 FROM information_schema.user_privileges
    WHERE privilege_type IN ('SUPER', 'READ ONLY ADMIN', 'READ_ONLY ADMIN', 'CONNECTION_ADMIN')
      AND grantee = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''',
                           SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')
    LIMIT 1
"""


class Identity(base.IdentityReader):
    """The id is the cluster's id, else the server's, and the database's name."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """Read the facts in up to five queries."""
        ((database, role, version),) = fetch(connection, _SESSION)
        variables: Mapping[str, str] = dict(fetch(connection, _VARIABLES))
        return Facts(
            version=version,
            database=database or "",
            server_id=_id_of(variables, database or "", connection),
            server_address=_address_of(variables),
            role=role,
            encrypted=any(value for _, value in fetch(connection, _CIPHER)),
            refuses_writes=_refuses_writes(variables, connection),
        )

    def where(self, connection: Connection, table: str) -> Where:
        """Read the database, its id and its address; a schema is a database here."""
        ((database, _, _),) = fetch(connection, _SESSION)
        variables = dict(fetch(connection, _VARIABLES))
        server_id = _id_of(variables, database or "", connection)
        return Where(database or "", server_id, _address_of(variables))


def _address_of(variables: Mapping[str, str]) -> str | None:
    """Return the server's address; None in a cluster, whose members are one database."""
    if variables.get("group_replication_group_name") or variables.get("wsrep_on") == "ON":
        return None
    return f"{variables.get('hostname')}:{variables.get('port')}"


def _id_of(variables: Mapping[str, str], database: str, connection: Connection) -> str:
    server = variables.get("group_replication_group_name") or variables.get("server_uuid")
    if variables.get("wsrep_on") == "ON":  # the members of a Galera cluster are one database
        server = next((value for _, value in fetch(connection, _CLUSTER) if value), server)
    if not server:  # MariaDB's server_uid is the same for all servers of a host
        names = ("server_uid", "hostname", "port", "datadir")
        server = hashlib.sha256("\n".join(variables.get(name, "") for name in names).encode()).hexdigest()[:16]
    return f"{server}/{database}"


def _refuses_writes(variables: Mapping[str, str], connection: Connection) -> str | None:
    for name in ("super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only"):
        if variables.get(name) == "ON":
            return f"{name} is on"
    held = variables.get("read_only", "OFF") not in {"OFF", "0"}
    return "read_only is on, as on a replica" if held and not fetch(connection, _MAY_WRITE_ALL_THE_SAME) else None
