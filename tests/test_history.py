"""What has run: ``diagnose --applied`` and ``diagnose --locate``, by the installed command."""

from __future__ import annotations

import pytest

from tests.chains import write

ORDERS, MARKED, INVOICES = "0aa10001", "0bb20002", "0cc30003"


@pytest.fixture
def orders(project, any_database):
    """Three revisions, applied."""
    orders = project("orders", any_database)
    assert orders.alembic("upgrade", "head").status == 0
    return orders


def _advice(document):
    advice = document["databases"][0]["recommendation"]
    return advice["action"], advice["revision"]


def test_nothing_that_counts_as_applied_is_missing(orders):
    document = orders.rescue_json("diagnose", "--applied")
    assert _advice(document) == ("nothing", None)
    assert [found["verdict"] for found in document["databases"][0]["revisions"]] == [
        "applied",
        "unverifiable",
        "applied",
    ]
    assert orders.rescue("diagnose", "--applied", "--check").status == 0


def test_a_column_that_was_stamped_but_does_not_exist_is_named_with_its_sql(orders, any_database):
    any_database.run("ALTER TABLE orders DROP COLUMN state")
    ran = orders.rescue("diagnose", "--applied", "--check")
    assert ran.status == 3
    assert (
        f"warning[stamped-but-not-there]: {ORDERS} counts as applied, but its column public.orders.state" in ran.stdout
    )
    assert "ALTER TABLE public.orders ADD COLUMN state" in ran.stdout
    assert f"Recommendation: complete {ORDERS}" in ran.stdout


@pytest.mark.parametrize("lost", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_a_lost_version_is_found_again(orders, any_database, lost):
    any_database.run(lost)
    document = orders.rescue_json("diagnose", "--locate")
    (choice,) = document["databases"][0]["recommendation"]["choices"]
    assert choice["commands"] == [f"alembic-rescue stamp {INVOICES} --accept {MARKED}"]
    assert document["databases"][0]["located"] == {
        "revisions": [INVOICES],
        "unproved": [MARKED],
        "following": [],
    }
    text = orders.rescue("diagnose", "--locate").stdout
    assert f"    {choice['commands'][0]}\n" in text
    assert f"the schema is at {INVOICES} (proved, except {MARKED}, which cannot be verified)" in text


def test_a_version_ahead_of_its_schema_is_reported(orders, any_database):
    any_database.run("DROP TABLE invoices")
    document = orders.rescue_json("diagnose", "--locate")
    assert _advice(document) == ("stop", None)
    assert document["databases"][0]["located"]["revisions"] == [ORDERS]
    assert document["databases"][0]["located"]["following"] == [MARKED, INVOICES]


def test_a_version_that_the_scripts_do_not_know_does_not_hide_the_schemas_position(orders, any_database):
    any_database.run("UPDATE alembic_version SET version_num = 'ffff0000'")
    document = orders.rescue_json("diagnose", "--locate")
    assert document["databases"][0]["located"]["revisions"] == [INVOICES]
    advice = document["databases"][0]["recommendation"]
    assert "the scripts lack ffff0000" in advice["reason"]
    (choice,) = advice["choices"]
    assert choice == {
        "found": f"{MARKED} did run",
        "commands": [f"alembic-rescue repair --accept {MARKED}"],
    }
    assert orders.rescue("repair", "--accept", MARKED, "--yes").status == 0
    assert any_database.versions() == [INVOICES]


def test_an_empty_schema_has_no_position(project, any_database):
    document = project("orders", any_database).rescue_json("diagnose", "--locate")
    assert _advice(document) == ("stop", None)
    assert document["databases"][0]["located"]["revisions"] == []


def makes_a_table(project, name, revision, before):
    """Write a revision file that creates a table."""
    (project.root / "alembic" / "versions" / f"{name}.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision, down_revision = {revision!r}, {before!r}\n\n\n"
        f"def upgrade():\n    op.create_table({name!r}, sa.Column('id', sa.Integer, primary_key=True))\n"
    )


@pytest.fixture
def branches(project, database):
    """Two branches with a table for each revision; the database is at the first of one and the second of the other."""
    copied = project("two_branches", database)
    of_branches = {"a1": ("aaaa0001", None), "b1": ("bbbb0001", None), "b2": ("bbbb0002", "bbbb0001")}
    for name, (revision, before) in of_branches.items():
        makes_a_table(copied, name, revision, before)
    assert copied.alembic("upgrade", "aaaa0001").status == 0
    assert copied.alembic("upgrade", "bbbb0002").status == 0
    return copied


def test_what_a_pending_revision_changed_is_not_missing(tmp_path, database):
    chain = write(
        tmp_path,
        database.url,
        ["op.execute('CREATE TABLE t (a int, b int)')", "op.execute('ALTER TABLE t ALTER a SET NOT NULL')", "1 / 0"],
    )
    chain.upgrade("r2")
    database.run("UPDATE alembic_version SET version_num = 'r1'")
    report = chain.applied()
    assert [(one.revision, one.verdict.value) for one in report.revisions] == [("r1", "applied")]
    assert report.recommendation.action.value == "nothing"
    database.run("ALTER TABLE t DROP COLUMN b")
    assert [found.name for found in chain.applied().revisions[0].missing] == ["public.t.b"]


def test_what_an_unobserved_revision_removed_is_not_missing(tmp_path, database):
    """The first tables were created by hand, and a later revision that needs them drops what an earlier one created."""
    database.run("CREATE TABLE base (id int)")
    chain = write(
        tmp_path,
        database.url,
        [
            "op.execute('ALTER TABLE base ADD x int')",
            "op.execute('CREATE TABLE t (id int CONSTRAINT pk_t PRIMARY KEY, n int)')",
            "op.execute('ALTER TABLE base ADD y int')\nop.execute('ALTER TABLE t DROP CONSTRAINT pk_t')",
        ],
    )
    chain.upgrade("r3")
    found = {one.revision: one for one in chain.applied().revisions}
    assert not [one.revision for one in found.values() if one.missing]
    assert found["r2"].verdict.value == "unverifiable"
    assert "r3 refers to it and could not be observed" in "".join(one.detail or "" for one in found["r2"].objects)
    located = chain.locate().located
    assert "r2" not in located.following


def test_of_two_branches_the_one_that_is_behind_is_stamped(branches, database):
    database.run("UPDATE alembic_version SET version_num = 'bbbb0001' WHERE version_num = 'bbbb0002'")
    text = branches.rescue("diagnose", "--locate").stdout
    assert "Recommendation: stamp bbbb0002: the schema is at aaaa0001 and bbbb0002" in text
    assert ": stamp bbbb0002." in text
    assert branches.rescue("stamp", "bbbb0002", "--yes").status == 0
    assert _advice(branches.rescue_json("diagnose", "--locate")) == ("nothing", None)


def test_of_two_branches_each_is_stamped_at_its_position(branches, database):
    for name, before in (("a2", "aaaa0001"), ("b3", "bbbb0002"), ("a3", "aaaa0002")):
        makes_a_table(branches, name, f"{name[0] * 4}000{name[1]}", before)
    assert branches.alembic("upgrade", "aaaa0002").status == 0
    assert branches.alembic("upgrade", "bbbb0003").status == 0
    database.run("UPDATE alembic_version SET version_num = 'aaaa0001' WHERE version_num = 'aaaa0002'")
    database.run("UPDATE alembic_version SET version_num = 'bbbb0002' WHERE version_num = 'bbbb0003'")
    document = branches.rescue_json("diagnose")
    revisions = document["databases"][0]["revisions"]
    verdicts = {one["revision"]: one["verdict"] for one in revisions if one["verdict"] != "empty"}
    assert verdicts == {"aaaa0002": "applied", "aaaa0003": "not-applied", "bbbb0003": "applied"}
    assert _advice(document) == ("stamp", "aaaa0002")
    assert branches.rescue("stamp", "aaaa0002", "--yes").status == 0
    assert _advice(branches.rescue_json("diagnose")) == ("stamp", "bbbb0003")
    assert branches.rescue("stamp", "bbbb0003", "--yes").status == 0
    assert branches.alembic("upgrade", "heads").status == 0


def test_if_the_rows_of_both_branches_are_lost_a_stamp_leads_to_each(branches, database):
    database.run("DELETE FROM alembic_version")
    text = " ".join(branches.rescue("diagnose", "--locate").stdout.split())
    assert "Recommendation: stamp aaaa0001: the schema is at aaaa0001 and bbbb0002" in text
    assert ": stamp aaaa0001, then bbbb0002." in text
    assert branches.rescue("stamp", "aaaa0001", "--yes").status == 0
    second = branches.rescue("stamp", "bbbb0002", "--yes")
    assert second.status == 0, second.everything
    assert "bbbb0002 begins a branch: the version table will have 2 rows instead of 1" in " ".join(
        second.everything.split()
    )
    assert branches.alembic("upgrade", "heads").status == 0
    assert branches.rescue("undo", "--yes").status == 3, "it was gone on from"
    database.stand_at("aaaa0001", "bbbb0002")
    assert _advice(branches.rescue_json("diagnose", "--locate")) == ("nothing", None)
