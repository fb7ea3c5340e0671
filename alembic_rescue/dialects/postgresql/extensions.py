"""The extensions that pending revisions create and the live server will not create for this role.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from alembic_rescue.dialects.scratch import Surroundings
from alembic_rescue.evidence.model import Cause
from alembic_rescue.evidence.observation import Observation, Unobserved

_CREATES = re.compile(r'\bCREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?("(?:[^"]|"")+"|\w+)', re.IGNORECASE)


def barred(around: Surroundings, steps: Sequence[Observation | Unobserved]) -> Iterator[Cause]:
    """Yield a cause for each extension that cannot be created on the live server.

    Args:
        around: what the live server reports; if it lists no available extensions, nothing is known.
        steps: what the pending revisions send.
    """
    there = {name for name, _ in around.extensions}
    for step in (one for one in steps if isinstance(one, Observation)):
        for sent in step.statements:
            for written in _CREATES.findall(sent.sql):
                name = written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()
                why = _why(around, name, written) if around.available and name not in there else None
                there.add(name)
                if why is not None:
                    yield Cause(
                        revision=step.revision,
                        path=sent.path or step.path,
                        line=sent.line or 0,
                        statement="",
                        error=f"creates the extension {name}, {why[0]}",
                        swallowed=False,
                        handler_line=None,
                        fix=why[1],
                        code="extension-barred",
                    )


def _why(around: Surroundings, name: str, written: str) -> tuple[str, str] | None:
    """Return why the extension cannot be created, and what to do; None if it can."""
    if name not in around.available:
        return (
            "which is not installed on the database's server",
            f"install {name} on that server, or use an image or a plan that includes it",
        )
    for reason, names in around.barred:
        if name in names:
            return (
                f"but role {around.role} may not: {reason}",
                f"have a superuser run CREATE EXTENSION {written}; there, and let the migration say IF NOT EXISTS",
            )
    return None
