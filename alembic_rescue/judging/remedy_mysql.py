"""The SQL that would make an expectation hold on MySQL and MariaDB: the clauses that the migrations give for it.  Pure.

Where names have changed since, nothing is offered: a statement is shown as it was written, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from alembic_rescue.ddl.mysql_tables import Clause, clauses
from alembic_rescue.judging.comparison import Assessment
from alembic_rescue.model_evidence import Expectation, Key, Kind, Presence, Statement

_TABLE_OPTIONS = {"engine": "ENGINE", "charset": "DEFAULT CHARACTER SET", "collation": "COLLATE"}


def sql_for(expectation: Expectation, assessment: Assessment, *, table_is_there: bool) -> str | None:
    """What to run; None where it holds already, or where there is nothing to offer."""
    key = expectation.key
    if key.kind is Kind.TABLE and assessment.presence is Presence.DIFFERENT:
        return _joined(_options(expectation, assessment))
    born = replace(expectation.born or key, parent=key.parent)  # a column's own words do not name its table
    renamed = [old.kind for _, old, _ in expectation.renames]
    if born != key or any(kind is not Kind.TABLE or key.kind is not Kind.COLUMN for kind in renamed):
        return None
    if not expectation.present:
        last = expectation.history[-1]
        return _joined(_of(last, key)) if assessment.presence is Presence.PRESENT else None
    if assessment.presence is Presence.ABSENT:
        if assessment.former_is_there:
            return _joined(_of(expectation.origin["name"], key))
        if expectation.within is not None and not table_is_there:
            return expectation.history[0].sql
        return _joined(part for statement in expectation.history for part in _of(statement, key))
    if assessment.presence is Presence.DIFFERENT:
        return _change(expectation, assessment)
    return None


def quoted(name: str) -> str:
    """An identifier in backticks."""
    return "`" + name.replace("`", "``") + "`"


def _change(expectation: Expectation, assessment: Assessment) -> str | None:
    key, table = expectation.key, expectation.key.table
    if table is None or assessment.found is None:
        return None
    alter = f"ALTER TABLE {_name(table)}"
    made = [expectation.origin[fact] for fact in assessment.mismatched if fact in expectation.origin]
    if key.kind is Kind.COLUMN:
        parts = [found for statement in dict.fromkeys(made) for found in clauses(statement.sql, key)]
        return _joined(f"{alter} {clause.modifying}" for clause in parts)
    drop = f"{alter} {_drop(assessment.found, expectation.facts)}"
    return _joined([drop, *(part for statement in expectation.history for part in _of(statement, key))])


def _drop(found: Key, facts: Mapping[str, object]) -> str:
    if facts.get("constraint") == "primary-key":
        return "DROP PRIMARY KEY"
    word = {"foreign-key": "FOREIGN KEY", "check": "CONSTRAINT"}.get(str(facts.get("constraint")), "INDEX")
    return f"DROP {word} {quoted(found.name)}"


def _options(expectation: Expectation, assessment: Assessment) -> Iterator[str]:
    for fact in assessment.mismatched:
        value = str(expectation.facts[fact] or "")
        if fact == "comment":
            literal = value.replace("\\", "\\\\").replace("'", "''")
            yield f"ALTER TABLE {_name(expectation.key)} COMMENT = '{literal}'"
        elif fact in _TABLE_OPTIONS:
            yield f"ALTER TABLE {_name(expectation.key)} {_TABLE_OPTIONS[fact]} = {value}"


def _of(statement: Statement, key: Key) -> Iterator[str]:
    """The part of a statement that is about that object: the clause of an ALTER TABLE, or all of it."""
    table = key.table
    found: list[Clause] = list(clauses(statement.sql, key)) if table is not None else []
    if not found:
        yield statement.sql.rstrip().rstrip(";")
    for clause in found:
        assert table is not None, "only what stands on a table has clauses"
        yield f"ALTER TABLE {_name(table)} {clause.adding}"


def _name(key: Key) -> str:
    return ".".join(quoted(part) for part in (key.schema, key.name) if part)


def _joined(statements: Iterator[str] | list[str]) -> str | None:
    return ";\n".join(dict.fromkeys(statements)) or None
