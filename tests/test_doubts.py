"""Missing objects that a later revision may have removed, which nobody saw run."""

from __future__ import annotations

import pytest

from alembic_rescue.evidence.doubts import in_doubt
from alembic_rescue.evidence.model import ObjectEvidence, Presence, RevisionEvidence, Verdict

PRESENT = ObjectEvidence("table", "dev.configs", "present", Presence.PRESENT, None, "r.py", 3, None)


def missing(kind: str, name: str) -> ObjectEvidence:
    return ObjectEvidence(kind, name, "present", Presence.ABSENT, "it does not exist", "r.py", 7, "ALTER TABLE ...")


@pytest.mark.parametrize(
    ("lost", "word", "doubted"),
    [
        (missing("constraint", '"CONFIGS_PK" on dev.configs'), "configs", True),
        (missing("column", "dev.configs.updated_at"), "configs", True),
        (missing("column", "dev.configs.updated_at"), "updated_at", False),  # which any file may name
        (missing("index", "dev.ix_configs"), "ix_configs", True),
        (missing("table", "dev.other"), "configs", False),
    ],
)
def test_what_a_later_file_names_is_not_called_missing(lost, word, doubted) -> None:
    chain = [RevisionEvidence("r1", Verdict.PARTIAL, (PRESENT, lost)), RevisionEvidence("r2", Verdict.APPLIED, ())]
    first, second = in_doubt(chain, {"r2": {word}})
    assert second == chain[1]
    assert first.verdict is (Verdict.UNVERIFIABLE if doubted else Verdict.PARTIAL)
    assert (first.missing == ()) is doubted
    if doubted:
        assert first.objects[1].sql is None
        assert first.objects[1].detail == "it does not exist; r2 refers to it and could not be observed"


def test_an_earlier_file_casts_no_doubt() -> None:
    lost = missing("table", "dev.configs")
    chain = [RevisionEvidence("r1", Verdict.APPLIED, ()), RevisionEvidence("r2", Verdict.NOT_APPLIED, (lost,))]
    assert in_doubt(chain, {"r1": {"configs"}}) == tuple(chain)
