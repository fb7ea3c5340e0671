"""PostgreSQL's statements, classified by their text.  Pure.

Known statements are listed; all others count as data, which no catalog covers.  A function's name does not show what it
does: unknown names are in :attr:`Part.calls`, for callers that can ask a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from alembic_rescue.dialects.postgresql.harmless import is_harmless
from alembic_rescue.dialects.statements import POSTGRESQL, Sort, Token, split, statements, strongest, tokens
from alembic_rescue.evidence.observation import StatementKind

QUERY, SESSION, CATALOG, DATA = StatementKind
Tokens = Sequence[Token]

_KINDS = {
    **dict.fromkeys(["SHOW", "FETCH", "MOVE", "CLOSE"], QUERY),
    **dict.fromkeys(["SET", "RESET", "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT"], SESSION),
    **dict.fromkeys(["RELEASE", "LOCK", "DISCARD", "LISTEN", "UNLISTEN", "DEALLOCATE", "CHECKPOINT", "LOAD"], SESSION),
    **dict.fromkeys(["DROP", "GRANT", "REVOKE", "COMMENT", "SECURITY", "REASSIGN", "IMPORT"], CATALOG),
}
"""By the first keyword.  All others that are not parsed below are DATA: INSERT, CALL, COPY, REFRESH, VACUUM, NOTIFY."""
_QUERIES = frozenset(["SELECT", "VALUES", "TABLE", "WITH", "PERFORM", "DECLARE"])
_CHANGES_ROWS = frozenset(["INSERT", "UPDATE", "DELETE", "MERGE"])
_OF_THE_SERVER = frozenset(["DATABASE", "TABLESPACE", "SYSTEM"])
"""Objects that the catalogs of one database do not show, or not completely."""
_OF_OBJECTS = frozenset(["ALTER", "COMMENT", "GRANT", "REVOKE", "SECURITY"])
"""Statements that may be about a large object, which is data, like rows: its number differs between databases."""
_TEMPORARY = frozenset(["TEMP", "TEMPORARY"])
_BEGINS = frozenset(["", "(", ")", ";", "BEGIN", "THEN", "ELSE", "LOOP"])
"""After these, a row-changing keyword starts a statement; not so in ``FOR UPDATE`` and ``ON DELETE``."""


@dataclass(frozen=True)
class Part:
    """One statement of a script."""

    kind: StatementKind
    """Its kind by its keywords."""
    calls: frozenset[str] = frozenset()
    """The functions that it calls and whose effect the text does not show; without their schemas."""
    converts: bool = False
    """It changes a column's type with an expression that may change the values (``USING lower(v)``)."""

    @property
    def strongest(self) -> StatementKind:
        """The strongest kind that it may have."""
        return DATA if self.calls or self.converts else self.kind


def split_script(sql: str) -> list[str]:
    """Split a script into statements, without their semicolons."""
    return split(sql, POSTGRESQL)


def kind_of(sql: str) -> StatementKind:
    """Return the strongest kind of the statements in `sql`, which may be a script."""
    return strongest(part.strongest for part in parts(sql))


@lru_cache(maxsize=4096)
def parts(sql: str) -> tuple[Part, ...]:
    """Return the statements of a script, in order."""
    return tuple(_part(statement) for statement in statements(sql, POSTGRESQL))


def _part(statement: Tokens) -> Part:
    while _word(statement) == "(":
        statement = statement[1:]
    first, second = _word(statement), _word(statement, 1)
    if first in _OF_OBJECTS and "LARGE OBJECT" in " ".join(token.word for token in statement[1:]):
        return Part(DATA)
    if first == "EXPLAIN":
        return _explained(statement[1:])
    if first == "DO":
        return _block(statement[1:])
    if first in _QUERIES:
        return _query(statement)
    if first == "CREATE":
        return _create(statement)
    if first == "ALTER":
        return _alter(statement)
    if first == "PREPARE":
        return Part(DATA if second == "TRANSACTION" else SESSION)
    if second == "PREPARED" or (first == "DROP" and second in _OF_THE_SERVER):
        return Part(DATA)
    return Part(_KINDS.get(first, DATA))


def _explained(rest: Tokens) -> Part:
    """Classify an EXPLAIN: it runs its statement only with ANALYZE."""
    ends = (
        next((at + 1 for at, token in enumerate(rest) if token.word == ")"), len(rest))
        if _word(rest) == "("
        else next((at for at, one in enumerate(rest) if one.word not in {"ANALYZE", "ANALYSE", "VERBOSE"}), len(rest))
    )
    return _part(rest[ends:]) if _words(rest[:ends]) & {"ANALYZE", "ANALYSE"} else Part(QUERY)


def _query(statement: Tokens) -> Part:
    """Classify a query: it may change rows in a WITH, create a table with INTO, or call functions."""
    calls = _called(statement)
    for at, token in enumerate(statement):
        if token.word in _CHANGES_ROWS and _word(statement, at - 1) in _BEGINS:
            return Part(DATA, calls)
    into = next((at for at, token in enumerate(statement) if token.word == "INTO"), None)
    if into is None:
        return Part(QUERY, calls)
    return Part(SESSION if _word(statement, into + 1) in _TEMPORARY else CATALOG, calls)


def _create(statement: Tokens) -> Part:
    """Classify a CREATE: a table created from a query proves its rows too, because both exist or neither."""
    words = [token.word for token in statement[1:8]]
    head = _words(statement[1:4])
    if head & {"DATABASE", "TABLESPACE"} and "EVENT" not in head:
        return Part(DATA)
    if words[0:1] in (["ROLE"], ["USER"], ["GROUP"]) and "PASSWORD" in _words(statement):
        return Part(DATA)
    kind = SESSION if head & _TEMPORARY else CATALOG
    as_at = _outside_of_brackets(statement, "AS")
    if as_at is None or not ("TABLE" in head or "MATERIALIZED" in head):
        return Part(kind)
    query = _part(statement[as_at + 1 :])
    if kind is CATALOG and (query.kind is DATA or ("IF" in words and "EXISTS" in words)):
        return Part(DATA, query.calls)  # if it exists already, no row is written
    return Part(kind, query.calls)


def _alter(statement: Tokens) -> Part:
    words, of = _words(statement), _word(statement, 1)
    invisible = (
        of in {"SYSTEM", "TABLESPACE"}
        or (of in {"ROLE", "USER"} and "PASSWORD" in words)
        or (of in {"SEQUENCE", "TABLE"} and "RESTART" in words)
        or (of == "SUBSCRIPTION" and bool(words & {"REFRESH", "SKIP"}))
    )
    return Part(DATA if invisible else CATALOG, converts=of == "TABLE" and _converts(statement))


def _converts(statement: Tokens) -> bool:
    """Whether a ``TYPE ... USING`` is more than a cast of the column."""
    typed = False
    for at, token in enumerate(statement):
        typed = typed or token.word == "TYPE"
        if token.word == "USING" and typed and not _is_plain_cast(statement[at + 1 :]):
            return True
    return False


def _is_plain_cast(expression: Tokens) -> bool:
    """Whether the text up to the next comma is ``column``, ``column::text::type``, ``(column)::type(2)`` or similar."""
    depth, casts = 0, 0
    for at, token in enumerate(expression):
        if token.word == "," and not depth:
            return True
        depth += (token.word == "(") - (token.word == ")")
        casts += token.word == "::"
        follows_a_name = at > 0 and expression[at - 1].sort in {Sort.WORD, Sort.NAME}
        if token.word == "(" and follows_a_name and not casts:
            return False  # a function
        if token.sort is Sort.STRING or token.word in {"CASE", "COLLATE", "AND", "OR", "AT", "NULL"}:
            return False
        if token.sort is Sort.SIGN and token.word not in {"(", ")", "::", ".", "[", "]", ","}:
            return False
        if token.sort is Sort.NUMBER and not casts:
            return False
    return True


# --- DO blocks ---------------------------------------------------------------------------------------------------


def _block(rest: Tokens) -> Part:
    """Classify a DO block: PL/pgSQL is parsed as statements; SQL built at run time is data."""
    language = next((rest[at + 1].text for at, token in enumerate(rest[:-1]) if token.word == "LANGUAGE"), "plpgsql")
    body = next((_content(token) for token in rest if token.sort is Sort.STRING), "")
    if language.strip("\"'").lower() != "plpgsql":
        return Part(DATA)
    return _together([_within(piece) for piece in _pieces(list(tokens(body, POSTGRESQL)))])


def _together(found: Sequence[Part]) -> Part:
    return Part(
        strongest(part.kind for part in found),
        frozenset[str]().union(*(part.calls for part in found)),
        any(part.converts for part in found),
    )


def _pieces(body: Tokens) -> Iterator[Tokens]:
    """Split a block at semicolons and after THEN, ELSE, BEGIN, LOOP and DECLARE, except within a CASE."""
    piece: list[Token] = []
    depth = 0
    for token in body:
        depth += (token.word == "(") - (token.word == ")")
        in_case = sum(one.word == "CASE" for one in piece) > sum(one.word == "END" for one in piece)
        flows = token.word in {"BEGIN", "THEN", "ELSE", "LOOP", "DECLARE"} and not depth and not in_case
        if token.word == ";" or (flows and not (piece and piece[-1].word == "END")):
            yield piece
            piece = []
        else:
            piece.append(token)
    yield piece


def _within(piece: Tokens) -> Part:
    """Classify one piece of a block."""
    first = _word(piece)
    dynamic = next((at for at, token in enumerate(piece) if token.word == "EXECUTE"), None)
    if dynamic is not None and (dynamic == 0 or first in {"FOR", "FOREACH", "RETURN", "OPEN"}):
        return _executed(piece[dynamic + 1 :])
    if first in {"SELECT", "WITH"}:
        read = _query(piece)
        return read if read.kind is DATA else replace(read, kind=QUERY)  # its INTO is a variable
    if first in _STATEMENTS:
        return _part(piece)
    return Part(QUERY, _called(piece))  # declarations, assignments, conditions, RAISE


_STATEMENTS = frozenset(
    ["INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY", "CALL", "REFRESH", "PERFORM", "LOCK", "SET", "RESET"]
    + ["CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "SECURITY", "REASSIGN", "IMPORT", "NOTIFY", "CLUSTER"]
    + ["REINDEX", "ANALYZE", "VACUUM", "DO", "EXPLAIN", "DISCARD", "COMMIT", "ROLLBACK"]
)


def _executed(expression: Tokens) -> Part:
    """Classify ``EXECUTE 'ALTER ...' || x`` or ``EXECUTE format('ALTER ...', x)`` by the leading text."""
    constant = expression[2:] if _word(expression) == "FORMAT" else expression
    if not constant or constant[0].sort is not Sort.STRING:
        return Part(DATA)
    dynamic = _together(parts(" x ".join(_content(token) for token in constant if token.sort is Sort.STRING)))
    return replace(dynamic, calls=dynamic.calls | _called(expression))


def _content(token: Token) -> str:
    """Return the content of a string, without its quotes."""
    if token.text.startswith("$"):
        tag = token.text[: token.text.index("$", 1) + 1]
        return token.text.removeprefix(tag).removesuffix(tag)
    return token.text[token.text.index("'") + 1 :].removesuffix("'").replace("''", "'")


# --- words -------------------------------------------------------------------------------------------------------


def _called(statement: Tokens) -> frozenset[str]:
    """Return the names before a parenthesis that are not a keyword, a type or a function known to be harmless."""
    called = set()
    for at, token in enumerate(statement[:-1]):
        named = _word(statement, at - 1) in {"WITH", "RECURSIVE", "AS", "INTO"}  # a list of columns follows
        if token.sort in {Sort.WORD, Sort.NAME} and statement[at + 1].word == "(" and not named:
            name = token.text.lower() if token.sort is Sort.WORD else token.text.strip('"')
            if not is_harmless(name):
                called.add(name)
    return frozenset(called)


def _outside_of_brackets(statement: Tokens, word: str) -> int | None:
    """Return the index of the first such word outside parentheses: a list of columns may contain ``AS IDENTITY``."""
    depth = 0
    for at, token in enumerate(statement):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == word and not depth:
            return at
    return None


def _word(statement: Tokens, at: int = 0) -> str:
    return statement[at].word if 0 <= at < len(statement) else ""


def _words(statement: Tokens) -> set[str]:
    return {token.word for token in statement}
