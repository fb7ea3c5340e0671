"""On a database that its own chain created, at every position: nothing that ran is missing, nothing pending exists.

The chains are in ``projects/histories``: guards, drops by query, reflection, sessions, renames, swaps, partitions,
surgery on enums, views over views ... the bodies of ``upgrade()`` of r1, r2, ..., separated by ``# ---``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

import pytest

from alembic_rescue import DatabaseReport, Revision, Verdict
from alembic_rescue.evidence.model import RevisionEvidence
from alembic_rescue.model import Located
from tests.chains import MISSING, Chain, told, write
from tests.conftest import PROJECTS, Database
from tests.observed import observe

HISTORIES = sorted((PROJECTS / "histories").glob("*.py"))
PRESENT = {"applied", "partial"}
"""Verdicts that are wrong for any revision that did not run."""
WITH_THE_WHOLE_TOOL = [
    pytest.param("dynamic_drop"),
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("guard_legacy", "rename_back", "swapped_check", "swap_tables", "table_copied")
    ),
]
Judged = Union[Revision, RevisionEvidence]


def chain_of(history: Path, root: Path, database: Database) -> Chain:
    return write(root, database.url, history.read_text().split("# ---\n"))


def upgraded(chain: Chain, database: Database, step: int) -> int:
    """Upgrade to that revision, and return the position at which the database is then.

    A migration that ends Alembic's own transaction reverts the row as well; the database is where its row says.
    """
    if step:
        chain.upgrade(f"r{step}")
    rows = database.versions()
    return int(rows[0][1:]) if rows else 0


def stand_at(database: Database, position: int) -> None:
    """Set the version table to that position, whatever exists."""
    database.run("DELETE FROM alembic_version")
    if position:
        database.run(f"INSERT INTO alembic_version VALUES ('r{position}')")


def false_verdicts(revisions: Sequence[Judged], position: int) -> list[str]:
    """Return the false statements about a database at which r1 ... up to `position` ran."""
    return [
        told(revision)
        for revision in revisions
        if (
            revision.verdict in MISSING if int(revision.revision[1:]) <= position else revision.verdict.value in PRESENT
        )
    ]


def mislocated(located: Located, revisions: Sequence[Judged], position: int) -> list[str]:
    """Return what ``--locate`` gets wrong: another revision is right only if nothing proves what lies between."""
    at = max((int(revision[1:]) for revision in located.revisions), default=0)
    between = range(min(at, position) + 1, max(at, position) + 1)
    known = {revision.revision: revision.verdict.value for revision in revisions}
    verdicts = [known[f"r{n}"] for n in between]
    unproved = {"unverifiable", "empty"} if at < position else {"empty"}
    return [f"located at r{at}, and it stands at r{position}: {verdicts}"] if set(verdicts) - unproved else []


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.stem)
def test_judged_at_every_position(history: Path, tmp_path: Path, database: Database, scratch: Database) -> None:
    chain = chain_of(history, tmp_path / "project", database)
    observed = observe(chain.root, chain.revisions, scratch)
    wrong = []
    for step in range(len(chain.revisions) + 1):
        position = upgraded(chain, database, step)
        every = observed.judged(database)
        looks = {
            "--locate": every,
            "diagnose": observed.judged(database, position),
            "--applied": observed.judged(database, 0, position),
            "set back by one, diagnose": observed.judged(database, max(position - 1, 0)),
        }
        wrong += [f"{look} at r{position}: {said}" for look in looks for said in false_verdicts(looks[look], position)]
        wrong += mislocated(observed.located(every), every, position)
        if not step:  # unless a later revision reverts all of it: then the database looks the same either way
            assert every[0].verdict is Verdict.NOT_APPLIED or every[0].cancelled_by, told(every[0])
    assert not wrong, "\n".join(wrong)
    held = [o for revision in every for o in revision.objects if o.met and o.presence.value == "present"]
    assert held, [*map(told, every)]  # "unverifiable" would be no answer


@pytest.mark.parametrize("name", WITH_THE_WHOLE_TOOL)
def test_every_inspection_at_every_position(name: str, tmp_path: Path, database: Database) -> None:
    chain = chain_of(PROJECTS / "histories" / f"{name}.py", tmp_path / "project", database)
    wrong: list[str] = []

    def looked(look: str, part: DatabaseReport, position: int) -> None:
        wrong.extend(f"{look} at r{position}: {said}" for said in false_verdicts(part.revisions, position))

    for step in range(len(chain.revisions) + 1):
        position = upgraded(chain, database, step)
        part = chain.diagnose()
        looked("diagnose", part, position)
        # The next round really upgrades: what it passes was not certain to fail.
        wrong += [
            f"at r{position} {cause.revision}:{cause.line} must fail: {cause.error}"
            for cause in part.causes
            if cause.aborts
        ]
        if part.recommendation.action.value == "stamp":
            wrong.append(f"at r{position} recommended: {part.recommendation}")
        part = chain.locate()
        looked("--locate", part, position)
        assert part.located
        wrong += mislocated(part.located, part.revisions, position)
        if position:
            looked("--applied", chain.applied(), position)
            for back in {0, position - 1}:
                stand_at(database, back)
                looked(f"set back to r{back}, diagnose", chain.diagnose(), position)
            stand_at(database, position)
    assert not wrong, "\n".join(wrong)
