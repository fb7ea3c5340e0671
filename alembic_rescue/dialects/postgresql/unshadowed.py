"""Queries whose meaning is the same on every search path.

What is asked on env.py's own connection is asked with env.py's search path, in which anybody's function of the same
name and better fitting arguments comes before the server's: ``=(name, varchar)`` in ``public`` is enough.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
    (?P<kept> '(?:[^']|'')*' | --[^\n]* | [:]\w+ | \{\w*\} | (?<=[.(])\* )
  | (?P<cast> :: ) (?P<type> (?!pg_catalog\.) (?: "char" | \w+ ) )
  | (?P<word> (?<! [.\w"] ) [a-z_][a-z_0-9]* (?! [\w.] ) ) (?P<call> \s*\( )?
  | (?P<operator> [-+*/<>=~!&|]+ )
  | "(?:[^"]|"")*" | [\w.]+ | \s+ | .
    """,
    re.VERBOSE | re.DOTALL,
)
_LOOKED_UP = re.compile(
    r"\bIN\s*\(|\b(?:BETWEEN|LIKE|ILIKE|SIMILAR|USING|NATURAL|NULLIF|DISTINCT\s+FROM)\b|\bCASE\s+(?!WHEN\b)",
    re.IGNORECASE,
)
"""What takes an operator without writing it: from the search path (``transformAExprIn`` and others)."""
_SYNTAX = frozenset(["coalesce", "greatest", "least", "extract"])
"""What looks like a function and has its meaning from the grammar."""


def unshadowed(query: str) -> str:
    """The same query with each function, type, operator and relation of the server's as ``pg_catalog``'s.

    `query` has its keywords in upper case and all else in lower case.  Its relations are catalogs (``pg_``), its types
    go by their names there (``int4``), and a ``*`` is no multiplication.  ``OPERATOR(pg_catalog.=)`` binds more closely
    than ``=``, and as ``||`` does: in doubt write parentheses.

    Raises:
        ValueError: it takes an operator without writing it, as ``IN`` does; ``= ANY (...)`` writes it.
    """
    if found := _LOOKED_UP.search(query):
        raise ValueError(f"{found[0]!r} takes its operator from the search path: {query}")
    return _TOKEN.sub(_qualified, query)


def _qualified(found: re.Match[str]) -> str:
    if found["cast"]:
        return f"::pg_catalog.{found['type']}"
    if found["operator"]:
        return f"OPERATOR(pg_catalog.{found['operator']})"
    word = found["word"]
    if word and word not in _SYNTAX and (found["call"] or word.startswith("pg_")):
        return f"pg_catalog.{found[0]}"
    return found[0]
