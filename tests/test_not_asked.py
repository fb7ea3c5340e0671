"""What the scratch server could not be asked is reported with the reason; it never counts as an answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from alembic.script.revision import Revision, RevisionMap

from alembic_rescue import errors
from alembic_rescue.evidence.live import Text
from alembic_rescue.redact import Secrets
from alembic_rescue.scratch import probing, settling
from tests.chain_values import table

VIEW = SimpleNamespace(graph=RevisionMap(lambda: [Revision("r1", None)]), scripts=SimpleNamespace(scripts=[]))
ONE = SimpleNamespace(visited=None, behind=(), todo=("r1",))


class NoServer:
    """A bench on which nothing can be placed."""

    project = SimpleNamespace(secrets=Secrets(), named=SimpleNamespace(recovered=()))

    def placed(self, *_):
        raise errors.ScratchFailed("PostgreSQL 18", "the disk is full")


def test_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "basis_of", lambda *_: {})
    monkeypatch.setattr(probing.outcomes, "of_a_copy", lambda *_, **__: None)
    probe = probing.probe(VIEW, ONE, ["r1"], NoServer())
    (note,) = probe.notes
    assert (probe.evidence, note.code) == ((), "copies-not-asked")
    assert "the disk is full" in note.message


def test_texts(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(settling, "basis_of", lambda *_: {})
    text = Text(table("a"), "definition", "CHECK (x > 0)", "CHECK ((x > 0))")
    settled = settling.settle(VIEW, ONE, [text], 0, (), NoServer())
    (note,) = settled.notes
    assert (settled.answers, note.code) == ({text: None}, "texts-not-compared")
    assert "the disk is full" in note.message
