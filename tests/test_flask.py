"""Flask-Migrate: a project created by `flask db init` and `flask db migrate`, through its application."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import BIN, ProjectCopy
from tests.test_errors import told

pytestmark = pytest.mark.compatibility

SHOP = """
import os
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

class Customer(db.Model):
    id = db.Column(db.Integer, primary_key=True)

def create_app(folder="migrations"):
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DATABASE"]
    db.init_app(app)
    Migrate(app, db, directory=folder)
    return app
"""
IN_THE_CONTEXT = """
from flask import current_app
from alembic import op
import sqlalchemy as sa

revision, down_revision, branch_labels, depends_on = "c0de0002", "c0de0001", None, None
TABLE = current_app.name + "_orders"

def upgrade():
    op.create_table(current_app.name + "_orders", sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Run Flask-Migrate's own commands for an application with one table."""
    root = tmp_path_factory.mktemp("flask") / "shop"
    root.mkdir()
    (root / "shop.py").write_text(SHOP)
    for arguments in (["init"], ["migrate", "-m", "customers", "--rev-id", "c0de0001"]):
        flask = ProjectCopy(root, root, environment={"SHOP_DATABASE": "sqlite://"}).run(
            [str(BIN / "flask"), "--app", "shop", "db", *arguments]
        )
        assert flask.status == 0, flask.everything
    return root


@pytest.fixture
def shop(made, tmp_path, database) -> ProjectCopy:
    """The project, its database upgraded to the first revision, with a second one that uses the application."""
    root = tmp_path / "shop"
    shutil.copytree(made, root, ignore=shutil.ignore_patterns("__pycache__", "instance"))
    copy = ProjectCopy(root, tmp_path / "state", database, {"SHOP_DATABASE": database.url})
    assert flask(copy, "upgrade").status == 0
    (root / "migrations" / "versions" / "c0de0002_orders.py").write_text(IN_THE_CONTEXT)
    return copy


def flask(project, *arguments):
    return project.run([str(BIN / "flask"), "--app", "shop", "db", *arguments])


@pytest.mark.parametrize("name", ["shop", "shop:create_app", 'shop:create_app("migrations")', "shop.py"])
def test_the_application_is_named_as_for_flask(shop, name):
    ran = shop.rescue("--app", name, "diagnose")
    assert ran.status == 0, ran.stderr
    assert "at c0de0001" in ran.stdout
    assert "c0de0002" in ran.stdout


def test_a_flask_migrate_project_works_from_plan_to_undo(shop, database):
    database.run("CREATE TABLE shop_orders (id serial PRIMARY KEY)")
    stamped = shop.rescue("--app", "shop", "stamp", "head", "--yes")
    assert stamped.status == 0, stamped.everything
    assert "c0de0002" in flask(shop, "current").everything
    assert shop.rescue("--app", "shop", "undo", "--yes").status == 0
    assert database.versions() == ["c0de0001"]


def test_env_py_gets_the_x_arguments(shop):
    env = shop.root / "migrations" / "env.py"
    env.write_text(env.read_text() + "\nprint('TOLD', context.get_x_argument())\n")
    assert "TOLD ['tenant=blue']" in shop.rescue("--debug", "-x", "tenant=blue", "--app", "shop", "diagnose").stderr


def test_url_wins_over_the_application(shop, database):
    elsewhere = "postgresql+psycopg2://nobody:x@127.0.0.1:1/nothing"
    shop.environment["SHOP_DATABASE"] = elsewhere
    ran = shop.rescue("--app", "shop", "plan", "c0de0001", ALEMBIC_RESCUE_URL=database.url)
    assert ran.status == 0, ran.everything
    assert database.name in ran.stdout


# --- which application, if any -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("-c", "migrations/alembic.ini")])
def test_flask_app_is_used_if_the_configuration_is_flask_migrates(shop, arguments):
    ran = shop.rescue(*arguments, "diagnose", FLASK_APP="shop")
    assert ran.status == 0, ran.stderr
    assert "at c0de0001" in ran.stdout


def test_a_plain_configuration_wins_over_flask_app_and_app_wins_over_both(shop, project, database):
    plain = project("linear", database)
    shutil.copy(plain.root / "alembic.ini", shop.root)
    shutil.copytree(plain.root / "alembic", shop.root / "alembic")
    assert "aaaa0005" in shop.rescue("diagnose", FLASK_APP="shop").everything
    assert "c0de0002" in shop.rescue("--app", "shop", "diagnose", ALEMBIC_CONFIG="alembic.ini").everything


def test_the_files_that_flask_reads_count(shop):
    (shop.root / ".flaskenv").write_text("FLASK_APP=shop\n")
    (shop.root / ".env").write_text(f"SHOP_DATABASE={shop.environment.pop('SHOP_DATABASE')}\n")
    ran = shop.rescue("diagnose")
    assert ran.status == 0, ran.everything
    assert "at c0de0001" in ran.stdout
    assert "error[no-config]" in shop.rescue("diagnose", FLASK_SKIP_DOTENV="1").stderr


def test_another_folder_is_named_by_its_file(shop):
    shutil.move(shop.root / "migrations", shop.root / "others")
    assert "error[no-config]" in shop.rescue("--app", "shop", "diagnose").stderr
    assert shop.rescue("-c", "others/alembic.ini", "--app", "shop", "diagnose").status == 0
    assert shop.rescue("--app", "shop:create_app('others')", "diagnose").status == 0


def test_a_module_that_runs_its_application_starts_no_server(shop):
    with (shop.root / "shop.py").open("a") as module:
        module.write("app = create_app()\napp.run(port=1)\n")
    assert shop.rescue("--app", "shop", "diagnose").status == 0


def test_without_an_application_the_error_says_how_to_name_one(shop):
    ran = shop.rescue("-c", "migrations/alembic.ini", "diagnose", "--check")
    assert ran.status == 2
    error, way_on = ran.stderr.splitlines()
    assert error == (
        "error[flask-app-needed]: migrations/alembic.ini belongs to Flask-Migrate, which needs its application"
    )
    assert way_on.endswith("with --app or FLASK_APP, as for `flask`:\n    alembic-rescue --app NAME diagnose --check")
    at_the_root = shop.rescue("diagnose")
    assert at_the_root.status == 2
    assert "error[no-config]" in at_the_root.stderr
    assert "migrations/alembic.ini:\n    alembic-rescue --app NAME diagnose" in at_the_root.stderr
    shutil.move(shop.root / "shop.py", shop.root / "app.py")
    assert "alembic-rescue --app app plan head" in shop.rescue("plan", "head").stderr
    inside = ProjectCopy(shop.root / "migrations", shop.home)
    assert "cd .. && alembic-rescue --app app diagnose" in inside.rescue("diagnose").stderr


# --- what cannot be used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "app", "code", "says"),
    [
        ("", "nowhere", "no-flask-app", "Could not import 'nowhere'."),
        ("", "plain", "no-flask-app", "Failed to find Flask application or factory in module 'plain'."),
        ("", "plain:shop", "no-flask-app", "Failed to find attribute 'shop' in 'plain'."),
        (
            "def make(): pass",
            "plain:make('s3cret-of-ours')",
            "no-flask-app",
            "The factory \"make(...)\" in module 'plain' could not be called with the specified arguments.",
        ),
        ("import redis_of_ours", "plain", "module-missing", "redis_of_ours was not found; plain.py:1 imports it"),
        ("from os import nothing", "plain", "setup-failed", "the Flask application plain failed at plain.py:1"),
        (
            "import os\ndef create_app(): return os.environ['SHOP_SETTINGS']",
            "plain",
            "env-variable-missing",
            "plain needs the environment variable SHOP_SETTINGS, which is not set (at plain.py:2)",
        ),
        ("def create_app(): raise OSError('no disk')", "plain", "setup-failed", "at plain.py:1: OSError: no disk"),
        (
            "import flask\napp = flask.Flask(__name__)",
            "plain",
            "no-flask-migrate",
            "the Flask application plain does not use Flask-Migrate",
        ),
    ],
)  # fmt: skip
def test_an_application_that_cannot_be_used(project, module, app, code, says):
    linear = project("linear")
    (linear.root / "plain.py").write_text(module + "\n")
    told(linear, "--app", app, "diagnose", code=code, status=2, says=[says], helps=[])
    assert "s3cret-of-ours" not in linear.rescue("--app", app, "diagnose").everything


def test_an_application_may_not_write_while_it_is_set_up(shop, database):
    module = shop.root / "shop.py"
    creates = "with app.app_context():\n        db.create_all()\n    return app"
    module.write_text(module.read_text().replace("return app", creates))
    assert shop.rescue("--app", "shop", "diagnose").status == 0  # nothing is missing
    database.run("DROP TABLE customer")
    told(
        shop, "--app", "shop", "diagnose",
        code="setup-writes",
        status=2,
        says=["the Flask application shop writes to the database during setup, at shop.py:18"],
        helps=["would be taken for the migrations' own"],
    )  # fmt: skip
    assert database.run("SELECT to_regclass('customer')") == [(None,)]


def test_a_missing_flask_is_reported(shop, tmp_path):
    hidden = tmp_path / "hidden" / "flask"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'flask'\", name='flask')")
    path = shop.run([sys.executable, "-c", "import os; print(os.environ.get('PYTHONPATH', ''))"]).stdout.strip()
    told(
        shop, "--app", "shop", "diagnose",
        code="flask-not-installed",
        status=2,
        says=["Flask is not installed here, but the application shop needs it"],
        helps=["in the application's environment"],
        PYTHONPATH=f"{hidden.parent}:{path}",
    )  # fmt: skip


def test_flask_is_imported_only_if_it_is_needed(project, database):
    linear = project("linear", database)
    code = (
        "import sys; from alembic_rescue import diagnose, load; diagnose(load()); "
        "print([name for name in ('flask', 'flask_migrate', 'dotenv') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=linear.root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_password_leaks_from_an_application_that_fails(shop):
    with (shop.root / "shop.py").open("a") as module:
        module.write("print(os.environ['SHOP_DATABASE'])\nraise OSError('cannot use ' + os.environ['SHOP_DATABASE'])\n")
    for arguments in ((), ("--debug",), ("--format", "json")):
        ran = shop.rescue(*arguments, "--app", "shop", "diagnose")
        assert ran.status == 2
        assert "cannot use postgresql" in ran.everything
        assert servers.PASSWORD not in ran.everything
