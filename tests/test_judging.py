"""Verdicts, from values: what holds, what does not, and what nobody can tell."""

from __future__ import annotations

import pytest

from alembic_rescue.evidence.judging import differing_texts, judge, mentioned, objects
from alembic_rescue.evidence.model import Presence, Verdict
from alembic_rescue.evidence.observation import (
    CatalogObject,
    Failure,
    LeftOut,
    Outside,
    StatementKind,
    Unobserved,
    Unread,
)
from tests.chain_values import (
    Chain,
    World,
    column,
    constraint,
    drop_table,
    enum,
    index,
    label,
    make_table,
    reading,
    rename_column,
    rename_table,
    sent,
    table,
    view,
)

APPLIED, PARTIAL, NOT_APPLIED = Verdict.APPLIED, Verdict.PARTIAL, Verdict.NOT_APPLIED
UNVERIFIABLE, EMPTY = Verdict.UNVERIFIABLE, Verdict.EMPTY
CATALOG, DATA, QUERY = StatementKind.CATALOG, StatementKind.DATA, StatementKind.QUERY


def verdicts(chain: Chain, world, **more):
    return [e.verdict for e in judge(chain.steps, reading(world, more.pop("unread", ())), **more)]


def told(chain: Chain, world, revision: str, **more):
    """The objects of a revision that do not simply exist."""
    (found,) = (e for e in judge(chain.steps, reading(world), **more) if e.revision == revision)
    return [(o.kind, o.name, o.presence.value, o.detail) for o in found.objects if not o.met]


def two_tables() -> Chain:
    return Chain().step(lambda w: make_table(w, "a", "x", "y")).step(lambda w: make_table(w, "b", "x"))


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0, [NOT_APPLIED, NOT_APPLIED]), (1, [APPLIED, NOT_APPLIED]), (2, [APPLIED, APPLIED])],
)
def test_each_position(position, expected) -> None:
    chain = two_tables()
    assert verdicts(chain, chain.states[position]) == expected


def test_a_revision_that_never_ran_counts_no_more_than_one_that_did() -> None:
    def many(world) -> None:
        for number in range(30):
            make_table(world, f"many{number}", "x")

    chain = Chain().step(lambda w: make_table(w, "first", "x")).step(many)
    for name in ("a", "b", "c"):
        chain.step(lambda w, name=name: make_table(w, name, "x"))
    live = {o: facts for o, facts in chain.world.items() if "many" not in o.name}
    assert verdicts(chain, live) == [APPLIED, NOT_APPLIED, APPLIED, APPLIED, APPLIED]
    assert verdicts(chain, {**live, **chain.states[2]}) == [APPLIED] * 5
    half = {o: facts for o, facts in chain.states[2].items() if "many1" not in o.name}  # 11 of 30 are lost
    assert verdicts(chain, half) == [APPLIED, PARTIAL, NOT_APPLIED, NOT_APPLIED, NOT_APPLIED]


def test_a_missing_table_stands_for_its_columns() -> None:
    chain = two_tables()
    missing = told(chain, {}, "r1")
    assert missing == [("table", "public.a", "absent", "it does not exist")]
    world = chain.copy()
    del world[column("a", "y")]
    assert verdicts(chain, world) == [PARTIAL, APPLIED]
    assert told(chain, world, "r1") == [("column", "public.a.y", "absent", "it does not exist")]


def test_a_difference_is_named() -> None:
    chain = two_tables()
    world = chain.copy()
    world[column("a", "x")]["type"] = "bigint"
    assert verdicts(chain, world) == [PARTIAL, APPLIED]
    assert told(chain, world, "r1") == [
        ("column", "public.a.x", "different", "type is bigint, expected integer"),
    ]


def test_a_change_in_place() -> None:
    chain = Chain().start({view("v"): {"definition": "SELECT 1"}})
    chain.step(lambda w: w[view("v")].update(definition="SELECT 2"))
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]
    other = {view("v"): {"definition": "SELECT 3"}}
    assert verdicts(chain, other) == [NOT_APPLIED]
    assert verdicts(chain, {}) == [NOT_APPLIED]


def test_a_text_with_the_same_meaning() -> None:
    chain = Chain().start({view("v"): {"definition": "SELECT 1"}})
    chain.step(lambda w: w[view("v")].update(definition="SELECT 2"))
    live = reading({view("v"): {"definition": "SELECT (2)"}})
    texts = differing_texts(chain.steps, live)
    assert [(t.scratch, t.live) for t in texts] == [("SELECT 1", "SELECT (2)"), ("SELECT 2", "SELECT (2)")]
    answers = dict(zip(texts, (False, True), strict=True))
    assert [e.verdict for e in judge(chain.steps, live, answers)] == [APPLIED]
    answers = dict(zip(texts, (True, False), strict=True))
    assert [e.verdict for e in judge(chain.steps, live, answers)] == [NOT_APPLIED]
    for both in ((None, None), (True, True)):
        answers = dict(zip(texts, both, strict=True))
        assert [e.verdict for e in judge(chain.steps, live, answers)] == [UNVERIFIABLE]


def test_a_text_that_some_position_has_is_not_settled() -> None:
    chain = Chain().start({view("v"): {"definition": "SELECT 1"}})
    chain.step(lambda w: w[view("v")].update(definition="SELECT 2"))
    assert differing_texts(chain.steps, reading(chain.states[0])) == ()


def test_later_revisions_account_for_what_they_changed() -> None:
    chain = two_tables()
    chain.step(lambda w: w[column("a", "x")].update(type="bigint"))
    chain.step(lambda w: rename_column(w, "a", "y", "z"))
    assert verdicts(chain, chain.world) == [APPLIED] * 4
    assert verdicts(chain, chain.states[2]) == [APPLIED, APPLIED, NOT_APPLIED, NOT_APPLIED]
    world = chain.copy()
    world[column("a", "x")]["type"] = "integer"
    assert verdicts(chain, world) == [APPLIED, APPLIED, NOT_APPLIED, APPLIED]


def test_an_object_lost_after_a_rename_is_named_where_it_was_created() -> None:
    chain = two_tables().step(lambda w: rename_table(w, "a", "c"))
    assert verdicts(chain, chain.world) == [APPLIED] * 3
    world = chain.copy()
    del world[column("c", "y")]
    assert verdicts(chain, world) == [PARTIAL, APPLIED, APPLIED]
    assert told(chain, world, "r1") == [("column", "public.c.y", "absent", "it does not exist")]


def test_a_rename_is_two_facts() -> None:
    chain = Chain()
    make_table(start := {}, "user_file", "id", "path")
    chain.start(start).step(lambda w: rename_table(w, "user_file", "document"))
    chain.step(lambda w: make_table(w, "later", "id"))
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED, NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED, NOT_APPLIED]
    both = chain.states[0] | chain.states[1]  # somebody created the new one next to it
    assert verdicts(chain, both) == [NOT_APPLIED, NOT_APPLIED]
    details = [detail for *_, detail in told(chain, both, "r1")]
    assert "public.user_file still exists: public.document is a different one" in details
    assert told(chain, chain.states[0], "r1")[0][3] in {"it still exists", "it is still called public.user_file"}


def test_a_renamed_column_next_to_the_old_one() -> None:
    chain = Chain()
    make_table(start := {}, "person", "id", "name")
    chain.start(start).step(lambda w: rename_column(w, "person", "name", "title"))
    world = chain.states[0] | {column("person", "title"): dict(chain.states[0][column("person", "name")])}
    assert verdicts(chain, world) == [NOT_APPLIED]
    assert verdicts(chain, chain.world) == [APPLIED]


def test_swapped_tables() -> None:
    chain = Chain()
    make_table(start := {}, "p", "a")
    make_table(start, "q", "a")
    start[column("q", "a")]["type"] = "bigint"

    def swap(world):
        drop_table(world, "p")
        return rename_table(world, "q", "p")

    chain.start(start).step(swap)
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]


def test_drops() -> None:
    chain = Chain()
    make_table(start := {}, "old", "a")
    chain.start(start).step(lambda w: drop_table(w, "old"))
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]
    assert told(chain, chain.states[0], "r1") == [("table", "public.old", "present", "it still exists")]


def test_changes_that_cancel_out_are_no_proof() -> None:
    chain = Chain().step(lambda w: make_table(w, "a", "x")).step(lambda w: drop_table(w, "a"))
    found = judge(chain.steps, reading({}))
    assert [e.verdict for e in found] == [UNVERIFIABLE, UNVERIFIABLE]
    assert "looks the same" in found[0].objects[-1].detail
    assert found[0].cancelled_by == ("r2",)
    chain.step(lambda w: make_table(w, "b", "x"))
    assert verdicts(chain, chain.world) == [APPLIED] * 3
    assert verdicts(chain, {}) == [UNVERIFIABLE, UNVERIFIABLE, NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED, NOT_APPLIED, NOT_APPLIED]


def test_an_object_that_is_created_again_does_not_prove_the_first_time() -> None:
    chain = two_tables().step(lambda w: drop_table(w, "a")).step(lambda w: make_table(w, "a", "x", "y"))
    assert verdicts(chain, chain.states[2]) == [APPLIED, APPLIED, UNVERIFIABLE, UNVERIFIABLE]
    assert verdicts(chain, chain.states[3]) == [APPLIED, APPLIED, APPLIED, NOT_APPLIED]


def test_another_kind_under_the_same_name() -> None:
    chain = Chain().start({view("v"): {"definition": "SELECT 1"}})

    def remake(world):
        del world[view("v")]
        make_table(world, "v", "a")

    chain.step(remake)
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]


def test_unrelated_objects_are_left_alone() -> None:
    chain = two_tables()
    world = chain.copy()
    make_table(world, "theirs", "x")
    world[column("a", "theirs")] = {"type": "text"}
    world[index("a", "ix_theirs")] = {"definition": "CREATE INDEX * ON public.a USING btree (x)"}
    assert verdicts(chain, world) == [APPLIED, APPLIED]


# --- circumstance ------------------------------------------------------------------------------------------------


def test_the_owner_of_a_created_object_is_reported_and_not_counted() -> None:
    chain = two_tables()
    world = chain.copy()
    world[table("a")]["owner"] = "admin"
    assert verdicts(chain, world) == [APPLIED, APPLIED]
    assert judge(chain.steps, reading(world))[0].objects[0].detail == "not counted: owner is admin, expected app"


def test_a_fact_that_no_position_has_is_a_difference() -> None:
    chain = two_tables()
    world = chain.copy()
    world[column("a", "x")]["identity"] = "a"
    assert verdicts(chain, world) == [PARTIAL, APPLIED]
    assert told(chain, world, "r1") == [
        ("column", "public.a.x", "different", "it is GENERATED ALWAYS, expected no identity column")
    ]
    world = chain.copy()
    world[column("a", "x")]["comment"] = "by hand"
    assert verdicts(chain, world) == [APPLIED, APPLIED]


def test_a_fact_that_a_pending_revision_sets_is_no_difference_before_it() -> None:
    def more(world) -> None:
        world[column("a", "x")]["identity"] = "a"
        make_table(world, "b", "x")

    chain = Chain().step(lambda w: make_table(w, "a", "x")).step(more)
    world = chain.states[1] | {column("a", "x"): {**chain.states[1][column("a", "x")], "identity": "a"}}
    assert verdicts(chain, world) == [APPLIED, PARTIAL]


def test_an_uncounted_fact_is_reported_at_its_own_object() -> None:
    chain = two_tables()
    world = chain.copy()
    world[column("a", "x")]["comment"] = "by hand"
    assert verdicts(chain, world) == [APPLIED, APPLIED]
    (_, x) = judge(chain.steps, reading(world))[0].objects
    assert (x.name, x.detail) == ("public.a.x", "not counted: comment is by hand, expected none")


def test_a_table_that_differs_stands_for_the_objects_that_do_not() -> None:
    chain = two_tables()
    world = chain.copy()
    world[table("a")]["persistence"] = "u"
    (only,) = judge(chain.steps, reading(world))[0].objects
    assert (only.name, only.detail) == ("public.a", "it is UNLOGGED, expected permanent")


def test_a_changed_owner_counts() -> None:
    make_table(start := {}, "a", "x")
    chain = Chain().start(start).step(lambda w: w[table("a")].update(owner="admin"))
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]
    within = Chain().step(lambda w: make_table(w, "a", "x")).step(lambda w: w[table("a")].update(owner="admin"))
    assert verdicts(within, within.states[1]) == [APPLIED, NOT_APPLIED]
    assert verdicts(within, within.states[2]) == [APPLIED, APPLIED]


def privileges(role: str, *names: str) -> dict[str, str]:
    return {f"privileges of {role}: {name}": "granted" for name in names}


def test_privileges_are_facts_that_come_and_go() -> None:
    make_table(start := {}, "a", "x")
    chain = Chain().start(start).step(lambda w: w[table("a")].update(privileges("app", "SELECT")))
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]


def test_a_skipped_revoke_is_reported_where_it_was_left_out() -> None:
    make_table(start := {}, "a", "x")
    start[table("a")].update(privileges("app", "SELECT", "INSERT"))
    chain = Chain().start(start).step(lambda w: w[table("a")].__delitem__("privileges of app: INSERT"))
    chain.step(lambda w: w[table("a")].update(privileges("app", "UPDATE")))
    world = chain.copy()
    world[table("a")].update(privileges("app", "INSERT"))
    assert verdicts(chain, world) == [NOT_APPLIED, APPLIED]
    assert verdicts(chain, chain.world) == [APPLIED, APPLIED]


def test_all_privileges_are_all_that_the_server_had() -> None:
    """PostgreSQL 17 added MAINTAIN, which is not granted in a database that was upgraded from an older one."""
    make_table(start := {}, "a", "x")
    before = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    chain = Chain().start(start).step(lambda w: w[table("a")].update(privileges("app", *before, "MAINTAIN")))
    upgraded = {table("a"): {**start[table("a")], **privileges("app", *before)}}
    assert verdicts(chain, start | upgraded) == [APPLIED]
    assert verdicts(chain, start) == [NOT_APPLIED]
    revoked = Chain().start(start).step(lambda w: w[table("a")].update(privileges("app", *before, "MAINTAIN")))
    revoked.step(lambda w: w[table("a")].__delitem__("privileges of app: DELETE"))
    without = {table("a"): {**start[table("a")], **privileges("app", *(one for one in before if one != "DELETE"))}}
    assert verdicts(revoked, start | without) == [APPLIED, APPLIED]
    less = {table("a"): {**start[table("a")], **privileges("app", *before[1:])}}
    assert verdicts(chain, start | less) == [PARTIAL]
    alone = Chain().start(start).step(lambda w: w[table("a")].update(privileges("app", "SELECT")))
    alone.step(lambda w: w[table("a")].update(privileges("app", "MAINTAIN")))
    assert verdicts(alone, alone.states[1]) == [APPLIED, NOT_APPLIED]


def test_default_privileges_are_only_privileges() -> None:
    row = CatalogObject("default acl", "for role app in schema s on tables")
    chain = Chain().start({}).step(lambda w: w.update({row: privileges("app", "SELECT")}))
    chain.step(lambda w: w[row].update(privileges("other", "SELECT")))
    chain.step(lambda w: make_table(w, "z"))
    world = chain.copy()
    del world[row]["privileges of app: SELECT"]
    assert verdicts(chain, world) == [PARTIAL, APPLIED, APPLIED]
    assert verdicts(chain, chain.world) == [APPLIED] * 3


def test_a_replacement_is_reported_even_if_its_table_was_renamed_since() -> None:
    make_table(start := {}, "t", "a", "n")
    start[index("t", "i")] = {"definition": "CREATE INDEX * ON public.t USING btree (a)"}

    def replaced(world: World) -> None:
        world[index("t", "i")] = {"definition": "CREATE INDEX * ON public.t USING btree (a, n)"}

    def renamed(world: World):
        pairs = rename_table(world, "t", "tt")
        facts = world[index("tt", "i")]
        facts["definition"] = facts["definition"].replace("public.t ", "public.tt ")
        return pairs

    chain = Chain().start(start).step(replaced).step(renamed).step(lambda w: make_table(w, "z"))
    left_out = Chain().start(start).step().step(renamed).step(lambda w: make_table(w, "z"))
    assert verdicts(chain, chain.world) == [APPLIED] * 3
    assert verdicts(chain, left_out.world) == [NOT_APPLIED, APPLIED, APPLIED]


def test_a_replacement_is_reported_even_if_what_it_names_was_renamed_since() -> None:
    make_table(start := {}, "t", "a", "n")
    start[constraint("t", "ck")] = {"definition": "CHECK ((a > 0))"}

    def replaced(world: World) -> None:
        world[constraint("t", "ck")] = {"definition": "CHECK ((a > 1))"}

    def renamed(world: World):
        facts = world[constraint("t", "ck")]
        facts["definition"] = facts["definition"].replace("a", "c")
        return rename_column(world, "t", "a", "c")

    chain = Chain().start(start).step(replaced).step(renamed).step(lambda w: make_table(w, "z"))
    left_out = Chain().start(start).step().step(renamed).step(lambda w: make_table(w, "z"))
    assert verdicts(chain, chain.world) == [APPLIED] * 3
    assert verdicts(chain, left_out.world) == [NOT_APPLIED, APPLIED, APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED, NOT_APPLIED, NOT_APPLIED]


def test_a_missing_label_is_reported_where_it_was_left_out() -> None:
    start = {enum("st"): {"labels": "'a', 'b'"}, label("st", "a"): {}, label("st", "b"): {}}

    def added(name: str):
        def add(world: World) -> None:
            world[enum("st")] = {"labels": f"{world[enum('st')]['labels']}, '{name}'"}
            world[label("st", name)] = {}

        return add

    chain = Chain().start(start).step(added("e")).step(added("f")).step(lambda w: make_table(w, "z"))
    left_out = Chain().start(start).step().step(added("f")).step(lambda w: make_table(w, "z"))
    assert verdicts(chain, chain.world) == [APPLIED] * 3
    assert verdicts(chain, left_out.world) == [NOT_APPLIED, APPLIED, APPLIED]
    moved = chain.copy()
    moved[enum("st")] = {"labels": "'a', 'b', 'f', 'e'"}
    assert NOT_APPLIED in verdicts(chain, moved) or PARTIAL in verdicts(chain, moved)


def test_an_invalid_index_does_not_count_as_existing() -> None:
    make_table(start := {}, "a", "x")
    facts = {"definition": "CREATE INDEX * ON public.a USING btree (x)", "valid": "true"}
    chain = Chain().start(start).step(lambda w: w.update({index("a", "ix"): facts}))
    world = chain.copy()
    world[index("a", "ix")]["valid"] = "false"
    assert verdicts(chain, world) == [NOT_APPLIED]
    assert "invalid" in told(chain, world, "r1")[0][3]


# --- labels ------------------------------------------------------------------------------------------------------


def mood(*labels: str):
    world = {enum("mood"): {"labels": ", ".join(f"'{one}'" for one in labels)}}
    return world | {label("mood", one): {"label": one} for one in labels}


def test_labels() -> None:
    chain = Chain().start(mood("a", "b")).step(lambda w: w.update(mood("a", "b", "c")))
    assert verdicts(chain, mood("a", "b")) == [NOT_APPLIED]
    assert told(chain, mood("a", "b"), "r1") == [("enum-label", "public.mood.c", "absent", "it does not exist")]
    assert verdicts(chain, mood("a", "b", "c")) == [APPLIED]
    assert verdicts(chain, mood("a", "b", "c", "more")) == [APPLIED]
    assert verdicts(chain, mood("a", "b", "more")) == [NOT_APPLIED]
    assert verdicts(chain, mood("a", "c", "b")) == [PARTIAL]


def test_extra_labels_of_a_type_are_reported() -> None:
    chain = Chain().step(lambda w: w.update(mood("a", "b")))
    (found,) = judge(chain.steps, reading(mood("a", "b", "c")))
    assert (found.verdict, found.objects[0].detail) == (APPLIED, "it has extra labels: 'c'")
    assert verdicts(chain, mood("a")) == [PARTIAL]
    assert verdicts(chain, mood("b", "a")) == [PARTIAL]


def test_fewer_labels() -> None:
    def swap(world):
        for o in mood("a", "b"):
            del world[o]
        world.update(mood("a"))

    chain = Chain().start(mood("a", "b")).step(swap)
    assert verdicts(chain, mood("a", "b")) == [NOT_APPLIED]
    assert verdicts(chain, mood("a")) == [APPLIED]


def test_a_leftover_type_alone_proves_nothing() -> None:
    def both(world):
        world.update(mood("a"))
        make_table(world, "a", "x")

    chain = Chain().step(both)
    assert verdicts(chain, mood("a")) == [NOT_APPLIED]
    assert verdicts(chain, {table("a"): {"persistence": "p"}}) == [PARTIAL]


# --- the same under another name ----------------------------------------------------------------------------------

CHECK = {"definition": "CHECK ((x > 1))"}


def test_a_constraint_under_another_name_exists() -> None:
    make_table(start := {}, "a", "x")
    chain = Chain().start(start).step(lambda w: w.update({constraint("a", "ck"): CHECK}))
    world = chain.states[0] | {constraint("a", "theirs"): CHECK}
    (found,) = judge(chain.steps, reading(world))
    assert found.verdict is APPLIED
    assert found.objects[0].detail == "it exists under another name: theirs on public.a"
    other = chain.states[0] | {constraint("a", "theirs"): {"definition": "CHECK ((x > 2))"}}
    assert verdicts(chain, other) == [NOT_APPLIED]
    make_table(elsewhere := chain.states[0], "b", "x")
    elsewhere[constraint("b", "theirs")] = CHECK
    assert verdicts(chain, elsewhere) == [NOT_APPLIED]


def test_a_dropped_constraint_under_another_name_is_not_dropped() -> None:
    make_table(start := {}, "a", "x")
    start[constraint("a", "ck")] = CHECK
    chain = Chain().start(start).step(lambda w: w.pop(constraint("a", "ck")) and None)
    world = chain.states[1] | {constraint("a", "theirs"): CHECK}
    assert verdicts(chain, world) == [NOT_APPLIED]
    assert "theirs on public.a" in told(chain, world, "r1")[0][3]
    assert verdicts(chain, chain.states[1]) == [APPLIED]


def test_an_object_that_another_position_or_nobody_in_the_range_knows_is_itself() -> None:
    make_table(start := {}, "a", "x")
    start[constraint("a", "old")] = CHECK

    def swap(world):
        del world[constraint("a", "old")]
        world[constraint("a", "new")] = CHECK

    chain = Chain().start(start).step(swap)
    assert verdicts(chain, chain.states[0]) == [NOT_APPLIED]
    assert verdicts(chain, chain.states[1]) == [APPLIED]
    second = Chain().start(start).step(lambda w: w.update({constraint("a", "twin"): CHECK}))
    assert verdicts(second, second.states[0], untouched=[constraint("a", "old")]) == [NOT_APPLIED]


def test_a_constraint_and_its_index_are_one_object() -> None:
    make_table(start := {}, "a", "x")
    new = {
        constraint("a", "a_pkey"): {"definition": "PRIMARY KEY (x)"},
        index("a", "a_pkey"): {"definition": "CREATE UNIQUE INDEX * ON public.a USING btree (x)"},
    }
    chain = Chain().start(start).step(lambda w: w.update(new))
    assert [o.kind for o in judge(chain.steps, reading(chain.world))[0].objects] == ["constraint"]
    assert [kind for kind, *_ in told(chain, chain.states[0], "r1")] == ["constraint"]


# --- what no catalog shows -----------------------------------------------------------------------------------------


def test_a_revision_is_empty_only_if_it_sent_nothing_and_left_nothing_out() -> None:
    assert verdicts(Chain().step(), {}) == [EMPTY]
    assert verdicts(Chain().step(statements=(sent("SELECT 1", QUERY),)), {}) == [EMPTY]
    line = LeftOut("versions/r1.py", 9, "op.execute(x)", DATA)
    for more in (
        {"statements": (sent("UPDATE t SET a = 1", DATA),)},
        {"statements": (sent("ALTER TABLE t ALTER a DROP NOT NULL", CATALOG),)},
        {"left_out": (line,)},
        {"left_out": (LeftOut("versions/r1.py", 9, "op.drop_table('t')", CATALOG, ("t",)),)},
        {"outside": (Outside("connect to example.org", "versions/r1.py", 8),)},
        {"failure": Failure("relation does not exist", "versions/r1.py", 8)},
    ):
        (found,) = judge(Chain().step(**more).steps, reading({}))
        assert found.verdict is UNVERIFIABLE
        assert [o.presence for o in found.objects] == [Presence.UNVERIFIABLE]
        assert found.objects[0].line in {8, 9}


def test_data_statements_are_reported_with_every_verdict() -> None:
    chain = Chain().step(lambda w: make_table(w, "a", "x"), statements=(sent("UPDATE b SET x = 1", DATA),))
    for world, verdict in ((chain.world, UNVERIFIABLE), ({}, NOT_APPLIED)):
        (found,) = judge(chain.steps, reading(world))
        assert found.verdict is verdict
        assert found.objects[-1].kind == "statement"
        assert found.objects[-1].detail == "the catalog does not show whether it ran"


def test_rows_of_a_table_that_is_gone_may_have_been_moved() -> None:
    chain = Chain().step(lambda w: make_table(w, "a", "x"))
    chain.step(lambda w: make_table(w, "b"), statements=(sent("UPDATE a SET x = 1", DATA),))
    chain.step(lambda w: drop_table(w, "a"))
    assert verdicts(chain, chain.world) == [APPLIED, UNVERIFIABLE, APPLIED]


def test_a_line_that_was_left_out_and_both_sides_agree() -> None:
    drop = LeftOut("versions/r1.py", 9, 'op.drop_table("cache")', CATALOG, ("cache",))
    chain = Chain().step(lambda w: make_table(w, "other", "x"), left_out=(drop,))
    assert mentioned(chain.steps) == {"cache"}
    assert verdicts(chain, chain.world) == [APPLIED]
    world = chain.copy()
    make_table(world, "cache", "x")
    assert verdicts(chain, world) == [UNVERIFIABLE]
    assert told(chain, world, "r1")[-1][1] == 'op.drop_table("cache")'


def test_a_guard_that_found_what_it_creates() -> None:
    make_table(start := {}, "t", "a")
    add = LeftOut("versions/r1.py", 9, 'op.add_column("t", sa.Column("b"))', CATALOG, ("t", "b"))
    chain = Chain().start(start).step(lambda w: w.update({column("t", "b"): {"type": "integer"}}))
    chain.step(lambda w: w.update({column("t", "c"): {"type": "integer"}}), left_out=(add,))
    assert verdicts(chain, chain.world, untouched=[table("t")]) == [APPLIED, APPLIED]
    names = LeftOut("versions/r1.py", 9, 'op.create_index(name, "t", [c])', CATALOG, ("t",))
    dynamic = Chain().start(start).step(lambda w: w.update({column("t", "c"): {"type": "text"}}), left_out=(names,))
    assert verdicts(dynamic, dynamic.world, untouched=[table("t")]) == [UNVERIFIABLE]


def test_a_guard_that_went_the_other_way_here() -> None:
    make_table(start := {}, "t", "a")
    sql = "CREATE INDEX old_way ON t(a)"
    old_way = LeftOut("versions/r1.py", 9, f"op.execute({sql!r})", CATALOG, (sql,))
    made = {index("t", "new_way"): {"definition": "CREATE INDEX * ON public.t USING btree (a) INCLUDE (a)"}}
    chain = Chain().start(start).step(lambda w: w.update(made), left_out=(old_way,))
    assert verdicts(chain, start, untouched=[table("t"), column("t", "a")]) == [NOT_APPLIED]
    world = start | {index("t", "old_way"): {"definition": "CREATE INDEX * ON public.t USING btree (a)"}}
    (found,) = judge(chain.steps, reading(world), untouched=[table("t"), column("t", "a")])
    assert found.verdict is UNVERIFIABLE
    assert [o.presence for o in found.objects] == [Presence.UNVERIFIABLE] * 2
    assert not any(o.sql for o in found.objects)


def test_a_swallowed_failure() -> None:
    def chain(error):
        drop = sent("DROP INDEX ix_old", CATALOG, error=error)
        return Chain().step(lambda w: make_table(w, "a", "x"), statements=(drop,))

    agreed = chain('index "ix_old" does not exist')
    assert verdicts(agreed, agreed.world) == [APPLIED]
    assert verdicts(agreed, agreed.world | {index("b", "ix_old"): {"valid": "true"}}) == [UNVERIFIABLE]
    other = chain("permission denied")
    assert verdicts(other, other.world) == [UNVERIFIABLE]


def test_an_unobserved_revision() -> None:
    chain = two_tables()
    chain.steps[0] = Unobserved("r1", "it took too long", "Give it more time")
    found = judge(chain.steps, reading(chain.world))
    assert [e.verdict for e in found] == [UNVERIFIABLE, APPLIED]
    assert found[0].objects[0].detail == "it took too long. Give it more time"


def test_a_failure_is_unverifiable_whatever_it_changed() -> None:
    chain = Chain().step(lambda w: make_table(w, "a", "x"), failure=Failure("no such role", "versions/r1.py", 12))
    assert verdicts(chain, chain.world) == [UNVERIFIABLE]
    assert verdicts(chain, {}) == [UNVERIFIABLE]


def test_an_object_that_could_not_be_read() -> None:
    chain = two_tables()
    locked = Unread(table("a"), "process 12 holds a lock on it")
    found = judge(chain.steps, reading(chain.states[0], (locked,)))
    assert [e.verdict for e in found] == [UNVERIFIABLE, NOT_APPLIED]
    assert [(o.name, o.detail) for o in found[0].objects] == [
        ("public.a", "it cannot be read: process 12 holds a lock on it")
    ]


def test_a_rename_that_could_not_be_read_does_not_count_as_done() -> None:
    def renamed(world):
        world[view("v")] = {"definition": "SELECT c FROM a"}
        return rename_column(world, "a", "x", "c")

    chain = two_tables().step(lambda w: w.update({view("v"): {"definition": "SELECT x FROM a"}})).step(renamed)
    world = {o: facts for o, facts in chain.world.items() if o != view("v")}
    locked = Unread(view("v"), "process 12 holds a lock on it")
    assert verdicts(chain, world, unread=(locked,)) == [APPLIED, APPLIED, UNVERIFIABLE, APPLIED], "its maker answers"
    assert verdicts(chain, world) == [APPLIED, APPLIED, NOT_APPLIED, APPLIED], "for it, too"


def test_which_objects_must_be_read() -> None:
    make_table(start := {}, "a", "x")
    chain = Chain().start(start).step(lambda w: w.update({constraint("a", "ck"): CHECK}))
    assert objects(chain.steps) == {constraint("a", "ck"), table("a")}
    assert objects([Unobserved("r1", "x")]) == frozenset()
    assert judge([], reading({})) == ()
