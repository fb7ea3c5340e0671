"""Styles of env.py: each runs its chain on a scratch database, and is observed there, unchanged."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests import servers
from tests.conftest import PROJECTS, ProjectCopy, fresh_database
from tests.scratching import run, visit
from tests.styles import _EXAMPLE, installed

_SHOP = {"SHOP_DATABASE": "postgresql+psycopg2://shop@db.example/shop"}


@dataclass(frozen=True)
class Style:
    """A fixture project, and what its live inspection would have seen."""

    project: str
    visits: tuple[tuple[str | None, str, str], ...] = ((None, "alembic_version", "shop"),)
    """``version_table_schema``, version table and database."""
    made: tuple[str, ...] = ("public.orders",)
    """The tables that its second revision creates at each visit."""
    prepare: str = ""
    behind: tuple[str, ...] = ("c0de0001",)
    todo: tuple[str, ...] = ("c0de0002",)
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    make_ready: object = None
    error: str = ""


def _schemas(*names):
    return "; ".join(f"CREATE SCHEMA {name} AUTHORIZATION {servers.ROLE}" for name in names)


_TWO = ((None, "alembic_version", "shop"), (None, "alembic_version", "ledger"))
_OWNER = f"""
DO $$ BEGIN CREATE ROLE shop_owner; EXCEPTION WHEN duplicate_object THEN null; END $$;
GRANT shop_owner TO {servers.ROLE}; GRANT ALL ON SCHEMA public TO shop_owner
"""
STYLES = (
    Style("stock"),
    Style("engine_begin"),
    Style("transaction_per_migration"),
    Style("no_transactional_ddl"),
    Style("connection_with_isolation_level"),
    Style("async_asyncpg"),
    Style("async_psycopg"),
    Style("application_async_engine"),
    Style("application_session"),
    Style("engine_with_creator"),
    Style("attributes_connection"),
    Style("attributes_engine"),
    Style("multidb", _TWO, ("public.orders", "public.payments")),
    Style("multidb_twophase", _TWO, ("public.orders", "public.payments")),
    Style(
        "tenants_by_search_path",
        ((None, "alembic_version", "shop"),) * 2,
        ("acme.orders", "globex.orders"),
        _schemas("acme", "globex"),
    ),
    Style(
        "tenants_by_translation",
        (("tenant_a", "alembic_version", "shop"), ("tenant_b", "alembic_version", "shop")),
        ("tenant_a.orders", "tenant_b.orders"),
        _schemas("tenant_a", "tenant_b"),
    ),
    Style("version_table_schema", (("retail", "alembic_version", "shop"),), prepare=_schemas("retail")),
    Style("sets_search_path", made=("retail.orders",), prepare=_schemas("retail")),
    Style("sets_role", prepare=_OWNER),
    Style("keyword_arguments", made=("public.shop_orders",)),
    Style("version_history"),
    Style(
        "flask_migrate", environment={"FLASK_APP": "shop", **_SHOP}, options={"app": "shop"}, made=('public."order"',)
    ),
    Style("in_a_package", make_ready=installed),
    Style("raises_after", error="RuntimeError: the mail that tells the team could not be sent"),
    Style(
        "two_version_tables",
        ((None, "alembic_version_live", "shop"), (None, "alembic_version_archive", "shop")),
        ("public.live_orders", "public.archive_orders"),
    ),
)
QUICK = ("stock", "async_asyncpg", "multidb_twophase", "tenants_by_search_path", "flask_migrate")


@pytest.mark.parametrize(
    "style",
    [pytest.param(s, id=s.project, marks=() if s.project in QUICK else pytest.mark.slow) for s in STYLES],
)
def test_a_style_is_observed(style, server, tmp_path):
    with ExitStack() as around:
        names = dict.fromkeys(name for *_, name in style.visits)
        databases = {name: around.enter_context(fresh_database(server)) for name in names}
        for database in databases.values():
            if style.prepare:
                database.run(style.prepare, role="postgres")

        def addressed(text, percent="%"):
            def real(found):
                url = databases["shop" if found[2] == "watched" else found[2]].url.replace(
                    "postgresql+psycopg2", found[1]
                )
                return url.replace("%", percent)

            return _EXAMPLE.sub(real, text)

        root = tmp_path / style.project
        shutil.copytree(PROJECTS / "styles" / style.project, root, ignore=shutil.ignore_patterns("__pycache__"))
        for path in root.rglob("*"):
            if path.suffix in {".ini", ".toml", ".py"} or path.name == ".env":
                path.write_text(addressed(path.read_text(), "%%" if path.suffix in {".ini", ".toml"} else "%"))
        environment = {name: addressed(value) for name, value in style.environment.items()}
        copy = ProjectCopy(root, tmp_path / "state", environment=environment)
        if style.make_ready:
            style.make_ready(copy)
        visits = [
            visit(*style.todo, behind=style.behind, table=table, schema=schema, dbname=databases[name].name)
            for schema, table, name in style.visits
        ]
        done, sent = run(copy, options=style.options, visits=visits)
    assert done.is_whole, done
    assert [one.visit for one in done.visits] == list(range(len(visits)))
    made = {
        change.object.name
        for one in done.visits
        for observation in one.observations
        for change in observation.changes
        if change.object.kind == "table" and change.before is None
    }
    assert made == set(style.made)
    for one in done.visits:
        (observation,) = one.observations
        assert [one for one in observation.statements if not re.search("CREATE|ALTER", one.sql) or not one.line] == []
        assert all(change.statement is not None for change in observation.changes)
        assert observation.left_out == ()
    assert (done.error.error if done.error else "") == style.error
    assert len(sent) == 3 * len(visits)
