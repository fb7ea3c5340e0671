"""The statement that drops an existing object that made another statement fail: for a copy only."""

from __future__ import annotations

import re

from alembic_rescue.dialects.postgresql.unshadowed import unshadowed

_NAME = r'"((?:[^"]|"")+)"'
_RELATION = """
    SELECT CASE WHEN con.oid IS NOT NULL
                THEN format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', con.conrelid::regclass, con.conname)
                ELSE format('DROP %s %s CASCADE', CASE WHEN c.relkind = 'r' OR c.relkind = 'p' THEN 'TABLE'
                    WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relkind = 'm' THEN 'MATERIALIZED VIEW'
                    WHEN c.relkind = 'S' THEN 'SEQUENCE' WHEN c.relkind = 'f' THEN 'FOREIGN TABLE'
                    WHEN c.relkind = 'c' THEN 'TYPE' ELSE 'INDEX' END, c.oid::regclass) END
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_constraint con ON con.conindid = c.oid AND con.contype = ANY (ARRAY['p', 'u', 'x'])
     WHERE c.relname = {0} AND {schema}"""
_TYPE = """
    SELECT format('DROP %s %s CASCADE', CASE WHEN t.typtype = 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.oid::regtype)
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
     WHERE t.typname = {0} AND {schema}"""
_FUNCTION = """
    SELECT format('DROP ROUTINE %s CASCADE', p.oid::regprocedure)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE p.proname = {0} AND {schema}"""
_ON_TABLE = """
    SELECT format('{what}', {0}, c.oid::regclass)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = {1} AND c.relkind = ANY (ARRAY['r', 'p', 'v', 'm', 'f']) AND {schema}"""
_OBSTACLES = (
    (rf"^relation {_NAME} already exists", _RELATION),
    (rf"^type {_NAME} already exists", _TYPE),
    (rf"^function {_NAME} already exists with same argument types", _FUNCTION),
    (
        rf"^column {_NAME} of relation {_NAME} already exists",
        _ON_TABLE.replace("{what}", "ALTER TABLE %2$s DROP COLUMN %1$I CASCADE"),
    ),
    (
        rf"^constraint {_NAME} for relation {_NAME} already exists",
        _ON_TABLE.replace("{what}", "ALTER TABLE %2$s DROP CONSTRAINT %1$I CASCADE"),
    ),
    (
        rf"^trigger {_NAME} for relation {_NAME} already exists",
        _ON_TABLE.replace("{what}", "DROP TRIGGER %1$I ON %2$s CASCADE"),
    ),
    (
        rf"^policy {_NAME} for table {_NAME} already exists",
        _ON_TABLE.replace("{what}", "DROP POLICY %1$I ON %2$s CASCADE"),
    ),
    (
        rf"^rule {_NAME} for relation {_NAME} already exists",
        _ON_TABLE.replace("{what}", "DROP RULE %1$I ON %2$s CASCADE"),
    ),
)


def query_for(error: str, sql: str) -> str | None:
    """Return a query whose rows are statements that drop the existing object that `sql` fails to create.

    One row is the answer.  With none or several, it is unknown which object of that name is meant.  Schemas and
    extensions are not covered: dropping them would drop too much else.

    Args:
        error: the server's message.
        sql: the statement.  A schema before the name in it counts, else the search path.
    """
    for says, query in _OBSTACLES:
        if found := re.search(says, error):
            names = [name.replace('""', '"') for name in found.groups()]
            schema = _schema_of(names[-1], sql)
            where = f"n.nspname = {_literal(schema)}" if schema else "n.nspname = ANY (current_schemas(false))"
            return unshadowed(query.format(*map(_literal, names), schema=where))
    return None


def _schema_of(name: str, sql: str) -> str | None:
    """Return the schema before `name` in a statement."""
    quoted = re.escape('"' + name.replace('"', '""') + '"')
    found = re.search(rf'(?:"((?:[^"]|"")+)"|(\b\w+))\s*\.\s*(?:{quoted}|{re.escape(name)}\b)', sql)
    if found is None:
        return None
    return found[1].replace('""', '"') if found[1] else found[2].lower()


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
