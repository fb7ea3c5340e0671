"""The table of databases and drivers in docs/compatibility.md, and an env.py for each way to connect."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests import compatibility, servers
from tests.conftest import PROJECTS, Database, ProjectCopy

POSTGRESQL = {
    "PostgreSQL, psycopg2": "postgresql+psycopg2",
    "PostgreSQL, psycopg": "postgresql+psycopg",
    "PostgreSQL, pg8000": "postgresql+pg8000",
    "PostgreSQL, asyncpg": "postgresql+asyncpg",
    "PostgreSQL, psycopg, asynchronous": "postgresql+psycopg_async",
    "PostgreSQL, psycopg, asynchronous by `create_async_engine`": "postgresql+psycopg",
}
"""SQLAlchemy's name of the driver, by the table's row."""
MARIADB = {
    "MariaDB, PyMySQL": "pymysql",
    "MariaDB, mysqlclient": "mysqldb",
    "MariaDB, aiomysql, asynchronous": "aiomysql",
    "MariaDB, asyncmy, asynchronous": "asyncmy",
}
SQLITE = {"SQLite": "sqlite", "SQLite, aiosqlite, asynchronous": "sqlite+aiosqlite"}
TABLE = compatibility.Table(
    "drivers",
    (
        "Database and driver",
        "plan",
        "stamp",
        "undo",
        "inspection is read-only",
        "gives up on a lock in time, names its holder",
        "refuses a second rescue",
        "Ctrl-C cancels the statement",
    ),
    (*POSTGRESQL, *MARIADB, *SQLITE),
)
IN_TIME = 45
"""Seconds, on a machine that is busy with other tests: without a timeout it would never end."""
IDS = ("psycopg2", "psycopg", "pg8000", "asyncpg", "psycopg_async", "psycopg-create_async_engine")


def proved(revision: Any) -> str:
    """Return the plan's cell, from the JSON of the revision that it skips."""
    number = len(revision["objects"])
    return f"yes: {number} object{'s' * (number > 1)} proved"


def url_of(database: Database, drivername: str, **parts: object) -> str:
    """Return the database's URL for that driver, as the tests' role, with some parts replaced."""
    known: dict[str, object] = {"password": servers.PASSWORD, "port": database.server.port, "name": database.name}
    known |= {"role": servers.ROLE, "host": "127.0.0.1", "query": ""}
    given = {**known, **parts}
    given["password"] = quote(str(given["password"]), safe="")
    return f"{drivername}://" + "{role}:{password}@{host}:{port}/{name}{query}".format(**given)


def project_for(row: str, folder: Path, database: Database) -> ProjectCopy:
    """Return a project whose env.py is Alembic's own template for that way to connect."""
    return project_at(row, folder, url_of(database, POSTGRESQL[row]), database)


def with_everything_there(row: str, folder: Path, database: Database) -> ProjectCopy:
    """Return the same project with all its objects in the database, and the version table one revision behind."""
    made = project_for(row, folder, database)
    database.run(
        "CREATE TABLE customers (id serial PRIMARY KEY, name varchar(80) NOT NULL);"
        "CREATE TABLE orders (id serial PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id),"
        " status varchar(20) NOT NULL);"
        "CREATE INDEX orders_by_status ON orders (status)"
    )
    database.stand_at("c0de0001")
    return made


def project_at(row: str, folder: Path, url: str, database: Any) -> ProjectCopy:
    """Return such a project for any database."""
    style = "async_asyncpg" if "asynchronous" in row or "+asyncpg:" in url else "stock"
    root = folder / "shop"
    shutil.copytree(PROJECTS / "styles" / style, root, ignore=shutil.ignore_patterns("__pycache__"))
    made = ProjectCopy(root, folder / "state", database)
    made.set_url(url)
    return made
