"""The matrix of versions: it tests the wheel, reaches down to each lower bound, and matches the documents."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from alembic.config import Config
from packaging.requirements import Requirement

import alembic_rescue
from alembic_rescue import compat
from tests import compatibility, matrix

ROOT = Path(__file__).parent.parent
PROJECT = compat.tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MINORS = [
    name.removeprefix("Programming Language :: Python :: ") for name in PROJECT["classifiers"] if " :: 3." in name
]


def test_the_package_is_the_one_next_to_the_tests_or_the_installed_one():
    found = Path(alembic_rescue.__file__).parent
    if (ROOT / "alembic_rescue").exists():
        assert found == ROOT / "alembic_rescue"
    else:  # the matrix copies the tests away from it
        assert found.parent.name == "site-packages"
        assert found.is_relative_to(sys.prefix)
        assert not [file for file in metadata.files("alembic-rescue") or () if file.suffix == ".pth"], "not editable"


def test_the_lowest_cell_pins_each_requirement_to_its_lower_bound():
    bounds = set()
    for requirement in map(Requirement, PROJECT["dependencies"]):
        (bound,) = requirement.specifier
        assert bound.operator == ">="
        bounds.add((requirement.name, bound.version))
    held = {Requirement(line).name: next(iter(Requirement(line).specifier)) for line in matrix.CELLS["lowest"].held}
    assert {name: held[name].operator for name, _ in bounds} == {name: "==" for name, _ in bounds}
    exact = {(name, re.sub(r"(\.0)+$", "", held[name].version)) for name, _ in bounds}
    assert exact == {(name, re.sub(r"(\.0)+$", "", version)) for name, version in bounds}


def test_the_cells_reach_from_the_lowest_python_to_a_new_one():
    cells = list(matrix.CELLS.values())
    assert PROJECT["requires-python"] == f">={cells[0].python}"
    assert MINORS[0] == cells[0].python
    assert len({cell.python for cell in cells}) == len(cells)
    assert {cell.python for cell in cells} <= set(MINORS)


def test_each_file_that_the_matrix_names_exists():
    assert [name for name in matrix.NEEDED if not (ROOT / name).exists()] == []
    files = {test.partition("::")[0] for test in matrix.TESTS}
    assert [name for name in files if not (ROOT / "tests" / name).exists()] == []


def test_the_table_of_versions_matches_the_matrix():
    rows = compatibility.written(matrix.TABLE.name)
    assert list(rows) == list(matrix.CELLS), "stale: make matrix ARGS=--write"
    columns = ("python", *map(str.lower, matrix.SHOWN))
    for name, line in rows.items():
        _, *cells = line.strip("| ").split(" | ")
        shown = dict(zip(columns, cells, strict=False))
        assert shown["python"] == matrix.CELLS[name].python
        for requirement in map(Requirement, (*matrix.CELLS[name].held, *matrix.CELLS[name].beside)):
            if requirement.name in shown:
                assert shown[requirement.name] in requirement.specifier, (name, requirement.name)


@pytest.mark.since("alembic", "1.16", "does not read pyproject.toml")
def test_what_alembic_reads_is_known_from_its_version():
    assert Config("alembic.ini", **compat.toml_argument("shop.toml")).toml_file_name == "shop.toml"


@pytest.mark.slow
def test_without_that_python_the_running_one_is_used_and_reported(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(matrix, "BUILD", tmp_path)
    assert matrix.interpreter("3.99") is None
    python = matrix.environment("future", matrix.Cell("3.99", "one that is to come"))
    assert python == tmp_path / "future" / "venv" / "bin" / "python"
    assert python.exists()
    assert "there is no Python 3.99 here, so it runs on 3." in capsys.readouterr().out


def test_the_table_reports_what_was_not_run_and_why():
    versions = {"python": "3.10.13", "SQLAlchemy": "1.4.0", "alembic": "1.9.0"}
    lowest = matrix.Result(versions, 7, 0, {"not applicable: it is too old": 2}, 61.4)
    newest = matrix.Result(versions, 8, 1, {}, 5.0)
    text = matrix.table({"lowest": lowest, "newest": newest})
    assert "lowest: 2 not run: not applicable: it is too old" in text
    assert "7 passed" in text
    assert "8 passed, 1 failed" in text
    assert lowest.good
    assert not newest.good
    assert not matrix.Result(versions, 0, 0, {}, 1.0).good
