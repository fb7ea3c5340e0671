"""Each style of env.py: planned, stamped outside any transaction, verified, undone, and nothing else touched."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests import compatibility, servers
from tests.styles import Stage, Style, compiled, installed
from tests.watching import everything


def _schemas(*names):
    return "; ".join(f"CREATE SCHEMA {name} AUTHORIZATION {servers.ROLE}" for name in names)


_OWNER = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_owner') THEN CREATE ROLE shop_owner; END IF;
END $$;
GRANT shop_owner TO {servers.ROLE};
GRANT ALL ON SCHEMA public TO shop_owner
"""
_IN_RETAIL = (("shop", "retail.alembic_version"),)
_SHOP = {"SHOP_DATABASE": "postgresql+psycopg2://shop@db.example/shop"}
_MANAGE = ("python", "manage.py")
_SHOP_AND_LEDGER = (("shop", "alembic_version"), ("ledger", "alembic_version"))
_WITH_URL = ("alembic-rescue", "--url", "postgresql://shop@db.example/shop")
_HANDED_OVER = "connection-handed-over"
_PROVIDED = "provided-first"
"""About the scratch database, if a chain takes a schema for granted: it says nothing about env.py."""
_NEVER_THERE = "no: it does not reach its migrations"

ENV_PY = (
    Style("is the default of `alembic init`", "stock"),
    Style("comes from `alembic init -t pyproject`", "pyproject"),
    Style("has its configuration only in `pyproject.toml`", "pyproject_only", environment=_SHOP),
    Style(
        "is in one folder, and its `alembic.ini` in another (`-c`)",
        "config_in_folder",
        options=("-c", "config/alembic.ini"),
    ),
    Style("has an `alembic.ini` with relative paths", "relative_paths"),
    # --- asynchronous
    Style("comes from `alembic init -t async`, with asyncpg", "async_asyncpg"),
    Style("comes from `alembic init -t async`, with psycopg (`postgresql+psycopg_async`)", "async_psycopg"),
    Style("comes from `alembic init -t async`, with psycopg (`postgresql+psycopg`)", "async_psycopg_one_name"),
    Style("runs its coroutine in a thread", "async_in_thread"),
    Style("is called inside an event loop", "in_event_loop", rescue=("python", "deploy.py")),
    Style("is async, and is called inside an event loop", "in_event_loop_async", rescue=("python", "deploy.py")),
    # --- where the database comes from
    Style("creates its own engine, from a URL in the environment", "url_from_environment", environment=_SHOP),
    Style("takes the URL from the application's settings", "url_from_settings"),
    Style("sets `sqlalchemy.url` itself (with a `%` in the password)", "url_set_in_config", environment=_SHOP),
    Style("opens the driver's connection itself (`creator=`)", "engine_with_creator"),
    Style("prints the URL with its password, and logs all SQL", "prints_url"),
    # --- the application's
    Style("imports the application's engine, with a pool in use", "application_engine"),
    Style("imports the application's async engine", "application_async_engine"),
    Style("uses the connection of an ORM session", "application_session"),
    # --- how it connects
    Style("has an engine with its own isolation level", "engine_with_isolation_level"),
    Style("has an engine with `execution_options`", "engine_with_execution_options"),
    Style("sets the connection to AUTOCOMMIT itself", "connection_with_isolation_level"),
    Style(
        "translates schemas (`schema_translate_map`)",
        "schema_translate_map",
        prepare=_schemas("retail"),
        tables=_IN_RETAIL,
    ),
    Style("uses `engine.begin()`", "engine_begin"),
    # --- attributes
    Style('uses `attributes["connection"]` if it is set', "attributes_optional"),
    Style('requires `attributes["connection"]`', "attributes_connection", program=_MANAGE, finding=_HANDED_OVER),
    Style(
        'requires `attributes["connection"]`, and no URL is configured (`--url`)',
        "attributes_connection_no_url",
        program=_MANAGE,
        rescue=_WITH_URL,
    ),
    Style(
        'requires an engine in `attributes["connection"]`', "attributes_engine", program=_MANAGE, finding=_HANDED_OVER
    ),
    Style(
        'uses `.engine` of `attributes["connection"]`',
        "attributes_engine_of_connection",
        program=_MANAGE,
        finding=_HANDED_OVER,
    ),
    Style(
        'raises if `attributes.get("connection")` is None (`--url`)',
        "attributes_required",
        program=_MANAGE,
        rescue=_WITH_URL,
    ),
    Style(
        'raises if `attributes.get("connection")` is not an `Engine` (`--url`)',
        "attributes_engine_checked",
        program=_MANAGE,
        rescue=_WITH_URL,
    ),
    # --- SQL before configure()
    Style("sets the search path first", "sets_search_path", prepare=_schemas("retail"), tables=_IN_RETAIL),
    Style("sets a role first", "sets_role", prepare=_OWNER),
    Style("creates its schema first, if it does not exist", "creates_schema", tables=_IN_RETAIL),
    Style("creates an extension first, if it does not exist", "creates_extension"),
    Style("holds a session-level advisory lock", "advisory_lock"),
    Style("holds a transaction-level advisory lock", "advisory_lock_of_transaction"),
    Style("swallows the error of one of its own queries", "swallowed_query"),
    # --- what it configures
    Style("uses `transaction_per_migration`", "transaction_per_migration"),
    Style("sets `transactional_ddl=False`", "no_transactional_ddl"),
    Style("has a version table with another name", "version_table", tables=(("shop", "shop_version"),)),
    Style("has its version table in a schema", "version_table_schema", prepare=_schemas("retail"), tables=_IN_RETAIL),
    Style("has a version table without a primary key", "version_table_no_pk"),
    Style("writes a history in `on_version_apply`", "version_history"),
    # --- what else it does
    Style("disables logging, and all existing loggers", "disables_loggers"),
    Style("swallows all errors", "swallows_errors"),
    Style("raises after the migrations", "raises_after", finding="env-failed-after"),
    Style("exits after the migrations", "exits_after", finding="env-failed-after"),
    Style("exits before the migrations", "exits_before", refused="env-exited", why=_NEVER_THERE),
    Style("never runs the migrations", "never_migrates", refused="env-never-migrates", why=_NEVER_THERE),
)
PROJECTS = (
    Style("passes arguments to `upgrade()`: `run_migrations(prefix=..., settings=...)`", "keyword_arguments"),
    Style(
        "takes the tenant from `-x tenant=...`",
        "tenant_by_x",
        tables=(("shop", "acme.alembic_version"),),
        prepare=_schemas("acme", "globex"),
        options=("-x", "tenant=acme"),
    ),
    Style(
        "shares its database with another, each with its own section and version table (`-n billing`)",
        "two_sections",
        tables=(("shop", "alembic_version_billing"),),
        options=("-n", "billing"),
    ),
    Style(
        "has labelled branches in several `version_locations`, one depending on another",
        "version_locations",
        before=("b1110001", "c0de0001"),
        target="billing@head",
        after=("b1110002",),
    ),
    Style(
        "is in an installed package (`script_location = package:folder`)",
        "in_a_package",
        make_ready=installed,
    ),
    Style("is shipped only as `.pyc`, as are the revisions (`sourceless`)", "sourceless", make_ready=compiled),
    Style(
        "sets the location of the revisions itself (`context.script.version_locations`)",
        "locations_in_env",
        before=("b1110001", "c0de0001"),
        target="heads",
        after=("b1110002",),
    ),
    Style(
        "needs more than a URL from a `Config` that the application creates in code (`--config-from`)",
        "config_in_code",
        tables=(("shop", "shop_version"),),
        before=("b1110001", "c0de0001"),
        target="billing@head",
        after=("b1110002",),
        environment=_SHOP,
        program=_MANAGE,
        rescue=("alembic-rescue", "--config-from", "shop.migrating:alembic_config"),
    ),
    Style(
        "comes from `flask db init` (`FLASK_APP`)",
        "flask_migrate",
        environment={"FLASK_APP": "shop", **_SHOP},
        program=("flask", "db"),
    ),
    # --- several databases
    Style("comes from `alembic init -t multidb`", "multidb", tables=_SHOP_AND_LEDGER),
    Style(
        "comes from `alembic init -t multidb`, and only one of its databases is selected (`--only engine2`)",
        "multidb",
        tables=_SHOP_AND_LEDGER[1:],
        untouched=_SHOP_AND_LEDGER[:1],
        only="engine2",
    ),
    Style(
        "comes from `flask db init --multidb` (`--app`)",
        "flask_migrate_multidb",
        tables=_SHOP_AND_LEDGER,
        environment={"LEDGER_DATABASE": "postgresql+psycopg2://shop@db.example/ledger", **_SHOP},
        program=("flask", "--app", "shop", "db"),
        rescue=("alembic-rescue", "--app", "shop"),
    ),
    Style("has `USE_TWOPHASE = True` (no transaction is prepared)", "multidb_twophase", tables=_SHOP_AND_LEDGER),
    Style(
        "sets the search path to each tenant's schema in turn",
        "tenants_by_search_path",
        tables=(("shop", "acme.alembic_version"), ("shop", "globex.alembic_version")),
        prepare=_schemas("acme", "globex"),
    ),
    Style(
        "translates schemas for each tenant in turn (`version_table_schema`)",
        "tenants_by_translation",
        tables=(("shop", "tenant_a.alembic_version"), ("shop", "tenant_b.alembic_version")),
        prepare=_schemas("tenant_a", "tenant_b"),
    ),
    Style(
        "calls `configure()` twice, with two version tables in one database",
        "two_version_tables",
        tables=(("shop", "alembic_version_live"), ("shop", "alembic_version_archive")),
    ),
)
STYLES = (*ENV_PY, *PROJECTS)
TABLE = compatibility.Table(
    "styles", ("Your env.py ...", "plan", "stamp", "undo", "example"), tuple(style.does for style in STYLES)
)


@pytest.mark.compatibility
@pytest.mark.parametrize(
    "style",
    [pytest.param(style, marks=style.applicable(), id=f"{style.project}{style.only and '-only'}") for style in STYLES],
)
def test_it_is_planned_stamped_and_undone_and_nothing_else_is_touched(style, server, tmp_path):
    with ExitStack() as around:
        stage = Stage(style, server, tmp_path, around)
        files, elsewhere = stage.files(), everything(stage.watched)
        cells = _refused(stage, style) if style.refused else _rescued(stage, style)
        assert stage.files() == files
        assert everything(stage.watched) == elsewhere
    TABLE.check(style.does, *cells, f"[{style.project}](../tests/projects/styles/{style.project})")


def _rescued(stage, style):
    behind, stamped = ({table: sorted(rows) for table in style.tables} for rows in (style.before, style.after))
    left_alone = stage.rows(*style.untouched)

    planned = stage.rescue("plan", style.target, *style.restriction)
    assert (planned.status, planned.json["outcome"]) == (0, "ready"), planned.everything
    findings = {finding["code"] for part in planned.json["databases"] for finding in part["findings"]}
    assert findings - {_PROVIDED} == ({style.finding} if style.finding else set())
    assert stage.rows(*style.tables) == behind

    log = stage.logs()
    done = stage.rescue("stamp", style.target, "--yes", *style.restriction)
    assert (done.status, done.json["outcome"]) == (0, "stamped"), done.everything
    assert stage.rows(*style.tables) == stamped
    changes = log.changes()
    assert len(changes) >= len(style.tables)
    assert stage.current() == {*style.after, *(style.before if style.untouched else ())}

    log = stage.logs()
    undone = stage.rescue("undo", "--yes")
    assert (undone.status, undone.json["outcome"]) == (0, "undone"), undone.everything
    assert stage.rows(*style.tables) == behind
    assert len(log.changes()) >= len(style.tables)
    assert stage.current() == set(style.before)

    assert stage.rows(*style.untouched) == left_alone
    warned = f", warns: `{style.finding}`" if style.finding else ""
    return f"yes{warned}", f"yes: {len(changes)} statement{'s' * (len(changes) > 1)}", "yes"


def _refused(stage, style):
    rows, log = stage.rows(*style.tables), stage.logs()
    for command in (("plan", style.target), ("stamp", style.target, "--yes")):
        ended = stage.rescue(*command).json
        codes = [ended["error"]["code"]] if ended["error"] else [refusal["code"] for refusal in ended["refusals"]]
        assert codes == [style.refused], ended
    assert stage.rows(*style.tables) == rows
    assert log.changes() == []
    return f"no: `{style.refused}`", style.why, ""
