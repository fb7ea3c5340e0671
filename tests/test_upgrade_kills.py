"""``upgrade`` killed at each of its statements, and another replica afterwards.

A proxy stops the victim before statement number k, so that the server has run exactly k - 1 of them.  The same state is
left by a kill right after the answer to statement k - 1, seen or not.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.counting_proxy import counting
from tests.upgrades import ended, rescue_locks, written
from tests.watching import others, until

pytestmark = pytest.mark.slow

CHANGES = {
    "r1": """
        op.create_table('t', sa.Column('id', sa.Integer))
        op.create_table('ran', sa.Column('revision', sa.Text))
        op.execute("INSERT INTO ran VALUES ('r1')")
    """,
    "r2": """
        op.add_column('t', sa.Column('c2', sa.Integer))
        op.execute("INSERT INTO ran VALUES ('r2')")
    """,
    "r3": """
        op.add_column('t', sa.Column('c3', sa.Integer))
        op.execute("INSERT INTO ran VALUES ('r3')")
    """,
}
CONCURRENTLY = {
    **CHANGES,
    "r2": """
        op.add_column('t', sa.Column('c2', sa.Integer))
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY ix ON t (id)")
        op.execute("INSERT INTO ran VALUES ('r2')")
    """,
}
STYLES = {
    "one": ("", CHANGES),
    "each": ("transaction_per_migration=True", CHANGES),
    "autocommit": ("", CONCURRENTLY),
}


STATEMENTS: dict[str, list[tuple[int, str]]] = {}
"""By style, those of an upgrade that nobody kills; each with the number of its connection."""


class Stage:
    """A project of that style, and its database."""

    def __init__(self, tmp_path, database, style):
        self.database = database
        self._options, self._changes = STYLES[style]
        self._folder = tmp_path
        self._runs = 0
        self.has_index = self._changes is CONCURRENTLY
        if style not in STATEMENTS:
            with counting(database.server) as proxy:
                ran = self._shop(proxy.port).rescue("upgrade")
            assert ran.status == 0, ran.everything
            STATEMENTS[style] = proxy.statements
        self.statements = STATEMENTS[style]

    @property
    def migrating(self):
        """The numbers of the statements of the session that migrates, from its first change on, and the next one."""
        (first,) = [n for n, (_, sql) in enumerate(self.statements, 1) if sql.lstrip().startswith("CREATE TABLE alem")]
        session = self.statements[first - 1][0]
        found = [n for n, (one, _) in enumerate(self.statements, 1) if one == session and n >= first]
        return [*found, found[-1] + 1]

    def _shop(self, port):
        self._runs += 1
        url = self.database.url.replace(f":{self.database.server.port}/", f":{port}/")
        return written(self._folder / str(self._runs), self.database, self._changes, options=self._options, url=url)

    def kill_at(self, number, victim, *, delivered=False):
        """Kill the command or its worker at that statement, start another replica, and check what both came to.

        Returns:
            Whether the other one went on to the heads.
        """
        self.database.run("DROP TABLE IF EXISTS t, ran, alembic_version")
        with counting(self.database.server, number, delivered=delivered) as proxy:
            shop = self._shop(proxy.port)
            process = shop.started("upgrade")
            assert proxy.reached.wait(60), f"there is no statement {number}"
            at = " ".join(proxy.statements[number - 1][1].split())[:80]
            if victim == "command":
                process.kill()
            else:
                (worker,) = workers_of(process.pid)
                os.kill(worker, signal.SIGKILL)
            first = ended(process)
            left_at = self.row()
            second = ended(shop.started("upgrade"))
        where = f"the {victim} was killed at {number}, {at}:\n{first}\n{second}"
        until(lambda: others(self.database) == [], f"no session is left. {where}")
        assert rescue_locks(self.database) == [], where
        if victim == "command":
            assert first[0] == -signal.SIGKILL, where
        elif first[0] == 0:  # it died while the command was still importing, which then started another one
            assert number < self.migrating[0], where
            assert left_at == "r3", where
        else:
            self._is_told(first, left_at, where)
        return self._goes_on(second, where)

    def _is_told(self, done, left_at, where):
        """Fail unless the command told truly what its worker left behind."""
        status, _, err = done
        told = left_at or "base (no row)"
        if status == 5:
            assert "error[upgrade-not-read]" in err, where
            assert left_at == "r3", where
            return
        assert status == 4, where
        assert "error[worker-died]" in err, where
        if "while running the migrations" in err:
            assert re.search(rf"is at {re.escape(told)}(, as before|; it was at)", err), where
            assert "deploy again" in err, where

    def _goes_on(self, done, where):
        """Fail unless the other replica went on to the heads, or told truly why it did not, and what to do."""
        status, out, err = done
        row = self.row()
        if status == 0:
            assert (row, self.effects(), self.columns()) == ("r3", ["r1", "r2", "r3"], ["c2", "c3", "id"]), where
            if self.has_index:
                valid = self.database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass")
                assert valid == [(True,)], where
            return True
        assert (status, row, self.effects()) == (3, "r1", ["r1"]), where
        assert self.has_index, where
        assert "error[migration-failed]: r2 failed at " in err, where
        assert 'column "c2" of relation "t" already exists' in err, where
        assert "r2 left no changes: " in err, where
        assert "is at r1, as before" in err, where
        index = self.database.run("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix')")
        advice = out[out.index("Recommendation: ") :]
        if index == [(True,)]:
            assert advice.startswith("Recommendation: stop: every object of r2 exists"), where
        elif index:
            assert "invalid" in out, where
        else:
            assert advice.startswith("Recommendation: complete r2: "), where
            assert "CREATE INDEX CONCURRENTLY ix ON t (id)" in out, where
        return False

    def row(self):
        there = self.database.run("SELECT to_regclass('alembic_version') IS NOT NULL")[0][0]
        return "".join(self.database.versions()) if there else ""

    def effects(self):
        """Return the revisions that ran, each as often as it did, by the rows that they wrote."""
        if self.database.run("SELECT to_regclass('ran') IS NULL")[0][0]:
            return []
        return sorted(name for (name,) in self.database.run("SELECT revision FROM ran"))

    def columns(self):
        there = "attrelid = to_regclass('t') AND attnum > 0 AND NOT attisdropped"
        return [name for (name,) in self.database.run(f"SELECT attname FROM pg_attribute WHERE {there} ORDER BY 1")]


def workers_of(pid):
    """Return the processes that the command started and that have not ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if "zombie" not in Path(f"/proc/{one}/status").read_text()]


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("victim", ["command", "worker"])
@pytest.mark.parametrize("style", STYLES)
def test_a_kill_at_every_statement_of_the_migrations(tmp_path, database, style, victim, part):
    stage = Stage(tmp_path, database, style)
    went_on = [stage.kill_at(number, victim) for number in stage.migrating[part::2]]
    assert (False in went_on) == stage.has_index


@pytest.mark.parametrize("style", STYLES)
def test_a_kill_while_the_server_runs_the_statement(tmp_path, database, style):
    stage = Stage(tmp_path, database, style)
    for number in stage.migrating[:-1]:
        stage.kill_at(number, "command", delivered=True)


@pytest.mark.parametrize("part", range(10))
def test_a_kill_at_every_statement_of_the_whole_command(tmp_path, database, part):
    """Where the database is looked at, the lock taken and the result read; the command and its worker take turns."""
    stage = Stage(tmp_path, database, "one")
    for number in range(part + 1, len(stage.statements) + 1, 10):
        assert stage.kill_at(number, ["command", "worker"][number // 10 % 2])
