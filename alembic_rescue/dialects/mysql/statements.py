"""MySQL's and MariaDB's statements, classified by their text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from alembic_rescue.dialects.mysql.functions import HARMLESS
from alembic_rescue.dialects.statements import MYSQL, Sort, Token, fills, main_verb, split, statements, strongest
from alembic_rescue.evidence.observation import StatementKind

QUERY, SESSION, CATALOG, DATA = StatementKind

_VERBS = frozenset(["SELECT", "VALUES", "TABLE", "UPDATE", "DELETE", "INSERT", "REPLACE"])
_BY_FIRST_WORD = {
    **dict.fromkeys(["SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "HELP", "CHECKSUM"], QUERY),
    **dict.fromkeys(["SET", "DO", "USE", "START", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"], SESSION),
    **dict.fromkeys(["LOCK", "UNLOCK", "PREPARE", "DEALLOCATE"], SESSION),
    **dict.fromkeys(["CREATE", "ALTER", "DROP", "RENAME"], CATALOG),
}
"""All other words may change what no catalog shows: rows, grants, statistics, the server itself."""
_READ = frozenset(
    ["TABLE", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "PACKAGE", "EVENT", "SEQUENCE", "DATABASE", "SCHEMA"]
)
"""What the catalog reader reads: of databases only the settings, and only those of the session's database."""
_NOT_READ = frozenset(["USER", "ROLE", "SERVER", "TABLESPACE", "LOGFILE", "RESOURCE", "SPATIAL REFERENCE", "INSTANCE"])
_OF_SERVER = frozenset(["GLOBAL", "PERSIST", "PERSIST_ONLY"])
_OF_ROWS = frozenset(["TRUNCATE", "EXCHANGE", "IMPORT", "DISCARD", "KEYS", "RESTART"])
"""Words in an ALTER that change rows, counters or files, which the catalog reader does not read."""


def split_script(sql: str) -> list[str]:
    """Split a script into statements, without their semicolons."""
    return split(sql, MYSQL)


def kind_of(sql: str) -> StatementKind:
    """Return the strongest kind of the statements in `sql`, which may be a script."""
    return strongest(_kind(statement) for statement in statements(sql, MYSQL))


def _kind(statement: Sequence[Token]) -> StatementKind:
    words = [token.word for token in statement]
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words[:-1]:  # MariaDB: settings for the statement after FOR
        return _kind(statement[words.index("FOR") + 1 :])
    first = next((word for word in words if word != "("), "")
    if first == "WITH":
        first = main_verb(statement, _VERBS)
    if first == "ANALYZE" and "SELECT" in words[1:5]:  # MariaDB's EXPLAIN ANALYZE
        first = "SELECT"
    kind = _BY_FIRST_WORD.get(first, DATA)
    if kind is CATALOG:
        return _definition(statement, words)
    if _calls_the_unknown(statement) or (first == "SET" and _outlives_the_session(words)):
        return DATA
    if first == "BEGIN" and "ATOMIC" in words:  # MariaDB's block without a routine
        return DATA
    return _into(words) if kind is QUERY else kind


def _definition(statement: Sequence[Token], words: Sequence[str]) -> StatementKind:
    if "TEMPORARY" in words[1:4]:
        return SESSION
    made = next((word for word in words[1:] if word in _READ | _NOT_READ), "")
    lasts = "SONAME" in words or (made in {"DATABASE", "SCHEMA"} and words[0] != "ALTER")
    if made not in _READ or lasts or (made == "TABLE" and words[0] == "CREATE" and fills(statement)):
        return DATA
    counter = any(
        token.word == "AUTO_INCREMENT" and (following.word == "=" or following.sort is Sort.NUMBER)
        for token, following in pairwise(statement)
    )
    return DATA if words[0] == "ALTER" and (counter or not _OF_ROWS.isdisjoint(words)) else CATALOG


def _outlives_the_session(words: Sequence[str]) -> bool:
    return not _OF_SERVER.isdisjoint(words) or words[1:2] == ["PASSWORD"] or words[1:3] == ["DEFAULT", "ROLE"]


def _into(words: Sequence[str]) -> StatementKind:
    if "OUTFILE" in words or "DUMPFILE" in words:
        return DATA
    return SESSION if "INTO" in words else QUERY


def _calls_the_unknown(statement: Sequence[Token]) -> bool:
    """Whether it calls a function that is not one of the servers' harmless ones: a stored one may write."""
    return any(
        (following.word == "(" and _is_unknown(token)) or (token.word, following.word) == ("NEXT", "VALUE")
        for token, following in pairwise(statement)
    )


def _is_unknown(token: Token) -> bool:
    return token.sort is Sort.NAME or (token.sort is Sort.WORD and token.word not in HARMLESS)
