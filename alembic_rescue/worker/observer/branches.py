"""Recognize branches for another dialect, by evaluating conditions about the dialect.  Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

_DIALECTS = frozenset(
    ["postgresql", "postgres", "sqlite", "mysql", "mariadb", "oracle", "mssql", "cockroachdb", "redshift", "duckdb"]
    + ["snowflake", "bigquery", "clickhouse", "firebird", "db2", "hana", "presto", "trino"]
)
_SAME = {"postgres": "postgresql"}
_ABOUT = re.compile(
    r"dialect|vendor|backend|driver|(engine|bind|conn|connection|connectable|impl|get_bind\(\))\.name\b"
    r"|(?<![^\W_])(db|database|engine)(_?(type|name|kind|engine))?(?!\w)",
    re.IGNORECASE,
)
"""Names that occur in the operand of a condition about the dialect."""
_OFFLINE = frozenset(["is_offline_mode", "as_sql"])


def decided(test: ast.expr, dialect: str) -> bool | None:
    """Return the value of `test` on that dialect, online; None if it depends on anything else."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = decided(test.operand, dialect)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        values = [decided(value, dialect) for value in test.values]
        settles = isinstance(test.op, ast.Or)  # one True settles an `or`, one False an `and`
        if settles in values:
            return settles
        return None if None in values else not settles
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test.left, test.ops[0], test.comparators[0], dialect)
    called = test.func if isinstance(test, ast.Call) else test
    if isinstance(called, ast.Attribute):
        if called.attr in _OFFLINE:
            return False
        if isinstance(test, ast.Call) and called.attr in {"startswith", "endswith"} and len(test.args) == 1:
            return _compared(called.value, ast.Eq(), test.args[0], dialect)
    if isinstance(test, ast.Name) and test.id in _OFFLINE:
        return False
    return None


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, dialect: str) -> bool | None:
    constants, asked = _dialects(right), left
    if constants is None and isinstance(op, (ast.Eq, ast.NotEq)):
        constants, asked = _dialects(left), right
    if constants is None or _ABOUT.search(ast.unparse(asked)) is None:
        return None
    if isinstance(op, (ast.Eq, ast.In)):
        return _is(dialect, constants)
    if isinstance(op, (ast.NotEq, ast.NotIn)):
        return not _is(dialect, constants)
    return None


def _is(dialect: str, constants: frozenset[str]) -> bool:
    return dialect in constants


def _dialects(node: ast.expr) -> frozenset[str] | None:
    """Return the dialects named by a constant or a tuple of constants; None if it names anything else."""
    values = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    names = [
        one.value.lower() if isinstance(one, ast.Constant) and isinstance(one.value, str) else "" for one in values
    ]
    known = bool(names) and all(name in _DIALECTS for name in names)
    return frozenset(_SAME.get(name, name) for name in names) if known else None


def ends(body: Sequence[ast.stmt]) -> bool:
    """Whether no code after `body` runs once it has run."""
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))
