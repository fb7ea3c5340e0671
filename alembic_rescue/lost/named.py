"""Scripts that say that they replace a revision, or once followed it.  Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_REPLACING = re.compile(r"replac|squash|supersed", re.IGNORECASE)
_ALEMBICS = r"[ \t#]*(?:Revision ID|Revises|Create Date):"
_REPLACES = re.compile(
    rf"^[ \t#]*(?:replac|squash|supersed)(?P<rest>[^\n]*(?:\n(?!{_ALEMBICS})[ \t]*\S[^\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
"""Such a word at the start of a line, and what follows up to an empty line, or to one of Alembic's own lines."""
_REVISES = re.compile(r"^[ \t#]*Revises:(?P<rest>[^\n]*)", re.MULTILINE)


def replaces(text: str, revision: str) -> bool:
    """Return whether a revision's file says that it replaces `revision`: by ``replaces = [...]``, or in a comment."""
    return revision in text and (revision in set(_listed(text)) or _is_named(_REPLACES, text, revision))


def revises(text: str, revision: str) -> bool:
    """Return whether a file's docstring says that it follows `revision`, in the form of Alembic's template."""
    return revision in text and _is_named(_REVISES, text, revision)


def _is_named(said: re.Pattern[str], text: str, revision: str) -> bool:
    whole = re.compile(rf"(?<![\w.-]){re.escape(revision)}(?![\w-]|\.\w)")
    return any(whole.search(found["rest"]) for found in said.finditer(_without_code(text)))


def _listed(text: str) -> Iterator[str]:
    """Yield the strings in the module's own lists of what it replaces."""
    for statement in _body(text):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.AST) and any(
            isinstance(one, ast.Name) and _REPLACING.search(one.id) for one in targets
        ):
            constants = (node.value for node in ast.walk(value) if isinstance(node, ast.Constant))
            yield from (one for one in constants if isinstance(one, str))


def _without_code(text: str) -> str:
    """Return the module's docstring and its comment lines."""
    comments = [line if line.lstrip().startswith("#") else "" for line in text.splitlines()]
    tree = ast.Module(_body(text), [])
    return "\n".join([ast.get_docstring(tree) or "", "", *comments])


def _body(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return []
