"""Attribute the changes of a revision to its statements.  Pure.

The catalog is read when the revision has finished, because reading it earlier would require a commit.  So if several
statements changed the catalog, a change is attributed to the one that names the object.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from alembic_rescue.evidence.observation import CatalogObject, Change, Statement, StatementKind
from alembic_rescue.evidence.positions import differing

_WORD = re.compile(r"[^\W\d][\w$]*")


def attributed(changes: Sequence[Change], statements: Sequence[Statement]) -> tuple[Change, ...]:
    """Return `changes`, each with the statement that made it, if known."""
    able = [
        (number, frozenset(word.lower() for word in _WORD.findall(one.sql)))
        for number, one in enumerate(statements)
        if one.error is None and one.kind in {StatementKind.CATALOG, StatementKind.DATA}
    ]
    catalog = [one for one in able if statements[one[0]].kind is StatementKind.CATALOG]
    return tuple(
        change if change.statement is not None else replace(change, statement=_of(change, catalog or able))
        for change in changes
    )


def _of(change: Change, able: Sequence[tuple[int, frozenset[str]]]) -> int | None:
    if len(able) == 1:
        return able[0][0]
    own, parents = _names(change.object)
    changed = _words_of(change)
    best: tuple[tuple[int, int], int] | None = None
    for number, words in able:
        named = 2 * (own <= words) + (bool(parents) and parents <= words)
        # A new object was created by the first statement that names it; another was changed or dropped by the last.
        fits = named, len(changed & words)
        if named and (best is None or fits > best[0] or (fits == best[0] and change.before is not None)):
            best = fits, number
    return _by_beginning(own, able, made=change.before is None) if best is None else best[1]


def _words_of(change: Change) -> frozenset[str]:
    """Return words of a statement that makes this change, rather than another change of the same object."""
    if change.object.kind == "default value":
        return frozenset(["default"])
    if change.before is None or change.after is None:
        return frozenset()
    changed = differing(change.before, change.after)
    return frozenset(word.lower() for fact in changed for word in _WORD.findall(fact))


def _by_beginning(own: frozenset[str], able: Sequence[tuple[int, frozenset[str]]], *, made: bool) -> int | None:
    """Return the statement for a sequence or key that is named after its table: ``t_id_seq``."""
    longest = max((len(word) for _, words in able for word in words if _begins(own, word)), default=0)
    began = [number for number, words in able if any(len(w) == longest and _begins(own, w) for w in words)]
    if not began:
        return None
    return began[0] if made else began[-1]


def _begins(own: frozenset[str], word: str) -> bool:
    return any(name.startswith(f"{word}_") for name in own)


def _names(found: CatalogObject) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of an object's name and of its parent's name, both without schema."""
    own = re.split(r" on |\(", found.name, maxsplit=1)[0]
    return _last(own), _last(re.split(r"\(", found.parent, maxsplit=1)[0])


def _last(qualified: str) -> frozenset[str]:
    parts = re.findall(r'"(?:[^"]|"")*"|[^.]+', qualified)
    return frozenset(word.lower() for word in _WORD.findall(parts[-1])) if parts else frozenset()
