"""``flask rescue``: Flask finds it by its entry point, and it runs the whole tool for Flask's application."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from alembic_rescue.cli.flask_command import located
from tests import matrix
from tests.conftest import BIN, clean_environment
from tests.test_flask import made, shop  # noqa: F401 - fixtures

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.compatibility
DECLARED = tomllib.loads((matrix.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]


@pytest.fixture
def path(tmp_path):
    """A PYTHONPATH with the entry points of an installation."""
    about = tmp_path / "installed" / "alembic_rescue_declared-0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: alembic-rescue-declared\nVersion: 0\n")
    lines = [line for group, points in DECLARED.items() for line in (f"[{group}]", *map(" = ".join, points.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return os.pathsep.join([str(about.parent), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def flask(shop, path):  # noqa: F811 - the fixture
    """Run flask as users do."""

    def run(*arguments, **environment):
        return shop.run([str(BIN / "flask"), *arguments], **{"PYTHONPATH": path, **environment})

    return run


def test_flask_lists_the_command(flask):
    listed = flask("--app", "shop", "--help")
    assert re.search(r"^  rescue +Recover from a stuck migration\.$", listed.stdout, re.MULTILINE), listed.everything


def test_from_diagnose_to_undo_as_users_type_it(flask, database):
    found = flask("--app", "shop", "rescue", "diagnose")
    assert found.status == 0, found.everything
    assert "at c0de0001" in found.stdout
    assert "flask --app shop db upgrade" in found.stdout
    database.run("CREATE TABLE shop_orders (id serial PRIMARY KEY)")
    stamped = flask("--app", "shop:create_app('migrations')", "rescue", "stamp", "head", "--yes")
    assert stamped.status == 0, stamped.everything
    assert flask("rescue", "undo", "--yes", FLASK_APP="shop").status == 0
    assert database.versions() == ["c0de0001"]


def test_exit_status_and_errors_are_the_tools(flask):
    ran = flask("--app", "shop", "rescue", "plan", "nothing")
    assert (ran.status, "Refused: unknown-revision" in ran.stdout) == (3, True), ran.everything
    assert "error[unknown-revision]" in ran.stderr
    assert flask("--app", "shop", "rescue").status == 2
    assert "Usage: alembic-rescue diagnose" in flask("--app", "shop", "rescue", "diagnose", "--help").stdout
    assert "error[no-flask-app]" in flask("--app", "nowhere", "rescue", "diagnose").stderr


@pytest.mark.parametrize("name", ["wsgi", "app"])
def test_the_application_that_flask_discovers_is_used(flask, shop, name):  # noqa: F811
    (shop.root / f"{name}.py").write_text("from shop import create_app\napp = create_app()\n")
    ran = flask("rescue", "--format", "json", "diagnose")
    assert ran.status == 0, ran.everything
    assert ran.json["databases"][0]["current_heads"] == ["c0de0001"]


def test_a_project_with_its_own_command_is_found(path, shop):  # noqa: F811
    (shop.root / "own.py").write_text(
        "from flask.cli import FlaskGroup\nfrom shop import create_app\ncli = FlaskGroup(create_app=create_app)\n"
    )
    code = "from own import cli; cli()"
    ran = shop.run([sys.executable, "-c", code, "rescue", "diagnose"], PYTHONPATH=path)
    assert ran.status == 0, ran.everything
    assert "at c0de0001" in ran.stdout


def test_other_flask_commands_do_not_import_the_tool(path, shop):  # noqa: F811
    code = (
        "import sys; from flask.cli import cli; cli._load_plugin_commands(); "
        "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'sqlalchemy', 'typer', 'rich')])"
    )
    ran = shop.run([sys.executable, "-c", code], PYTHONPATH=path)
    assert ran.stdout == "[]\n", ran.everything


def test_the_tool_does_not_import_flask(tmp_path):
    code = "import sys; from alembic_rescue.cli import commands; print('flask' in sys.modules)"
    own = clean_environment(tmp_path)
    told = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_an_application_without_an_importable_name_is_not_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located(SimpleNamespace(create_app=lambda: None, app_import_path=None)) is None
    assert located(SimpleNamespace(create_app=None, app_import_path="shop:app")) == "shop:app"
    assert located(SimpleNamespace(create_app=None, app_import_path=None)) is None
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    assert located(SimpleNamespace(create_app=None, app_import_path=None)) == "app.py"
