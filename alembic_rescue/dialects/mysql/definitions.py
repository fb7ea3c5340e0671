"""Facts from the text of SHOW CREATE.  Pure.

The servers generate that text, in one spelling for each thing.  Nothing of it is left out except the counter of
AUTO_INCREMENT, which is data: what has no fact of its own is in ``definition``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from alembic_rescue.dialects.definitions import TRUE, clauses, opening, parts, quoted
from alembic_rescue.dialects.statements import MYSQL, Sort, Token, tokens
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts

_CLAUSES = frozenset(
    ["CHARACTER", "COLLATE", "SRID", "REF_SYSTEM_ID", "GENERATED", "NOT", "NULL", "INVISIBLE", "DEFAULT", "ON", "CHECK"]
    + ["AUTO_INCREMENT", "COLUMN_FORMAT", "STORAGE", "COMPRESSED", "COMMENT", "WITH", "WITHOUT", "ENGINE_ATTRIBUTE"]
    + ["SECONDARY_ENGINE_ATTRIBUTE"]
)
_TEXTS = frozenset(["CHAR", "VARCHAR", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "ENUM", "SET"])
"""The types that have a collation."""
_INDEXES = frozenset(["KEY", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"])
_COUNTER = "AUTO_INCREMENT"
_STATES = frozenset(["ENABLE", "DISABLE"])

Collations = Mapping[str, str]
"""The default collation of each character set."""


def table(name: str, shown: str, collations: Collations) -> Catalog:
    """Return a table, its columns, keys and constraints.

    Args:
        shown: the text from SHOW CREATE TABLE.
    """
    found = dict(_table(name, shown))
    default = _collation(found[CatalogObject("table", quoted(name))], "", collations)
    return {
        one: {**facts, "collation": _collation(facts, default, collations)} if _has_collation(one, facts) else facts
        for one, facts in found.items()
    }


def _has_collation(one: CatalogObject, facts: Facts) -> bool:
    words = facts.get("type", "").partition("(")[0].upper().split()[:1]
    return one.kind == "table" or (one.kind == "table column" and not _TEXTS.isdisjoint(words))


def _collation(facts: Facts, default: str, collations: Collations) -> str:
    """Return the collation as written, else the character set's, else `default`."""
    character_set = facts.get("character set", "")
    return facts.get("collation") or collations.get(character_set, character_set) or default


@lru_cache(maxsize=20_000)
def _table(raw: str, shown: str) -> Mapping[CatalogObject, dict[str, str]]:
    name, of = quoted(raw), list(tokens(shown, MYSQL))
    start = opening(of)
    lines, end = parts(of, start)
    facts = _options(of[end + 1 :])
    found = {CatalogObject("table", name): facts}
    for line in lines:
        if line[0].sort is Sort.NAME:
            found[CatalogObject("table column", f"{name}.{quoted(_name(line[0]))}", name)] = _column(line[1:])
        elif line[0].word == "PRIMARY":
            found[CatalogObject("table constraint", f"PRIMARY on {name}", name)] = {"definition": text(line)}
        elif line[0].word == "CONSTRAINT":
            key = CatalogObject("table constraint", f"{quoted(_name(line[1]))} on {name}", name)
            found[key] = {"definition": text(line[2:])}
        elif line[0].word in _INDEXES:
            key = CatalogObject("index", f"{quoted(_name(line[opening(line) - 1]))} on {name}", name)
            found[key] = _index(in_backticks(raw), line)
        else:
            facts["definition"] = ", ".join([*filter(None, [facts.get("definition")]), text(line)])
    return found


def text(of: Sequence[Token]) -> str:
    """Write the tokens unchanged, with one space for any white space, and without comments."""
    written = ""
    end = of[0].start if of else 0
    for token in of:
        written += (" " if token.start > end else "") + token.text
        end = token.end
    return written


def in_backticks(name: str) -> str:
    """Quote a name as these servers do."""
    return "`" + name.replace("`", "``") + "`"


def _name(token: Token) -> str:
    return token.text[1:-1].replace("``", "`") if token.sort is Sort.NAME else token.text


def _goes_on(clause: Sequence[Token], word: str, following: str) -> bool:
    """Whether the word continues the clause: NOT NULL, DEFAULT NULL, WITHOUT SYSTEM VERSIONING."""
    del word, following
    return clause[-1].word in {"NOT", "DEFAULT"}


def _column(of: Sequence[Token]) -> dict[str, str]:
    said = list(clauses(of, _CLAUSES, _goes_on))
    facts = {"type": text(said[0])}
    for clause in said[1:]:
        fact, value = _fact(clause)
        if fact:
            facts[fact] = f"{facts[fact]} {value}" if fact in facts else value
    return facts


def _fact(clause: Sequence[Token]) -> tuple[str, str]:
    """Return the fact of a column's clause; NULL and DEFAULT NULL are not facts."""
    words = [token.word for token in clause[:2]]
    if words[0] == "NULL" or words == ["DEFAULT", "NULL"]:
        return "", ""
    if words == ["NOT", "NULL"]:
        return "not null", text(clause[2:]) or TRUE
    if words[0] == "CHARACTER":
        return "character set", text(clause[2:])
    if words[0] == "COLLATE":
        return "collation", text(clause[1:])
    if words[0] in {"DEFAULT", "COMMENT", "CHECK"}:
        return words[0].lower(), text(clause[1:])
    if words[0] == "ON":
        return "on update", text(clause[2:])
    if words[0] == "GENERATED":
        at = [token.word for token in clause].index("AS")
        return "generated", text(clause[at + 1 :])
    if words[0] in {"AUTO_INCREMENT", "INVISIBLE", "COMPRESSED"} and len(clause) == 1:
        return words[0].lower().replace("_", " "), TRUE
    return "definition", text(clause)


def _index(table_name: str, line: Sequence[Token]) -> dict[str, str]:
    """Return the facts of a key; the definition excludes its name, so that a renamed key has the same one."""
    start = opening(line)
    _, end = parts(line, start)
    kind = "".join(f"{token.word} " for token in line[: start - 1] if token.word not in {"KEY", "INDEX"})
    rest = list(line[end + 1 :])
    facts = {}
    for at in [at for at, token in enumerate(rest) if token.word == "COMMENT"][:1]:
        facts["comment"] = rest[at + 1].text
        rest[at : at + 2] = []
    told = " ".join(filter(None, [text(line[start : end + 1]), text(rest)]))
    return {**facts, "definition": f"CREATE {kind}INDEX * ON {table_name} {told}"}


def _options(of: Sequence[Token]) -> dict[str, str]:
    """Return the facts of the table options after the parenthesis: words with a value, and some without."""
    words = [token.word for token in of]
    end = words.index("PARTITION") if "PARTITION" in words else len(words)
    facts = {"partition key": text(of[end:])} if end < len(of) else {}
    others: list[str] = []
    before: list[Token] = []
    at = 0
    while at < end:
        if words[at] != "=":
            before.append(of[at])
            at += 1
            continue
        closes = parts(of, at + 1)[1] if words[at + 1] == "(" else at + 1
        length = 2 if words[at - 2 : at - 1] and words[at - 2] in _FIRST_OF_TWO else 1
        name, value = text(before[-length:]), text(of[at + 1 : closes + 1])
        _without_value(before[:-length], facts)
        if name in _NAMED_OPTIONS:
            facts[_NAMED_OPTIONS[name]] = value
        elif name != _COUNTER:
            others.append(f"{name}={value}")
        before, at = [], closes + 1
    _without_value(before, facts)
    return {**facts, "options": " ".join(others)} if others else facts


def _without_value(of: Sequence[Token], facts: dict[str, str]) -> None:
    words = [token.word for token in of]
    if words == ["WITH", "SYSTEM", "VERSIONING"]:
        facts["system versioning"] = TRUE
    elif words[:1] == ["TABLESPACE"]:
        facts["tablespace"] = text(of[1:])
    elif of:
        facts["definition"] = text(of)


_FIRST_OF_TWO = frozenset(["DEFAULT", "DATA", "INDEX"])
_NAMED_OPTIONS = {
    "ENGINE": "engine",
    "DEFAULT CHARSET": "character set",
    "CHARSET": "character set",
    "COLLATE": "collation",
    "COMMENT": "comment",
}


def view(shown: str) -> Facts:
    """Return the facts of a view from SHOW CREATE VIEW: its query, algorithm and SQL SECURITY.

    Its query is its definition, unless it has a list of column names.
    """
    of, owner = _without_definer(list(tokens(shown, MYSQL)))
    words = [token.word for token in of]
    at, names_end = words.index("VIEW"), words.index("AS")
    facts = {"query": text(of[names_end + 1 :]), "owner": owner}
    for word, fact in (("ALGORITHM", "algorithm"), ("SECURITY", "security")):
        if word in words[:at]:
            told = of[words.index(word) + 1 : at]
            facts[fact] = next(token.text for token in told if token.word != "=")
    columns = text(of[at + 2 : names_end])
    if columns:
        return {**facts, "columns": columns}
    facts["definition"] = facts.pop("query")
    return facts


def trigger(name: str, when: str, of_table: str, body: str) -> str:
    """Return the statement that creates a trigger; its body is the author's original text."""
    said = text(list(tokens(body, MYSQL)))
    return f"CREATE TRIGGER {in_backticks(name)} {when} ON {in_backticks(of_table)} FOR EACH ROW {said}"


def routine(shown: str) -> Facts:
    """Return the facts of a procedure, function or package from SHOW CREATE."""
    of, owner = _without_definer(list(tokens(shown, MYSQL)))
    return {"definition": text(of), "owner": owner}


def event(shown: str) -> Facts:
    """Return the facts of an event from SHOW CREATE EVENT.

    Its start time depends on when it was created, so it goes into ``options``; whether it is enabled is a fact.
    """
    of, owner = _without_definer(list(tokens(shown, MYSQL)))
    words = [token.word for token in of]
    body = words.index("DO")
    facts = {"owner": owner}
    if "STARTS" in words[:body]:
        at = words.index("STARTS")
        facts["options"] = text(of[at : at + 2])
        of, words, body = [*of[:at], *of[at + 2 :]], [*words[:at], *words[at + 2 :]], body - 2
    for at in [at for at, word in enumerate(words[:body]) if word in _STATES][:1]:
        end = at + 3 if words[at + 1] == "ON" else at + 1
        facts["enabled"] = text(of[at:end])
        of = [*of[:at], *of[end:]]
    return {**facts, "definition": text(of)}


def sequence(shown: str) -> Facts:
    """Return the facts of a sequence from SHOW CREATE SEQUENCE."""
    of = list(tokens(shown, MYSQL))
    words = [token.word for token in of]
    facts = {}
    for word, fact in (("CACHE", "cache"), ("ENGINE", "engine")):
        if word in words:
            at = words.index(word)
            end = at + (3 if words[at + 1] == "=" else 2)
            facts[fact] = text(of[end - 1 : end])
            of, words = [*of[:at], *of[end:]], [*words[:at], *words[end:]]
    return {**facts, "definition": text(of)}


def _without_definer(of: Sequence[Token]) -> tuple[list[Token], str]:
    """Return the statement without its DEFINER clause, and the definer."""
    words: Iterator[tuple[int, str]] = enumerate(token.word for token in of)
    at = next((at for at, word in words if word == "DEFINER"), None)
    if at is None:
        return list(of), ""
    end = at + 3
    if of[end].word == "@":
        end += 2
    return [*of[:at], *of[end:]], text(of[at + 2 : end])
