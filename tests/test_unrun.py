"""What did not run is never ready to stamp; what ran is never called missing, and is proved if a catalog shows it.

Small changes of every kind (``unrun_cases.py``), each its own revision on its own copy of the base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import psycopg2
import pytest

from alembic_rescue import Outcome, Revision, Verdict
from alembic_rescue.evidence.model import RevisionEvidence
from tests.chains import MISSING, THERE, Chain, by_id, told, write
from tests.conftest import VERSIONS, Database, fresh_database, server_of
from tests.observed import observe
from tests.servers import ROLE, Server
from tests.unrun_cases import BASE, GROUPS, REPORTED, Case, Tells

BY_THEMSELVES = [case for case in REPORTED if case.alone or case.name in {"view: another number", "CTE insert"}]
"""One of the catalog, one of rows, and those that do not combine with others: all others are tested in chains."""
Evidence = Union[Revision, RevisionEvidence]


@pytest.fixture(scope="module")
def server_with_role(server: Server) -> Server:
    """The base grants privileges to a role."""
    return _with_role(server)


def _with_role(server: Server) -> Server:
    with contextlib.closing(psycopg2.connect(server.admin_dsn)) as admin, admin, admin.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(4711); SELECT 1 FROM pg_roles WHERE rolname = 'app'")
        if not cursor.fetchone():
            cursor.execute("CREATE ROLE app")
    return server


@pytest.fixture
def empty(server_with_role: Server) -> Iterator[Database]:
    with fresh_database(server_with_role) as database:
        yield database


def _url(database: Database, *, superuser: bool) -> str:
    if not superuser:
        return database.url
    return f"postgresql+psycopg2://postgres@/{database.name}?host={database.server.pgdata}&port={database.server.port}"


# --- all of a kind in one chain -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """The changes of a kind that combine: one revision creates the base of each, in its own schema."""

    cases: Mapping[str, Case]

    @property
    def superuser(self) -> bool:
        return any(case.superuser for case in self.cases.values())

    @property
    def base(self) -> list[str]:
        return [
            f"CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema}, public; {BASE} {case.before}"
            for schema, case in self.cases.items()
        ]

    def bodies(self, *, first: str = "", left_out: Collection[str] = ()) -> dict[str, str]:
        """Return the revisions; those that are `left_out` do nothing, and `first` replaces the base."""
        return {"made": first or "\n".join(f"op.execute({sql!r})" for sql in self.base)} | {
            schema: "pass"
            if schema in left_out
            else f'op.execute("SET LOCAL search_path TO {schema}, public")\n{case.statements}'
            for schema, case in self.cases.items()
        }

    def on(self, server: Server) -> Kind:
        """Return the changes that this server supports."""
        return Kind({schema: case for schema, case in self.cases.items() if case.since <= server.version})


def _kind(group: str) -> Kind:
    return Kind({f"c{n:03}": case for n, case in enumerate(GROUPS[group], start=1) if not case.alone})


@pytest.mark.parametrize("group", GROUPS)
def test_each_change_of_a_kind(server_with_role: Server, tmp_path: Path, group: str) -> None:
    """Run on one scratch server, of the live one's major version and of another."""
    kind = _kind(group)
    with fresh_database(server_with_role) as scratch:
        chain = write(tmp_path / "project", _url(scratch, superuser=kind.superuser), kind.bodies())
        observed = observe(chain.root, chain.revisions, scratch, role="postgres" if kind.superuser else ROLE)
        for server in (server_with_role, _with_role(server_of(min(VERSIONS)))):
            on_it = kind.on(server)
            told_there = observed.of(["made", *on_it.cases])
            with fresh_database(server) as live:
                url = _url(live, superuser=kind.superuser)
                chain = write(tmp_path / f"live{server.version}", url, on_it.bodies())
                chain.upgrade("made")
                not_run = told_there.judged(live)
                chain.upgrade("head")
                _hold(on_it, not_run, told_there.judged(live), server)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.compatibility) for part in range(1, 4))])
def test_each_change_of_a_kind_to_what_was_created_by_hand(
    empty: Database, tmp_path: Path, group: str, part: int
) -> None:
    """With the whole tool: the chain does not run from an empty database, and a copy takes long."""
    kind = Kind(dict(list(_kind(group).on(empty.server).cases.items())[part::4]))
    chain = write(tmp_path / "project", _url(empty, superuser=kind.superuser), kind.bodies(first="pass"))
    for sql in kind.base:
        empty.run(f"BEGIN; {sql}; COMMIT", role="postgres" if kind.superuser else ROLE)
    chain.upgrade("made")
    not_run = chain.diagnose()
    assert not_run.recommendation.action.value != "stamp", not_run.recommendation

    chain.upgrade("head")
    empty.run("UPDATE alembic_version SET version_num = 'made'", role="postgres")
    ran = chain.diagnose()
    _hold(kind, not_run.revisions, ran.revisions)
    assert ran.recommendation.action.value not in {"rerun", "complete"}, ran.recommendation


@pytest.mark.parametrize("group", GROUPS)
def test_one_of_many_that_did_not_run_is_found_among_those_that_did(
    empty: Database, scratch: Database, tmp_path: Path, group: str
) -> None:
    """The application stamped over one revision; all others ran."""
    kind = _kind(group).on(empty.server)
    left_out = set(list(kind.cases)[::5])
    url = _url(empty, superuser=kind.superuser)
    write(tmp_path / "damaged", url, kind.bodies(left_out=left_out)).upgrade("head")
    chain = write(tmp_path / "project", url, kind.bodies())
    observed = observe(chain.root, chain.revisions, scratch, role="postgres" if kind.superuser else ROLE)
    found = {revision.revision: revision for revision in observed.judged(empty)}
    ready = {kind.cases[r].name: told(found[r]) for r in left_out if found[r].verdict in THERE}
    missing = {
        case.name: told(found[r])
        for r, case in kind.cases.items()
        if r not in left_out and found[r].verdict in MISSING
    }  # fmt: skip
    assert _lines(ready) + _lines(missing) == "", f"NOT RUN\n{_lines(ready)}\nRAN\n{_lines(missing)}"


def _hold(kind: Kind, before: Iterable[Evidence], after: Iterable[Evidence], proved_on: Server | None = None) -> None:
    """Check that before, none is ready; after, none is missing, and all of the catalog's are proved (`proved_on`)."""
    not_run, ran = ({one.revision: one for one in found} for found in (before, after))
    ready = {case.name: told(not_run[r]) for r, case in kind.cases.items() if not_run[r].verdict in THERE}
    missing = {case.name: told(ran[r]) for r, case in kind.cases.items() if ran[r].verdict in MISSING}
    unproved = {
        case.name: told(ran[r])
        for r, case in kind.cases.items()
        if proved_on and case.tells is Tells.CATALOG and ran[r].verdict is not Verdict.APPLIED
    }
    assert _lines(ready) + _lines(missing) + _lines(unproved) == "", (
        f"of {len(kind.cases)}, on {proved_on}\nNOT RUN, BUT READY\n{_lines(ready)}\nRAN, BUT MISSING\n"
        f"{_lines(missing)}\nRAN, BUT NOT PROVED\n{_lines(unproved)}"
    )


def _lines(found: dict[str, str]) -> str:
    return "\n".join(f"{name}: {words}" for name, words in found.items())


# --- each alone -----------------------------------------------------------------------------------------------------


def _chain(root: Path, database: Database, case: Case, *, by_hand: bool) -> Chain:
    base = f"{BASE} {case.before}"
    bodies = ["pass" if by_hand else f"op.execute({base!r})", case.statements]
    chain = write(root, _url(database, superuser=case.superuser), bodies)
    if by_hand:
        database.run(base, role="postgres" if case.superuser else ROLE)
    chain.upgrade("r1")
    return chain


@pytest.mark.parametrize("by_hand", [False, True], ids=["chain", "by-hand"])
@pytest.mark.parametrize("case", BY_THEMSELVES, ids=lambda case: case.name)
def test_a_change_alone(empty: Database, tmp_path: Path, case: Case, by_hand: bool) -> None:
    chain = _chain(tmp_path / "project", empty, case, by_hand=by_hand)
    assert chain.plan("r2").outcome is Outcome.REFUSED, told(by_id(chain.diagnose())["r2"])

    chain.upgrade("r2")
    empty.run("UPDATE alembic_version SET version_num = 'r1'", role="postgres")
    found = by_id(chain.diagnose())["r2"]
    assert found.verdict not in MISSING, told(found)
    if case.tells is Tells.CATALOG and not by_hand:
        assert found.verdict is Verdict.APPLIED, told(found)
