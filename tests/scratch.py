"""A database on which statements are run, those that fail left out, and of which nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from alembic_rescue import catalog
from tests.conftest import fresh_database
from tests.servers import Server

Scratch = Callable[[list[str]], tuple[list[str], catalog.Snapshot]]


@pytest.fixture(scope="module", name="scratch")
def scratch_database(server: Server) -> Iterator[Scratch]:
    """Run statements, and return those that ran with the catalog that they left."""
    with fresh_database(server) as database:
        engine = create_engine(database.url)

        def run(statements: list[str]) -> tuple[list[str], catalog.Snapshot]:
            ran = []
            with engine.connect() as connection, connection.begin() as transaction:
                for statement in statements:
                    try:
                        with connection.begin_nested():
                            connection.execute(text(statement))
                        ran.append(statement)
                    except DBAPIError:
                        continue
                snapshot = catalog.read(connection, frozenset(["s"]))
                transaction.rollback()
            return ran, snapshot

        yield run
        engine.dispose()
