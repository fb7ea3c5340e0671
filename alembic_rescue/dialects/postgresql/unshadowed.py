"""Queries that mean the same on every search path.

A query on env.py's own connection uses env.py's search path, on which a function of the same name with better matching
arguments takes precedence over the server's: ``=(name, varchar)`` in ``public`` is enough.
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
"""Syntax that uses an operator implicitly, from the search path (``transformAExprIn`` and others)."""
_SYNTAX = frozenset(["coalesce", "greatest", "least", "extract"])
"""What looks like a function but is defined by the grammar."""


def unshadowed(query: str) -> str:
    """Return the same query with each built-in function, type, operator and relation qualified with ``pg_catalog``.

    `query` has its keywords in upper case and all else in lower case.  Its relations are catalogs (``pg_``), its types
    have their catalog names (``int4``), and ``*`` is not multiplication.  ``OPERATOR(pg_catalog.=)`` has a higher
    precedence than ``=``, the same as ``||``: if in doubt, write parentheses.

    Raises:
        ValueError: it uses an operator implicitly, as ``IN`` does; ``= ANY (...)`` writes it.
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
