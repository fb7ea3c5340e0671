"""Who holds or awaits a lock on the version table, or an advisory lock in its database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.blockers import NOT_SHOWN, shortened
from alembic_rescue.dialects.cursor import query
from alembic_rescue.model import Blocker

_LOCKS = """
    WITH here AS (
        SELECT l.* FROM pg_catalog.pg_locks l
         WHERE l.pid <> ALL (:own) AND l.pid <> pg_catalog.pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
           AND (l.locktype IN ('relation', 'tuple') AND l.relation = to_regclass(:table)::oid
                OR l.locktype = 'advisory')
        UNION ALL  -- whoever waits for another's row waits for the end of that one's transaction
        SELECT l.* FROM pg_catalog.pg_locks l WHERE l.locktype = 'transactionid' AND NOT l.granted
           AND l.pid IN (SELECT pid FROM pg_catalog.pg_locks
                          WHERE locktype = 'relation' AND relation = to_regclass(:table)::oid)
           AND l.pid <> ALL (:own) AND l.pid <> pg_catalog.pg_backend_pid()
    )
    SELECT l.pid, coalesce(nullif(a.application_name, ''), a.backend_type, '') AS application,
           coalesce(a.usename, '') AS role,
           CASE WHEN a.client_addr IS NOT NULL THEN host(a.client_addr)
                WHEN a.backend_start IS NOT NULL THEN 'local' ELSE '' END AS client,
           coalesce(a.state, '') AS state,
           extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start))::float8
               AS age,
           coalesce(a.query, '') AS query, l.locktype, l.mode, l.granted,
           CASE WHEN l.granted THEN '{}' ELSE pg_catalog.pg_blocking_pids(l.pid) END AS awaited
    FROM here l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    ORDER BY age DESC NULLS LAST, l.pid, l.granted DESC, l.mode
"""
_HINDERS_ROW_WRITES = frozenset(
    ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]
    + ["RowShareLock", "RowExclusiveLock"]
)
"""Table lock modes with which a session can keep an UPDATE waiting: those that conflict with ROW EXCLUSIVE
(PostgreSQL's table 13.2), and those that come with a lock on a row: ROW SHARE (``SELECT ... FOR UPDATE``) and
ROW EXCLUSIVE itself (an uncommitted change)."""


def of(connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]) -> tuple[Blocker, ...]:
    """Read in one query: see :func:`alembic_rescue.connection.sessions.blockers`."""
    sessions: dict[int, list[dict[str, Any]]] = {}
    for lock in query(connection, _LOCKS, table=table, own=[0, *own]):
        sessions.setdefault(lock["pid"], []).append(lock)
    return tuple(_blocker(locks, table, hide) for locks in sessions.values())


def _blocker(locks: list[dict[str, Any]], table: str, hide: Callable[[str], str]) -> Blocker:
    one = locks[0]
    hinders = any(lk["locktype"] == "relation" and lk["granted"] and lk["mode"] in _HINDERS_ROW_WRITES for lk in locks)
    hidden = not one["state"]
    return Blocker(
        pid=one["pid"],
        application=hide(one["application"]) or NOT_SHOWN,
        role=one["role"],
        client=one["client"] or NOT_SHOWN,
        state=one["state"] or NOT_SHOWN,
        age_seconds=None if one["age"] is None else round(float(one["age"]), 1),
        query="" if hidden else shortened(one["query"], hide),
        locks=tuple(dict.fromkeys(_mode(lock) for lock in locks if lock["granted"] and lock["locktype"] != "tuple")),
        awaits=tuple(dict.fromkeys(_mode(lock) + _held_by(lock) for lock in locks if not lock["granted"])),
        blocks=(table,) if hinders else (),
        end_command=f"SELECT pg_terminate_backend({one['pid']});",
    )


def _mode(lock: Mapping[str, Any]) -> str:
    kinds = {"advisory": "advisory lock", "transactionid": "a row", "tuple": "a row"}
    return kinds.get(lock["locktype"], str(lock["mode"]))


def _held_by(lock: Mapping[str, Any]) -> str:
    return f" (after {', '.join(f'pid {pid}' for pid in sorted(set(lock['awaited'])))})" if lock["awaited"] else ""
