"""What differs, said for people: the fact, what it is, and what was expected.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic_rescue.evidence.claims import Finding
from alembic_rescue.evidence.live import Live, in_lines, labels
from alembic_rescue.evidence.names import column_of
from alembic_rescue.evidence.observation import CatalogObject, Facts
from alembic_rescue.evidence.positions import is_addition, is_circumstance

_SHOWN = 120
"""Characters of a text, from where two begin to differ."""
_FALSE = frozenset(["", "f", "false", "no", "0", "none"])


def detail(finding: Finding, live: Live) -> str | None:
    """Why a claim does not hold, or what is to be known of it although it holds; None where there is nothing."""
    return "; ".join(_details(finding, live)) or None


def noteworthy(findings: Sequence[Finding], live: Live) -> frozenset[CatalogObject]:
    """What is there as expected, and of which there is more to tell than of what it belongs to."""
    told = {f.claim.object: set(_details(f, live)) for f in findings if f.met and f.claim.expected is not None}
    by_name = {o.name: details for o, details in told.items()}
    return frozenset(o for o, details in told.items() if details - by_name.get(o.parent, set()))


def _details(finding: Finding, live: Live) -> Iterator[str]:
    claim, actual = finding.claim, finding.actual
    if finding.reason is not None:
        yield f"it cannot be read: {finding.reason}"
    elif claim.expected is None or actual is None:
        if not finding.met:
            yield _existence(finding, live)
    else:
        for fact in finding.different:
            yield _difference(fact, claim.expected, actual)
        for fact in finding.unknown:
            yield f"it cannot be told whether these are the same: {_difference(fact, claim.expected, actual)}"
        yield from _circumstances(finding, actual)
    if claim.object in live.numbered and finding.met:
        yield f"not counted: {live.numbered[claim.object]}"
    if claim.object in live.known_as and actual is not None:
        yield f"it is there under another name: {live.known_as[claim.object].name}"
    if claim.object.kind == "type" and claim.expected is not None and (more := live.more_labels(claim.object)):
        yield f"it has more labels: {', '.join(map(repr, more))}"


def _existence(finding: Finding, live: Live) -> str:
    column = column_of(finding.claim.object)
    if column is not None and live.has(column):
        return _difference("default", finding.claim.expected or {}, finding.actual or {})
    return "it is still there" if finding.claim.expected is None else _absence(finding, live)


def _absence(finding: Finding, live: Live) -> str:
    found = finding.claim.object
    if found in live.impostors:
        return f"{live.impostors[found].name} is still there: what is called {found.name} is another one"
    former = finding.claim.former
    if former is not None and live.facts(former) is not None:
        return f"it is still called {former.name}"
    if found.parent and not live.has(found.parent):
        return f"there is no {found.parent}"
    return "it does not exist"


def _circumstances(finding: Finding, actual: Facts) -> Iterator[str]:
    """What came along when it was made, and differs."""
    expected = finding.claim.expected or {}
    if finding.claim.change.before is None and finding.claim.former is None:
        for fact in sorted({*expected, *actual} - finding.claim.facts):
            uncounted = is_circumstance(fact) or (is_addition(fact) and fact not in expected)
            if uncounted and expected.get(fact) != actual.get(fact):
                yield f"not counted: {_difference(fact, expected, actual)}"
    if any(in_lines(actual.get(fact, "")) == in_lines(text) != actual.get(fact) for fact, text in expected.items()):
        yield "not counted: its lines end otherwise"


def _difference(fact: str, expected: Facts, actual: Facts) -> str:
    one, other = actual.get(fact), expected.get(fact)
    if fact == "valid" and (one or "").lower() in _FALSE:
        return "it is not valid: what was to check or to build it was not finished"
    if fact == "labels" and one is not None and other is not None:
        missing = [label for label in labels(other) if label not in labels(one)]
        if missing:
            return f"it lacks {', '.join(map(repr, missing))}"
    start = _first_difference(one or "", other or "")
    return f"{fact} is {_shown(one, start)}, expected {_shown(other, start)}"


def _shown(text: str | None, start: int) -> str:
    if text is None:
        return "none"
    flat = " ".join(text[start:].split())
    return f"{'...' if start else ''}{flat[:_SHOWN]}{'...' if len(flat) > _SHOWN else ''}"


def _first_difference(one: str, other: str) -> int:
    """Where to begin to show two long texts: at a word before they differ."""
    if max(len(one), len(other)) <= _SHOWN:
        return 0
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return max(0, one.rfind(" ", 0, max(0, same - 20)) + 1)
