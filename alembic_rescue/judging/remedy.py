"""The SQL that would make an expectation hold: the recorded statement, or the part of it that is missing.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import postgast
from postgast import pg_query_pb2 as pb
from postgast.errors import PgQueryError

from alembic_rescue.ddl import MYSQL
from alembic_rescue.ddl.nodes import Node, kind_of, unwrap
from alembic_rescue.ddl.rewrite import fragment, renamed
from alembic_rescue.ddl.tables import generated_name
from alembic_rescue.judging import remedy_mysql
from alembic_rescue.judging.comparison import Assessment
from alembic_rescue.model_evidence import Expectation, Key, Kind, Presence, Statement

_REPLACED = {
    Kind.INDEX: "INDEX",
    Kind.VIEW: "VIEW",
    Kind.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
    Kind.SEQUENCE: "SEQUENCE",
    Kind.DOMAIN: "DOMAIN",
}
_SQLITE_TAKES = re.compile(
    r"\s*(?:ALTER\s+TABLE\s+\S+\s+(?:ADD\s+COLUMN(?!.*\b(?:UNIQUE|PRIMARY\s+KEY)\b)|RENAME|DROP\s+COLUMN)|CREATE|DROP)\b",
    re.IGNORECASE | re.DOTALL,
)
"""What SQLite can do without copying the table."""
_REPLACED_ON_TABLE = {Kind.TRIGGER: "TRIGGER", Kind.POLICY: "POLICY"}


def sql_for(expectation: Expectation, assessment: Assessment, dialect: str, *, table_is_there: bool) -> str | None:
    """What to run; None where it holds already, where the table's own statement brings it along, or none can be had."""
    if dialect in MYSQL:
        return remedy_mysql.sql_for(expectation, assessment, table_is_there=table_is_there)
    found = _sql_for(expectation, assessment, table_is_there=table_is_there)
    if found is not None and dialect == "sqlite" and not all(map(_SQLITE_TAKES.match, found.split(";\n"))):
        return None
    return found


def _sql_for(expectation: Expectation, assessment: Assessment, *, table_is_there: bool) -> str | None:
    if not expectation.present:
        return _joined(expectation, len(expectation.history) - 1) if assessment.presence is Presence.PRESENT else None
    if assessment.presence is Presence.ABSENT:
        if assessment.former_is_there:
            return _text(expectation.origin["name"])
        return _creation(expectation, table_is_there=table_is_there)
    if assessment.presence is Presence.DIFFERENT:
        return _change(expectation, assessment)
    return None


def quoted(name: str) -> str:
    """An identifier, quoted where SQL needs it."""
    plain = name.isidentifier() and name == name.lower() and name.isascii()
    return name if plain and not _is_keyword(name) else '"' + name.replace('"', '""') + '"'


def qualified(key: Key) -> str:
    """A top-level object's name in SQL."""
    arguments = ""
    name = key.name
    if key.kind is Kind.FUNCTION and "(" in name:
        name, _, rest = name.partition("(")
        arguments = "(" + rest
    return ".".join(quoted(part) for part in (key.schema, name) if part) + arguments


def _creation(expectation: Expectation, *, table_is_there: bool) -> str | None:
    if expectation.within is None:
        return _joined(expectation)
    if not table_is_there:
        return _joined(expectation, 1)
    definition = _definition(expectation)
    if definition is None:
        return None
    table = expectation.key.table
    assert table is not None, "what comes within a table has one"
    added = fragment(definition, expectation.renames_after(1))
    return ";\n".join([f"ALTER TABLE {qualified(table)} {added}", *_texts(expectation, 1)])


def _change(expectation: Expectation, assessment: Assessment) -> str | None:
    key, found = expectation.key, assessment.found
    assert found is not None, "what differs is there"
    if key.kind is Kind.COLUMN:
        return ";\n".join(dict.fromkeys(_column_changes(expectation, assessment.mismatched))) or None
    if key.kind is Kind.ENUM:
        return ";\n".join(_missing_labels(expectation, assessment)) or None
    if key.kind is Kind.CONSTRAINT:
        table = found.table
        assert table is not None, "constraints stand on tables"
        alter = f"ALTER TABLE {qualified(table)}"
        if assessment.mismatched == ("validated",):
            return f"{alter} VALIDATE CONSTRAINT {quoted(found.name)}"
        added = _creation(expectation, table_is_there=True)
        return f"{alter} DROP CONSTRAINT {quoted(found.name)};\n{added}" if added else None
    made_later = [expectation.origin[f] for f in assessment.mismatched if f in expectation.origin]
    if expectation.created and key.kind in _REPLACED and "comment" not in assessment.mismatched:
        return f"DROP {_REPLACED[key.kind]} {qualified(found)};\n{_joined(expectation)}"
    if expectation.created and key.kind in _REPLACED_ON_TABLE:
        table = found.table
        assert table is not None, "triggers and policies stand on tables"
        drop = f"DROP {_REPLACED_ON_TABLE[key.kind]} {quoted(found.name)} ON {qualified(table)}"
        return f"{drop};\n{_joined(expectation)}"
    if key.kind is Kind.FUNCTION:
        return f"DROP FUNCTION {qualified(found)};\n{_joined(expectation)}"
    return ";\n".join(map(_text, dict.fromkeys(made_later))) or None


def _column_changes(expectation: Expectation, mismatched: tuple[str, ...]) -> Iterator[str]:
    key = expectation.key
    table = key.table
    assert table is not None, "columns stand on tables"
    alter = f"ALTER TABLE {qualified(table)} ALTER COLUMN {quoted(key.name)}"
    for fact in mismatched:
        made_by = expectation.origin.get(fact)
        if made_by is not None and expectation.history and made_by is not expectation.history[0]:
            yield renamed(_text(made_by), expectation.renames_after(expectation.history.index(made_by) + 1))
        elif fact == "type":
            shown = expectation.facts["type"]
            yield f"{alter} TYPE {shown} USING {quoted(key.name)}::{shown}"
        elif fact == "nullable":
            yield f"{alter} {'DROP' if expectation.facts['nullable'] else 'SET'} NOT NULL"
        elif fact == "default" and expectation.facts["default"] == {"function nextval"}:
            sequence = quoted(f"{table.name}_{key.name}_seq")
            yield f"CREATE SEQUENCE {sequence} OWNED BY {qualified(table)}.{quoted(key.name)}"
            yield f"{alter} SET DEFAULT nextval('{sequence}')"
        elif fact == "default":
            value = _default_text(expectation)
            yield f"{alter} SET DEFAULT {value}" if value else f"{alter} DROP DEFAULT"
        elif made_by is not None and not expectation.created:
            yield _text(made_by)


def _missing_labels(expectation: Expectation, assessment: Assessment) -> Iterator[str]:
    assert assessment.actual is not None, "what differs is there"
    present = set(assessment.actual.get("labels", ()))
    before: str | None = None
    for label in expectation.facts["labels"]:
        if label not in present:
            place = f" AFTER {_literal(before)}" if before is not None else ""
            yield f"ALTER TYPE {qualified(expectation.key)} ADD VALUE {_literal(label)}{place}"
        before = label


def _default_text(expectation: Expectation) -> str | None:
    for constraint in map(unwrap, getattr(_definition(expectation), "constraints", ())):
        if constraint.contype == pb.CONSTR_DEFAULT:
            statement = postgast.parse("SELECT 1")
            statement.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(constraint.raw_expr)
            return postgast.deparse(statement).removeprefix("SELECT ")
    return None


def _definition(expectation: Expectation) -> Node | None:
    """The column's or constraint's own part of the statement that made it."""
    if not expectation.history:
        return None
    born = expectation.born or expectation.key
    try:
        statement = unwrap(postgast.parse(expectation.history[0].sql).stmts[0].stmt)
    except (PgQueryError, IndexError):
        return None
    elements = (
        statement.table_elts
        if kind_of(statement) == "CreateStmt"
        else [getattr(unwrap(command), "def") for command in getattr(statement, "cmds", ())]
    )
    for element in map(unwrap, elements):
        if expectation.key.kind is Kind.COLUMN and kind_of(element) == "ColumnDef" and element.colname == born.name:
            return element
        if expectation.key.kind is Kind.CONSTRAINT:
            for constraint in (element, *map(unwrap, getattr(element, "constraints", ()))):
                if kind_of(constraint) == "Constraint" and _is_meant(constraint, element, expectation, born):
                    return _as_table_constraint(constraint, element)
    return None


def _is_meant(constraint: Node, element: Node, expectation: Expectation, born: Key) -> bool:
    if constraint.conname:
        return bool(constraint.conname == born.name)
    kind = expectation.facts.get("constraint", "")
    was = {new.name: old.name for _, old, new in expectation.renames if old.kind is Kind.COLUMN}
    of = tuple(was.get(c, c) for c in expectation.facts.get("columns", ()))
    kinds = {
        pb.CONSTR_PRIMARY: "primary-key",
        pb.CONSTR_UNIQUE: "unique",
        pb.CONSTR_CHECK: "check",
        pb.CONSTR_FOREIGN: "foreign-key",
    }
    if kinds.get(constraint.contype) != kind or generated_name(born.parent or "", of, kind) != born.name:
        return False
    keys = [unwrap(k).sval for k in (*constraint.keys, *constraint.fk_attrs)]
    return kind == "check" or tuple(keys or [getattr(element, "colname", "")]) == tuple(of)


def _as_table_constraint(constraint: Node, element: Node) -> Node:
    """A column's constraint, told as one of the table."""
    if kind_of(element) != "ColumnDef" or constraint.contype == pb.CONSTR_CHECK:
        return constraint
    copy = type(constraint)()
    copy.CopyFrom(constraint)
    keys = copy.fk_attrs if copy.contype == pb.CONSTR_FOREIGN else copy.keys
    if not keys:
        keys.add().string.sval = element.colname
    return copy


def _joined(expectation: Expectation, start: int = 0) -> str | None:
    return ";\n".join(_texts(expectation, start)) or None


def _texts(expectation: Expectation, start: int) -> list[str]:
    """The statements from `start` on, each with the names of today."""
    history = list(enumerate(expectation.history))[start:]
    return [renamed(_text(s), expectation.renames_after(i + 1)) for i, s in history if s.sql]


def _text(statement: Statement) -> str:
    return statement.sql.rstrip().rstrip(";")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _is_keyword(name: str) -> bool:
    try:
        postgast.parse(f"CREATE TABLE {name} ({name} int)")
    except PgQueryError:
        return True
    return False
