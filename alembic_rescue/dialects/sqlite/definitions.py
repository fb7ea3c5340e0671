"""From the text of the statement that made an object to its facts.  Pure.

SQLite's catalog is that text; it rewrites the parts that an ALTER TABLE changes, each with quotes of its own.  Nothing
of the text is left out: what is no fact with a name of its own stands in ``definition``.
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
    """What one row of ``sqlite_master`` says: the object, and those that belong to it.

    Args:
        kind: as the row has it: ``table``, ``index``, ``view`` or ``trigger``.
        table: the object's table; its own name, if it is one.
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
    """The tokens as SQL, the same for the same: one space, keywords in upper case, quotes only where they tell."""
    written, before = "", "("
    for token in of:
        is_call = token.word == "(" and before == "name"
        tight = is_call or before in _NO_SPACE_BEHIND or token.word in _NO_SPACE_BEFORE
        written += ("" if tight else " ") + _spelled(token)
        is_sign_of_number = token.word in {"-", "+"} and before not in {"name", "constant", ")"}
        before = "(" if is_sign_of_number else _role(token)
    return written


def _role(token: Token) -> str:
    """A keyword or a sign, or what else it is."""
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
    """What a token names: SQLite takes four kinds of quotes."""
    quote = token.text[0]
    if quote in "\"`'":
        return token.text[1:-1].replace(quote * 2, quote)
    return token.text[1:-1] if quote == "[" else token.text


def _nameless(of: Sequence[Token]) -> str:
    """The definition of an index, which is the same under another name."""
    at = next(at for at, token in enumerate(of) if token.word == "ON")
    return f"{text(of[: at - 1])} * {text(of[at:])}"


def _view(of: Sequence[Token]) -> dict[str, str]:
    """Its query is its definition, unless a list of names for the columns belongs to it."""
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
    """The word begins no clause here: CONSTRAINT a CHECK, NOT NULL, SET NULL, DEFAULT NULL, ALWAYS AS."""
    last = clause[-1].word
    if (word, following) == ("NOT", "DEFERRABLE"):
        return True
    if last == "DEFAULT":
        return len(clause) == 1 or clause[-2].word != "SET"
    named = clause[0].word == "CONSTRAINT" and len(clause) <= 2  # noqa: PLR2004 - the word and the name
    return named or last in {"SET", "NOT", "ALWAYS"}


def _named(clause: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """The name of a constraint, if it has one, and what it says."""
    if clause[0].word == "CONSTRAINT" and len(clause) > 2:  # noqa: PLR2004 - the word and the name
        return quoted(_name(clause[1])), clause[2:]
    return "", clause


def _constraint(table: str, name: str, says: Sequence[Token] | str) -> tuple[CatalogObject, dict[str, str]]:
    """A constraint without a name goes by what it says: two of a table that say the same are one."""
    definition = says if isinstance(says, str) else text(says)
    return CatalogObject("table constraint", f"{name or definition} on {table}", table), {"definition": definition}


def _column(table: str, part: Sequence[Token]) -> Iterator[tuple[CatalogObject, dict[str, str]]]:
    """A column, and the constraints that stand in its definition, as the table's own."""
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
    """A constraint of one column, as it is written for a table."""
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
    """A constant says the same in parentheses, in which batch mode puts CURRENT_TIMESTAMP."""
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
