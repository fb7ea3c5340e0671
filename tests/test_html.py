"""Reports as HTML: one self-contained file, in a real browser at a desktop's and a phone's width."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Action, Excerpt, Link, Note, Recommendation
from alembic_rescue.report import html, pages, text
from tests import browser
from tests.report_values import report, revision
from tests.test_markdown import EVIL, evil_report

LONG = "a_name_that_goes_on_and_on_" * 8
LINKS = [
    *(Link(f"r{number:02}", (f"r{number - 1:02}",) if number else (), "made long ago") for number in range(30)),
    Link("2026_01_01_left", ("r29",), "a branch"),
    Link("2026_01_02_right", ("r29",), f"another one {LONG}"),
    Link("2026_01_03_merge", ("2026_01_01_left", "2026_01_02_right"), "both again"),
]
CAUSE = Cause(
    "2026_01_03_merge", "versions/merge.py", 3, "CREATE TABLE", "relation t exists", True, 4, "look before creating"
)


def document(told):
    return html.head() + text.diagnosis(told, page=pages.of("html", str))


def shown():
    objects = tuple(
        ObjectEvidence("column", f"public.t.{name}", "present", presence, "it does not exist", "r.py", 7, sql)
        for name, presence, sql in (
            ("a", Presence.PRESENT, None),
            (LONG, Presence.ABSENT, f"ALTER TABLE t ADD COLUMN {LONG} integer, ADD COLUMN {LONG}2 integer"),
        )
    )
    told = report(
        LINKS,
        ["2026_01_01_left"],
        [
            revision("2026_01_02_right", Verdict.PARTIAL, f"another one {LONG}", objects=objects),
            revision("2026_01_03_merge", Verdict.APPLIED, objects=objects[:1]),
        ],
        findings=(Note("swallowed-error", f"versions/{LONG}.py:40 fails", "fix it: `alembic-rescue diagnose`"),),
        causes=(CAUSE,),
        recommendation=Recommendation(Action.COMPLETE, "2026_01_02_right", "it lacks a column"),
    )
    lines = ((2, "try:"), (3, f"    op.create_table('{LONG}')"), (4, "except Exception:"))
    return replace(told, excerpts=(Excerpt("versions/merge.py", 3, lines),))


@pytest.fixture
def chromium(tmp_path):
    """A folder for the browser.  Without one, its tests are skipped, and the run's last line says so."""
    if not browser.program():
        if os.environ.get(browser.REQUIRED):
            pytest.fail(browser.MISSING)
        pytest.skip(browser.MISSING)
    return tmp_path


def test_it_is_one_file_without_network_or_script():
    found = document(shown())
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bsrc=|\bhref=|\bon\w+=", found)
    assert found.startswith("<!doctype html>")
    assert document(evil_report()).isascii()  # correct in any encoding of stdout


def test_text_from_a_database_is_escaped():
    found = document(evil_report())
    assert "<script>" not in found
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found
    assert found.count("<details") == found.count("</details>")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_completely(chromium, width):
    found = browser.measured(chromium, document(shown()), width)
    assert found["client"] == width
    assert found["scroll"] <= found["client"]
    said = found["text"]
    for part in (
        "alembic-rescue diagnose",
        "30 applied revisions",
        "database here",
        "latest",
        "partial, 1 of 2",
        "Recommendation: complete 2026_01_02_right: it lacks a column.",
        "alembic-rescue complete 2026_01_02_right",
        "column public.t.a is present, as expected",
        f"ADD COLUMN {LONG} integer",
        "relation t exists",
        f">    3      op.create_table('{LONG}')",
    ):
        assert part in said, part
    assert len(found["dots"]) == len(found["names"]) == 4
    for (left, top, right, bottom), (begin, above, end, below) in zip(found["dots"], found["names"], strict=True):
        assert above < (top + bottom) / 2 < below  # each dot is next to its revision
        assert left < right <= begin < end <= width


@pytest.mark.slow
def test_it_is_dark_if_that_is_preferred(chromium):
    light, dark = (browser.measured(chromium, document(shown()), 1280, dark=dark) for dark in (False, True))
    assert (light["background"], dark["background"]) == ("rgb(255, 255, 255)", "rgb(13, 17, 23)")


@pytest.mark.slow
def test_in_a_browser_no_text_from_a_database_is_markup(chromium):
    found = browser.measured(chromium, document(evil_report()), 390)
    assert not {"script", "img", "a", "b", "iframe"} & set(found["elements"])
    assert EVIL.partition("`")[0].strip() in found["text"]
    assert found["scroll"] <= found["client"]
