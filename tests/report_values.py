"""Reports as values, for tests of how they are shown: no database, no project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from alembic_rescue.evidence.model import Verdict
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Identity,
    Link,
    Outcome,
    Recommendation,
    Report,
    Revision,
    Target,
)

SHOP = Identity(
    "postgresql://shop", "postgresql", "18.4", "7/1", None, None, "db", 5432, "shop", "app", True, "v", None, "public"
)


def revision(name: str, verdict: Verdict = Verdict.NOT_APPLIED, doc: str = "", **more: Any) -> Revision:
    return Revision(name, doc or f"make {name}", f"versions/{name}.py", "", verdict, **more)


def line(names: Iterable[str]) -> tuple[Link, ...]:
    """Each follows the previous one."""
    names = list(names)
    return tuple(
        Link(name, (before,) if before else (), f"make {name}")
        for before, name in zip(["", *names[:-1]], names, strict=True)
    )


def report(
    links: Sequence[Link],
    rows: Iterable[str],
    revisions: Iterable[Revision] = (),
    *,
    command: str = "diagnose",
    target: str = "",
    **more: Any,
) -> Report:
    """Return the report on one database, whose version table has these rows."""
    heads = {link.revision for link in links} - {one for link in links for one in link.follows}
    part = DatabaseReport(
        database=Database(SHOP, tuple(rows), True, 32, None, (), (), False),
        revisions=tuple(revisions),
        heads_after=(),
        stamps=(),
        pending_after=(),
        refusals=(),
        findings=(),
        recommendation=Recommendation(Action.NOTHING, None, "nothing is missing"),
    )
    aim = Target(target, (target,), f"make {target}") if target else None
    return Report(command, Outcome.READY, aim, tuple(sorted(heads)), (replace(part, **more),), chain=tuple(links))
