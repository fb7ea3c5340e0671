"""A Config that is created in code: named with --config-from, or passed to the Python API."""

from __future__ import annotations

import os
import traceback
from types import SimpleNamespace

import pytest
from alembic.config import Config

import alembic_rescue
from alembic_rescue import errors
from alembic_rescue.environment import handed_over
from tests import servers
from tests.test_errors import told
from tests.writing import write_env

pytestmark = pytest.mark.compatibility

MAKES = """
from pathlib import Path
from alembic.config import Config
from sqlalchemy import create_engine

def config():
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    made.attributes["engine"] = create_engine(URL)
    made.set_section_option("alembic_rescue", "receipts", "kept")
    return made
"""
FROM_ATTRIBUTES = 'config.attributes["engine"]'
OUT_OF_REACH = "postgresql+psycopg2://shop:hunter2-of-ours@127.0.0.1:1/shop"
HERE = ("--config-from", "shop:config")


def in_code(project, database, code=MAKES, **env):
    """A project without alembic.ini, whose env.py needs what `shop:config` puts into the Config."""
    linear = project("linear")
    (linear.root / "alembic.ini").unlink()
    (linear.root / "shop.py").write_text(f"URL = {database.url if database else 'sqlite://'!r}\n{code}")
    write_env(linear, engine=FROM_ATTRIBUTES, **env)
    if database:
        database.stand_at("aaaa0001")
    return linear


# --- the command -------------------------------------------------------------------------------------------------


def test_a_config_from_code_works_from_plan_to_undo(project, database):
    linear = in_code(project, database)
    sealed = linear.rescue(*HERE, "plan", "aaaa0003", "--out", "plan.json")
    assert sealed.status == 0, sealed.everything
    stamped = linear.rescue(*HERE, "stamp", "--plan", "plan.json", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["aaaa0003"]
    assert len(list((linear.root / "kept").glob("*.json"))) == 1
    assert "stamp" in linear.rescue("receipts", ALEMBIC_RESCUE_CONFIG_FROM="shop:config").stdout
    assert linear.rescue("undo", "--yes", ALEMBIC_RESCUE_CONFIG_FROM="shop:config").status == 0
    assert database.versions() == ["aaaa0001"]
    assert linear.receipts == []


def test_a_config_in_a_module_is_used_as_it_is(project, database):
    linear = in_code(project, database, MAKES + "\nclass tools:\n    made = config()\n")
    assert linear.rescue("--config-from", "shop:tools.made", "diagnose").status == 0


def test_x_and_n_still_apply(project, database):
    code = MAKES.replace("return made", 'made.set_section_option("billing", "script_location", "alembic"); return made')
    linear = in_code(
        project, database, code, first='print("TOLD", context.get_x_argument(), config.config_ini_section)'
    )
    ran = linear.rescue("--debug", "-x", "tenant=blue", "-n", "billing", *HERE, "diagnose")
    assert ran.status == 0, ran.stderr
    assert "TOLD ['tenant=blue'] billing" in ran.stderr


def test_x_arguments_follow_those_of_the_config(project, database):
    code = MAKES.replace("return made", "made.cmd_opts = Namespace(x=['tenant=red']); return made")
    linear = in_code(
        project, database, f"from argparse import Namespace\n{code}", first='print("TOLD", context.get_x_argument())'
    )
    assert (
        "TOLD ['tenant=red', 'tenant=blue']"
        in linear.rescue("--debug", "-x", "tenant=blue", *HERE, "plan", "+1").stderr
    )


def test_url_wins(project, database):
    linear = in_code(project, None, MAKES.replace("URL)", '"postgresql+psycopg2://nobody:x@127.0.0.1:1/nothing")'))
    database.stand_at("aaaa0001")
    ran = linear.rescue(*HERE, "stamp", "aaaa0003", "--yes", ALEMBIC_RESCUE_URL=database.url)
    assert ran.status == 0, ran.everything
    assert database.versions() == ["aaaa0003"]


def test_options_win_over_variables(project, database):
    linear = in_code(project, database)
    assert linear.rescue(*HERE, "diagnose", ALEMBIC_CONFIG="nowhere.ini").status == 0
    assert linear.rescue("diagnose", ALEMBIC_CONFIG="nowhere.ini", ALEMBIC_RESCUE_CONFIG_FROM="shop:config").status == 0
    named = linear.rescue("-c", "nowhere.ini", "diagnose", ALEMBIC_RESCUE_CONFIG_FROM="shop:config")
    assert "error[no-config]" in named.stderr
    both = linear.rescue(*HERE, "-c", "alembic.ini", "diagnose")
    assert both.status == 2
    assert "error[usage]: --config-from replaces -c and --app: use only one of them" in both.stderr


def test_output_of_the_code_does_not_reach_stdout(project, database):
    prints = "print('noise'); import os; os.write(1, b'noise\\n'); os.system('echo noise')"
    linear = in_code(project, database, f"{prints}\n" + MAKES.replace("return made", f"{prints}; return made"))
    document = linear.rescue_json(*HERE, "plan", "aaaa0003")
    assert document["outcome"] == "ready"
    assert "env.py| noise" in linear.rescue("--debug", *HERE, "diagnose").stderr


def test_the_code_may_query_the_database_and_leaves_no_session_behind(project, database):
    looks = 'made.attributes["engine"].connect().execute(text("SELECT 1")); return made'
    linear = in_code(project, database, "from sqlalchemy import text\n" + MAKES.replace("return made", looks))
    stamped = linear.rescue(*HERE, "stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["aaaa0003"]


def test_with_an_open_connection_in_the_attributes_another_one_stamps(project, database):
    opens = 'opened = made.attributes["connection"] = made.attributes["engine"].connect()'
    looks = 'opened.execute(text("SELECT 1")); return made'
    code = MAKES.replace("return made", f"{opens}; {looks}")
    linear = in_code(project, database, f"from sqlalchemy import text\n{code}")
    needs = 'connection = config.attributes["connection"]\ncontext.configure(connection=connection)\n'
    write_env(linear, engine="None", body=needs + "with context.begin_transaction():\n    context.run_migrations()")
    stamped = linear.rescue(*HERE, "stamp", "aaaa0003", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["aaaa0003"]


def test_the_code_may_not_write_to_the_database(project, database):
    writes = 'made.attributes["engine"].connect().execute(text("CREATE TABLE orders ()"))'
    linear = in_code(
        project, database, "from sqlalchemy import text\n" + MAKES.replace("return made", f"{writes}\n    return made")
    )
    told(
        linear, *HERE, "plan", "aaaa0003",
        code="setup-writes",
        status=2,
        says=["shop:config writes to the database during setup, at shop.py:13: cannot execute CREATE TABLE"],
        helps=["would be taken for the migrations' own"],
    )  # fmt: skip
    assert database.run("SELECT to_regclass('orders')") == [(None,)]


# --- what cannot be used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says", "helps"),
    [
        ("shop", "it names no callable", "package.module:callable"),
        ("shop config:x y", "it does not have that form", "package.module:callable"),
        ("shop.nowhere:config", "there is no Python module shop.nowhere", "PYTHONPATH"),
        ("nowhere.shop:config", "there is no Python module nowhere", "PYTHONPATH"),
        ("shop:settings", "there is no settings in shop", "package.module:callable"),
        ("shop:URL", "it is an object of the type str, which cannot be called", "package.module:callable"),
        ("shop:nothing", "it returned None, and no alembic.config.Config", "must return a Config"),
        ("shop:later", "it is asynchronous", "name a plain function that returns the Config"),
    ],
)
def test_a_name_that_cannot_be_used(project, name, says, helps):
    code = "def nothing(): pass\nasync def later(): pass\n"
    told(
        in_code(project, None, code), "--config-from", name, "diagnose",
        code="bad-config-from", status=2, says=[f"--config-from {name} cannot be used: ", says], helps=[helps],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("def config():\n    raise OSError('no settings')", "setup-failed", "at shop.py:3: OSError: no settings"),
        ("def config():\n    raise SystemExit(3)", "setup-failed", "at shop.py:3: it exited (sys.exit: 3)"),
        ("def config(app):\n    pass", "setup-failed", "missing 1 required positional argument: 'app'"),
        ("1 / 0", "setup-failed", "the import of shop failed at shop.py:2: ZeroDivisionError"),
        ("import redis_of_ours", "module-missing", "the Python module redis_of_ours was not found; shop.py:2"),
        (
            "import os\ndef config():\n    return os.environ['SHOP_SETTINGS']",
            "env-variable-missing",
            "shop:config needs the environment variable SHOP_SETTINGS, which is not set (at shop.py:4)",
        ),
        (
            f"from sqlalchemy import create_engine\ndef config():\n    create_engine('{OUT_OF_REACH}').connect()",
            "connection-refused",
            "no server answers for shop at 127.0.0.1:1",
        ),
    ],
)  # fmt: skip
def test_code_that_fails_is_reported_with_its_error_and_place(project, code, error, says):
    told(
        in_code(project, None, code), *HERE, "diagnose",
        code=error, status=4 if error == "connection-refused" else 2, says=[says], helps=[],
    )  # fmt: skip


def test_no_password_leaks_from_code_that_fails(project, database):
    code = "def config():\n    print('using', URL)\n    raise RuntimeError('cannot use ' + URL)"
    linear = in_code(project, database, code)
    for arguments in ((), ("--debug",), ("--format", "json")):
        ran = linear.rescue(*arguments, *HERE, "diagnose")
        assert ran.status == 2
        assert "cannot use postgresql" in ran.everything
        assert servers.PASSWORD not in ran.everything


# --- the Python API ----------------------------------------------------------------------------------------------


def test_a_config_passed_to_the_api_is_not_modified(project, database, monkeypatch, tmp_path):
    linear = in_code(project, database)
    write_env(linear, first='config.attributes["seen"] = True; config.set_main_option("seen", "yes")')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    config = Config()
    config.set_main_option("script_location", str(linear.root / "alembic"))
    config.set_main_option("sqlalchemy.url", "postgresql://nobody@127.0.0.1:1/nothing")
    config.attributes["tenant"] = "red"
    before = dict(config.get_section("alembic") or {})

    loaded = alembic_rescue.load(config=config, x=["tenant=blue"], url=database.url)
    report = alembic_rescue.stamp(loaded, "aaaa0003", confirm=lambda _: True, folder=tmp_path / "receipts")

    assert report.outcome.value == "stamped"
    assert database.versions() == ["aaaa0003"]
    assert config.get_section("alembic") == before
    assert config.attributes == {"tenant": "red"}
    assert config.cmd_opts is None


def test_a_config_and_a_file_together_are_refused():
    with pytest.raises(errors.BadUsage, match="one of them"):
        alembic_rescue.load("alembic.ini", config=Config())


def test_the_api_prints_none_of_the_codes_output(project, database, monkeypatch, capfd):
    linear = in_code(project, database, MAKES.replace("return made", "print('noise'); return made"))
    monkeypatch.chdir(linear.root)
    monkeypatch.syspath_prepend(str(linear.root))
    lines: list[str] = []
    alembic_rescue.load(config_from="shop:config", tell=lines.append)
    assert lines == ["noise"]
    assert capfd.readouterr().out == ""
    assert os.environ.get("FLASK_RUN_FROM_CLI") is None


def test_a_missing_attribute_is_reported_at_the_line_that_asks_for_it():
    project = SimpleNamespace(config=Config())
    with pytest.raises(KeyError) as raised, handed_over.giving(project, handed_over.Given.NOTHING):
        project.config.attributes["tenant"]
    assert traceback.extract_tb(raised.tb)[-1].line == 'project.config.attributes["tenant"]'
