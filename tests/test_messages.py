"""What a person reads stands in one file (`messages.txt`), whose diff shows each change of words."""

from __future__ import annotations

from tests import messages


def test_the_snapshot_has_every_message_as_it_is_now():
    assert messages.gathered() == messages.SNAPSHOT.read_text(encoding="utf-8"), "run: python -m tests.messages"
