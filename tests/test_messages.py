"""Everything that a person reads is in one file (`messages.txt`), whose diff shows each change of wording."""

from __future__ import annotations

from tests import messages


def test_the_snapshot_is_up_to_date():
    assert messages.gathered() == messages.SNAPSHOT.read_text(encoding="utf-8"), "run: python -m tests.messages"
