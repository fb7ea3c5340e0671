"""docs/compatibility.md has a row for each test that measures one, and no other."""

from __future__ import annotations

import pytest

from tests import compatibility

TEXT = """\
<!-- birds: written by `make compatibility` -->
| bird | flies |
| --- | --- |
| a penguin | no |
| an ostrich | no |
<!-- end of birds -->
"""
BIRDS = compatibility.Table("birds", ("bird", "flies"), ("a sparrow", "a penguin"))


@pytest.mark.parametrize("table", compatibility.tables(), ids=lambda table: table.name)
def test_the_document_has_exactly_the_tested_rows(table):
    assert list(compatibility.written(table.name)) == list(table.rows), "stale: make compatibility"


def test_measured_rows_are_written_in_the_tests_order_and_the_others_stay():
    text = compatibility.filled(TEXT, BIRDS, {"a sparrow": "| a sparrow | yes |"})
    assert compatibility.written("birds", text) == {
        "a sparrow": "| a sparrow | yes |",
        "a penguin": "| a penguin | no |",
    }
    assert text.splitlines()[1:3] == TEXT.splitlines()[1:3]


def test_a_row_with_another_result_is_stale(monkeypatch, tmp_path):
    monkeypatch.setattr(compatibility, "DOCUMENT", tmp_path / "compatibility.md")
    monkeypatch.delenv("COMPATIBILITY_RESULTS", raising=False)
    compatibility.DOCUMENT.write_text(TEXT)
    BIRDS.check("a penguin", "no")
    with pytest.raises(AssertionError, match="stale"):
        BIRDS.check("a penguin", "yes")
    with pytest.raises(AssertionError, match="stale"):
        BIRDS.check("a sparrow", "yes")
