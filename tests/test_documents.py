"""``--format markdown`` and ``html`` on the command line: each answer, even a refusal, is one document on stdout."""

from __future__ import annotations

import pytest

from tests.browser import measured, program

pytestmark = pytest.mark.slow
TARGET = "774225e563ca"


@pytest.fixture
def stuck(project, database):
    made = project("incident", database)
    assert made.alembic("upgrade", TARGET).status == 0
    assert made.alembic("stamp", "b354d12d1e7d").status == 0
    return made


def said(made, name, *arguments, status=0):
    ran = made.rescue("--format", name, *arguments)
    assert ran.status == status, ran.everything
    return ran.stdout


def test_from_the_diagnosis_to_the_undo(stuck):
    found = said(stuck, "markdown", "diagnose")
    assert found.startswith("### alembic-rescue diagnose\n")
    assert "```mermaid\nflowchart TD\n" in found
    assert "**Recommendation:** stamp 774225e563ca" in found
    assert "<summary>774225e563ca: " in found
    assert "**Ready**. Nothing was written." in said(stuck, "markdown", "plan", TARGET)
    assert "**Stamped** and verified" in said(stuck, "markdown", "stamp", TARGET, "--yes")
    assert "| verified |" in said(stuck, "markdown", "receipts")
    assert "**Reached**: " in said(stuck, "markdown", "wait", TARGET)
    undone = said(stuck, "markdown", "undo", "--yes")
    assert "**Undone** and verified" in undone
    assert "```mermaid\n" in undone
    assert "#### Rehearsed: " in stuck.rescue("--format", "markdown", "rehearse").stdout


def test_html_is_one_document_even_for_a_refusal(stuck):
    for arguments, status, words in (
        (["diagnose"], 0, "Recommendation:"),
        (["stamp", "head", "--yes"], 3, "error[revision-not-applied]"),
        (["stamp", TARGET, "--yes"], 0, "Stamped"),
        (["receipts"], 0, "verified"),
        (["undo", "none-such", "--yes"], 3, "error[no-receipt]"),
    ):
        found = said(stuck, "html", *arguments, status=status)
        assert found.count("<!doctype html>") == found.count("<style>") == 1
        assert words in found


def test_commands_refer_to_the_same_project_and_no_secret_is_printed(stuck):
    (stuck.root / "alembic.ini").rename(stuck.root / "a & b.ini")
    for name, told in (
        ("markdown", "alembic-rescue -c 'a & b.ini' stamp"),
        ("html", "-c &#x27;a &amp; b.ini&#x27; stamp"),
    ):
        found = stuck.rescue("--format", name, "-c", "a & b.ini", "diagnose").stdout
        assert told in found
        assert stuck.database.url.split(":")[2].split("@")[0] not in found


@pytest.mark.skipif(not program(), reason="there is no Chromium on this machine")
def test_a_browser_opens_it(stuck, tmp_path):
    found = measured(tmp_path, said(stuck, "html", "diagnose"), 390)
    assert found["scroll"] <= found["client"]
    assert "database here" in found["text"]
