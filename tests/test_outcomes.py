"""The results of copies of the live schema are kept: only for the same schema and the same files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alembic_rescue import dialects
from alembic_rescue.cli import progress
from alembic_rescue.evidence.observation import Failure, Observation, Outside, Statement, StatementKind, Unobserved
from alembic_rescue.scratch import outcomes
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scratch.cache import Cache
from alembic_rescue.worker.requests import Progress, ScriptFile
from alembic_rescue.worker.scratch.runs import OwnVisit
from tests import chains, servers

LASTS, PASSES = 'relation "t" does not exist', "canceling statement due to statement timeout"


@pytest.mark.parametrize(
    ("error", "kept"), [(LASTS, True), ("KeyError: 'x'", False), (PASSES, False), ("disk full", False)]
)
def test_a_failure_is_kept_only_if_it_will_happen_again(error, kept):
    failure = Failure(error, "/p.py", 1)
    sent = Statement("ALTER TABLE t", StatementKind.CATALOG, "/p.py", 1, error)
    assert outcomes.steps_last([Observation("r1", failure=failure)]) is kept
    assert outcomes.steps_last([Unobserved("r1", f"its downgrade() fails: {error}")]) is kept
    assert outcomes.trial_lasts(OwnVisit(0, failed="r1", failure=failure)) is kept
    assert outcomes.trial_lasts(OwnVisit(0, ran=("r1",), failing=(("r1", sent),))) is kept


def test_what_reaches_outside_is_not_kept():
    assert not outcomes.steps_last([Observation("r1", outside=(Outside("socket.connect", "/p.py", 3),))])


def test_each_schema_has_its_own_digest(database):
    scratch = dialects.of("postgresql").scratch
    given = {"host": "127.0.0.1", "port": database.server.port, "user": servers.ROLE, "password": servers.PASSWORD}

    def digest() -> str | None:
        return scratch.digest(scratch.dump({**given, "dbname": database.name}, scratch.programs("18"), 5.0, 30.0))

    database.run("CREATE TABLE t (id integer)")
    first = digest()
    time.sleep(1.1)  # an archive contains the time of its creation
    assert first is not None
    assert digest() == first
    database.run("ALTER TABLE t ADD a text DEFAULT 'x'")
    assert digest() != first


def test_a_file_found_in_git_is_recognised_at_another_path(tmp_path):
    one, other = (Cache(tmp_path / "cache", recovered=f"/tmp/found-{name}") for name in "ab")
    one.keep_outcome({}, [_script("/tmp/found-a/0/r.py")], Failure("it", "/tmp/found-a/0/r.py", 1), ())
    assert other.outcome({}, [_script("/tmp/found-b/0/r.py")]) == Failure("it", "/tmp/found-b/0/r.py", 1)
    assert Cache(tmp_path / "cache").outcome({}, [_script("/tmp/found-b/0/r.py")]) is None


def _script(path):
    return ScriptFile("r1", None, None, None, "", Path(path), "sha256:1")


@pytest.mark.slow
def test_a_second_inspection_runs_nothing_unless_the_schema_or_a_file_differs(tmp_path, database, monkeypatch):
    ran = []
    run = Bench.run
    monkeypatch.setattr(
        Bench, "run", lambda self, operation, *a, **k: ran.append(operation) or run(self, operation, *a, **k)
    )
    database.run("CREATE TABLE by_hand (id integer)")
    undo = "\n\ndef downgrade():\n    op.drop_column('by_hand', '{}')\n"
    bodies = [
        f"def upgrade():\n    op.add_column('by_hand', sa.Column('{c}', sa.Integer))\n{undo.format(c)}" for c in "abc"
    ]
    project = chains.write(tmp_path / "p", database.url, bodies)
    project.upgrade("r3")
    database.stand_at("r1")

    def look():
        ran.clear()
        return chains.verdicts(project.diagnose())

    both = {"r2": "applied", "r3": "applied"}
    assert look() == both
    assert "probe" in ran
    assert look() == both
    assert ran == []

    database.run("ALTER TABLE by_hand DROP c")
    assert look() == {"r2": "applied", "r3": "not-applied"}
    assert "probe" in ran
    database.run("ALTER TABLE by_hand ADD c integer")

    file = project.root / "alembic" / "versions" / "r3.py"
    file.write_text(file.read_text().replace("'c'", "'d'"))
    assert look() == {"r2": "applied", "r3": "not-applied"}
    assert "probe" in ran


def test_without_a_terminal_it_reports_its_progress_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_NEXT_SECONDS", 0.1)
    told = []
    with progress.Shown("Looking", told.append, color=False, quiet=False) as shown:
        time.sleep(1.3)
        assert told == []  # nothing was heard yet
        shown.hear(Progress("Running", 3, 67, "r3"))
        time.sleep(2.3)
    assert told[0] == "Running: r3 (3 of 67)\n"
    assert told[1].startswith("Running: r3 (3 of 67), for ")
    count = len(told)
    time.sleep(1.2)
    assert len(told) == count
