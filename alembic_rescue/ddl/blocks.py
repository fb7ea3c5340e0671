"""``DO`` blocks: the static statements in a PL/pgSQL body, as PostgreSQL's own parser gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from alembic_rescue.model_evidence import Create, Drop, Effect, Opaque

_LITERAL = re.compile(r"^\s*(?:E?'((?:[^']|'')*)'|\$(\w*)\$(.*)\$\2\$)\s*$", re.DOTALL)
_IGNORED = frozenset(
    ["PLpgSQL_stmt_return", "PLpgSQL_stmt_raise", "PLpgSQL_stmt_assign", "PLpgSQL_stmt_getdiag", "PLpgSQL_stmt_assert"]
)


@dataclass(frozen=True)
class Found:
    """One statement of a block."""

    sql: str
    conditional: bool
    """Inside an ``IF`` that looks whether an object exists."""


def statements(body: list[dict[str, Any]]) -> Iterator[Found | Opaque]:
    """The statements that the block runs; an :class:`Opaque` for each part that depends on more than existence."""
    for function in body:
        action = function["PLpgSQL_function"].get("action")
        if action:
            yield from _walk(action, conditional=False)


def conditional(effect: Effect) -> Effect:
    """The effect of a statement that runs only where the object is not there yet, or still there."""
    return replace(effect, conditional=True) if isinstance(effect, (Create, Drop)) else effect


def _walk(node: dict[str, Any], *, conditional: bool) -> Iterator[Found | Opaque]:  # noqa: C901 - by kind
    for kind, content in node.items():
        if kind == "PLpgSQL_stmt_block":
            for child in content.get("body", ()):  # the handlers run only where something failed
                yield from _walk(child, conditional=conditional or "exceptions" in content)
        elif kind == "PLpgSQL_stmt_if":
            yield from _if(content)
        elif kind == "PLpgSQL_stmt_execsql":
            sql = _query(content["sqlstmt"])
            if not content.get("into"):
                yield Found(sql, conditional)
        elif kind == "PLpgSQL_stmt_dynexecute":
            yield _dynamic(_query(content["query"]), conditional=conditional)
        elif kind == "PLpgSQL_stmt_perform":
            sql = _query(content["expr"])
            if not re.match(r"SELECT\s+(1|true|\*)\b", sql, re.IGNORECASE):
                yield Opaque(f"a DO block calls: {_short(sql)}")
        elif kind not in _IGNORED:
            inner = [found for child in _children(content) for found in _walk(child, conditional=True)]
            if inner:
                what = kind.removeprefix("PLpgSQL_stmt_").upper()
                yield Opaque(f"a DO block runs statements in a loop or case ({what}, line {content.get('lineno')})")


def _if(content: dict[str, Any]) -> Iterator[Found | Opaque]:
    condition = _query(content["cond"])
    bodies = [content.get("then_body", ()), content.get("else_body", ())]
    bodies += [part["PLpgSQL_if_elsif"].get("stmts", ()) for part in content.get("elsif_list", ())]
    several = sum(1 for body in bodies if body) > 1
    looks = re.search(r"\bEXISTS\b|\bFOUND\b|\bto_reg\w+|IS (NOT )?NULL|count\(", condition, re.IGNORECASE)
    for body in bodies:
        found = [one for child in body for one in _walk(child, conditional=True)]
        if found and (several or not looks):
            yield Opaque(f"a DO block decides at run time what it does: IF {_short(condition)}")
            return
        yield from found


def _dynamic(query: str, *, conditional: bool) -> Found | Opaque:
    literal = _LITERAL.match(query)
    if literal is None:
        return Opaque(f"a DO block puts a statement together at run time: EXECUTE {_short(query)}")
    return Found(literal.group(1).replace("''", "'") if literal.group(1) is not None else literal.group(3), conditional)


def _children(content: Any) -> Iterator[dict[str, Any]]:
    for value in content.values() if isinstance(content, dict) else ():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                if any(key.startswith("PLpgSQL_stmt") for key in item):
                    yield item
                else:
                    yield from _children(item)


def _query(node: dict[str, Any]) -> str:
    return str(node["PLpgSQL_expr"]["query"])


def _short(sql: str) -> str:
    return " ".join(sql.split())[:60]
