"""No configuration in the working directory: those in subfolders are named, and a single one is offered."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.conftest import BIN
from tests.terminal import at_a_terminal
from tests.writing import write_ini

pytestmark = pytest.mark.compatibility


@pytest.fixture
def backend(project, database):
    """A project whose root is one folder up: `backend/` has alembic.ini, the scripts and the application's own code."""
    whole = project("linear", database)
    (whole.root / "backend").mkdir()
    for name in ("alembic", "alembic.ini"):
        shutil.move(whole.root / name, whole.root / "backend" / name)
    database.stand_at("aaaa0001")
    return whole


def relative(backend, before="script_location = %(here)s/alembic", after="script_location = alembic"):
    ini = backend.root / "backend" / "alembic.ini"
    ini.write_text(ini.read_text().replace(before, after))


def named(backend, *arguments, **environment):
    """Return the command that the error names."""
    ran = backend.rescue(*arguments, **environment)
    assert ran.status == 2
    assert "error[no-config]" in ran.stderr
    return ran.stderr.splitlines()[-1]


def test_the_typed_command_is_printed_with_the_file_inserted(backend):
    way_on = named(backend, "-x", "tenant=blue", "plan", "aaaa0003")
    assert way_on == ("    alembic-rescue -c backend/alembic.ini -x tenant=blue plan aaaa0003")
    assert backend.rescue("-c", "backend/alembic.ini", "plan", "aaaa0003").status == 0


def test_if_its_paths_are_relative_to_its_folder_the_command_changes_there(backend):
    relative(backend)
    assert named(backend, "diagnose").endswith("    cd backend && alembic-rescue diagnose")
    there = backend.run(
        ["sh", "-c", "cd backend && alembic-rescue diagnose"], PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}"
    )
    assert there.status == 0, there.everything


def test_if_they_are_relative_to_this_folder_it_stays(backend):
    relative(backend, after="script_location = backend/alembic")
    assert named(backend, "diagnose").endswith("    alembic-rescue -c backend/alembic.ini diagnose")


def test_if_env_py_imports_from_that_folder_the_command_changes_there(backend):
    (backend.root / "backend" / "shop.py").touch()
    env = backend.root / "backend" / "alembic" / "env.py"
    env.write_text("import shop\n" + env.read_text())
    assert named(backend, "diagnose").endswith("    cd backend && alembic-rescue diagnose")
    shutil.copy(backend.root / "backend" / "shop.py", backend.root)
    assert named(backend, "diagnose").endswith("    alembic-rescue -c backend/alembic.ini diagnose")


def test_a_variable_that_names_a_missing_file_is_reported_and_does_not_interfere(backend):
    relative(backend)
    ran = backend.rescue("diagnose", ALEMBIC_CONFIG="nowhere.ini")
    assert "nowhere.ini, which ALEMBIC_CONFIG names, does not exist" in ran.stderr
    assert "cd backend && alembic-rescue -c alembic.ini diagnose" in ran.stderr


def test_without_a_terminal_nobody_is_asked(backend):
    document = backend.rescue_json("diagnose")
    assert document["error"]["code"] == "no-config"
    with at_a_terminal(backend, "--format", "json", "diagnose") as terminal:
        assert terminal.end() == 2
        assert "Use backend" not in terminal.text


# --- in a terminal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["%(here)s/alembic", "alembic"])
def test_in_a_terminal_a_single_one_is_offered_and_used(backend, written):
    relative(backend, after=f"script_location = {written}")
    with at_a_terminal(backend, "plan", "aaaa0003", "--out", "plan.json", piped=True) as terminal:
        terminal.wait_for("Use backend/alembic.ini")
        terminal.type("y\n")
        assert terminal.end() == 0
        assert "Ready" in terminal.stdout
        assert "Use backend" not in terminal.stdout
    assert ("from within backend?" in terminal.text) == (written == "alembic")
    assert (backend.root / "plan.json").exists()  # where it was typed, wherever the project is


def test_a_no_ends_with_the_command(backend, database):
    with at_a_terminal(backend, "stamp", "aaaa0003") as terminal:
        terminal.wait_for("Use backend/alembic.ini? [y/N]: ")
        terminal.type("\n")
        assert terminal.end() == 2
        assert "-c backend/alembic.ini stamp aaaa0003" in " ".join(terminal.text.split())
    assert database.versions() == ["aaaa0001"]


def test_yes_is_no_answer_to_this_question(backend, database):
    with at_a_terminal(backend, "stamp", "aaaa0003", "--yes") as terminal:
        assert terminal.end() == 2
        assert "Use backend" not in terminal.text
    assert database.versions() == ["aaaa0001"]


def test_with_several_nobody_is_asked(backend):
    write_ini(backend.root / "worker" / "alembic.ini", "script_location = %(here)s/alembic")
    with at_a_terminal(backend, "diagnose") as terminal:
        assert terminal.end() == 2
        assert "there are several, choose one" in terminal.text


# --- an ini file and a pyproject.toml ----------------------------------------------------------------------------


def test_c_names_an_ini_file_and_a_pyproject_toml_as_for_alembic(backend):
    toml = backend.root / "settings" / "pyproject.toml"
    toml.parent.mkdir()
    toml.write_text("[tool.alembic_rescue]\nreceipts = '%(here)s/kept'\n")
    both = ("-c", "backend/alembic.ini", "-c", "settings/pyproject.toml")
    assert backend.rescue(*both, "stamp", "aaaa0003", "--yes").status == 0
    assert len(list((toml.parent / "kept").iterdir())) == 1
    twice = backend.rescue("-c", "backend/alembic.ini", "-c", "backend/alembic.ini", "diagnose")
    assert twice.status == 2
    assert "error[usage]: -c takes one ini file, one pyproject.toml, or one of each" in twice.stderr
