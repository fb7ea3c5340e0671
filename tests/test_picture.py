"""What the picture of a chain says about each revision, and how it looks on a page.  Values only."""

from __future__ import annotations

import re

import pytest

from alembic_rescue.cli.call import _sayable
from alembic_rescue.evidence.model import Verdict
from alembic_rescue.model import Action, Link, Recommendation
from alembic_rescue.report import picture
from alembic_rescue.report.page import Page
from tests.report_values import line, report, revision

WAY = [f"r{number:02}" for number in range(1, 60)]


def drawn(told, width=80):
    page = Page(width, color=False)
    page.picture(picture.lines(told, told.databases[0]))
    return page.text().splitlines()


def test_of_a_long_chain_the_revisions_in_question_are_shown_and_the_rest_counted():
    stuck = [revision("r47", Verdict.APPLIED), revision("r48", Verdict.PARTIAL)]
    assert drawn(report(line(WAY), ["r46"], stuck, command="plan", target="r48")) == [
        "  ⋮  45 applied revisions",
        "  ◆  r46              make r46  ← database here",
        "  ●  r47  applied  -  make r47",
        "  ◐  r48  partial  -  make r48  ← target",
        "  ⋮  10 pending revisions",
        "  ○  r59              make r59  ← latest",
    ]


def test_of_many_similar_revisions_the_first_and_the_last_are_shown():
    pending = [revision(name) for name in WAY[10:]]
    pending[20] = revision(WAY[30], Verdict.PARTIAL)
    told = drawn(report(line(WAY), ["r10"], pending))
    assert len(told) < 12
    assert "  ⋮  18 revisions, all not applied" in told
    assert any(" r31  partial " in one for one in told)


def test_the_recommended_stamp_is_the_target_of_a_diagnosis():
    advice = Recommendation(Action.STAMP, "b", "it is there")
    told = drawn(report(line("abc"), "a", [revision("b", Verdict.APPLIED), revision("c")], recommendation=advice))
    assert told[1].endswith("← target")
    assert told[2].endswith("← latest")


def test_an_empty_version_table_is_at_base():
    assert drawn(report(line("ab"), [], [revision("a"), revision("b")]))[0] == (
        "  ◆  base               no revision is applied  ← database here"
    )


def test_a_row_that_the_scripts_lack_is_shown_separately():
    assert drawn(report(line("ab"), ["dead"])) == [
        "  ◆  dead  not in the scripts  ← database here",
        "",
        "  ○  a     make a",
        "  ○  b     make b  ← latest",
    ]


def test_branches_and_a_merge():
    links = [Link("a", ()), Link("b", ("a",)), Link("c", ("a",)), Link("d", ("b", "c"))]
    assert drawn(report(links, ["b", "c"], [revision("d", Verdict.EMPTY)])) == [
        "  ●    a",
        "  ├─╮",
        "  ◆ │  b            ← database here",
        "  │ ◆  c            ← database here",
        "  ├─╯",
        "  ◌    d  empty  -  make d  ← latest",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_long_message_is_wrapped_and_an_id_is_never_broken(width):
    names = [f"2026_01_{day:02}_a_long_id_of_yours" for day in range(1, 5)]
    said = "a message that goes on and on, for longer than there is room"
    links = line([*names, "e"])
    links = [*links, Link("f", (names[1],)), Link("g", ("e", "f"))]
    told = drawn(
        report(links, names[:1], [*(revision(name, doc=said) for name in names[1:]), revision("g", doc=said)]), width
    )
    assert max(map(len, told)) <= max(width, 5 + len(names[0]) + 20)
    for name in names:
        assert any(name in one for one in told)
    words = " ".join(re.sub("[│├─╮╯●◆○⋮]", "", " ".join(told)).split())
    assert words.count(said) == 4
    assert words.endswith("← latest")
    first = next(number for number, one in enumerate(told) if names[1] in one)
    assert told[first + 1].startswith("  │")  # the line of the picture continues next to it


def test_a_stream_that_cannot_encode_the_symbols_gets_others():
    class Ascii:
        encoding, errors = "ascii", "strict"

    text = "\n".join(drawn(report(line(WAY), ["r46"], [revision("r47", Verdict.PARTIAL, "naïve")])))
    said = _sayable(text, Ascii)
    assert said.isascii()
    assert "  @  r46  " in said
    assert "  %  r47  partial  -  na?ve" in said
    assert "< database here" in said
