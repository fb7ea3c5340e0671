"""The gate: an unproved revision passes only by name, one by one, and is recorded in the receipt."""

from __future__ import annotations

import json

import pytest

from tests.terminal import at_a_terminal

ORDERS, MARKED, INVOICES = "0aa10001", "0bb20002", "0cc30003"


@pytest.fixture
def orders(project, database):
    """Three revisions, really applied, with the version set back to before the first."""
    orders = project("orders", database)
    assert orders.alembic("upgrade", "head").status == 0
    database.run("DELETE FROM alembic_version")
    return orders


def _verdicts(document):
    return [(found["revision"], found["verdict"], found["accepted"]) for found in document["databases"][0]["revisions"]]


def test_an_unverifiable_revision_is_refused_until_it_is_accepted_by_name(orders, database):
    refused = orders.rescue("stamp", "head", "--yes")
    assert refused.status == 3
    assert (
        f"error[revision-unverifiable]: {MARKED} cannot be verified: line 12: "
        "UPDATE orders SET state = 'old' WHERE id < 1000: the catalog does not show whether it ran" in refused.stderr
    )
    assert f"--accept {MARKED} --reason TEXT" in refused.stderr
    assert database.versions() == []

    stamped = orders.rescue("stamp", "head", "--yes", "--accept", "0bb2", "--reason", "orders were marked by hand")
    assert stamped.status == 0, stamped.stderr
    assert database.versions() == [INVOICES]
    receipt = json.loads(orders.receipts[-1].read_text())
    kept = {found["revision"]: (found["verdict"], found["accepted"]) for found in receipt["parts"][0]["skipped"]}
    assert kept == {ORDERS: ("applied", False), MARKED: ("unverifiable", True), INVOICES: ("applied", False)}
    assert receipt["reason"] == "orders were marked by hand"


def test_a_stamps_json_has_what_was_accepted_and_why(orders):
    document = orders.rescue_json("stamp", "head", "--yes", "--accept", MARKED, "--reason", "marked by hand")
    assert document["outcome"] == "stamped"
    assert document["reason"] == "marked by hand"
    assert (MARKED, "unverifiable", True) in _verdicts(document)


def test_a_revision_that_a_later_one_reverts_says_so(orders):
    (orders.root / "alembic" / "versions" / "0004_no_invoices.py").write_text(
        '"""no invoices"""\n\nfrom alembic import op\n\nrevision = "0dd40004"\ndown_revision = "0cc30003"\n\n\n'
        'def upgrade():\n    op.drop_table("invoices")\n'
    )
    assert orders.alembic("stamp", INVOICES).status == 0
    assert orders.alembic("upgrade", "head").status == 0
    orders.database.run("DELETE FROM alembic_version")
    (found,) = [r for r in orders.rescue_json("diagnose")["databases"][0]["revisions"] if r["revision"] == INVOICES]
    assert (found["verdict"], found["cancelled_by"]) == ("unverifiable", ["0dd40004"])
    told = orders.rescue("diagnose").stdout
    assert "looks the same whether or not it ran, because 0dd40004 reverts it" in told


def test_a_missing_revision_needs_the_other_flag(orders, database):
    database.run("DROP INDEX ix_invoices_order_id")
    accepted = ["--accept", MARKED]
    partial = orders.rescue("stamp", "head", "--yes", *accepted, "--accept", INVOICES)
    assert partial.status == 3
    assert (
        f"error[revision-partial]: {INVOICES} is partially applied: index public.ix_invoices_order_id is missing"
        in (partial.stderr)
    )
    assert f"--accept-missing {INVOICES}" in partial.stderr

    document = orders.rescue_json("plan", "head", *accepted, "--accept-missing", INVOICES)
    assert document["outcome"] == "ready"
    assert _verdicts(document) == [
        (ORDERS, "applied", False),
        (MARKED, "unverifiable", True),
        (INVOICES, "partial", True),
    ]
    assert orders.rescue("stamp", "head", "--yes", *accepted, "--accept-missing", INVOICES).status == 0
    (part,) = json.loads(orders.receipts[-1].read_text())["parts"]
    (kept,) = [revision for revision in part["skipped"] if revision["revision"] == INVOICES]
    assert [found["name"] for found in kept["objects"]] == ["public.ix_invoices_order_id"]


def test_accept_missing_does_not_cover_unverifiable_revisions(orders):
    refused = orders.rescue("plan", "head", "--accept-missing", MARKED)
    assert refused.status == 3
    assert f"error[revision-unverifiable]: {MARKED}" in refused.stderr


@pytest.mark.parametrize("typed", [INVOICES, "0cc3", "y"])
def test_a_missing_revision_must_be_confirmed_by_name(orders, database, typed):
    database.run("DROP TABLE invoices")
    arguments = ["stamp", "head", "--accept", MARKED, "--accept-missing", INVOICES]
    with at_a_terminal(orders, *arguments) as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("y\n")
        terminal.wait_for(f"The missing objects of {INVOICES} will never be created. Type its id")
        terminal.type(f"{typed}\n")
        status = terminal.end()
    assert status == (0 if typed == INVOICES else 3)
    assert database.versions() == ([INVOICES] if typed == INVOICES else [])


@pytest.mark.parametrize("flag", ["--accept", "--accept-missing"])
def test_a_needless_acceptance_is_refused(orders, flag):
    refused = orders.rescue("plan", ORDERS, flag, INVOICES)
    assert refused.status == 3
    assert f"error[accepted-not-skipped]: {INVOICES} is accepted, but this stamp does not skip it" in refused.stderr
    assert "error[unknown-revision]" in orders.rescue("plan", ORDERS, flag, "ffff").stderr
    assert "error[ambiguous-revision]" in orders.rescue("plan", ORDERS, flag, "0").stderr


def test_a_sealed_plan_contains_what_was_accepted(orders, database):
    assert orders.rescue("plan", "head", "--accept", MARKED, "--out", "plan.json").status == 0
    assert orders.rescue("stamp", "--plan", "plan.json", "--yes").status == 0
    assert database.versions() == [INVOICES]


def test_a_sealed_plan_is_refused_if_what_it_proved_is_gone(orders, database):
    assert orders.rescue("plan", "head", "--accept", MARKED, "--out", "plan.json").status == 0
    database.run("DROP TABLE invoices")
    refused = orders.rescue("stamp", "--plan", "plan.json", "--yes")
    assert refused.status == 3
    assert f"error[plan-changed]: plan.json was sealed for a different state: the check of {INVOICES} changed" in (
        refused.stderr
    )
    assert database.versions() == []


def test_without_a_scratch_database_nothing_counts_as_applied(orders):
    document = orders.rescue_json("--scratch", "none", "diagnose")
    assert {verdict for _, verdict, _ in _verdicts(document)} == {"unverifiable"}
    assert document["databases"][0]["recommendation"]["action"] == "stop"
