"""How sentences appear on a page: what one copies is on its own line, and no command is broken."""

from __future__ import annotations

from alembic_rescue.report.page import Page


def printed(text: str, width: int = 40, by: int = 0) -> list[str]:
    page = Page(width, color=False)
    page.indented(text, by)
    return page.text().splitlines()


def test_a_command_after_a_colon_has_a_line_of_its_own():
    assert printed("help: to check: `alembic-rescue diagnose`. To fix: `alembic-rescue repair`.") == [
        "help: to check:",
        "    alembic-rescue diagnose",
        "  To fix:",
        "    alembic-rescue repair",
    ]


def test_it_is_not_wrapped_however_long_it_is():
    long = "alembic-rescue stamp r1 " + " ".join(f"--accept r{n}" for n in range(20))
    assert f"    {long}" in printed(f"help: to do it: `{long}`; then check again")
    assert printed(f"help: to do it: `{long}`; then check again")[-1] == "  Then check again"


def test_each_item_of_a_list_has_its_own_line():
    assert printed("choose one: `a b`; `c d`; and 2 more") == ["choose one:", "    a b", "    c d", "  And 2 more"]


def test_within_a_sentence_it_keeps_its_place_and_is_not_broken():
    assert printed("This fails in the same way as `alembic current` does.") == [
        "This fails in the same way as",
        "`alembic current` does.",
    ]
    assert printed("help: `alembic history` lists them") == ["help: `alembic history` lists them"]


def test_a_statement_that_quotes_with_backticks_stays_whole():
    assert printed("to end it: ``KILL `7` ``, then wait") == ["to end it:", "    KILL `7`", "  Then wait"]


def test_the_lines_of_a_fact_are_aligned_below_one_another():
    page = Page(20, color=False)
    page.fact("URL", "postgresql://shop")
    assert page.text() == "URL      postgresql:\n         //shop\n"
