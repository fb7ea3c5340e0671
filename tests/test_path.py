"""The path check: what a stamp would skip and leave, or which refusal; and the same by the installed command."""

from __future__ import annotations

import pytest
from alembic.script.revision import RevisionError, RevisionMap

from alembic_rescue import Refusal
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import NULL_ROW
from tests.conftest import ProjectCopy
from tests.graphs import Node, revision_map, revisions, write_project

INCIDENT = revision_map(
    Node("b354d12d1e7d"),
    Node("65e4b4ef883d", ("b354d12d1e7d",)),
    Node("774225e563ca", ("65e4b4ef883d",)),
    Node("d47310025be2", ("774225e563ca",)),
    Node("aae3309a2a8b", ("d47310025be2",)),
)
"""One line, and nothing else."""

DIAMOND = revision_map(
    Node("trunk"),
    Node("left1", ("trunk",)),
    Node("left2", ("left1",)),
    Node("right1", ("trunk",)),
    Node("right2", ("right1",)),
    Node("merged", ("left2", "right2")),
    Node("after", ("merged",)),
)
"""One base that branches and merges again."""

BASES = revision_map(
    Node("shop1", labels=("shop",)),
    Node("shop2", ("shop1",)),
    Node("shop3", ("shop2",)),
    Node("plug1", labels=("plugin",)),
    Node("plug2", ("plug1",)),
)
"""Two bases, each with its own labelled line."""

DEPENDENT = revision_map(
    Node("shop1", labels=("shop",)),
    Node("shop2", ("shop1",)),
    Node("shop3", ("shop2",)),
    Node("plug1", labels=("plugin",)),
    Node("plug2", ("plug1",), depends_on=("shop2",)),
    Node("plug3", ("plug2",)),
)
"""Two bases; a revision of one depends on one of the other."""


def refusal_of(graph: RevisionMap, current: list[str], target: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        paths.find_path(graph, current, target)
    assert refused.value.exit_status == 3
    return refused.value


# --- one line ----------------------------------------------------------------------------------------------------


def test_the_incident_skips_two_revisions_and_leaves_two_pending():
    path = paths.find_path(INCIDENT, ["b354d12d1e7d"], "774225e563ca")
    assert path.targets == ("774225e563ca",)
    assert path.skipped == ("65e4b4ef883d", "774225e563ca")
    assert path.heads_after == ("774225e563ca",)
    assert path.pending_after == ("d47310025be2", "aae3309a2a8b")
    (stamp,) = path.stamps
    assert (stamp.revisions, stamp.rows_before, stamp.rows_after) == (
        ("774225e563ca",),
        ("b354d12d1e7d",),
        ("774225e563ca",),
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("774225e563ca", "774225e563ca"),
        ("7742", "774225e563ca"),
        ("77", "774225e563ca"),
        ("head", "aae3309a2a8b"),
        ("heads", "aae3309a2a8b"),
        ("+1", "65e4b4ef883d"),
        ("+2", "774225e563ca"),
        ("65e4b4ef883d+1", "774225e563ca"),
        ("65e4+1", "774225e563ca"),
        ("d47310025be2-1", "774225e563ca"),
        ("7742@head", "aae3309a2a8b"),
    ],
)
def test_a_target_may_be_written_as_in_alembic(written, meant):
    assert paths.find_path(INCIDENT, ["b354d12d1e7d"], written).targets == (meant,)


def test_already_there_is_nothing_to_do():
    path = paths.find_path(INCIDENT, ["774225e563ca"], "7742")
    assert path.nothing_to_do
    assert path.skipped == path.stamps == ()
    assert path.heads_after == ("774225e563ca",)
    assert path.pending_after == ("d47310025be2", "aae3309a2a8b")


@pytest.mark.parametrize("target", ["head", "heads"])
def test_at_the_latest_revision_there_is_nothing_to_do_and_nothing_pending(target):
    path = paths.find_path(INCIDENT, ["aae3309a2a8b"], target)
    assert path.nothing_to_do
    assert path.pending_after == ()


def test_from_an_empty_version_table_every_revision_up_to_the_target_is_skipped():
    path = paths.find_path(INCIDENT, [], "774225e563ca")
    assert path.skipped == ("b354d12d1e7d", "65e4b4ef883d", "774225e563ca")
    assert path.stamps[0].rows_before == ()


def test_from_an_empty_version_table_plus_one_is_the_first_revision():
    assert paths.find_path(INCIDENT, [], "+1").skipped == ("b354d12d1e7d",)


def test_base_is_where_an_empty_version_table_already_is():
    path = paths.find_path(INCIDENT, [], "base")
    assert path.nothing_to_do
    assert path.targets == path.heads_after == ()
    assert len(path.pending_after) == 5


# --- one line: refused -------------------------------------------------------------------------------------------


def test_an_unknown_target_is_refused():
    refusal = refusal_of(INCIDENT, ["b354d12d1e7d"], "deadbeef")
    assert refusal.code == "unknown-revision"
    assert refusal.message == "the script directory has no revision 'deadbeef'"
    assert "`alembic history`" in refusal.help


def test_an_unknown_short_target_is_reported_as_too_short():
    refusal = refusal_of(INCIDENT, ["b354d12d1e7d"], "xy")
    assert refusal.code == "unknown-revision"
    assert "at least four characters" in refusal.message


def test_an_empty_target_is_refused_though_every_id_begins_with_it():
    refusal = refusal_of(revision_map(Node("only")), [], "")
    assert refusal.code == "unknown-revision"
    assert refusal.message.endswith("the script directory has no revision '': it is empty")


@pytest.mark.parametrize("target", ["@", "@a", "only@"])
def test_a_target_with_nothing_next_to_its_at_sign_is_refused(target):
    assert refusal_of(revision_map(Node("only")), [], target).code == "unknown-revision"


@pytest.mark.parametrize("name", ["", "@", "none"])
def test_an_acceptance_must_name_a_revision(name):
    with pytest.raises(Refusal) as raised:
        scripts.resolved(revision_map(Node("only")), name)
    assert raised.value.code == "unknown-revision"


@pytest.mark.parametrize("target", ["head", "heads", "+1", "shop@head", "aaaa"])
def test_without_revisions_every_target_is_unknown(target):
    refusal = refusal_of(revision_map(), [], target)
    assert refusal.code == "unknown-revision"
    assert "there are no revisions" in refusal.message


def test_a_partial_id_that_fits_several_is_refused_with_all_of_them():
    graph = revision_map(Node("abcd11"), Node("abcd22", ("abcd11",)), Node("ffff00", ("abcd22",)))
    refusal = refusal_of(graph, [], "abcd")
    assert refusal.code == "ambiguous-revision"
    assert refusal.message == "'abcd' matches several revisions: abcd11 and abcd22"
    assert "more characters" in refusal.help


def test_a_partial_id_that_also_begins_a_label_is_refused_with_both():
    graph = revision_map(Node("plug1", labels=("plugin",)), Node("other", ("plug1",)))
    refusal = refusal_of(graph, [], "plug")
    assert refusal.code == "ambiguous-revision"
    assert refusal.message == "'plug' matches several revisions: plug1 and plugin"


def test_a_partial_id_on_a_branch_is_ambiguous_only_within_that_branch():
    graph = revision_map(
        Node("main1", labels=("main",)), Node("main22", ("main1",)), Node("main23", ("main22",)), Node("main24x")
    )
    refusal = refusal_of(graph, [], "main1@main2")
    assert refusal.code == "ambiguous-revision"
    assert refusal.message == "'main1@main2' matches several revisions: main22 and main23"


@pytest.mark.parametrize("target", ["65e4b4ef883d", "65e4", "774225e563ca-1"])
def test_a_target_behind_the_current_revision_is_refused(target):
    refusal = refusal_of(INCIDENT, ["d47310025be2"], target)
    assert refusal.code == "target-behind-current"
    assert refusal.message == "65e4b4ef883d is behind the database's current revision d47310025be2"
    assert "stamping backwards would make Alembic run 774225e563ca and 1 more again" in refusal.help
    assert "alembic-rescue diagnose" in refusal.help


def test_base_is_behind_every_current_revision():
    refusal = refusal_of(INCIDENT, ["b354d12d1e7d"], "base")
    assert refusal.code == "target-behind-current"
    assert refusal.message == "base is behind the database's current revision b354d12d1e7d"
    assert "run b354d12d1e7d again" in refusal.help


def test_a_target_below_the_current_revision_is_behind_it():
    refusal = refusal_of(INCIDENT, ["d47310025be2"], "-1")
    assert refusal.code == "target-behind-current"
    assert refusal.message == "-1 is behind the database's current revision d47310025be2"


@pytest.mark.parametrize(("current", "target"), [([], "-1"), ([], "+0"), (["d47310025be2"], "+0")])
def test_a_relative_target_that_does_not_count_forward_is_unknown(current, target):
    refusal = refusal_of(INCIDENT, current, target)
    assert refusal.code == "unknown-revision"
    assert "it does not count forward" in refusal.message


@pytest.mark.parametrize("target", ["+3", "d47310025be2+2", "aae3+1"])
def test_a_relative_target_beyond_the_scripts_is_refused(target):
    refusal = refusal_of(INCIDENT, ["774225e563ca"], target)
    assert refusal.code == "target-above-head"
    assert refusal.message == f"{target!r} goes past the last revision (aae3309a2a8b)"
    assert "use a smaller number" in refusal.help


def test_a_relative_target_before_the_first_revision_is_no_revision():
    refusal = refusal_of(INCIDENT, [], "65e4b4ef883d-2")
    assert refusal.code == "unknown-revision"
    assert "it goes back past the first revision" in refusal.message


def test_a_current_revision_that_the_scripts_do_not_know_is_refused():
    refusal = refusal_of(INCIDENT, ["0123456789ab"], "head")
    assert refusal.code == "unknown-current"
    assert refusal.message == "the database is at 0123456789ab, which is not in the script directory"
    assert "Check out the code that was deployed last" in refusal.help


def test_a_row_is_recognised_by_its_full_id_only():
    assert refusal_of(INCIDENT, ["b354"], "head").code == "unknown-current"
    assert refusal_of(BASES, ["shop"], "shop3").code == "unknown-current"


def test_rows_of_which_one_is_an_ancestor_of_another_are_refused():
    refusal = refusal_of(INCIDENT, ["774225e563ca", "b354d12d1e7d"], "head")
    assert refusal.code == "overlapping-current"
    assert refusal.message == ("the version table has both 774225e563ca and its ancestor b354d12d1e7d")
    assert "the row b354d12d1e7d must go" in refusal.help


def test_rows_overlap_by_depends_on_too():
    refusal = refusal_of(DEPENDENT, ["plug2", "shop1"], "plug3")
    assert refusal.code == "overlapping-current"
    assert "both plug2 and its ancestor shop1" in refusal.message


# --- branch points and merge points ------------------------------------------------------------------------------


def test_past_a_branch_point_only_the_branch_of_the_target_is_skipped():
    path = paths.find_path(DIAMOND, ["trunk"], "left2")
    assert path.skipped == ("left1", "left2")
    assert path.heads_after == ("left2",)
    assert path.pending_after == ("right1", "right2", "merged", "after")


def test_a_branch_that_has_not_begun_is_on_the_path_as_in_alembic():
    path = paths.find_path(DIAMOND, ["left1"], "right1")
    assert path.skipped == ("right1",)
    assert path.heads_after == ("left1", "right1")


def test_a_merge_point_includes_the_other_branch():
    path = paths.find_path(DIAMOND, ["left1"], "merged")
    assert set(path.skipped) == {"left2", "right1", "right2", "merged"}
    assert path.skipped[-1] == "merged"
    assert path.heads_after == ("merged",)


def test_a_merge_point_replaces_all_its_rows():
    path = paths.find_path(DIAMOND, ["left2", "right1"], "merged")
    assert path.skipped == ("right2", "merged")
    assert path.heads_after == ("merged",)
    assert [(stamp.revisions, stamp.purge) for stamp in path.stamps] == [(("merged",), False)]


def test_one_of_two_rows_moves_and_the_other_stays():
    path = paths.find_path(DIAMOND, ["left1", "right1"], "right2")
    assert path.skipped == ("right2",)
    assert path.heads_after == ("left1", "right2")


def test_a_row_is_already_there_among_others():
    assert paths.find_path(DIAMOND, ["left1", "right1"], "left1").nothing_to_do


def test_behind_one_of_several_rows_that_row_is_named():
    refusal = refusal_of(DIAMOND, ["left1", "right2"], "right1")
    assert refusal.code == "target-behind-current"
    assert refusal.message == "right1 is behind the database's current revision right2"


def test_several_heads_are_refused_if_one_was_requested():
    refusal = refusal_of(BASES, ["plug1", "shop1"], "head")
    assert refusal.code == "several-heads"
    assert refusal.message.startswith("'head' refers to several heads: ")
    assert "plug2" in refusal.message
    assert "shop3" in refusal.message
    assert "BRANCH@head, or use heads for all of them" in refusal.help


def test_several_heads_of_one_branch_are_refused_too():
    graph = revision_map(Node("fork", labels=("forked",)), Node("left", ("fork",)), Node("right", ("fork",)))
    refusal = refusal_of(graph, ["fork"], "forked@head")
    assert refusal.code == "several-heads"
    assert refusal.message == "'forked@head' refers to several heads: left and right"


def test_a_relative_target_from_several_rows_is_ambiguous():
    refusal = refusal_of(BASES, ["plug1", "shop1"], "+1")
    assert refusal.code == "ambiguous-relative"
    assert refusal.message.startswith("'+1' is ambiguous: ")
    assert "BRANCH@+N" in refusal.help


def test_a_relative_target_past_a_branch_point_is_ambiguous():
    assert refusal_of(DIAMOND, ["trunk"], "+1").code == "ambiguous-relative"
    assert refusal_of(DIAMOND, ["trunk"], "trunk+1").code == "ambiguous-relative"


# --- several bases, labels, dependencies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("shop@head", "shop3"),
        ("shop1@head", "shop3"),
        ("shop@+1", "shop2"),
        ("shop@shop3", "shop3"),
        ("shop@heads", "shop3"),
    ],
)
def test_a_label_or_a_revision_chooses_the_branch(written, meant):
    path = paths.find_path(BASES, ["plug1", "shop1"], written)
    assert path.targets == (meant,)
    assert path.heads_after == ("plug1", meant)


@pytest.mark.parametrize("target", ["nobody@head", "nobody@+1", "nobody@shop2"])
def test_a_label_that_no_revision_has_is_refused(target):
    refusal = refusal_of(BASES, ["shop1"], target)
    assert refusal.code == "unknown-revision"
    assert "branch" in refusal.message
    assert "'nobody'" in refusal.message


def test_a_revision_that_is_not_on_the_named_branch_is_refused():
    refusal = refusal_of(BASES, ["shop1"], "plugin@shop2")
    assert refusal.code == "unknown-revision"
    assert "shop2 is not a member of branch 'plugin'" in refusal.message


def test_heads_moves_each_row_to_the_head_of_its_own_branch():
    path = paths.find_path(BASES, ["plug1", "shop1"], "heads")
    assert path.targets == ("plug2", "shop3")
    assert set(path.skipped) == {"plug2", "shop2", "shop3"}
    assert path.heads_after == ("plug2", "shop3")
    assert path.pending_after == ()


def test_heads_keeps_the_row_of_a_branch_that_is_already_at_its_head():
    path = paths.find_path(BASES, ["plug2", "shop1"], "heads")
    assert path.skipped == ("shop2", "shop3")
    assert path.heads_after == ("plug2", "shop3")
    assert [stamp.revisions for stamp in path.stamps] == [("shop3",)], "not heads: Alembic would delete plug2"


def test_another_base_is_on_the_path_and_distinguished():
    assert paths.find_path(BASES, ["shop1"], "plug1").heads_after == ("plug1", "shop1")
    assert paths.find_path(BASES, ["shop1"], "heads").heads_after == ("plug2", "shop3")
    assert paths.not_begun(BASES, ["shop1"]) == {"plug1", "plug2"}
    assert paths.not_begun(BASES, ["plug1", "shop1"]) == frozenset()
    assert paths.not_begun(BASES, []) == frozenset(), "any may be the one"
    assert paths.not_begun(DEPENDENT, ["shop1"]) == frozenset(), "what follows builds on it"
    assert paths.not_begun(DIAMOND, ["left1"]) == frozenset()


def test_from_an_empty_version_table_any_base_may_be_stamped():
    assert paths.find_path(BASES, [], "plugin@head").heads_after == ("plug2",)
    assert paths.find_path(BASES, [], "heads").heads_after == ("plug2", "shop3")


def test_a_dependency_of_the_target_is_skipped_too_and_loses_its_row():
    path = paths.find_path(DEPENDENT, ["plug1", "shop1"], "plug2")
    assert path.skipped == ("shop2", "plug2")
    assert path.heads_after == ("plug2",)
    assert set(path.pending_after) == {"plug3", "shop3"}


def test_a_branch_whose_row_a_dependency_replaced_continues_from_there():
    path = paths.find_path(DEPENDENT, ["plug2"], "shop3")
    assert path.skipped == ("shop3",)
    assert path.heads_after == ("plug2", "shop3")


def test_a_branch_whose_row_a_dependency_replaced_is_already_there():
    assert paths.find_path(DEPENDENT, ["plug2"], "shop2").nothing_to_do
    assert refusal_of(DEPENDENT, ["plug2"], "shop1").code == "target-behind-current"


def test_a_dependency_alone_leads_on_from_the_current_revision():
    path = paths.find_path(DEPENDENT, ["shop2"], "plug2")
    assert path.skipped == ("plug1", "plug2")
    assert path.heads_after == ("plug2",)


def test_a_dependency_may_be_given_by_its_label():
    graph = revision_map(
        Node("shop1", labels=("shop",)), Node("shop2", ("shop1",)), Node("plug1", depends_on=("shop",))
    )
    path = paths.find_path(graph, ["shop1"], "plug1")
    assert path.skipped == ("plug1",)
    assert path.heads_after == ("plug1",)


def test_several_dependencies_are_all_included():
    graph = revision_map(Node("one"), Node("two"), Node("both", depends_on=("one", "two")))
    path = paths.find_path(graph, ["one"], "both")
    assert path.skipped == ("two", "both")
    assert path.heads_after == ("both",)


def test_heads_that_build_on_one_another_are_refused_as_in_alembic():
    graph = revision_map(
        Node("fork", labels=("forked",)), Node("left", ("fork",)), Node("right", ("fork",), depends_on=("left",))
    )
    refusal = refusal_of(graph, ["fork"], "forked@heads")
    assert refusal.code == "several-heads"
    assert paths.find_path(graph, ["fork"], "heads").heads_after == ("right",)


def test_pending_revisions_are_in_alembics_order():
    pending = paths.pending(DIAMOND, ["left1"])
    assert set(pending) == {"left2", "right1", "right2", "merged", "after"}
    assert pending[-2:] == ("merged", "after")
    assert pending.index("right1") < pending.index("right2")


def test_undoing_a_merge_point_restores_each_row():
    stamps = paths.find_stamps(DIAMOND, ["merged"], ["left2", "right1"])
    assert stamps[0].rows_before == ("merged",)
    assert stamps[-1].rows_after == ("left2", "right1")
    assert not any(stamp.purge for stamp in stamps)


@pytest.mark.parametrize(("current", "wanted"), [(["plug2", "shop3"], ["plug2"]), (["shop1"], [])])
def test_if_a_row_must_be_deleted_all_are_written_again(current, wanted):
    graph = DEPENDENT
    (stamp,) = paths.find_stamps(graph, current, wanted)
    assert stamp.purge
    assert stamp.revisions == tuple(wanted or ["base"])


# --- the version column ------------------------------------------------------------------------------------------


WIDEN = "ALTER TABLE public.alembic_version ALTER COLUMN version_num TYPE VARCHAR(128)"


def test_an_id_longer_than_the_version_column_is_refused():
    paths.check_length(["a" * 32], 32, WIDEN)
    with pytest.raises(Refusal) as refused:
        paths.check_length(["short", "a" * 33], 32, WIDEN)
    assert refused.value.code == "revision-too-long"
    assert refused.value.message == f"the id {'a' * 33} has 33 characters, but the version column holds only 32"
    assert refused.value.help == f"widen it first: `{WIDEN}`"


def test_the_proposed_column_is_long_enough_for_the_id():
    with pytest.raises(Refusal) as refused:
        paths.check_length(["a" * 200], 32, WIDEN)
    assert "TYPE VARCHAR(200)" in refused.value.help


def test_a_column_without_a_limit_holds_any_id():
    paths.check_length(["a" * 1000], None, WIDEN)


def test_a_row_without_a_revision_is_refused():
    with pytest.raises(Refusal) as refused:
        paths.check_current(revision_map(Node("one")), ["one", NULL_ROW])
    assert refused.value.code == "empty-row"


def test_a_duplicate_row_is_refused():
    with pytest.raises(Refusal) as refused:
        paths.check_current(revision_map(Node("one")), ["one", "one"])
    assert refused.value.code == "doubled-row"


# --- broken graphs -----------------------------------------------------------------------------------------------


def graph_refusal_of(*nodes: Node) -> Refusal:
    with pytest.raises(Refusal) as refused:
        paths.load(revisions(*nodes))
    return refused.value


def test_a_valid_graph_passes_without_a_message(recwarn):
    paths.load(revisions(Node("one"), Node("two", ("one",))))
    assert not recwarn.list


def test_an_id_in_two_files_is_refused_without_a_warning_from_alembic(recwarn):
    refusal = graph_refusal_of(Node("one"), Node("two", ("one",)), Node("two", ("one",)))
    assert refusal.code == "duplicate-revision"
    assert refusal.message == "several files use the revision id two"
    assert "Alembic loads only one of them" in refusal.help
    assert not recwarn.list


def test_an_id_in_two_files_is_named_even_if_it_closes_a_cycle():
    assert graph_refusal_of(Node("one"), Node("two", ("one",)), Node("one", ("two",))).code == "duplicate-revision"


def test_a_cycle_is_refused():
    refusal = graph_refusal_of(Node("base"), Node("one", ("base", "two")), Node("two", ("one",)))
    assert refusal.code == "revision-cycle"
    assert refusal.message == "the revisions form a cycle: base, one and two"
    assert "down_revision or depends_on" in refusal.help


def test_a_cycle_of_all_revisions_is_not_listed_completely():
    refusal = graph_refusal_of(*(Node(f"rev{n:02}", (f"rev{(n + 1) % 30:02}",)) for n in range(30)))
    assert refusal.code == "revision-cycle"
    assert refusal.message.endswith("rev08, rev09 and 20 more")


def test_a_cycle_by_depends_on_is_refused():
    refusal = graph_refusal_of(
        Node("one"), Node("two", ("one",), depends_on=("far2",)), Node("far1"), Node("far2", ("far1",), ("two",))
    )
    assert refusal.code == "revision-cycle"


def test_a_revision_that_follows_itself_is_refused():
    refusal = graph_refusal_of(Node("base"), Node("loop", ("loop",)))
    assert refusal.code == "revision-cycle"
    assert refusal.message == "the revisions form a cycle: loop"


def test_a_revision_that_follows_a_missing_one_is_refused():
    refusal = graph_refusal_of(Node("one"), Node("two", ("gone",)))
    assert refusal.code == "missing-revision"
    assert refusal.message.startswith("the script directory has a gap: Revision gone referenced from ")
    assert "a file is missing" in refusal.help


@pytest.mark.parametrize("dependency", ["gone", "shop"], ids=["missing", "partial"])
def test_a_dependency_must_be_a_full_id_or_a_label(dependency):
    refusal = graph_refusal_of(Node("shop1"), Node("plug1", depends_on=(dependency,)))
    assert refusal.code == "missing-revision"
    assert f"names '{dependency}', which is neither a revision nor a label" in refusal.message


def test_a_label_of_two_revisions_is_reported_in_alembics_own_words():
    bearing = revisions(Node("one", labels=("same",)), Node("two", labels=("same",)))
    with pytest.raises(RevisionError, match="Branch name 'same' in revision"):
        paths.load(bearing)


# --- by the installed command: broken script directories ---------------------------------------------------------

LINE = (Node("first"), Node("second", ("first",)), Node("third", ("second",)))


@pytest.fixture
def project_of(tmp_path):
    """Write a real project with these revisions."""

    def make(*nodes: Node, database=None) -> ProjectCopy:
        write_project(tmp_path / "project", nodes, database.url if database else "sqlite:///empty.sqlite")
        (tmp_path / "project" / "empty.sqlite").touch()
        return ProjectCopy(tmp_path / "project", tmp_path / "state", database)

    return make


@pytest.mark.parametrize("command", [("diagnose",), ("plan", "third"), ("stamp", "third", "--yes"), ("undo", "--yes")])
def test_two_files_with_one_id_are_both_named_by_every_command(project_of, command):
    copied = project_of(*LINE)
    (copied.root / "alembic" / "versions" / "copy_of_second.py").write_text(LINE[1].file)
    ran = copied.rescue(*command)
    assert ran.status == 3
    assert ran.stdout == ""
    assert ran.stderr == (
        "error[duplicate-revision]: several files use the revision id second: "
        "alembic/versions/copy_of_second.py and alembic/versions/second_.py\n"
        "help: Alembic loads only one of them and never runs the other. Give the newer file a new id and "
        "make it follow the other (revision, down_revision), or delete it\n"
    )


def test_two_files_with_one_id_are_both_named_even_if_the_second_closes_a_cycle(project_of):
    copied = project_of(*LINE)
    (copied.root / "alembic" / "versions" / "zz_first.py").write_text(Node("first", ("third",)).file)
    ran = copied.rescue("plan", "third")
    assert ran.status == 3
    assert "error[duplicate-revision]" in ran.stderr
    assert "alembic/versions/first_.py and alembic/versions/zz_first.py" in ran.stderr


def test_files_that_follow_one_another_in_a_cycle_are_refused(project_of):
    ran = project_of(Node("first", ("third",)), *LINE[1:]).rescue("plan", "third")
    assert ran.status == 3
    assert "error[revision-cycle]: the revisions form a cycle: first, " in ran.stderr
    assert "help: fix down_revision or depends_on in one of these files" in ran.stderr


def test_a_file_that_follows_a_missing_one_is_refused(project_of):
    ran = project_of(LINE[0], LINE[2]).rescue("plan", "third")
    assert ran.status == 3
    assert "error[missing-revision]: the script directory has a gap: Revision second referenced from " in ran.stderr
    assert "third" in ran.stderr
    assert "help: a file is missing (not checked out, not merged, or not in the image). Restore it" in ran.stderr


def test_a_label_in_two_files_is_a_configuration_error(project_of):
    ran = project_of(Node("first", labels=("same",)), Node("other", labels=("same",))).rescue("plan", "first")
    assert ran.status == 2
    assert "error[bad-config]" in ran.stderr
    assert "Branch name 'same' in revision" in ran.stderr


def test_a_broken_script_directory_is_a_refusal_in_json_too(project_of):
    answer = project_of(LINE[0], LINE[2]).rescue_json("plan", "third")
    assert answer["outcome"] == "refused"
    assert [refusal["code"] for refusal in answer["refusals"]] == ["missing-revision"]
    assert answer["error"] is None


# --- by the installed command: rows and targets ------------------------------------------------------------------


def test_an_id_longer_than_the_version_column_is_refused_before_anything_is_written(project_of, any_database):
    long = "a" * 33
    both = project_of(Node("first"), Node("second", ("first",)), Node(long, ("first",)), database=any_database)
    any_database.stand_at("first")
    ran = both.rescue("stamp", "heads", "--yes")
    assert ran.status == 3
    assert (
        f"error[revision-too-long]: the id {long} has 33 characters, but the version column holds only 32" in ran.stderr
    )
    assert f"help: widen it first:\n    {WIDEN}\n" in ran.stderr
    assert any_database.versions() == ["first"]
    assert both.receipts == []

    any_database.run(WIDEN)
    assert both.rescue("stamp", "heads", "--yes").status == 0
    assert any_database.versions() == [long, "second"]


def test_a_long_id_is_refused_if_the_version_table_does_not_exist_yet(project_of, database):
    ran = project_of(Node("a" * 33), database=database).rescue("stamp", "head", "--yes")
    assert ran.status == 3
    assert "error[revision-too-long]" in ran.stderr
    assert database.run("SELECT to_regclass('alembic_version')") == [(None,)]
    assert "CREATE TABLE public.alembic_version (version_num VARCHAR(128) NOT NULL" in ran.stderr


def test_a_base_that_never_began_is_not_counted_as_pending_and_can_be_begun(project_of, any_database):
    bases = project_of(
        Node("shop1"), Node("shop2", ("shop1",)), Node("plug1"), Node("plug2", ("plug1",)), database=any_database
    )
    any_database.stand_at("shop1")
    (seen,) = bases.rescue_json("diagnose")["databases"]
    assert [revision["revision"] for revision in seen["revisions"]] == seen["pending_after"] == ["shop2"]
    (told,) = [one["message"] for one in seen["findings"] if one["code"] == "branch-not-begun"]
    assert told.startswith("2 revisions up to plug2 belong to a base that was never applied here")
    stamped = bases.rescue_json("stamp", "plug1", "--yes")
    assert stamped["outcome"] == "stamped"
    (told,) = [one["message"] for one in stamped["databases"][0]["findings"] if one["code"] == "branch-begins"]
    assert told == "plug1 begins a branch: the version table will have 2 rows instead of 1"
    assert any_database.versions() == ["plug1", "shop1"]
    (seen,) = bases.rescue_json("diagnose")["databases"]
    assert sorted(seen["pending_after"]) == ["plug2", "shop2"]
    assert "branch-not-begun" not in [one["code"] for one in seen["findings"]]
    assert bases.rescue("undo", "--yes").status == 0
    assert any_database.versions() == ["shop1"]


REFUSED_BY_COMMAND = {
    "unknown-current": (["0123456789ab"], "third", "the database is at 0123456789ab, which is not in the script"),
    "overlapping-current": (["second", "first"], "third", "the version table has both second and its ancestor first"),
    "ambiguous-revision": (["first"], "thi", "'thi' matches several revisions: third and thirst"),
    "unknown-revision": (["first"], "fourth", "the script directory has no revision 'fourth'"),
    "target-behind-current": (["third"], "second", "second is behind the database's current revision third"),
    "target-above-head": (["second"], "third+1", "'third+1' goes past the last revision (third and thirst)"),
    "several-heads": (["first"], "head", "'head' refers to several heads: "),
    "ambiguous-relative": (["second"], "+1", "'+1' is ambiguous: "),
}


@pytest.mark.parametrize("code", REFUSED_BY_COMMAND)
def test_a_refusal_prints_its_code_exits_with_3_and_writes_nothing(project_of, database, code):
    rows, target, told = REFUSED_BY_COMMAND[code]
    forked = project_of(*LINE, Node("thirst", ("second",)), database=database)
    database.stand_at(*rows)
    ran = forked.rescue("stamp", "--yes", target)
    assert ran.status == 3
    assert f"error[{code}]: {told}" in ran.stderr
    assert "\nhelp: " in ran.stderr
    assert f"Refused: {code}. Nothing was written." in ran.stdout
    assert database.versions() == sorted(rows)
    assert forked.receipts == []


@pytest.mark.parametrize(("second", "code"), [("NULL", "empty-row"), ("'first'", "doubled-row")])
def test_rows_that_alembic_never_writes_are_refused_by_each_command(project_of, database, second, code):
    line = project_of(*LINE, database=database)
    database.run(
        f"CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('first'), ({second})"
    )
    before = database.run("SELECT * FROM alembic_version")
    for command, status in ((("diagnose",), 0), (("diagnose", "--applied"), 0), (("diagnose", "--locate"), 0),
                            (("plan", "third"), 3), (("stamp", "third", "--yes"), 3)):  # fmt: skip
        ran = line.rescue(*command)
        assert ran.status == status, ran.everything
        assert f"error[{code}]: " in ran.everything
        assert "Traceback" not in ran.everything
    assert database.run("SELECT * FROM alembic_version") == before


@pytest.mark.parametrize("command", [("plan", ""), ("stamp", "", "--yes")])
def test_an_unset_variable_as_a_target_means_no_revision(project_of, database, command):
    ran = project_of(Node("only"), database=database).rescue(*command)
    assert ran.status in (2, 3)
    assert "error[" in ran.stderr
    assert database.run("SELECT to_regclass('alembic_version')") == [(None,)]


def test_alembic_stamp_heads_deletes_a_row_that_this_tool_keeps(project_of, database):
    nodes = [Node("left1"), Node("right1"), Node("right2", ("right1",))]
    project = project_of(*nodes, database=database)
    database.stand_at("left1", "right1")
    assert project.alembic("upgrade", "heads").status == 0
    assert database.versions() == ["left1", "right2"]

    database.stand_at("left1", "right1")
    assert project.alembic("stamp", "heads").status == 0
    assert database.versions() in (["right2"], ["left1", "right2"]), "the first up to Alembic 1.20, until it is fixed"

    database.stand_at("left1", "right1")
    stamped = project.rescue("stamp", "heads", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["left1", "right2"]


def test_if_alembic_fails_on_a_redundant_dependency_the_rows_are_the_intended_ones(project_of, database):
    # alembic upgrade ends with KeyError: 'left1' here: it deletes the row of a revision that no longer has one.
    project = project_of(
        *(Node("left1"), Node("left2", ("left1",)), Node("right1")),
        Node("merged", ("left2", "right1"), depends_on=("left1",)),
        Node("after", ("merged",)),
        database=database,
    )
    database.stand_at("left2", "right1")
    stamped = project.rescue("stamp", "merged", "--yes")
    assert stamped.status == 0, stamped.everything
    assert database.versions() == ["merged"]
    assert project.alembic("upgrade", "head").status == 0
    assert database.versions() == ["after"]
