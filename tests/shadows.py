"""A database in which somebody has put functions and operators ahead of the server's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import product
from pathlib import Path

import psycopg2

from tests.conftest import Database

_PACKAGE = Path(__file__).parents[1] / "alembic_rescue"
_NEARBY = ("text", "name", "oid", "regclass", '"char"', "integer", "bigint", "boolean", "character varying")
_OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "~", "!~", "||", "+", "-", "&", "~~")
_BODY = """
    CREATE FUNCTION public.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql SET search_path = '' AS $shadow$
    BEGIN
        RAISE LOG 'shadowed by {told}: %', pg_catalog.replace(pg_catalog.current_query(), E'\\n', ' ');
        RETURN {own};
    END $shadow$
"""
_THEIRS = re.compile(
    r"select pg_catalog.version\(\)|select current_schema\(\)|select t?\.?oid, typarray|BEGIN"
    r"|SELECT pg_catalog\.pg_class\.relname.*FROM pg_catalog\.pg_class JOIN pg_catalog\.pg_namespace"
    r"|(UPDATE|DELETE FROM|INSERT INTO) alembic_version",
    re.IGNORECASE,
)
"""What SQLAlchemy and Alembic send, whoever uses them."""


def put_shadows(database: Database) -> int:
    """Shadow everything that the tool's own SQL names in ``public``, which comes first.  Each use is logged.

    Returns:
        How many shadows there are.
    """
    words = {word for path in _PACKAGE.rglob("*.py") for word in re.findall(r"\b[a-z_0-9]+\b", path.read_text())}
    with psycopg2.connect(database.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.proname, p.proargtypes::regtype[]::text[], p.prorettype::regtype::text FROM pg_proc p"
            " WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND NOT p.proretset"
            " AND p.provariadic = 0 AND p.pronargs <= 3 AND p.proname = ANY (%s)",
            (sorted(words),),
        )
        wanted = [one for found in cursor.fetchall() for one in _functions(*found)]
        wanted += [_operator(*one) for one in product(_OPERATORS, _NEARBY, _NEARBY)]
        made = sum(_made(cursor, statements) for statements in wanted)
        cursor.execute(f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog")
    return made


def _made(cursor, statements: Iterable[str]) -> bool:
    cursor.execute("SAVEPOINT shadow")
    with suppress(psycopg2.Error):
        for statement in statements:
            cursor.execute(statement)
        return True
    cursor.execute("ROLLBACK TO SAVEPOINT shadow")
    return False


def _functions(name: str, kinds: list[str], result: str) -> Iterable[list[str]]:
    """With the same arguments, and with each type that fits the actual arguments better."""
    others = [_NEARBY[:4] if kind in _NEARBY[:4] else (kind,) for kind in kinds]
    for chosen in product(*others):
        given = ", ".join(f"${n}::pg_catalog.{kind}" for n, kind in enumerate(kinds, 1))
        own = f"pg_catalog.{name}({given})"
        arguments = ", ".join(f"a{n} {kind}" for n, kind in enumerate(chosen))
        yield [
            f"SELECT NULL::{result}",
            _BODY.format(name=name, arguments=arguments, result=result, told=name, own=own),
        ]


def _operator(name: str, left: str, right: str) -> list[str]:
    function = f'"shadow of {name} {left} {right}"'.replace('""', '"').replace('"char"', "char")
    own = f"$1 OPERATOR(pg_catalog.{name}) $2"
    result = "text" if name == "||" else "bigint" if name in {"+", "-", "&"} else "boolean"
    return [
        f"SELECT NULL::{left} OPERATOR(pg_catalog.{name}) NULL::{right}",
        _BODY.format(name=function, arguments=f"{left}, {right}", result=result, told=f"operator {name}", own=own),
        f"CREATE OPERATOR public.{name} (FUNCTION = public.{function}, LEFTARG = {left}, RIGHTARG = {right})",
    ]


def uses(database: Database, since: int) -> list[str]:
    """Return the shadows that the tool's own queries met, with the query; the log is read from `since` on."""
    with database.server.log.open(errors="replace") as log:
        log.seek(since)
        met = re.findall(r"LOG:  (shadowed by .+?): (.*)", log.read())
    return sorted({f"{shadow}: {query}" for shadow, query in met if not _THEIRS.match(query.strip())})
