"""The rescue lock at a separate address: ``--lock-url``, past a connection pooler."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from alembic_rescue import dialects, errors
from alembic_rescue.connection import connections, failures, sessions, urls
from alembic_rescue.connection.failures import At
from alembic_rescue.connection.guard import Guard
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.project.loading import Project


def opened(project: Project, lock_url: str) -> Guard:
    """Open a connection to that address, on which the lock can be taken.

    Raises:
        BadUrl, RescueError: it is not a URL, or the connection failed.
    """
    project.secrets.add_url(lock_url)
    try:
        url = urls.with_installed_driver(urls.parse(lock_url), project.config.get_main_option("sqlalchemy.url"))
        if url.get_dialect().is_async:
            url = urls.with_installed_driver(url.set(drivername=url.get_backend_name()), None)
    except errors.BadUrl as error:
        raise errors.BadUrl(error.reason, "given with --lock-url") from error
    project.secrets.add(url.password)
    dialect: Any = url.get_dialect()  # the class, which has the names of dialect and driver
    given: dict[str, object] = dict(sessions.connect_arguments(dialect, project.timeouts))
    urls.require_encryption(url, dialect.driver, given, os.environ)
    engine = create_engine(url, poolclass=NullPool, connect_args=given)
    name = urls.name_of(url)
    try:
        return Guard(engine, project.timeouts, name)
    except Exception as error:  # any driver's
        where = At(name, url.username or "in use", ("a lock", project.timeouts.lock))
        told = failures.of_database(error, where, project.secrets.hide)
        raise (told or errors.CannotConnect(name, failures.one_line(error, project.secrets.hide))) from error


def guard(direct: Guard, project: Project, connection: Connection, others: Collection[str]) -> Guard:
    """Return `direct`, once it is shown to lead to the database of env.py's `connection`.

    Args:
        others: the databases that were guarded before.

    Raises:
        LockUrlElsewhere: it leads elsewhere, or env.py visits several databases.
    """
    database = urls.name_of(connections.opened_at(connection))
    if others:
        raise errors.LockUrlElsewhere(direct.database, f"several databases, including {database}")
    if direct.engine.dialect.name != connection.dialect.name:
        raise errors.LockUrlElsewhere(direct.database, database)
    identity = dialects.of(connection.dialect.name).identity
    wanted = identity.where(connection, "alembic_version")
    found = direct.ask(lambda one: identity.where(one, "alembic_version"))
    if (wanted.database, wanted.server_id) != (found.database, found.server_id):
        raise errors.LockUrlElsewhere(direct.database, database)
    direct.ask(lambda one: _set_up(one, project))
    return direct


def _set_up(connection: Connection, project: Project) -> None:
    cursor = Cursor(connection.connection, connection.dialect)
    for statement in sessions.settings(connection.dialect, project.timeouts, read_only=True):
        cursor.run(statement)
