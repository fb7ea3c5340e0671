"""env.py files that begin two-phase transactions: nothing is prepared, neither for an inspection nor for a stamp."""

from __future__ import annotations

import pytest

from tests.watching import ServerLog

pytestmark = pytest.mark.compatibility

TWO_PHASES = """
import os
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(os.environ["SHOP"])
with engine.connect() as connection:
    transaction = connection.begin_twophase()
    try:
        context.configure(connection=connection)
        context.run_migrations()
        transaction.prepare()
        transaction.commit()
    except:
        transaction.rollback()
        raise
"""


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "pg8000"])
def test_nothing_is_prepared(project, database, driver):
    database.stand_at("aaaa0001")
    shop = project("linear", database)
    (shop.root / "alembic" / "env.py").write_text(TWO_PHASES)
    shop.environment["SHOP"] = database.url.replace("psycopg2", driver)
    log = ServerLog(database)
    for command in (["diagnose"], ["plan", "aaaa0003"], ["stamp", "aaaa0003", "--yes"], ["undo", "--yes"]):
        done = shop.rescue(*command)
        assert done.status == 0, done.everything
    assert [statement for _, statement in log.statements if "PREPARE" in statement] == []
    assert [s for _, s in log.statements if s.startswith("UPDATE alembic_version")] != []
    assert database.versions() == ["aaaa0001"]
