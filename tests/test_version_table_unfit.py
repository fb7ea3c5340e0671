"""A table that env.py names, and that Alembic cannot read as a version table: the error says what is wrong with it."""

from __future__ import annotations

import sqlite3

import pytest

from alembic_rescue import errors
from alembic_rescue.environment import version_column
from tests import chains
from tests.conftest import ProjectCopy

SHOP = {"r1": "op.create_table('t1', sa.Column('id', sa.Integer, primary_key=True))"}
ODD = {
    "bytes": ("version_num bytea", "'r1'", "its version_num is not text but bytes"),
    "numbers": ("version_num int", "1", "its version_num is not text but int"),
    "uuids": ("version_num uuid", "gen_random_uuid()", "its version_num is not text but UUID"),
    "lists": ("version_num text[]", "'{r1}'", "its version_num is not text"),
    "renamed": ("version varchar(32)", "'r1'", "column alembic_version.version_num does not exist"),
}


def shop_at(tmp_path, url):
    return ProjectCopy(chains.write(tmp_path / "project", url, SHOP).root, tmp_path / "state")


@pytest.mark.parametrize("row", [b"r1", bytearray(b"r1"), memoryview(b"r1")])
def test_bytes_are_reported_as_such_whatever_the_driver_makes_of_them(row):
    with pytest.raises(errors.VersionTableUnfit, match="is not text but bytes"):
        version_column.check_rows((row,), "shop.v")


def test_text_and_null_are_accepted():
    version_column.check_rows(("r1", None), "shop.v")
    assert version_column.unfit(TypeError("unhashable type: 'list'"), "shop", str) is None


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
def test_each_command_says_what_is_wrong(tmp_path, database, odd):
    column, value, says = ODD[odd]
    database.run(f"CREATE TABLE alembic_version ({column}); INSERT INTO alembic_version VALUES ({value})")
    shop = shop_at(tmp_path, database.url)
    for arguments in (["wait"], ["diagnose"], ["stamp", "r1", "--yes"]):
        refused = shop.rescue(*arguments)
        assert (refused.status, "error[version-table-unfit]: " in refused.stderr) == (3, True), refused.everything
        assert f"{database.name} at 127.0.0.1:{database.server.port} is not a version table" in refused.stderr
        assert f"that Alembic can read: {says}\n" in refused.stderr
        assert "version_num VARCHAR(32) NOT NULL" in refused.stderr


@pytest.mark.slow
def test_a_view_can_be_read(tmp_path, database):
    database.run("CREATE TABLE v (version_num varchar(32)); INSERT INTO v VALUES ('r1')")
    database.run("CREATE VIEW alembic_version AS SELECT version_num FROM v")
    there = shop_at(tmp_path, database.url).rescue("wait", "--timeout", "0")
    assert (there.status, "is at r1" in there.stdout) == (0, True), there.everything


@pytest.mark.slow
def test_a_null_is_reported_as_such(tmp_path, database):
    database.run("CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES (NULL)")
    refused = shop_at(tmp_path, database.url).rescue("wait")
    assert (refused.status, "error[empty-row]" in refused.stderr) == (3, True), refused.everything


@pytest.mark.slow
def test_on_sqlite_too(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version TEXT)")
    refused = shop_at(tmp_path, f"sqlite:///{tmp_path}/shop.db").rescue("wait")
    assert (refused.status, "no such column: alembic_version.version_num\n" in refused.stderr) == (3, True)
    assert "error[version-table-unfit]: alembic_version in " in refused.stderr
