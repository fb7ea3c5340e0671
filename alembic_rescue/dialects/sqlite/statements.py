"""SQLite's statements, classified by their text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from alembic_rescue.dialects.statements import SQLITE, Sort, Token, fills, main_verb, split, statements, strongest
from alembic_rescue.evidence.observation import StatementKind

QUERY, SESSION, CATALOG, DATA = StatementKind

LEFT_OVER = "_alembic_tmp_"
"""The prefix of batch mode's copy of a table; the table's name follows."""

_VERBS = frozenset(["SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"])
_BY_FIRST_WORD = {
    **dict.fromkeys(["SELECT", "VALUES", "EXPLAIN"], QUERY),
    **dict.fromkeys(["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "DETACH"], SESSION),
    **dict.fromkeys(["CREATE", "ALTER", "DROP"], CATALOG),
}
"""All other words may change what no catalog shows: rows, statistics, the file, an attached database."""
_LASTING_PRAGMAS = frozenset(["USER_VERSION", "APPLICATION_ID", "AUTO_VACUUM", "ENCODING", "PAGE_SIZE", "JOURNAL_MODE"])
"""Settings of the database itself, which the catalog reader reads."""
_WRITING_PRAGMAS = frozenset(
    ["INCREMENTAL_VACUUM", "OPTIMIZE", "SCHEMA_VERSION", "DEFAULT_CACHE_SIZE", "WAL_CHECKPOINT"]
)
_READING_PRAGMAS = re.compile(r"\w+_(INFO|XINFO|LIST|CHECK)\Z|INTEGRITY_CHECK\Z")
_WRITING_FUNCTIONS = frozenset(["LOAD_EXTENSION", "WRITEFILE", "EDIT", "FTS3_TOKENIZER"])

_COLUMN = r"(?:n \. )?n"
_MOVED = rf"(?:{_COLUMN}|CAST \( {_COLUMN} AS n(?: n)*(?: \( 0(?: , 0)* \))? \))(?: AS n)?"
_BATCH_COPY = re.compile(rf"INSERT INTO n \( n(?: , n)* \) SELECT {_MOVED}(?: , {_MOVED})* FROM n")  # noqa: S608 - a pattern
_KEPT = frozenset(["INSERT", "INTO", "SELECT", "CAST", "AS", "FROM"])
_CONSTANTS = frozenset(["NULL", "TRUE", "FALSE", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"])


def split_script(sql: str) -> list[str]:
    """Split a script into statements, without their semicolons."""
    return split(sql, SQLITE)


def kind_of(sql: str) -> StatementKind:
    """Return the strongest kind of the statements in `sql`, which may be a script."""
    return strongest(_kind(statement) for statement in statements(sql, SQLITE))


def _kind(statement: Sequence[Token]) -> StatementKind:
    words = [token.word for token in statement]
    first = main_verb(statement, _VERBS) if words[0] == "WITH" else words[0]
    if first == "PRAGMA":
        return _pragma(words)
    if first in {"CREATE", "DROP"} and words[1:2] and words[1] in {"TEMP", "TEMPORARY"}:
        return SESSION
    if first == "CREATE" and words[1:2] == ["TABLE"] and fills(statement):
        return DATA
    if first == "INSERT" and _is_batch_copy(statement):
        return CATALOG
    kind = _BY_FIRST_WORD.get(first, DATA)
    return DATA if kind is QUERY and not _WRITING_FUNCTIONS.isdisjoint(words) else kind


def _pragma(words: Sequence[str]) -> StatementKind:
    name = words[3] if words[2:3] == ["."] else words[1] if words[1:] else ""
    if name in _WRITING_PRAGMAS:
        return DATA
    if _READING_PRAGMAS.match(name) or not {"=", "("} & set(words):
        return QUERY
    return CATALOG if name in _LASTING_PRAGMAS else SESSION


def _is_batch_copy(statement: Sequence[Token]) -> bool:
    """Whether Alembic's batch mode copies a table's rows into its copy: all rows, each column unchanged or cast.

    They remain the table's rows: if the copy has replaced the table, the catalog proves that they were moved.
    """
    shape = " ".join(_shape(token) for token in statement)
    return bool(_BATCH_COPY.fullmatch(shape)) and _bare(statement[2]) == LEFT_OVER + _bare(statement[-1])


def _shape(token: Token) -> str:
    if token.sort is Sort.NUMBER:
        return "0"
    if token.sort is Sort.NAME or (token.sort is Sort.WORD and token.word not in _KEPT | _CONSTANTS):
        return "n"
    return token.word or "'"


def _bare(token: Token) -> str:
    return token.text[1:-1] if token.sort is Sort.NAME else token.text
