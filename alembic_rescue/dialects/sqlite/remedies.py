"""SQLite statements that complete what a revision would have left, from the catalog's facts.  Pure.

A change for which SQLite needs a new table is not offered: batch mode does that.
"""

from __future__ import annotations

from alembic_rescue.dialects.definitions import unquoted
from alembic_rescue.dialects.sqlite.statements import LEFT_OVER
from alembic_rescue.evidence.claims import Finding
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts

_OPTIONS = ("without rowid", "strict")


def remedy(finding: Finding, catalog: Catalog, own: str | None = None) -> str | None:
    """Return the SQL to run; None if there is none to offer.

    Args:
        catalog: what the revision leaves.
        own: the revision's own statements, if they are enough; a statement of batch mode alone is not.
    """
    claim, found = finding.claim, finding.claim.object
    if own is not None and LEFT_OVER not in own:
        return own
    if claim.expected is None or claim.former is not None or not claim.comes_or_goes:
        return None
    return None if finding.presence is Presence.DIFFERENT else _made(found, catalog.get(found, claim.expected), catalog)


def _made(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    definition = facts.get("definition", "")
    if found.kind == "table":
        return _table(found, facts, catalog)
    if found.kind == "table column":
        column = _column(found, facts)
        return f"ALTER TABLE {quoted(found.parent)} ADD COLUMN {column}" if _can_be_added(facts) else None
    if found.kind == "view":
        query = f"{facts['columns']} AS {facts['query']}" if "query" in facts else f"AS {definition}"
        return f"CREATE VIEW {name_of(found)} {query}"
    if found.kind == "index":
        return definition.replace(" * ", f" {name_of(found)} ", 1)
    return definition if definition.startswith("CREATE ") else None


def _can_be_added(facts: Facts) -> bool:
    """Whether SQLite can add the column to a table with rows."""
    default = facts.get("default", "NULL")
    constant = not default.startswith("(") and not default.startswith("CURRENT_")
    filled = "not null" not in facts or default != "NULL"
    return constant and filled and not facts.get("generated", "").endswith(" STORED") and "definition" not in facts


def _table(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    own = {one: its for one, its in catalog.items() if one.parent == found.name}
    columns = [_column(one, its) for one, its in own.items() if one.kind == "table column"]
    constraints = [_constraint(one, its) for one, its in own.items() if one.kind == "table constraint"]
    if not columns:
        return None
    options = ", ".join(option.upper() for option in _OPTIONS if option in facts)
    lines = ",\n    ".join([*columns, *constraints])
    return f"CREATE TABLE {name_of(found)} (\n    {lines}\n) {options}".rstrip()


def _column(found: CatalogObject, facts: Facts) -> str:
    clauses = (
        ("type", "%s"),
        ("collation", "COLLATE %s"),
        ("not null", "NOT NULL %s"),
        ("default", "DEFAULT %s"),
        ("generated", "GENERATED ALWAYS AS %s"),
        ("definition", "%s"),
    )
    said = (text.replace("%s", facts[fact].removeprefix("true")).rstrip() for fact, text in clauses if fact in facts)
    return " ".join([name_of(found), *said])


def _constraint(found: CatalogObject, facts: Facts) -> str:
    """Write a constraint; one without a name has its definition as its name."""
    name = found.name.removesuffix(f" on {found.parent}")
    return facts["definition"] if name == facts["definition"] else f"CONSTRAINT {quoted(name)} {facts['definition']}"


def name_of(found: CatalogObject) -> str:
    """Return the object's own name, quoted for SQL."""
    if found.kind == "table column":
        return quoted(found.name.removeprefix(f"{found.parent}."))
    return quoted(found.name.removesuffix(f" on {found.parent}"))


def quoted(name: str) -> str:
    """Quote a name for SQL; it may be quoted already."""
    return '"' + unquoted(name).replace('"', '""') + '"'
