"""Who holds or awaits a lock on the version table or an advisory lock in its database, and whom they wait for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from alembic_rescue.dialects.blockers import NOT_SHOWN, shortened
from alembic_rescue.dialects.cursor import query
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.model import Blocker, Wait

RESCUE_LOCK = 0x616C656D_62696372
"""The key of the advisory lock ("alembicr").  PostgreSQL keeps advisory locks per database.  While it is held, an
alembic-rescue is between its last look and its verification.  ``pg_locks`` shows its halves, 1634493805 and
1651073906."""
RESCUE = "alembic-rescue"
"""The application name of an alembic-rescue session that writes."""
_A_RESCUE_TAKES = 120
"""Seconds.  An older session may be left over from a machine that is gone."""
_LOCKS = unshadowed("""
    WITH locks AS (
        SELECT l.pid, l.locktype, l.mode, l.granted, l.virtualtransaction,
               ROW(l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid,
                   l.objid, l.objsubid)::text AS thing,
               l.database = d.oid AND l.locktype = 'advisory' AS is_advisory,
               l.database = d.oid AND l.locktype = 'advisory' AND l.objsubid = 1
               AND l.classid::int8 = 1634493805::int8 AND l.objid::int8 = 1651073906::int8 AS is_rescue,
               l.database = d.oid AND l.relation IS NOT NULL AND l.relation = to_regclass(:table)::oid AS of_table,
               CASE WHEN l.database = d.oid AND l.locktype = 'relation' THEN l.relation::regclass::text END AS name
          FROM pg_locks l JOIN pg_database d ON d.datname = current_database()
    ), prepared AS (
        SELECT l.virtualtransaction, x.gid, x.owner::text AS role, x.database::text AS database,
               extract(epoch FROM (clock_timestamp() - x.prepared))::float8 AS age
          FROM pg_locks l JOIN pg_prepared_xacts x ON x.transaction = l.transactionid
         WHERE l.pid IS NULL AND l.locktype = 'transactionid'
    )
    SELECT l.pid, l.locktype, l.mode, l.granted, l.thing, coalesce(l.is_advisory, false) AS is_advisory,
           coalesce(l.of_table, false) AS of_table, coalesce(l.is_rescue, false) AS is_rescue,
           l.name, p.gid, p.role, p.database, p.age,
           CASE WHEN l.granted THEN '{}'::int4[] ELSE pg_blocking_pids(l.pid) END AS after
      FROM locks l LEFT JOIN prepared p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
     WHERE (l.of_table OR l.is_advisory OR l.thing = ANY (SELECT w.thing FROM locks w WHERE NOT w.granted))
       AND (l.pid IS NULL OR l.pid <> pg_backend_pid())
     ORDER BY l.granted DESC, l.mode
""")
"""The locks on the version table, advisory locks, and all locks on anything that a session waits for.  Every role can
see them.  For a prepared transaction, which has no process, ``pg_blocking_pids`` returns 0."""
_SESSIONS = unshadowed("""
    SELECT pid, application_name AS application, coalesce(backend_type, '') AS kind,
           coalesce(usename::text, '') AS role,
           CASE WHEN client_addr IS NOT NULL THEN host(client_addr)
                WHEN backend_start IS NOT NULL THEN 'local' ELSE '' END AS client, coalesce(state, '') AS state,
           extract(epoch FROM (clock_timestamp() - coalesce(xact_start, query_start, backend_start)))::float8 AS age,
           coalesce(query, '') AS query
      FROM pg_stat_activity WHERE pid = ANY (ARRAY[{pids}])
""")
_SHUTS_OUT_WRITERS = frozenset(["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"])
"""Table lock modes that conflict with ROW EXCLUSIVE (PostgreSQL's table 13.2), held or awaited: a later request queues
after one that is waiting."""
_COMES_WITH_ROWS = frozenset(["RowShareLock", "RowExclusiveLock"])
"""Table lock modes that accompany a row lock: from ``SELECT ... FOR UPDATE`` or an uncommitted change."""
_UNSEEN_KINDS = frozenset(["tuple", "virtualxid"])
"""Lock types held only briefly, or by every session."""

Lock = Mapping[str, Any]
Holder = int | str
"""A session's process id, or the name of a prepared transaction."""


def of(connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]) -> tuple[Blocker, ...]:
    """Return the blockers, and those that they wait for: see :func:`alembic_rescue.connection.sessions.blockers`.

    Takes one query, and a second if there are any sessions.
    """
    locks = _Locks(lock for lock in query(connection, _LOCKS, table=table) if lock["pid"] not in own)
    concerned = {holder for holder, held in locks.by_holder.items() if any(_concerns(lock) for lock in held)}
    hindering = {holder for holder in concerned if any(_hinders(lock) for lock in locks.by_holder[holder])}
    hindering |= locks.before(hindering)
    blocks = dict.fromkeys(hindering, (table,))
    return _blockers(connection, locks, concerned | locks.before(concerned), blocks, hide)


def wait_of(
    connection: Connection, pid: int, table: str, hide: Callable[[str], str], own: Collection[int]
) -> Wait | None:
    """Return what the session `pid` waits for; see :meth:`alembic_rescue.dialects.base.Server.wait_of`."""
    locks = _Locks(query(connection, _LOCKS, table=table))
    awaited = next((lock for lock in locks.by_holder.get(pid, ()) if not lock["granted"]), None)
    before = locks.before([pid]) - {pid}
    if awaited is None or not before:
        return None
    what = _awaited(awaited, locks.by_holder[pid])
    of_table = "the version table" in what
    blocks = dict.fromkeys(before, (table if of_table else what.removeprefix("the lock on "),))
    return Wait(what, _blockers(connection, locks, before, blocks, hide, own))


class _Locks:
    """Locks by holder or waiter, and who waits for whom."""

    def __init__(self, locks: Iterable[Lock]) -> None:
        self.by_holder: dict[Holder, list[Lock]] = {}
        prepared: dict[str, set[Holder]] = {}
        for lock in locks:
            holder = lock["pid"] if lock["pid"] is not None else lock["gid"]
            if holder is not None:
                self.by_holder.setdefault(holder, []).append(lock)
            if lock["gid"] is not None:
                prepared.setdefault(lock["thing"], set()).add(lock["gid"])
        self._after: dict[Holder, set[Holder]] = {
            holder: {
                one
                for lock in held
                for pid in lock["after"]
                for one in ([pid] if pid else prepared.get(lock["thing"], ()))
            }
            for holder, held in self.by_holder.items()
        }

    def after(self, holder: Holder) -> set[Holder]:
        """Return those that `holder` waits for directly."""
        return self._after.get(holder, set())

    def before(self, holders: Iterable[Holder]) -> set[Holder]:
        """Return all that these wait for, directly or indirectly."""
        found: set[Holder] = set()
        todo = {one for holder in holders for one in self.after(holder)}
        while todo:
            found |= todo
            todo = {one for holder in todo for one in self.after(holder)} - found
        return found

    def waiting_for(self, holder: Holder, own: Collection[int]) -> int:
        """Count the sessions that wait for `holder`, directly or indirectly, without the tool's `own` sessions."""
        others = self._after.keys() - {holder, *own}
        return sum(holder in self.before([one]) for one in others)


def _concerns(lock: Lock) -> bool:
    return bool(lock["of_table"] or lock["is_advisory"])


def _hinders(lock: Lock) -> bool:
    """Whether the lock blocks an UPDATE of the version table."""
    modes = _SHUTS_OUT_WRITERS | (_COMES_WITH_ROWS if lock["granted"] else frozenset())
    return bool(lock["of_table"]) and lock["locktype"] == "relation" and lock["mode"] in modes


def _awaited(lock: Lock, held: Iterable[Lock]) -> str:
    """Describe what a lock is on, for a sentence."""
    if lock["locktype"] == "advisory":
        return "an advisory lock"
    if lock["locktype"] in {"transactionid", "tuple"}:
        rows = "a row of the version table" if any(one["of_table"] for one in held) else "a row"
        return f"the lock on {rows}"
    named = lock["name"] or f"something ({lock['locktype']})"
    return f"the lock on the version table {named}" if lock["of_table"] else f"the lock on {named}"


def _blockers(
    connection: Connection,
    locks: _Locks,
    holders: Collection[Holder],
    blocks: Mapping[Holder, tuple[str, ...]],
    hide: Callable[[str], str],
    own: Collection[int] = (),
) -> tuple[Blocker, ...]:
    """Build the blockers: those that wait for nobody first, then by age, oldest first."""
    pids = sorted(holder for holder in holders if isinstance(holder, int))
    found = query(connection, _SESSIONS.format(pids=", ".join(map(str, pids)))) if pids else []
    sessions = {one["pid"]: one for one in found}
    told = []
    for holder in holders:
        held = locks.by_holder.get(holder, [])
        common = {
            "locks": _each(_mode(lock) for lock in held if lock["granted"] and lock["locktype"] not in _UNSEEN_KINDS),
            "awaits": _each(_mode(lock) + _after(locks.after(holder)) for lock in held if not lock["granted"]),
            "blocks": blocks.get(holder, ()),
            "waiting": locks.waiting_for(holder, own),
            "is_rescue": any(lock["is_rescue"] and lock["granted"] for lock in held),
        }
        if isinstance(holder, str):
            told.append(_prepared(held[0], common))
        elif holder in sessions:
            told.append(_session(sessions[holder], common, hide, is_own=holder in own))
    return tuple(sorted(told, key=lambda one: (bool(one.awaits), -(one.age_seconds or 0), str(one.pid))))


def _session(one: Mapping[str, Any], common: dict[str, Any], hide: Callable[[str], str], *, is_own: bool) -> Blocker:
    note = _of_the_servers(one)
    is_rescue = common["is_rescue"] or one["application"] == RESCUE
    is_left_alone = is_own or (is_rescue and (one["age"] or 0) < _A_RESCUE_TAKES)
    if is_own:
        note = "env.py opened it and is waiting for itself"
    elif is_rescue:
        note = "another alembic-rescue; let it finish"
    return Blocker(
        pid=one["pid"],
        application=hide(one["application"] or one["kind"]) or NOT_SHOWN,
        role=one["role"],
        client=one["client"] or NOT_SHOWN,
        state=one["state"] or NOT_SHOWN,
        age_seconds=None if one["age"] is None else round(float(one["age"]), 1),
        query=shortened(one["query"], hide) if one["state"] else "",
        end_command="" if common["awaits"] or is_left_alone else f"SELECT pg_terminate_backend({one['pid']});",
        note=note,
        **{**common, "is_rescue": is_rescue},
    )


def _of_the_servers(session: Mapping[str, Any]) -> str:
    """Describe a server process, which has no role; its activity is visible to few roles."""
    if session["role"]:
        return ""
    if "to prevent wraparound" in session["query"]:
        return "autovacuum to prevent transaction id wraparound; let it finish, because if you end it, it soon restarts"
    gives_way = "yields by itself to a session that waits longer than deadlock_timeout (1 s)"
    if session["kind"] == "autovacuum worker":
        return f"autovacuum, which {gives_way}"
    return f"a server process, probably autovacuum, which {gives_way} unless it prevents wraparound"


def _prepared(lock: Lock, common: dict[str, Any]) -> Blocker:
    gid = lock["gid"].replace("'", "''")
    return Blocker(
        pid=None,
        application=f"prepared transaction '{gid}'",
        role=lock["role"],
        client="no session",
        state="prepared",
        age_seconds=round(float(lock["age"]), 1),
        query="",
        end_command=f"ROLLBACK PREPARED '{gid}';",
        note="it outlives its session and a restart, and waits for COMMIT PREPARED or ROLLBACK PREPARED, in the "
        f"database {lock['database']} and by its role or a superuser",
        **common,
    )


def _each(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _mode(lock: Lock) -> str:
    kinds = {"advisory": "advisory lock", "transactionid": "a row", "tuple": "a row"}
    of_another = f" on {lock['name']}" if lock["name"] and not lock["of_table"] else ""
    return kinds.get(lock["locktype"], f"{lock['mode']}{of_another}")


def _after(holders: Collection[Holder]) -> str:
    named: Sequence[str] = sorted(
        f"pid {one}" if isinstance(one, int) else f"the prepared transaction {one}" for one in holders
    )
    return f" (after {', '.join(named)})" if named else ""
