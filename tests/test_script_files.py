"""A revision file's attributes are read without running it, as Alembic reads them, or the file is named."""

from __future__ import annotations

import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from alembic_rescue.worker import script_files

RUNS = "\nimport sys; sys.ran_by_alembic_rescue = True\n"
TOLD = [
    'revision = "b2"\ndown_revision = "a1"\n',
    "revision: str = 'b2'\ndown_revision: 'str | None' = 'a1'\nbranch_labels = depends_on = None\n",
    'revision, down_revision, branch_labels, depends_on = "b2", "a1", None, None\n',
    '(revision, down_revision) = ("b2", ("a1", "a0"))\n',
    'ID = "b2"\nrevision = ID\ndown_revision = None\n',
    '"""Words.\n\nrevision = "no"\n"""\nrevision = "b2"\ndown_revision = ["a1", "a0"]\n',
]
NOT_TOLD = [
    'revision = "b" + str(2)\ndown_revision = None\n',
    'if True:\n    revision = "b2"\ndown_revision = None\n',
    'revision, down_revision = ("b2", None)[:2]\n',
    'down_revision = None\nfor revision in ("b2",): pass\n',
]


def directory(tmp_path, text):
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "b2.py").write_text(text + RUNS)
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    return ScriptDirectory.from_config(config)


@pytest.mark.parametrize("text", TOLD)
def test_a_file_is_read_as_alembic_reads_it(tmp_path, text, monkeypatch):
    monkeypatch.setattr("sys.ran_by_alembic_rescue", False, raising=False)
    script = directory(tmp_path, text)
    ((told,), unreadable) = script_files.read(script)
    assert not sys.ran_by_alembic_rescue
    assert unreadable == ()
    (alembics,) = script._load_revisions()
    names = {name: getattr(alembics.module, name, None) for name in script_files._NAMES}
    assert {n: list(v) if isinstance(v, tuple) else v for n, v in told.__dict__.items() if n in names} == {
        n: list(v) if isinstance(v, (tuple, list)) else v for n, v in names.items()
    }
    assert told.doc == alembics.doc


@pytest.mark.parametrize("text", NOT_TOLD)
def test_a_file_that_must_be_run_is_named(tmp_path, text):
    told, (unreadable,) = script_files.read(directory(tmp_path, text))
    assert (told, unreadable.name) == ((), "b2.py")
