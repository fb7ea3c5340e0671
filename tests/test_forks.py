"""Several heads: reported if they are unintended, and not if they are intended."""

import pytest
from alembic.script.revision import Revision

from alembic_rescue.graph import path as paths
from alembic_rescue.graph.forks import several_heads

FORK = [("r1", None), ("r2", "r1"), ("r3", "r2"), ("s3", "r2")]
FILES = {"r3": "versions/r3.py", "s3": "versions/s3.py"}


def told(revisions, current, labels=None):
    graph = paths.load(Revision(one, down, branch_labels=(labels or {}).get(one)) for one, down in revisions)
    return several_heads(graph, current, FILES)


@pytest.mark.parametrize("current", [(), ("r1",), ("r2",), ("r3",)])
def test_a_fork_is_reported_with_the_command_that_joins_it(current):
    (cause,) = told(FORK, current)
    assert (cause.code, cause.place) == ("several-heads", f"versions/{cause.revision}.py")
    assert "since r2" in cause.error
    assert "`alembic upgrade head` is ambiguous: the heads are r3 and s3" in cause.error
    assert cause.revision == "s3"  # the same each time, unlike Alembic's own walk
    assert cause.fix == 'to join the heads for good: `alembic merge -m "join the heads" r3 s3`'


@pytest.mark.parametrize(
    ("revisions", "current", "labels"),
    [
        (FORK[:3], ("r1",), None),
        (FORK, ("r3", "s3"), None),
        (FORK, ("r1",), {"s3": "billing"}),
        ([("r1", None), ("s1", None)], (), None),
        ([*FORK, ("m", ("r3", "s3"))], ("r1",), None),
    ],
    ids=["one", "a-row-each", "labels", "bases-of-their-own", "merged"],
)
def test_an_intended_fork_is_not(revisions, current, labels):
    assert told(revisions, current, labels) == ()
