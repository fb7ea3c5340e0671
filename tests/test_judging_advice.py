"""From verdicts to the one action to take, and to a schema's position."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alembic.script.revision import Revision, RevisionMap

from alembic_rescue import advising, history
from alembic_rescue.evidence.locating import locate, missing
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.recommending import furthest_proved, recommend
from alembic_rescue.graph.forks import several_heads
from alembic_rescue.model import Action

DATA = ObjectEvidence("statement", "UPDATE t", "present", Presence.UNVERIFIABLE, "no catalog shows it", "r.py", 8, None)
THERE = ObjectEvidence("table", "public.a", "present", Presence.PRESENT, None, "r.py", 7, None)
LACKING = ObjectEvidence("table", "public.b", "present", Presence.ABSENT, "it does not exist", "r.py", 9, "CREATE")
BY_HAND = ObjectEvidence("view", "public.v", "present", Presence.DIFFERENT, "definition is ...", "r.py", 9, None)
OBJECTS = {
    "applied": (THERE,),
    "not-applied": (LACKING,),
    "partial": (THERE, LACKING),
    "by hand": (THERE, BY_HAND),
    "data": (DATA,),
    "there, and data": (THERE, DATA),
    "empty": (),
}


def chain(*words: str) -> list[RevisionEvidence]:
    verdict = {"data": "unverifiable", "there, and data": "unverifiable", "by hand": "partial"}
    return [
        RevisionEvidence(f"r{n}", Verdict(verdict.get(word, word)), OBJECTS[word]) for n, word in enumerate(words, 1)
    ]


@pytest.mark.parametrize(
    ("words", "action", "revision"),
    [
        ((), Action.NOTHING, None),
        (("applied", "applied"), Action.STAMP, "r2"),
        (("applied", "empty"), Action.STAMP, "r1"),
        (("empty", "applied"), Action.STAMP, "r2"),
        (("applied", "not-applied"), Action.STAMP, "r1"),
        (("not-applied", "not-applied"), Action.RERUN, None),
        (("partial", "not-applied"), Action.COMPLETE, "r1"),
        (("applied", "partial"), Action.COMPLETE, "r2"),
        (("not-applied", "applied"), Action.RERUN, None),
        (("applied", "not-applied", "applied"), Action.STAMP, "r1"),
        (("empty",), Action.RERUN, None),
        (("data",), Action.STOP, None),
        (("there, and data",), Action.STOP, None),
        (("there, and data", "not-applied"), Action.STOP, None),
        (("applied", "there, and data", "not-applied"), Action.STOP, None),
        (("applied", "data", "not-applied"), Action.STAMP, "r1"),
        (("data", "not-applied"), Action.RERUN, None),
        (("data", "applied"), Action.STOP, None),
        (("data", "there, and data"), Action.STOP, None),
    ],
)
def test_the_recommended_action(words, action, revision) -> None:
    advice = recommend(chain(*words))
    assert (advice.action, advice.revision) == (action, revision)


@pytest.mark.parametrize(
    ("kind", "name", "detail", "held", "reason"),
    [
        (
            "statement",
            "UPDATE t",
            "the catalog does not show whether it ran",
            [THERE],
            "every object of r1 exists, but its row changes cannot be verified (r.py:8)",
        ),
        (
            "statement",
            "if r.v is None or ...",
            "it changed nothing",
            [THERE],
            "every object of r1 exists, but its other changes cannot be verified (r.py:8). It changed nothing",
        ),
        (
            "statement",
            "r1",
            "it was not observed, because no scratch database is available",
            [],
            "r1 cannot be verified (r.py:8). It was not observed, because no scratch database is available",
        ),
        (
            "view",
            "public.v",
            "it cannot be read: permission denied",
            [THERE],
            "view public.v of r1 cannot be verified (r.py:8). It cannot be read: permission denied",
        ),
    ],
)
def test_an_unverifiable_revision_must_be_checked_by_a_person(kind, name, detail, held, reason) -> None:
    told = ObjectEvidence(kind, name, "present", Presence.UNVERIFIABLE, detail, "r.py", 8, None)
    advice = recommend([RevisionEvidence("r1", Verdict.UNVERIFIABLE, (*held, told))])
    assert (advice.action, advice.reason) == (Action.STOP, f"{reason}. Check what it changes")


def test_half_a_revision_without_a_statement_stops() -> None:
    evidence = RevisionEvidence("r1", Verdict.PARTIAL, (THERE, BY_HAND))
    advice = recommend([evidence])
    assert advice.action is Action.STOP
    assert "by hand" in advice.reason


def test_a_swallowed_failure_is_the_reason() -> None:
    cause = Cause("r1", "r1.py", 12, "CREATE TYPE", "it exists already", swallowed=True, handler_line=13, fix="look")
    assert "r1.py:12 hides a failure" in recommend(chain("not-applied"), [cause]).reason
    assert "must fail" in recommend(chain("not-applied"), [replace(cause, aborts=False)]).reason


def test_a_revision_that_would_fail_again_is_mentioned_with_the_stamp_or_stops_it() -> None:
    cause = Cause("r2", "r2.py", 12, "ALTER TABLE", "it exists", swallowed=False, handler_line=None, fix="look")
    advice = recommend(chain("applied", "not-applied"), [cause])
    assert (advice.action, advice.revision) == (Action.STAMP, "r1")
    assert "stamp r1, fix r2.py:12, which fails (it exists), then upgrade" in advice.reason
    advice = recommend(chain("applied", "data", "not-applied"), [cause])
    assert (advice.action, advice.revision) == (Action.STOP, None)
    assert "If it runs again, it will fail at r2.py:12 (it exists)" in advice.reason


def test_an_unseen_failure_is_not_reported() -> None:
    reason = recommend(chain("not-applied")).reason
    assert "If a run failed, all of it was rolled back" in reason
    assert "To see what fails: `alembic-rescue rehearse`" in reason


def test_a_stamp_for_each_branch_that_is_proved() -> None:
    files = [Revision("r1", None), Revision("r2", "r1"), Revision("r3", "r1"), Revision("r4", "r2")]
    graph = RevisionMap(lambda: files)

    def advised(*words: str, current=()):
        pending = chain(*words)
        return advising.on_each_branch(graph, current, pending, recommend(pending))

    line = advised("applied", "applied", "not-applied", "not-applied")
    assert (line.action, line.revision) == (Action.STAMP, "r2")
    both = advised("applied", "applied", "applied", "not-applied")
    assert (both.action, both.revision) == (Action.STAMP, "r2")
    assert both.reason.endswith("stamp r2, then r3, then upgrade")
    whole = advised("applied", "applied", "applied", "applied")
    assert (whole.action, whole.revision) == (Action.STAMP, "heads")


def test_the_furthest_proved_revision() -> None:
    assert furthest_proved(chain("applied", "empty", "data", "applied")) == "r1"
    assert furthest_proved(chain("empty", "data")) is None


def test_the_position_of_a_schema() -> None:
    every = chain("applied", "data", "applied", "not-applied")
    follows = {"r2": ["r1"], "r3": ["r2"], "r4": ["r3"]}
    found = locate(every, follows)
    assert (found.revisions, found.unproved, found.following) == (("r3",), ("r2",), ("r4",))
    assert [e.revision for e in missing(every)] == ["r4"]
    branches = chain("applied", "applied", "not-applied", "applied")
    found = locate(branches, {"r2": ["r1"], "r3": ["r1"], "r4": ["r3"]})
    assert (found.revisions, found.following) == (("r2",), ("r3", "r4"))
    assert locate(chain("not-applied"), {}).revisions == ()
    rows_too = replace(chain("applied")[0], revision="r5", verdict=Verdict.UNVERIFIABLE)  # its objects exist
    found = locate([*every[:3], rows_too], {**follows, "r5": ["r3"]})
    assert (found.revisions, found.unproved) == (("r5",), ("r2", "r5"))


@pytest.mark.parametrize(
    ("words", "current", "action", "told"),
    [
        (("applied", "applied"), ["r2"], Action.NOTHING, "as the version table says"),
        (("applied", "applied"), ["r1"], Action.STAMP, ": stamp r2"),
        (("applied", "partial"), ["r2"], Action.STOP, "which lacks something"),
        (
            ("applied", "not-applied"),
            ["r2"],
            Action.STOP,
            "r2, none of whose objects exist; by hand: `alembic stamp --purge r1`, then `alembic upgrade head`",
        ),
        (("applied", "data"), ["r2"], Action.NOTHING, "which lacks nothing, although r2 cannot be proved"),
        (("applied", "empty"), ["r2"], Action.NOTHING, "the version table says r2, which lacks nothing"),
        (("applied", "applied"), ["r1", "r2"], Action.STOP, "by hand: `alembic stamp --purge r2"),
        (("applied", "applied"), ["gone"], Action.STOP, "lack gone; by hand: `alembic stamp --purge r2"),
    ],
)
def test_the_position_next_to_what_the_version_table_says(words, current, action, told) -> None:
    graph = RevisionMap(lambda: [Revision("r1", None), Revision("r2", "r1")])
    every = chain(*words)
    located = locate(every, {"r2": ["r1"]})
    advice = history.recommend_for_located(graph, every, located, current)
    assert advice.action is action
    assert told in advice.reason


@pytest.mark.parametrize(
    ("words", "action", "told"),
    [
        (("applied", "partial"), Action.COMPLETE, "r2 is marked as applied, but lacks something"),
        (("partial", "partial"), Action.COMPLETE, "r1 and r2 are marked as applied, but lack something"),
        (
            ("not-applied", "not-applied"),
            Action.STOP,
            "r1 and r2 are marked as applied, but none of their objects exist",
        ),
        (("not-applied", "applied"), Action.COMPLETE, "r1 is marked as applied, but lacks something"),
        (("applied", "not-applied", "data"), Action.STOP, "r2 is marked as applied, but none of its objects exist"),
        (("applied", "by hand"), Action.STOP, "r2 lacks something for which no statement is available"),
        (
            ("applied", "data"),
            Action.NOTHING,
            "nothing is missing from the 2 applied revisions. Changes of r2 cannot be verified",
        ),
        (("applied",), Action.NOTHING, "nothing is missing from the one applied revision"),
        (("data",), Action.STOP, "none of the applied revisions could be verified"),
    ],
)
def test_the_action_for_what_counts_as_applied(words, action, told) -> None:
    advice = history.recommend_for_applied(chain(*words))
    assert (advice.action, told in advice.reason) == (action, True), advice


FORK = RevisionMap(lambda: [Revision("r1", None), Revision("r2", "r1"), Revision("r3", "r1")])


def test_with_several_heads_the_command_names_all_of_them() -> None:
    files = {"r2": "r2.py", "r3": "r3.py"}
    proof = Proof(tuple(chain("not-applied")), None, several_heads(FORK, ["r1"], files))
    advice = advising.advise(FORK, ["r1"], proof)
    assert advice.reason.endswith(
        "r3.py is on a second branch since r1, so `alembic upgrade head` is ambiguous: the heads are r2 and r3. Upgrade"
    )
    assert advice.steps == ("alembic upgrade heads",)


def test_what_exists_on_another_branch_is_not_after_a_revision_that_did_not_run() -> None:
    beside = RevisionMap(
        lambda: [Revision("r1", "r0"), Revision("r0", None), Revision("r2", "r0"), Revision("r3", "r2")]
    )
    advice = advising.advise(beside, ["r0"], Proof(tuple(chain("not-applied", "applied", "applied")), None))
    assert (advice.action, advice.revision, advice.steps) == (Action.STAMP, "r3", ())
    assert advice.reason == "all revisions up to r3 are applied; the next one, r1, is not applied"
    line = RevisionMap(lambda: [Revision("r1", None), Revision("r2", "r1"), Revision("r3", "r2")])
    advice = advising.advise(line, (), Proof(tuple(chain("not-applied", "applied", "applied")), None))
    assert "r1 is not applied, but r2 and r3 after it are, as if" in advice.reason


def test_on_a_new_database_nothing_failed() -> None:
    def advised(evidence, current=(), causes=()):
        return advising.advise(RevisionMap(lambda: LINE), current, Proof(tuple(evidence), None, causes))

    new = advised(chain("not-applied", "empty"))
    assert (new.reason, new.steps) == ("nothing is applied yet. Upgrade", ("alembic upgrade head",))
    fails = Cause("r1", "r1.py", 12, "CREATE TYPE", "no", swallowed=False, handler_line=None, fix="look")
    left = replace(chain("not-applied")[0], objects=(THERE, LACKING))
    for other in (
        advised(chain("not-applied"), ["r1"]),
        advised(chain("not-applied"), causes=(fails,)),
        advised([left]),
        advised(chain("data", "not-applied")),
    ):
        assert other.action is Action.RERUN
        assert "nothing is applied yet" not in other.reason


def test_what_an_earlier_revision_made_is_not_its_own() -> None:
    left = replace(chain("not-applied")[0], objects=(THERE, LACKING))
    cause = Cause("r1", "r1.py", 12, "CREATE TYPE", "it exists already", swallowed=True, handler_line=13, fix="look")
    assert recommend([left], [cause]).reason == (
        "r1 is not applied: none of its own objects exist. The whole run was rolled back, because r1.py:12 hides a "
        "failure (it exists already) without a SAVEPOINT. Fix r1.py:12, then upgrade"
    )


def test_only_an_upgrade_is_left_to_run_if_nothing_comes_before() -> None:
    assert recommend(chain("not-applied")).upgrades
    assert not recommend(chain("not-applied", "applied")).upgrades
    assert not recommend(chain("applied")).upgrades


@pytest.mark.parametrize("word", ["partial", "not-applied", "by hand"])
def test_what_to_do_about_something_missing_is_said_once(word) -> None:
    graph = RevisionMap(lambda: [Revision("r1", None)])
    (note,) = history.stamped_but_not_there(graph, chain(word))
    assert note.help == "Alembic will never create it by itself"


def test_at_the_latest_revision_the_recommendation_says_what_was_compared() -> None:
    rows = replace(DATA, detail="the catalog does not show whether it ran")
    changes_rows = replace(chain("data")[0], revision="r2", objects=(rows,))
    at = "the database is at the latest revision. "
    assert history.at_latest(chain("applied", "empty")) == f"{at}No object is missing"
    assert history.at_latest([*chain("applied"), changes_rows]) == (
        f"{at}No object is missing. Data changes of r2 cannot be verified"
    )
    assert history.at_latest(chain("applied", "data")) == f"{at}No object is missing. Changes of r2 cannot be verified"
    assert history.at_latest(chain("data")) == f"{at}Changes of r1 cannot be verified"


LINE = [Revision("r1", None), Revision("r2", "r1"), Revision("r3", "r2"), Revision("r4", "r3")]


@pytest.mark.parametrize(
    ("verdicts", "commands"),
    [
        (["data"], [["alembic-rescue stamp r1 --accept r1"], ["alembic upgrade head"]]),
        (["data", "applied"], [["alembic-rescue stamp r2 --accept r1"]] * 2),
        (["data", "applied", "data", "applied"], [["alembic-rescue stamp r4 --accept r1 --accept r3"]] * 2),
        (["applied", "data", "applied", "not-applied"], [["alembic-rescue stamp r3 --accept r2"]] * 2),
        (["applied", "not-applied", "data"], []),
    ],
)
def test_there_is_a_command_for_each_possible_finding(verdicts, commands) -> None:
    advice = advising.advise(RevisionMap(lambda: LINE), (), Proof(tuple(chain(*verdicts)), None))
    assert [list(choice.commands) for choice in advice.choices] == commands


@pytest.mark.parametrize(
    ("verdicts", "found"),
    [
        (["data"], ["r1 did run", "it did not run"]),
        (["data", "applied"], ["r1 did run", "it did not: make its changes by hand, then"]),
        (
            ["data", "applied", "data", "applied"],
            ["r1 and r3 did run", "they did not: make their changes by hand, then"],
        ),
    ],
)
def test_the_possible_findings_are_told_of_one_or_of_several(verdicts, found) -> None:
    advice = advising.advise(RevisionMap(lambda: LINE), (), Proof(tuple(chain(*verdicts)), None))
    assert [choice.found for choice in advice.choices] == found


def test_behind_somebodys_lock_there_is_nothing_to_accept() -> None:
    locked = replace(chain("data")[0], objects=(replace(DATA, locked="table t"),))
    assert advising.advise(RevisionMap(lambda: LINE), (), Proof((locked,), None)).choices == ()
