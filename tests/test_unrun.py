"""What did not run is never ready to be stamped; what ran is never called missing, and proved where a catalog shows it.

Small changes of every kind (``unrun_cases.py``), each a revision of its own over its own copy of the base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from alembic_rescue import Outcome, Verdict
from tests.chains import MISSING, THERE, Chain, by_id, told, write
from tests.conftest import VERSIONS, Database, fresh_database, server_of
from tests.observed import observe
from tests.servers import ROLE, Server
from tests.unrun_cases import BASE, GROUPS, REPORTED, Case, Tells

BY_THEMSELVES = [case for case in REPORTED if case.alone or case.name in {"view: another number", "CTE insert"}]
"""One of the catalog and one of rows, and those that do not go together with others: all others are tried in chains."""


@pytest.fixture(scope="module")
def server_with_role(server: Server) -> Server:
    """The base grants rights to a role."""
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


def _possible(cases: list[Case], server: Server) -> list[Case]:
    return [case for case in cases if case.since <= server.version]


# --- all of a kind in one chain -------------------------------------------------------------------------------------


def _made(case: Case, schema: str) -> str:
    """The base of one case, in a schema of its own."""
    return f"CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema}, public; {BASE} {case.before}"


@pytest.mark.parametrize("by_hand", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["chain", "by-hand"])
@pytest.mark.parametrize("group", GROUPS)
def test_each_change_of_a_kind(empty: Database, tmp_path: Path, group: str, by_hand: bool) -> None:
    cases = {
        f"c{n:03}": case
        for n, case in enumerate(_possible(GROUPS[group], empty.server), start=1)
        if not case.alone
    }  # fmt: skip
    superuser = any(case.superuser for case in cases.values())
    base = [_made(case, schema) for schema, case in cases.items()]
    first = "pass" if by_hand else "\n".join(f"op.execute({sql!r})" for sql in base)
    bodies = {"made": first} | {
        schema: f'op.execute("SET LOCAL search_path TO {schema}, public")\n{case.statements}'
        for schema, case in cases.items()
    }
    chain = write(tmp_path / "project", _url(empty, superuser=superuser), bodies)
    if by_hand:
        for sql in base:
            empty.run(f"BEGIN; {sql}; COMMIT", role="postgres" if superuser else ROLE)
    chain.upgrade("made")

    not_run = chain.diagnose()
    found = by_id(not_run)
    ready = {case.name: told(found[r]) for r, case in cases.items() if found[r].verdict in THERE}
    assert not_run.recommendation.action.value != "stamp", not_run.recommendation

    chain.upgrade("head")
    empty.run("UPDATE alembic_version SET version_num = 'made'", role="postgres")
    ran = chain.diagnose()
    found = by_id(ran)
    missing = {case.name: told(found[r]) for r, case in cases.items() if found[r].verdict in MISSING}
    unproved = {
        case.name: told(found[r])
        for r, case in cases.items()
        if case.tells is Tells.CATALOG and found[r].verdict is not Verdict.APPLIED and not by_hand
    }
    assert _lines(ready) + _lines(missing) + _lines(unproved) == "", (
        f"of {len(cases)}\nNOT RUN, BUT READY\n{_lines(ready)}\nRAN, BUT MISSING\n{_lines(missing)}\n"
        f"RAN, BUT NOT PROVED\n{_lines(unproved)}"
    )
    assert ran.recommendation.action.value not in {"rerun", "complete"}, ran.recommendation


def _lines(found: dict[str, str]) -> str:
    return "\n".join(f"{name}: {words}" for name, words in found.items())


# --- each by itself -------------------------------------------------------------------------------------------------


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
def test_a_change_by_itself(empty: Database, tmp_path: Path, case: Case, by_hand: bool) -> None:
    chain = _chain(tmp_path / "project", empty, case, by_hand=by_hand)
    assert chain.plan("r2").outcome is Outcome.REFUSED, told(by_id(chain.diagnose())["r2"])

    chain.upgrade("r2")
    empty.run("UPDATE alembic_version SET version_num = 'r1'", role="postgres")
    found = by_id(chain.diagnose())["r2"]
    assert found.verdict not in MISSING, told(found)
    if case.tells is Tells.CATALOG and not by_hand:
        assert found.verdict is Verdict.APPLIED, told(found)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_one_of_many_that_did_not_run_is_found_among_those_that_did(
    empty: Database, tmp_path: Path, group: str
) -> None:
    """The application stamped over one revision; all others ran."""
    cases = {
        f"c{n:03}": case
        for n, case in enumerate(_possible(GROUPS[group], empty.server), start=1)
        if not case.alone
    }  # fmt: skip
    superuser = any(case.superuser for case in cases.values())
    left_out = {r for n, r in enumerate(cases) if n % 5 == 0}

    def bodies(*, damaged: bool) -> dict[str, str]:
        first = "\n".join(f"op.execute({_made(case, schema)!r})" for schema, case in cases.items())
        return {"made": first} | {
            schema: "pass"
            if damaged and schema in left_out
            else f'op.execute("SET LOCAL search_path TO {schema}, public")\n{case.statements}'
            for schema, case in cases.items()
        }

    url = _url(empty, superuser=superuser)
    write(tmp_path / "damaged", url, bodies(damaged=True)).upgrade("head")
    found = by_id(write(tmp_path / "project", url, bodies(damaged=False)).applied())
    ready = {case.name: told(found[r]) for r, case in cases.items() if r in left_out and found[r].verdict in THERE}
    missing = {
        case.name: told(found[r])
        for r, case in cases.items()
        if r not in left_out and found[r].verdict in MISSING
    }  # fmt: skip
    assert _lines(ready) + _lines(missing) == "", f"NOT RUN\n{_lines(ready)}\nRAN\n{_lines(missing)}"


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_each_change_of_a_kind_on_an_older_server(server_with_role: Server, tmp_path: Path, group: str) -> None:
    """The scratch server is of another major version than the live one."""
    older = _with_role(server_of(min(VERSIONS)))
    cases = {f"c{n:03}": case for n, case in enumerate(_possible(GROUPS[group], older), start=1) if not case.alone}
    superuser = any(case.superuser for case in cases.values())
    first = "\n".join(f"op.execute({_made(case, schema)!r})" for schema, case in cases.items())
    bodies = {"made": first} | {
        schema: f'op.execute("SET LOCAL search_path TO {schema}, public")\n{case.statements}'
        for schema, case in cases.items()
    }
    with fresh_database(older) as live, fresh_database(server_with_role) as scratch:
        chain = write(tmp_path / "project", _url(live, superuser=superuser), bodies)
        observed = observe(chain.root, chain.revisions, scratch, role="postgres" if superuser else ROLE)
        chain.upgrade("made")
        not_run = {r.revision: r for r in observed.judged(live)}
        chain.upgrade("head")
        ran = {r.revision: r for r in observed.judged(live)}
    ready = {case.name: told(not_run[r]) for r, case in cases.items() if not_run[r].verdict in THERE}
    missing = {case.name: told(ran[r]) for r, case in cases.items() if ran[r].verdict in MISSING}
    unproved = {
        case.name: told(ran[r])
        for r, case in cases.items()
        if case.tells is Tells.CATALOG and ran[r].verdict is not Verdict.APPLIED
    }
    assert _lines(ready) + _lines(missing) + _lines(unproved) == ""
    assert ran["made"].verdict not in MISSING, told(ran["made"])
