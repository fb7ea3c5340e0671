"""Scripts that are no source files of the project: in an installed package, or bytecode only."""

from __future__ import annotations

import shutil

import pytest

from tests.styles import compiled, installed

pytestmark = pytest.mark.compatibility

URL = "postgresql+psycopg2://shop@127.0.0.1:1/shop"


@pytest.mark.parametrize(
    ("script", "line", "code"),
    [
        ("env.py", "1 / 0", "env-failed"),
        ("versions/c0de0002_orders.py", "1 / 0", "bad-config"),
        ("versions/c0de0002_orders.py", "import not_installed_here", "module-missing"),
    ],
)
def test_an_error_from_an_installed_script_is_reported_with_its_file_and_line(project, database, script, line, code):
    shop = project("styles/in_a_package", database)
    installed(shop)
    failing = shop.root.parent / "site-packages" / "shop_migrations" / "alembic" / script
    failing.write_text(f"{line}\n{failing.read_text()}")
    told = shop.rescue("diagnose")
    assert (told.status, f"error[{code}]" in told.stderr) == (2, True), told.everything
    assert f"{failing}:1" in told.stderr


def test_an_error_from_an_installed_library_is_reported_at_the_projects_line_that_called_it(project):
    shop = project("linear", url=URL)
    library = shop.root / ".venv" / "site-packages" / "library.py"
    library.parent.mkdir(parents=True)
    library.write_text("1 / 0\n")
    env = shop.root / "alembic" / "env.py"
    env.write_text("import sys\nsys.path.append('.venv/site-packages')\nimport library\n")
    assert "env.py failed at alembic/env.py:3: ZeroDivisionError" in shop.rescue("diagnose").stderr


def test_site_packages_is_no_project_even_if_scripts_are_directly_in_it(project):
    shop = project("linear", url=URL)
    packages = shop.root / "site-packages"
    packages.mkdir()
    shutil.move(shop.root / "alembic", packages / "shop_migrations")
    (packages / "library.py").write_text("1 / 0\n")
    (packages / "shop_migrations" / "env.py").write_text("import library\n")
    ini = shop.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("%(here)s/alembic", "%(here)s/site-packages/shop_migrations"))
    told = shop.rescue("diagnose", PYTHONPATH=f"{packages}:{__file__.rpartition('/tests/')[0]}").stderr
    assert "env.py failed at site-packages/shop_migrations/env.py:1: ZeroDivisionError" in told


def test_if_bytecode_has_the_same_id_both_files_are_named(project, database):
    shop = project("styles/sourceless", database)
    versions = shop.root / "alembic" / "versions"
    shutil.copy(versions / "c0de0002_orders.py", versions / "a_copy.py")
    compiled(shop)
    told = shop.rescue("plan", "head")
    assert told.status == 3
    assert "c0de0002: alembic/versions/a_copy.pyc and alembic/versions/c0de0002_orders.pyc" in told.stderr
