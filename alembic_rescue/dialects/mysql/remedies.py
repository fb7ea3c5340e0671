"""MySQL and MariaDB statements that complete what a revision would have left, from the catalog's facts.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from alembic_rescue.dialects.definitions import unquoted
from alembic_rescue.dialects.mysql.definitions import in_backticks
from alembic_rescue.evidence.claims import Finding
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts

_OPTIONS = {"engine": "ENGINE", "character set": "DEFAULT CHARSET", "collation": "COLLATE", "comment": "COMMENT"}
_NOT_BY_FACTS = frozenset(["definition", "compressed", "unreadable"])
"""Facts of a table or column that cannot be written as SQL: with one of them, no SQL is offered."""


def remedy(finding: Finding, catalog: Catalog, own: str | None = None) -> str | None:
    """Return the SQL to run; None if there is none to offer.

    Args:
        catalog: what the revision leaves.
        own: the revision's own statements, if they are enough.
    """
    claim, found = finding.claim, finding.claim.object
    if own is not None:
        return own
    if claim.expected is None or claim.former is not None:
        return None
    if finding.presence is Presence.DIFFERENT:
        return _changed(found, claim.expected, finding.actual or {}, finding.different)
    return _made(found, catalog.get(found, claim.expected), catalog) if claim.comes_or_goes else None


def _changed(found: CatalogObject, expected: Facts, actual: Facts, different: tuple[str, ...]) -> str | None:
    """Change only what the revision sets; keep all other facts of the existing object."""
    kept = {fact: text for fact, text in actual.items() if fact not in different}
    wanted = {**kept, **{fact: expected[fact] for fact in different if fact in expected}}
    if found.kind == "table column":
        column = _column(found, wanted)
        return column and f"ALTER TABLE {_table_of(found)} MODIFY COLUMN {column}"
    if found.kind == "table" and set(different) <= set(_OPTIONS):
        options = " ".join(
            f"{_OPTIONS[fact]}={expected.get(fact, chr(39) * 2)}" for fact in _OPTIONS if fact in different
        )
        return f"ALTER TABLE {_name(found)} {options}"
    return None


def _made(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    definition = facts.get("definition")
    if found.kind == "table":
        return _table(found, facts, catalog)
    if found.kind == "table column":
        column = _column(found, facts)
        return column and f"ALTER TABLE {_table_of(found)} ADD COLUMN {column}"
    if definition is None:
        return None
    if found.kind == "index":
        return definition.replace(" * ", f" {_name(found)} ", 1)
    if found.kind == "table constraint":
        return f"ALTER TABLE {_table_of(found)} ADD {_constraint(found, definition)}"
    if found.kind == "view":
        algorithm, security = facts.get("algorithm", "UNDEFINED"), facts.get("security", "DEFINER")
        return f"CREATE ALGORITHM={algorithm} SQL SECURITY {security} VIEW {_name(found)} AS {definition}"
    return definition if definition.startswith("CREATE ") else None


def _table(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    own = {one: its for one, its in catalog.items() if one.parent == found.name}
    columns = [_column(one, its) for one, its in own.items() if one.kind == "table column"]
    if not columns or None in columns or not _NOT_BY_FACTS.isdisjoint(facts):
        return None
    lines = ",\n    ".join([*filter(None, columns), *_keys(own)])
    options = [f"{word}={facts[fact]}" for fact, word in _OPTIONS.items() if facts.get(fact)]
    versioning = "WITH SYSTEM VERSIONING" if "system versioning" in facts else ""
    tail = [*options, facts.get("options", ""), versioning, facts.get("partition key", "")]
    return f"CREATE TABLE {_name(found)} (\n    {lines}\n) {' '.join(filter(None, tail))}"


def _keys(own: Catalog) -> Iterator[str]:
    for one, facts in own.items():
        definition = facts.get("definition", "")
        if one.kind == "table constraint":
            yield _constraint(one, definition)
        elif one.kind == "index":
            comment = f" COMMENT {facts['comment']}" if "comment" in facts else ""
            kind, _, columns = definition.removeprefix("CREATE ").partition(f" * ON {_table_of(one)} ")
            yield f"{kind} {_name(one)} {columns}{comment}"


def _constraint(found: CatalogObject, definition: str) -> str:
    return definition if definition.startswith("PRIMARY ") else f"CONSTRAINT {_name(found)} {definition}"


def _column(found: CatalogObject, facts: Facts) -> str | None:
    """Return a column's definition, with its clauses in the order that both servers accept."""
    if "type" not in facts or not _NOT_BY_FACTS.isdisjoint(facts):
        return None
    clauses = (
        ("character set", "CHARACTER SET %s"),
        ("collation", "COLLATE %s"),
        ("generated", "GENERATED ALWAYS AS %s"),
        ("not null", "NOT NULL"),
        ("invisible", "INVISIBLE"),
        ("default", "DEFAULT %s"),
        ("on update", "ON UPDATE %s"),
        ("auto increment", "AUTO_INCREMENT"),
        ("comment", "COMMENT %s"),
        ("check", "CHECK %s"),
    )
    said = (text.replace("%s", facts[fact]) for fact, text in clauses if fact in facts)
    null = [] if "not null" in facts or "generated" in facts else ["NULL"]
    return " ".join([_name(found), facts["type"], *said, *null])


def _name(found: CatalogObject) -> str:
    own = found.name.removesuffix(f" on {found.parent}").removeprefix(f"{found.parent}.")
    return in_backticks(unquoted(own))


def _table_of(found: CatalogObject) -> str:
    return in_backticks(unquoted(found.parent))
