"""Several heads where a deployment upgrades to ``head``, found from the graph alone.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from alembic.script.revision import RevisionMap

from alembic_rescue.errors import listed
from alembic_rescue.evidence.model import Cause
from alembic_rescue.graph import path as paths


def several_heads(graph: RevisionMap, current: Collection[str], files: Mapping[str, str]) -> tuple[Cause, ...]:
    """Return a cause for the fork where ``alembic upgrade head`` no longer knows which way to go.

    Empty if the fork is intended: heads on separate bases, with labels, or already with a row each.

    Args:
        current: the version table's rows.
        files: the revisions' files.
    """
    heads = sorted(head for head in graph.heads if not _labels(graph, head))  # Alembic's order has no meaning there
    if len(heads) < 2 or len(set(current)) > 1:  # noqa: PLR2004 - one is no choice
        return ()
    shared = set.intersection(*(paths.up_to(graph, [head]) for head in heads))
    if not shared:
        return ()
    fork, last = paths.in_order(graph, shared)[-1], heads[-1]
    return (
        Cause(
            revision=last,
            path=files.get(last, ""),
            line=0,
            statement="",
            error=f"is on a second branch since {fork}, so `alembic upgrade head` is ambiguous: the heads are "
            f"{listed(heads)}",
            swallowed=False,
            handler_line=None,
            fix=f'to join the heads for good: `alembic merge -m "join the heads" {" ".join(heads)}`',
            aborts=False,
            fails=False,
            code="several-heads",
        ),
    )


def _labels(graph: RevisionMap, revision: str) -> Collection[str]:
    found = graph.get_revision(revision)
    return found.branch_labels if found is not None else ()
