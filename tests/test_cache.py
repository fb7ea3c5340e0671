"""The cache of observations: it answers only if nothing has changed, and never gets in anybody's way."""

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Failure,
    LeftOut,
    Observation,
    Outside,
    Statement,
    StatementKind,
    Unobserved,
)
from alembic_rescue.model import Database, Identity
from alembic_rescue.redact import Secrets
from alembic_rescue.scratch import cache
from alembic_rescue.scratch.cache import Cache
from alembic_rescue.scratch.chain import Asked, basis_of
from alembic_rescue.worker import sources
from alembic_rescue.worker.requests import ScriptFile, Visited
from tests.conftest import fresh_database

BASIS = {"server": "18", "env.py": "sha256:1", "role": "app", "schemas": ["public"]}


def script(number, content="") -> ScriptFile:
    down = f"r{number - 1}" if number else None
    return ScriptFile(f"r{number}", down, None, None, "", Path(f"/p/r{number}.py"), f"sha256:{content or number}")


def observation(number, columns=2) -> Observation:
    table = CatalogObject("table", f"public.t{number}")
    facts = {"type": "integer", "not null": "t", "default": "nextval('public.s')", "storage": "p", "collation": "C"}
    made = [Change(table, None, {"owner": "app", "persistence": "p"}, 0)]
    made += [
        Change(CatalogObject("table column", f"{table.name}.c{column}", table.name), None, facts, 0)
        for column in range(columns)
    ]
    return Observation(
        f"r{number}",
        tuple(made),
        renames=((table, CatalogObject("table", "public.other")),),
        statements=(Statement(f"CREATE TABLE t{number} ()", StatementKind.CATALOG, "/p/r.py", 12),),
        left_out=(LeftOut("/p/r.py", 14, "op.execute(x)", StatementKind.DATA, ("x",)),),
        path="/p/r.py",
        line=10,
    )


CHAIN = [script(number) for number in range(5)]
SEEN = [observation(number) for number in range(5)]


@pytest.fixture
def kept(tmp_path) -> Cache:
    found = Cache(tmp_path / "cache")
    found.store(BASIS, CHAIN, SEEN)
    return found


def found(kept, basis=BASIS, scripts=CHAIN) -> list[str]:
    keys = kept.keys(basis, scripts)
    loaded = kept.load(keys)
    return [loaded[key].revision for key in keys if key in loaded]


def test_a_kept_observation_comes_back_unchanged(kept):
    keys = kept.keys(BASIS, CHAIN)
    assert [kept.load(keys)[key] for key in keys] == SEEN


def test_only_the_last_revisions_need_to_be_requested(kept):
    keys = kept.keys(BASIS, CHAIN)
    assert list(kept.load(keys[3:]).values()) == SEEN[3:]


def test_observations_of_the_last_revisions_belong_to_them(tmp_path):
    kept = Cache(tmp_path / "cache")
    kept.store(BASIS, CHAIN, SEEN[3:])
    assert found(kept) == ["r3", "r4"]


def test_a_changed_file_invalidates_itself_and_everything_after_it(kept):
    changed = [*CHAIN[:2], script(2, "otherwise"), *CHAIN[3:]]
    assert found(kept, scripts=changed) == ["r0", "r1"]


def test_an_inserted_revision_invalidates_them_too(kept):
    assert found(kept, scripts=[*CHAIN[:2], script(9), *CHAIN[2:]]) == ["r0", "r1"]


def test_a_project_at_another_path_gets_its_own_paths(kept):
    moved = [replace(one, path=Path("/q") / one.path.name) for one in CHAIN]
    assert found(kept, scripts=moved) == []


@pytest.mark.parametrize("name", BASIS)
def test_every_other_dependency_counts(kept, name):
    assert found(kept, basis={**BASIS, name: "other"}) == []


def test_the_tools_own_version_counts(kept, monkeypatch):
    monkeypatch.setattr(cache, "version", lambda _: "9.9")
    cache._tool.cache_clear()
    try:
        assert found(kept) == []
    finally:
        cache._tool.cache_clear()


def test_a_changed_helper_module_counts_and_is_recognised_when_changed_back(tmp_path):
    helper = tmp_path / "helpers.py"
    helper.write_text("A = 1\n")
    kept = Cache(tmp_path / "cache")
    kept.store(BASIS, CHAIN, SEEN, files=[str(helper)])
    assert len(found(kept)) == 5
    helper.write_text("A = 2\n")
    assert found(kept) == []
    helper.write_text("A = 1\n")
    assert len(found(kept)) == 5
    helper.unlink()
    assert found(kept) == []


@pytest.mark.parametrize(
    "spoilt",
    [
        Unobserved("r2", "timeout"),
        replace(SEEN[2], failure=Failure("canceling statement due to statement timeout", "/p/r.py", 3)),
        replace(SEEN[2], outside=(Outside("socket.connect", "/p/r.py", 3),)),
    ],
    ids=["unobserved", "failed", "outside"],
)
def test_nothing_is_kept_from_the_first_revision_on_that_may_differ_next_time(tmp_path, spoilt):
    kept = Cache(tmp_path / "cache")
    kept.store(BASIS, CHAIN, [*SEEN[:2], spoilt, *SEEN[3:]])
    assert found(kept) == ["r0", "r1"]


def test_a_statement_with_a_known_secret_is_not_kept(tmp_path):
    secrets = Secrets()
    secrets.add("s3cr3t-of-prod")
    told = replace(
        SEEN[1], statements=(Statement("CREATE ROLE x PASSWORD 's3cr3t-of-prod'", StatementKind.CATALOG, "", 1),)
    )
    kept = Cache(tmp_path / "cache", hide=secrets.hide)
    kept.store(BASIS, CHAIN[:3], [SEEN[0], told, SEEN[2]])
    assert found(kept, scripts=CHAIN[:3]) == ["r0", "r2"]
    assert not any(b"s3cr3t" in path.read_bytes() for path in (tmp_path / "cache").rglob("*.json"))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"$": "Path", "is": "x"}', '{"$": "os", "x": 1}', "[[[["])
def test_a_broken_file_is_ignored_and_repaired_by_the_next_run(kept, content):
    key = kept.keys(BASIS, CHAIN)[2]
    kept._path(key).write_text(content)
    assert found(kept) == ["r0", "r1", "r3", "r4"]
    kept.store(BASIS, CHAIN, SEEN)
    assert len(found(kept)) == 5


def test_a_broken_list_of_other_files_is_ignored_too(tmp_path):
    helper = tmp_path / "helpers.py"
    helper.write_text("A = 1\n")
    kept = Cache(tmp_path / "cache")
    kept.store(BASIS, CHAIN, SEEN, files=[str(helper)])
    kept._path(cache._basis_key(BASIS)).write_text("{")
    assert found(kept) == []


def test_files_are_private_to_the_user(kept):
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    for path in kept.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert {path.suffix for path in kept.folder.rglob("*") if path.is_file()} == {".json"}


def test_a_folder_that_others_can_write_to_is_not_trusted(kept):
    kept.folder.chmod(0o777)
    assert found(kept) == []


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Cache(tmp_path / "file" / "cache")
    kept.store(BASIS, CHAIN, SEEN)
    assert found(kept) == []


def test_the_least_recently_used_are_deleted_first(tmp_path):
    kept = Cache(tmp_path / "cache", limit=10 * 4096)
    kept.store(BASIS, CHAIN, SEEN)
    for path in kept.folder.rglob("*.json"):
        os.utime(path, (1, 1))
    kept.load(kept.keys(BASIS, CHAIN)[:2])  # used again
    kept.store({**BASIS, "server": "16"}, CHAIN, SEEN)
    assert found(kept) == ["r0", "r1"]
    assert len(found(kept, basis={**BASIS, "server": "16"})) == 5
    assert sum(1 for _ in kept.folder.rglob("*.json")) <= 9


def test_the_folder_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().folder == tmp_path / "alembic-rescue"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Cache().folder.name in {"alembic-rescue", "Cache"}


def test_opened_files_are_recorded(tmp_path):
    sql, written = tmp_path / "seed.sql", tmp_path / "log.txt"
    sql.write_text("SELECT 1")
    opened = sources.Opened()
    opened.begin()
    sql.read_text()
    written.write_text("x")
    Path(json.__file__).read_bytes()
    noted = opened.end()
    (tmp_path / "later").write_text("")
    (tmp_path / "later").read_text()
    assert noted == {str(sql)}


def test_modules_of_the_project_are_recorded_and_packages_are_not(tmp_path, monkeypatch):
    (tmp_path / "a_helper_of_the_project.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("a_helper_of_the_project")
    noted = sources.loaded()
    del sys.modules["a_helper_of_the_project"]
    assert str(tmp_path / "a_helper_of_the_project.py") in noted
    assert not any("site-packages" in path or path.endswith("/json/__init__.py") for path in noted)


def test_the_environment_counts_but_the_terminal_does_not():
    known = sources.environment({"FEATURE": "1", "PWD": "/a"})
    assert known == sources.environment({"FEATURE": "1", "PWD": "/b", "ALEMBIC_RESCUE_URL": "x"})
    assert known != sources.environment({"FEATURE": "2", "PWD": "/a"})


def test_installed_packages_count(tmp_path, monkeypatch):
    before = sources.installed()
    (tmp_path / "shop-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert sources.installed() != before


def test_parts_of_a_digest_do_not_run_together():
    assert sources.digest(["ab", "c"]) != sources.digest(["a", "bc"])


def test_another_checkout_of_the_same_files_hits_with_its_own_paths(tmp_path):
    def at(root: Path) -> tuple[Cache, list[ScriptFile], list[Observation]]:
        chain = [replace(one, path=root / one.path.name) for one in CHAIN]
        path = str(root / "r.py")
        seen = [replace(one, path=path, statements=(replace(one.statements[0], path=path),)) for one in SEEN]
        return Cache(tmp_path / "cache", root=str(root)), chain, seen

    here, chain, seen = at(tmp_path / "here")
    here.store(BASIS, chain, seen)
    there, same_chain, as_there = at(tmp_path / "there")
    found = there.load(there.keys(BASIS, same_chain))
    assert list(found.values()) == as_there


def test_two_databases_of_one_env_py_are_told_apart():
    """Everything but their place among its visits may be the same; each has its own revisions (Alembic's multidb)."""

    def asked(database):
        identity = Identity(
            "", "postgresql", "18", database, None, None, "db", 5432, database, "app", None, "v", None, "public"
        )
        seen = Database(identity, ("r1",), True, 32, None, (), (), pooled=False)
        return Asked(Visited(seen, {}, "postgresql+psycopg2", transactional=True), (), ("r2",))

    both = asked("shop"), asked("ledger")
    look = SimpleNamespace(visited=[one.visited for one in both], scripts=())
    named = SimpleNamespace(section=None, x=(), config_from=None, app=None)
    loaded = SimpleNamespace(env=Path("/p/env.py"), options={}, versions={}, installed="")
    project = SimpleNamespace(loaded=loaded, named=named, scratch=None, baseline=None)
    one, other = (basis_of(SimpleNamespace(scripts=look), each, SimpleNamespace(project=project)) for each in both)
    assert one != other


@pytest.mark.slow
def test_another_checkout_for_another_database_runs_no_migration_again(project, server, tmp_path):
    """With the whole tool: each deployment has its own folder, and each developer a database.

    What a copy of a live schema shows belongs to that database.
    """
    kept = []
    for checkout in ("one", "two"):
        with fresh_database(server) as database:
            copy = project("linear", database)
            copy.root = copy.root.rename(tmp_path / checkout)
            database.stand_at("aaaa0001")
            diagnosed = copy.rescue_json("diagnose", "--locate", XDG_CACHE_HOME=str(tmp_path / "cache"))
            assert diagnosed["databases"][0]["revisions"], diagnosed
            kept.append(sorted((tmp_path / "cache" / "alembic-rescue").glob("??/*.json")))
    assert kept[0]
    assert kept[0] == kept[1], "the second look would have kept something of its own"
