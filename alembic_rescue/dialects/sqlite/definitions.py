"""The facts of an object, from the text of the statement that created it.  Pure.

SQLite's catalog is that text; ALTER TABLE rewrites the parts that it changes, with its own quotes.  Nothing of the text
is left out: what has no fact of its own is in ``definition``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from alembic_rescue.dialects.definitions import TRUE, clauses, opening, parts, quoted
from alembic_rescue.dialects.sqlite.keywords import KEYWORDS
from alembic_rescue.dialects.statements import SQLITE, Sort, Token, tokens
from alembic_rescue.evidence.observation import Catalog, CatalogObject

_PLAIN = re.compile(r"[^\W\d][\w$]*")
_CONSTRAINTS = frozenset(["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"])
_CLAUSES = frozenset(
    ["CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"]
)
_NO_SPACE_BEFORE = frozenset([")", ",", ".", ";"])
_NO_SPACE_BEHIND = frozenset(["(", "."])


@lru_cache(maxsize=20_000)
def objects(kind: str, name: str, table: str, sql: str) -> Catalog:
    """Return the object of one row of ``sqlite_master``, and the objects that belong to it.

    Args:
        kind: as in the row: ``table``, ``index``, ``view`` or ``trigger``.
        table: the object's table; its own name, if it is a table.
    """
    of = list(tokens(sql, SQLITE))
    parent = quoted(table)
    if kind == "table" and of[1].word != "TABLE":
        return {CatalogObject("virtual table", quoted(name)): {"definition": text(of)}}
    if kind == "table":
        return dict(_table(parent, of))
    if kind == "view":
        return {CatalogObject(kind, quoted(name)): _view(of)}
    if kind == "trigger":
        return {CatalogObject(kind, f"{quoted(name)} on {parent}", parent): {"definition": text(of)}}
    return {CatalogObject(kind, quoted(name), parent): {"definition": _nameless(of)}}


def text(of: Sequence[Token]) -> str:
    """Write the tokens as normalized SQL: single spaces, keywords in upper case, quotes only if they are needed."""
    written, before = "", "("
    for token in of:
        is_call = token.word == "(" and before == "name"
        tight = is_call or before in _NO_SPACE_BEHIND or token.word in _NO_SPACE_BEFORE
        written += ("" if tight else " ") + _spelled(token)
        is_sign_of_number = token.word in {"-", "+"} and before not in {"name", "constant", ")"}
        before = "(" if is_sign_of_number else _role(token)
    return written


def _role(token: Token) -> str:
    """Return ``name``, the keyword or sign itself, or ``constant``."""
    if token.sort is Sort.NAME or (token.sort is Sort.WORD and token.word not in KEYWORDS):
        return "name"
    return token.word or "constant"


def _spelled(token: Token) -> str:
    if token.sort is Sort.NAME:
        name = _name(token)
        plain = _PLAIN.fullmatch(name) and name.upper() not in KEYWORDS
        return name if plain else '"' + name.replace('"', '""') + '"'
    if token.sort is Sort.WORD:
        return token.word if token.word in KEYWORDS else token.text
    return token.text


def _name(token: Token) -> str:
    """Return the name in a token without its quotes: SQLite accepts four kinds."""
    quote = token.text[0]
    if quote in "\"`'":
        return token.text[1:-1].replace(quote * 2, quote)
    return token.text[1:-1] if quote == "[" else token.text


def _nameless(of: Sequence[Token]) -> str:
    """Return the definition of an index without its name, so that a renamed index has the same one."""
    at = next(at for at, token in enumerate(of) if token.word == "ON")
    return f"{text(of[: at - 1])} * {text(of[at:])}"


def _view(of: Sequence[Token]) -> dict[str, str]:
    """Return the facts of a view: its query is its definition, unless it has a list of column names."""
    at = next(at for at, token in enumerate(of) if token.word == "AS")
    columns, query = text(of[3:at]), text(of[at + 1 :])
    return {"columns": columns, "query": query} if columns else {"definition": query}


def _table(name: str, of: Sequence[Token]) -> Iterator[tuple[CatalogObject, dict[str, str]]]:
    columns, end = parts(of, opening(of))
    options = (text(option).lower() for option in parts(of, end)[0])
    yield CatalogObject("table", name), {option: TRUE for option in options if option}
    for part in columns:
        if part[0].word in _CONSTRAINTS:
            yield from (_constraint(name, *_named(clause)) for clause in clauses(part, _CONSTRAINTS, _goes_on))
        else:
            yield from _column(name, part)


def _goes_on(clause: Sequence[Token], word: str, following: str) -> bool:
    """Whether the word continues the clause: CONSTRAINT a CHECK, NOT NULL, SET NULL, DEFAULT NULL, ALWAYS AS."""
    last = clause[-1].word
    if (word, following) == ("NOT", "DEFERRABLE"):
        return True
    if last == "DEFAULT":
        return len(clause) == 1 or clause[-2].word != "SET"
    named = clause[0].word == "CONSTRAINT" and len(clause) <= 2  # noqa: PLR2004 - the word and the name
    return named or last in {"SET", "NOT", "ALWAYS"}


def _named(clause: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """Return the name of a constraint, if it has one, and its definition."""
    if clause[0].word == "CONSTRAINT" and len(clause) > 2:  # noqa: PLR2004 - the word and the name
        return quoted(_name(clause[1])), clause[2:]
    return "", clause


def _constraint(table: str, name: str, says: Sequence[Token] | str) -> tuple[CatalogObject, dict[str, str]]:
    """Name a constraint without a name by its definition: two of a table with the same definition are one."""
    definition = says if isinstance(says, str) else text(says)
    return CatalogObject("table constraint", f"{name or definition} on {table}", table), {"definition": definition}


def _column(table: str, part: Sequence[Token]) -> Iterator[tuple[CatalogObject, dict[str, str]]]:
    """Yield a column, then the constraints in its definition, as constraints of the table."""
    facts: dict[str, str] = {}
    constraints = []
    said = list(clauses(part[1:], _CLAUSES, _goes_on))
    if said and said[0][0].word not in _CLAUSES:
        facts["type"] = text(said.pop(0)).upper()
    for name, says in map(_named, said):
        definition = _of_table(text(part[:1]), says)
        if definition:
            constraints.append(_constraint(table, name, definition))
        else:
            fact, value = _fact(says)
            facts[fact] = f"{facts[fact]} {value}" if fact in facts else value
    facts.pop("", None)
    yield CatalogObject("table column", f"{table}.{quoted(_name(part[0]))}", table), facts
    yield from constraints


def _of_table(column: str, clause: Sequence[Token]) -> str:
    """Write a column's constraint as a table constraint; empty if the clause is not a constraint."""
    first = clause[0].word
    if first == "CHECK":
        return text(clause)
    if first == "REFERENCES":
        return f"FOREIGN KEY ({column}) {text(clause)}"
    if first == "UNIQUE":
        return f"UNIQUE ({column}) {text(clause[1:])}".rstrip()
    if first != "PRIMARY":
        return ""
    rest = [token for token in clause[2:] if token.word != "ASC"]
    counted = " AUTOINCREMENT" if any(token.word == "AUTOINCREMENT" for token in rest) else ""
    rest = [token for token in rest if token.word != "AUTOINCREMENT"]
    return f"PRIMARY KEY ({column}{counted}) {text(rest)}".rstrip()


def _without_parentheses(of: Sequence[Token]) -> Sequence[Token]:
    """Remove the parentheses around a constant, which change nothing: batch mode adds them to CURRENT_TIMESTAMP."""
    inner = of[1:-1]
    number = len(inner) == 2 and inner[0].word in {"-", "+"} and inner[1].sort is Sort.NUMBER  # noqa: PLR2004
    constant = len(inner) == 1 and inner[0].sort is not Sort.NAME
    return inner if of[0].word == "(" and of[-1].word == ")" and (constant or number) else of


def _fact(clause: Sequence[Token]) -> tuple[str, str]:
    words = [token.word for token in clause[:2]]
    if words == ["NOT", "NULL"]:
        return "not null", text(clause[2:]) or TRUE
    if words[0] == "NULL" and len(clause) == 1:
        return "", ""
    if words[0] == "DEFAULT":
        return "default", text(_without_parentheses(clause[1:]))
    if words[0] == "COLLATE":
        return "collation", text(clause[1:])
    if words[0] in {"GENERATED", "AS"}:
        said = text(clause[next(at for at, token in enumerate(clause) if token.word == "AS") + 1 :])
        return "generated", said if said.endswith(" STORED") else f"{said.removesuffix(' VIRTUAL')} VIRTUAL"
    return "definition", text(clause)
