"""How the evidence for a revision is reported to a person."""

from __future__ import annotations

import pytest

from alembic_rescue.evidence.model import ObjectEvidence, Presence, Verdict
from alembic_rescue.model import Revision
from alembic_rescue.report import evidence
from alembic_rescue.report.page import Page

COLUMN = ObjectEvidence("column", "public.t.b", "present", Presence.ABSENT, "it does not exist", "r.py", 7, "ALTER")
UPDATE = ObjectEvidence(
    "statement", "UPDATE t SET b = a", "present", Presence.UNVERIFIABLE, "no catalog shows it", "r.py", 8, None
)


def text(revision: Revision, *, stamped: bool = False) -> str:
    page = Page(120, color=False)
    evidence.details(page, [revision], stamped=stamped)
    return page.text()


@pytest.mark.parametrize(
    ("verdict", "stamped", "told"),
    [
        (Verdict.NOT_APPLIED, True, True),
        (Verdict.NOT_APPLIED, False, False),  # the next upgrade runs it
        (Verdict.PARTIAL, True, True),
        (Verdict.PARTIAL, False, True),
        (Verdict.UNVERIFIABLE, False, True),
    ],
)
def test_a_statement_that_nothing_will_run_later_is_reported(verdict, stamped, told) -> None:
    revision = Revision("r1", "fill b", "r.py", "", verdict, (COLUMN, UPDATE))
    assert ("line 8: UPDATE t SET b = a: no catalog shows it" in text(revision, stamped=stamped)) is told


def test_a_remark_about_a_whole_revision_names_it_once() -> None:
    whole = ObjectEvidence("statement", "r1", "present", Presence.UNVERIFIABLE, "it looks the same", "r.py", 6, None)
    assert "line 6: it looks the same" in text(Revision("r1", "", "r.py", "", Verdict.UNVERIFIABLE, (whole,)))


def test_lines_with_the_same_reason_are_listed_together() -> None:
    def line(number: int, detail: str = "not run") -> ObjectEvidence:
        name = f"persist({number}"
        return ObjectEvidence("statement", name, "present", Presence.UNVERIFIABLE, detail, "r.py", number, None)

    loop = (line(9), line(7), line(8), line(3, "no catalog shows it"))
    told = text(Revision("r1", "", "r.py", "", Verdict.UNVERIFIABLE, loop))
    assert "  lines 7, 8, 9: not run\n  line 3: persist(3: no catalog shows it\n" in told


def test_in_a_long_chain_a_revision_that_lacks_something_is_always_shown() -> None:
    page = Page(120, color=False)
    chain = [Revision(f"r{number}", "", "r.py", "", Verdict.APPLIED, ()) for number in range(80)]
    chain[70] = Revision("r70", "", "r.py", "", Verdict.PARTIAL, (COLUMN,))
    chain[60] = Revision("r60", "", "r.py", "", Verdict.UNVERIFIABLE, (UPDATE,))
    evidence.details(page, chain)
    assert "r70 is incomplete" in page.text()
    assert "r60 cannot be verified in full" in page.text()
    assert "72 revisions are folded" in page.text()
    assert page.text().index("r60 ") < page.text().index("r70 ")
