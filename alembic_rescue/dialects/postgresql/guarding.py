"""SQL that keeps other upgrades out of a PostgreSQL database, and that shows whether anything was committed."""

from __future__ import annotations

import re

from alembic_rescue.dialects.postgresql import blockers
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.dialects.statements import POSTGRESQL, tokens

_KEYS = "1634493805::int4, 1651073906::int4"
"""The two halves of the rescue lock's key; as a pair of integers they name a different lock."""
_OF_THE_LOCK = (
    "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid::int8 = 1634493805::int8 "
    "AND l.objid::int8 = 1651073906::int8 AND d.datname = current_database()"
)


def _settings(only_if: str, **wanted: str) -> str:
    """Return the statement that sets these for the session; settings that the server does not have are skipped."""
    values = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
    found = f"SELECT set_config(s.name, w.column2, false) FROM pg_settings s JOIN (VALUES {values}) w"  # noqa: S608 - constants
    return unshadowed(f"{found} ON s.name = w.column1 WHERE {only_if}")


_NOTICES_LOST_CLIENTS = {"tcp_keepalives_idle": "60", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
"""If the client machine is gone, its session ends after 90 seconds, and its locks with it."""
STAYS = _settings("true", application_name=blockers.RESCUE, idle_session_timeout="0", **_NOTICES_LOST_CLIENTS)
"""Settings of the session that holds the lock for the whole upgrade."""
HOLD_LOCK = unshadowed(f"SELECT pg_try_advisory_lock({blockers.RESCUE_LOCK}::int8)")
AT_WORK = unshadowed(f"""
    SELECT l.pid, CASE WHEN a.client_addr IS NOT NULL THEN host(a.client_addr)
                       WHEN a.backend_start IS NOT NULL THEN 'local' ELSE '' END,
           extract(epoch FROM (clock_timestamp() - a.backend_start))::float8
      FROM pg_locks l JOIN pg_database d ON d.oid = l.database LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE {_OF_THE_LOCK} AND l.pid <> pg_backend_pid()
""")  # noqa: S608 - constants
ALONE = unshadowed(f"SELECT pg_try_advisory_lock({_KEYS})")
NOT_ALONE = unshadowed(f"SELECT pg_advisory_unlock({_KEYS})")
OF_MIGRATIONS = (
    _settings("true", **_NOTICES_LOST_CLIENTS),
    _settings("s.setting = '0'", client_connection_check_interval="1000"),
    unshadowed(f"SELECT pg_try_advisory_lock_shared({_KEYS})"),
)
"""Settings of each session in which migrations run: it is detectable by others, and ends soon after its client."""
OF_A_TRANSACTION = unshadowed(f"SELECT pg_try_advisory_xact_lock_shared({_KEYS})")
"""Makes a transaction detectable by others, likewise."""

_CONCURRENTLY = re.compile(
    r"\s*(?:(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX|REINDEX\b[^;]*?|ALTER\s+TABLE\b[^;]*?\bDETACH\b[^;]*?)\s+CONCURRENTLY\b",
    re.IGNORECASE,
)
TRANSACTION = unshadowed("SELECT txid_current()::text")
"""Gives it an id if it has none yet."""
INVALID_INDEXES = unshadowed("""
    SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE NOT i.indisvalid AND c.relkind = 'i'
       AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
     ORDER BY 1
""")
"""Without those of partitioned tables, invalid until each partition has its own, and without those being built."""
IS_COMMITTED = unshadowed("SELECT txid_status({transaction}::int8) = 'committed'")


def lock_timeout(seconds: float) -> str:
    """Return the statement that sets ``lock_timeout``, unless the project's own is shorter."""
    milliseconds = round(seconds * 1000)
    longer = f"(s.setting::int8 = 0::int8 OR s.setting::int8 > {milliseconds}::int8)"
    return _settings(longer, lock_timeout=str(milliseconds))


def is_concurrent(statement: str) -> bool:
    """Return whether a statement waits for other transactions without keeping anybody out of the table.

    If it gives up, it leaves an invalid index or a partition that is detached by half.
    """
    if not re.search("concurrently", statement, re.IGNORECASE):
        return False
    return _CONCURRENTLY.match(" ".join(token.text for token in tokens(statement, POSTGRESQL))) is not None


def no_lock_timeout(seconds: float) -> str:
    """Return the statement that lifts the ``lock_timeout`` of :func:`lock_timeout`; another one stays."""
    return _settings(f"s.setting::int8 = {round(seconds * 1000)}::int8", lock_timeout="0")


_PARTS = (
    ("pg_namespace c", "c.oid", "c.nspname !~ '^pg_(toast|temp)'"),
    ("pg_class c", "c.oid", "c.relpersistence <> 't' AND c.relkind <> 't'"),
    ("pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace", "c.oid", "n.nspname !~ '^pg_(toast|temp)'"),
    *(
        (f"{catalog} c JOIN pg_class r ON r.oid = c.{column}", f"c.{column}", _LASTS)
        for _LASTS in ("r.relpersistence <> 't' AND r.relkind <> 't' AND r.oid::int8 >= 16384::int8",)
        for catalog, column in (
            ("pg_attribute", "attrelid"),
            ("pg_attrdef", "adrelid"),
            ("pg_constraint", "conrelid"),
            ("pg_index", "indrelid"),
            ("pg_inherits", "inhrelid"),
            ("pg_policy", "polrelid"),
            ("pg_rewrite", "ev_class"),
            ("pg_sequence", "seqrelid"),
            ("pg_trigger", "tgrelid"),
            ("pg_foreign_table", "ftrelid"),
        )
    ),
    ("pg_constraint c", "c.oid", "c.conrelid::int8 = 0::int8"),
    *(
        (f"{catalog} c", "c.oid", "c.oid::int8 >= 16384::int8")
        for catalog in (
            *("pg_cast", "pg_collation", "pg_conversion", "pg_default_acl", "pg_enum", "pg_event_trigger"),
            *("pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server", "pg_language", "pg_opclass"),
            *("pg_operator", "pg_opfamily", "pg_proc", "pg_publication", "pg_statistic_ext", "pg_transform"),
            *("pg_ts_config", "pg_ts_dict", "pg_ts_parser", "pg_ts_template"),
        )
    ),
    ("pg_description c", "c.objoid", "c.objoid::int8 >= 16384::int8"),
    ("pg_publication_rel c", "c.oid", "true"),
)
FINGERPRINT = unshadowed(
    " UNION ALL ".join(
        f"SELECT {number}::int4, count(*), sum(hashtext(concat({key}::text, ' ', c.xmin::text))::int8) "  # noqa: S608
        f"FROM {tables} WHERE {which}"
        for number, (tables, key, which) in enumerate(_PARTS)
    )
)
"""Changes with each commit, because a new row carries another transaction id.  VACUUM and ANALYZE do not change it."""
