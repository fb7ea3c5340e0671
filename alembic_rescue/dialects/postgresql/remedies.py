"""PostgreSQL statements that complete what a revision would have left, from the catalog's own words.  Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from alembic_rescue.evidence.claims import Claim, Finding
from alembic_rescue.evidence.live import labels
from alembic_rescue.evidence.missing import labels_of, order_of, position_of
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import bare
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Facts

_FALSE = frozenset(["", "f", "false", "no", "0", "none"])
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_IDENTITY = {"a": "ALWAYS", "d": "BY DEFAULT"}
_TRIGGER = {"O": "ENABLE", "D": "DISABLE"}
_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_PRIVILEGES = "privileges of "
_GRANTED_ON = {
    "table": "TABLE",
    "view": "TABLE",
    "materialized view": "TABLE",
    "foreign table": "TABLE",
    "sequence": "SEQUENCE",
    "schema": "SCHEMA",
}
"""Kinds on which only the owner has privileges by default."""
_PERSISTENCE = {"u": "UNLOGGED "}
_COMMENTED_ON = frozenset(["table", "table column", "view", "materialized view", "index", "sequence", "type", "schema"])
"""Kinds that COMMENT ON identifies by their kind and name alone."""


def remedy(finding: Finding, catalog: Catalog, own: str | None = None) -> str | None:
    """Return PostgreSQL statements, unless the revision's own are enough; None if there are none to offer.

    Args:
        catalog: what the revision leaves.
        own: the revision's own statements, if they are enough.
    """
    claim = finding.claim
    if own is not None:
        return own
    if claim.object.kind == "default value":
        was_there = "default" in (finding.actual or {})
        return _default_change(claim) if not was_there or _as_before(claim, finding.actual or {}, ["default"]) else None
    if claim.expected is None or _goes_with_its_constraint(claim.object, catalog):
        return None
    if finding.presence is Presence.DIFFERENT:
        return _joined(_changes(claim, finding.actual or {}, finding.different))
    if not claim.comes_or_goes:
        return _joined(_changes(claim, claim.change.before or {}, sorted(claim.facts)))
    return None if claim.former is not None else _joined(_creation(claim, catalog))


def _goes_with_its_constraint(found: CatalogObject, catalog: Catalog) -> bool:
    name = f"{quoted(bare(found))} on {found.parent}"
    return found.kind == "index" and CatalogObject("table constraint", name, found.parent) in catalog


def quoted(name: str) -> str:
    """An identifier, quoted unless it is plain."""
    return name if _PLAIN.match(name) and name not in RESERVED_WORDS else '"' + name.replace('"', '""') + '"'


# --- existing objects that differ ---------------------------------------------------------------------------------


def _changes(claim: Claim, actual: Facts, different: Iterable[str]) -> Iterator[str | None]:
    found, expected = claim.object, claim.change.after or {}
    facts = list(different)
    if found.kind == "index" and "valid" in facts:
        yield f"REINDEX INDEX {found.name}"
        facts = [fact for fact in facts if fact not in {"valid", "indisready"}]
    as_before = _as_before(claim, actual, facts)
    privileges = [fact for fact in facts if fact.startswith(_PRIVILEGES)]
    yield from _grants(found, privileges, expected, actual)
    for fact in (fact for fact in facts if fact not in privileges):
        if fact == "comment":
            yield _comment(found, expected.get(fact))
        elif found.kind == "table column":
            loosens = fact == "not null" and not _holds(expected.get(fact))
            turns_back = (loosens or fact in {"type", "collation"}) and not _as_before(claim, actual, [fact])
            yield None if turns_back else _column_change(found, fact, expected)
        elif fact == "owned by" and fact in expected:
            yield f"ALTER SEQUENCE {found.name} OWNED BY {expected[fact]}"
        elif fact == "labels":
            yield from _labels(found, labels(expected.get(fact, "")), labels(actual.get(fact, "")))
        elif fact == "definition" and as_before:
            yield _replacement(found, expected, actual)
        elif found.kind in {"table", "table constraint", "trigger"}:
            yield _switch(found, fact, expected)
        else:
            yield None


def _as_before(claim: Claim, actual: Facts, facts: Iterable[str]) -> bool:
    """Whether the facts are what the revision found; if not, somebody changed them for a reason."""
    before = claim.change.before or {}
    return all(fact in before and actual.get(fact) == before[fact] for fact in facts)


def _replacement(found: CatalogObject, expected: Facts, actual: Facts) -> str | None:
    """Return SQL that replaces an object, still as the revision found it, as the revision does."""
    definition = expected.get("definition", "")
    if found.kind == "view":
        if _options(actual) != _options(expected):  # a replacement would reset options that somebody set
            return None
        return f"CREATE OR REPLACE VIEW {found.name}{_options(expected)} AS\n{definition.rstrip().rstrip(';')}"
    if found.kind == "table constraint" and definition:
        name = quoted(bare(found))
        return f"ALTER TABLE {found.parent} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition}"
    if found.kind == "index" and (made := _named(found, definition)):
        return f"DROP INDEX {found.name};\n{made}"
    return definition if definition.startswith("CREATE OR REPLACE ") else None


def _switch(found: CatalogObject, fact: str, expected: Facts) -> str | None:
    """Return SQL for a fact that is switched on or off."""
    on = _holds(expected.get(fact))
    if found.kind == "table" and fact == "row security":
        return f"ALTER TABLE {found.name} {'ENABLE' if on else 'DISABLE'} ROW LEVEL SECURITY"
    if found.kind == "table constraint" and fact == "valid" and on:
        return f"ALTER TABLE {found.parent} VALIDATE CONSTRAINT {quoted(bare(found))}"
    if found.kind == "trigger" and fact == "enabled" and expected.get(fact) in {"O", "D"}:
        return f"ALTER TABLE {found.parent} {_TRIGGER[expected[fact]]} TRIGGER {quoted(bare(found))}"
    return None


def _grants(found: CatalogObject, facts: Iterable[str], expected: Facts, actual: Facts) -> Iterator[str | None]:
    """Yield GRANTs for missing privileges; nothing is revoked."""
    kind, lacking = _GRANTED_ON.get(found.kind), defaultdict[str, list[str]](list)
    for fact in facts:
        role, _, privilege = fact.removeprefix(_PRIVILEGES).rpartition(": ")
        is_plain = expected.get(fact) == "granted" and actual.get(fact, "none") == "none"
        if kind is None or role == "owner" or not is_plain:
            yield None
        lacking[role].append(privilege)
    for role, privileges in lacking.items():
        yield f"GRANT {', '.join(sorted(privileges))} ON {kind} {found.name} TO {role}"


def _comment(found: CatalogObject, text: str | None) -> str | None:
    named = found.name
    if found.kind in {"table constraint", "trigger"}:
        named = f"{quoted(bare(found))} ON {found.parent}"
    elif found.kind not in _COMMENTED_ON:
        return None
    kind = found.kind.removeprefix("table ").upper()
    return f"COMMENT ON {kind} {named} IS {'NULL' if text is None else _literal(text)}"


def _column_change(found: CatalogObject, fact: str, expected: Facts) -> str | None:
    name, value = quoted(bare(found)), expected.get(fact)
    alter = f"ALTER TABLE {found.parent} ALTER COLUMN {name}"
    if fact in {"type", "collation"} and "type" in expected:
        collation = f" COLLATE {expected['collation']}" if "collation" in expected else ""
        return f"{alter} TYPE {expected['type']}{collation} USING {name}::{expected['type']}"
    if fact == "not null":
        return f"{alter} {'SET' if _holds(value) else 'DROP'} NOT NULL"
    return None


def _default_change(claim: Claim) -> str:
    default = (claim.change.after or {}).get("default")
    column = quoted(bare(claim.object))
    alter = f"ALTER TABLE {claim.object.parent} ALTER COLUMN {column}"
    return f"{alter} SET DEFAULT {default}" if default is not None else f"{alter} DROP DEFAULT"


def _labels(found: CatalogObject, expected: list[str], actual: list[str]) -> Iterator[str | None]:
    before: str | None = None
    for label in expected:
        if label not in actual:
            place = f" AFTER {_literal(before)}" if before is not None else ""
            yield f"ALTER TYPE {found.name} ADD VALUE {_literal(label)}{place}"
        before = label


# --- missing objects ----------------------------------------------------------------------------------------------


def _creation(claim: Claim, catalog: Catalog) -> Iterator[str | None]:
    found = claim.object
    facts = catalog.get(found, claim.expected or {})
    if found.kind == "table":
        yield from _table(found, facts, catalog)
    elif found.kind == "table column":
        sequences = _sequences({found.name}, catalog)
        yield from (_sequence(sequence, told) for sequence, told in sequences.items())
        yield (
            None
            if "inherited" in facts
            else _with(f"ALTER TABLE {found.parent} ADD COLUMN ", _column(found, facts, catalog))
        )
        yield from (f"ALTER SEQUENCE {sequence.name} OWNED BY {found.name}" for sequence in sequences)
    else:
        yield _one_statement(found, facts, catalog)
    with_it = {o: told for o, told in catalog.items() if found.kind == "table" and o.parent == found.name}
    for commented, told in {found: facts, **with_it}.items():
        if "comment" in told:
            yield _comment(commented, told["comment"])


def _one_statement(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    definition = facts.get("definition", "").rstrip().rstrip(";") or None
    if found.kind == "table constraint":
        return _with(f"ALTER TABLE {found.parent} ADD CONSTRAINT {quoted(bare(found))} ", definition)
    if found.kind == "type" and "labels" in facts:
        return f"CREATE TYPE {found.name} AS ENUM ({', '.join(map(_literal, labels(facts['labels'])))})"
    if found.kind == "type" and facts.get("typtype") == "d" and "type" in facts:
        return _domain(found, facts, catalog)
    if found.kind == "enum label":
        return _label(found, catalog)
    if found.kind in {"view", "materialized view"}:
        return _with(f"CREATE {found.kind.upper()} {found.name}{_options(facts)} AS\n", definition)
    if found.kind == "sequence":
        return _sequence(found, facts)
    if found.kind == "policy":
        return _policy(found, facts)
    if found.kind in {"schema", "extension"}:
        return f"CREATE {found.kind.upper()} {found.name}"
    return _named(found, definition)


def _label(found: CatalogObject, catalog: Catalog) -> str:
    """Add an enum label after its predecessor, if it has one."""
    known, at = labels_of(found, catalog), position_of(found, catalog)
    place = f" AFTER {_literal(known[at - 1])}" if at else f" BEFORE {_literal(known[1])}" if known[1:] else ""
    return f"ALTER TYPE {found.parent} ADD VALUE {_literal(bare(found))}{place}"


def _options(view: Facts) -> str:
    return f" WITH ({view['view options']})" if "view options" in view else ""


def _policy(found: CatalogObject, facts: Facts) -> str:
    text = f"CREATE POLICY {quoted(bare(found))} ON {found.parent}" + (
        "" if _holds(facts.get("polpermissive")) else " AS RESTRICTIVE"
    )
    text += f" FOR {_COMMANDS[facts['command']]} TO {facts['roles']}"
    clauses = (f" {fact.upper()} ({facts[fact]})" for fact in ("using", "with check") if fact in facts)
    return text + "".join(clauses)


def _domain(found: CatalogObject, facts: Facts, catalog: Catalog) -> str:
    text = f"CREATE DOMAIN {found.name} AS {facts['type']}"
    if "default" in facts:
        text += f" DEFAULT {facts['default']}"
    if _holds(facts.get("not null")):
        text += " NOT NULL"
    for constraint, told in catalog.items():
        if constraint.kind == "domain constraint" and constraint.parent == found.name:
            text += f" CONSTRAINT {quoted(bare(constraint))} {told.get('definition', '')}"
    return text


def _sequence(found: CatalogObject, facts: Facts) -> str:
    kind = f" AS {facts['type']}" if "type" in facts else ""
    return f"CREATE SEQUENCE {found.name}{kind}{_numbers(facts)}"


def _numbers(sequence: Facts) -> str:
    """Return the numeric options of a sequence that are in its facts."""
    words = {"seqincrement": "INCREMENT BY", "seqmin": "MINVALUE", "seqmax": "MAXVALUE", "seqstart": "START WITH"}
    told = [f"{word} {sequence[fact]}" for fact, word in words.items() if fact in sequence]
    return "".join(f" {one}" for one in (*told, *(["CYCLE"] if _holds(sequence.get("seqcycle")) else [])))


def _sequences(columns: Collection[str], catalog: Catalog) -> Catalog:
    """Return the sequences that belong to these columns, except those of identity columns."""
    return {
        o: facts
        for o, facts in catalog.items()
        if o.kind == "sequence" and o.parent == "" and facts.get("owned by") in columns
    }


def _table(found: CatalogObject, facts: Facts, catalog: Catalog) -> Iterator[str | None]:
    """Yield SQL for a table's sequences, the table, its constraints, and the indexes that belong to no constraint."""
    own = {o: f for o, f in catalog.items() if o.parent == found.name}
    columns = [_column(o, f, catalog) for o, f in own.items() if o.kind == "table column"]
    bound = {"partition key", "partition bound", "parents", "reloftype", "access method"} & facts.keys()
    if bound or not all(columns):
        yield None
        return
    sequences = _sequences({o.name for o in own}, catalog)
    for sequence, told in sequences.items():
        yield _sequence(sequence, told)
    elements = ",\n    ".join(column for column in columns if column)
    yield f"CREATE {_PERSISTENCE.get(facts.get('persistence', ''), '')}TABLE {found.name} (\n    {elements}\n)"
    for sequence, told in sequences.items():
        yield f"ALTER SEQUENCE {sequence.name} OWNED BY {told['owned by']}"
    constraints = {bare(o): f for o, f in own.items() if o.kind == "table constraint"}
    for name, constraint in sorted(constraints.items(), key=lambda item: order_of(item[1].get("definition", ""))):
        yield _with(f"ALTER TABLE {found.name} ADD CONSTRAINT {quoted(name)} ", constraint.get("definition"))
    for index, told in own.items():
        if index.kind == "index" and bare(index) not in constraints:
            yield _named(index, told.get("definition"))


def _column(found: CatalogObject, facts: Facts, catalog: Catalog) -> str | None:
    if "type" not in facts:
        return None
    text = f"{quoted(bare(found))} {facts['type']}"
    default = catalog.get(CatalogObject("default value", f"for {found.name}", found.parent), {}).get("default")
    if "collation" in facts:
        text += f" COLLATE {facts['collation']}"
    if "generated" in facts:
        text += f" GENERATED ALWAYS AS ({default})" + (" STORED" if facts["generated"] == "s" else "")
    elif "identity" in facts:
        own = next((told for told in catalog.values() if told.get("owned by") == found.name), {})
        numbers = f" ({_numbers(own).strip()})" if _numbers(own) else ""
        text += f" GENERATED {_IDENTITY.get(facts['identity'], 'ALWAYS')} AS IDENTITY{numbers}"
    elif default is not None:
        text += f" DEFAULT {default}"
    return text + (" NOT NULL" if _holds(facts.get("not null")) else "")


def _named(found: CatalogObject, definition: str | None) -> str | None:
    """Insert the name into a definition that is a whole statement without it: ``CREATE INDEX * ON ...``."""
    if definition is None or not definition.upper().startswith("CREATE "):
        return None
    name = found.name if found.kind == "statistics object" else quoted(bare(found))
    return definition.replace(" * ", f" {name} ", 1).replace(" ON ONLY ", " ON ", 1 if found.kind == "index" else 0)


def _holds(value: str | None) -> bool:
    return (value or "").lower() not in _FALSE


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _with(beginning: str, rest: str | None) -> str | None:
    return None if rest is None else beginning + rest


def _joined(statements: Iterable[str | None]) -> str | None:
    """Join the statements; None if there are none or one of them is None."""
    told = list(statements)
    complete = [statement for statement in told if statement is not None]
    return ";\n".join(complete) if complete and len(complete) == len(told) else None
