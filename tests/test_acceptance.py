"""The main task, by the installed command, on each supported PostgreSQL."""

from __future__ import annotations


def test_plan_stamp_verify_undo(project, any_database):
    linear = project("linear", any_database)
    linear.alembic("upgrade", "aaaa0001")

    planned = linear.rescue("plan", "aaaa0003")
    assert planned.status == 0, planned.stderr
    assert "Ready. Nothing was written." in planned.stdout
    assert any_database.versions() == ["aaaa0001"]

    stamped = linear.rescue("stamp", "aaaa0003", "--yes", "--reason", "stuck")
    assert stamped.status == 0, stamped.stderr
    assert "Stamped and verified on a new connection" in stamped.stdout
    assert any_database.versions() == ["aaaa0003"]
    assert "aaaa0003" in linear.alembic("current").stdout

    undone = linear.rescue("undo", "--yes")
    assert undone.status == 0, undone.stderr
    assert any_database.versions() == ["aaaa0001"]
