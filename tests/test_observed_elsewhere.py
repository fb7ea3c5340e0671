"""From the chain that runs on a scratch database to the verdicts, on SQLite and MariaDB: none is false anywhere."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from alembic_rescue.dialects import of
from alembic_rescue.evidence import judging, missing
from tests import mariadb
from tests.dialect_chains import EVERYWHERE, ON_MARIADB
from tests.scratching import chain, run, visit


class At:
    """What a fixture project asks of a database."""

    def __init__(self, url):
        self.url = url


def verdicts(tmp_path, bodies, scratch, live):
    """By position: the verdict of each revision, by its name."""
    revisions = {f"r{number}": name for number, name in enumerate(bodies, 1)}
    project = chain(tmp_path, At(scratch), *bodies.values())
    done, _ = run(project, visits=[visit(*revisions)])
    assert done.is_whole, done
    steps = done.visits[0].observations
    config = Config()
    config.set_main_option("script_location", str(project.root / "alembic"))
    config.set_main_option("sqlalchemy.url", live)
    with contextlib.closing(sa.create_engine(live).connect()) as connection:
        for revision in (None, *revisions):
            if revision:
                command.upgrade(config, revision)
            reader = of(connection.dialect.name).reader
            judged = judging.judge(steps, reader.named(connection, judging.objects(steps)), remedy=missing.nothing)
            yield {revisions[one.revision]: one.verdict.value for one in judged}


def assert_true_at_each_position(found):
    for position, told in enumerate(found):
        for number, (name, verdict) in enumerate(told.items()):
            expected = "applied" if number < position else "not-applied"
            nobody_can_tell = name == "data" or (verdict == "unverifiable" and name in {"dropped", "keys_away"})
            assert verdict == expected or nobody_can_tell, (position, name, verdict)
        assert told["data"] == "unverifiable"


def test_each_position_on_sqlite(tmp_path):
    scratch, live = (f"sqlite:///{tmp_path}/{name}.db" for name in ("scratch", "live"))
    assert_true_at_each_position(verdicts(tmp_path, EVERYWHERE, scratch, live))


@pytest.mark.slow
def test_each_position_on_mariadb(mariadb_server, tmp_path):
    def url(database):
        return f"mysql+pymysql://root@localhost/{database.name}?unix_socket={mariadb_server.socket}"

    with mariadb.fresh_database(mariadb_server) as scratch, mariadb.fresh_database(mariadb_server) as live:
        bodies = {**EVERYWHERE, **ON_MARIADB}
        assert_true_at_each_position(verdicts(tmp_path, bodies, url(scratch), url(live)))
