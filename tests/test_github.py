"""``--format github`` on values: annotations, no injected commands, and the size of a summary."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alembic_rescue.cli import github as writing
from alembic_rescue.errors import MigrationFailed, PlanRefused
from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
from alembic_rescue.evidence.rehearsal import Answer, Demand, Rehearsal
from alembic_rescue.model import Action, Note, Outcome, Recommendation
from alembic_rescue.redact import Secrets
from alembic_rescue.report import annotations, github, text, upgraded, waiting
from alembic_rescue.report.annotations import Annotation, Level
from tests import actions
from tests.report_values import line, report, revision
from tests.test_markdown import EVIL, GITHUB, evil_report

INJECTED = (
    "::set-env name=PATH::/evil",
    "said\n::add-mask::x\r::stop-commands::y\r\n  ::set-output name=a::b",
    "a,title=b::set-env name=c::d",
    "##[set-env name=PATH]/evil and ##[add-mask]x",
    "50%0A::error::x %25",
    "\u2028::debug::x\x0b::debug::y\x85::debug::z",
)
SWALLOWED = Cause("b", "versions/b.py", 7, "CREATE TYPE t", "type t exists", True, 9, "check first")  # fmt: skip


def page_of(told, hide=str, show=text.diagnosis):
    page = github.GithubPage(hide, lambda path: f"backend/{path}")
    show(told, page=page)
    return page


def read(page):
    return actions.commands("\n".join(annotations.commands(page.annotations)))


def only(found, name):
    return [one for one in found if one.name == name]


# --- what is annotated -------------------------------------------------------------------------------------------


def test_a_report_without_problems_has_no_annotations():
    told = report(line("ab"), "b", [revision("a", Verdict.APPLIED), revision("b", Verdict.EMPTY)])
    assert read(page_of(told)) == []


def test_pending_revisions_are_not_errors_and_the_recommendation_is_a_notice():
    advice = Recommendation(Action.STAMP, "b", "b is applied")
    revisions = [revision("b", Verdict.APPLIED), revision("c")]
    (notice,) = read(page_of(report(line("abc"), "a", revisions, recommendation=advice, pending_after=("b", "c"))))
    assert (notice.name, notice.properties) == ("notice", {"title": "alembic-rescue: recommendation"})
    assert notice.data == "Recommendation: stamp b: b is applied.\nalembic-rescue stamp b"


def test_a_cause_is_an_error_at_its_line_with_the_words_of_its_finding():
    warned = Note("swallowed-error", "versions/b.py:7: CREATE TYPE t will fail", "fix b: check first")
    told = report(line("ab"), "a", [revision("b")], causes=(SWALLOWED,), pending_after=("b",), findings=(warned,))
    (error,) = read(page_of(told))
    assert (error.name, error.place) == ("error", "backend/versions/b.py:7")
    assert error.properties["title"] == "alembic-rescue: swallowed-error"
    assert error.data == "versions/b.py:7: CREATE TYPE t will fail\nhelp: fix b: check first"
    (error,) = read(page_of(replace(told, databases=(replace(told.databases[0], findings=()),))))
    assert error.data.startswith("versions/b.py:7: CREATE TYPE t will fail on this database: type t exists")
    assert error.data.endswith("help: fix b: check first")


@pytest.mark.parametrize("less", [{"aborts": False}, {"fails": False}, {"without_rows": True}])
def test_a_cause_that_does_not_end_the_run_is_a_warning(less):
    told = report(line("ab"), "a", [revision("b")], causes=(replace(SWALLOWED, **less),), pending_after=("b",))
    assert [one.name for one in read(page_of(told))] == ["warning"]


def test_a_cause_that_has_a_finding_is_annotated_once():
    from alembic_rescue import findings

    told = report(
        line("ab"),
        "a",
        [revision("b")],
        causes=(SWALLOWED,),
        pending_after=("b",),
        findings=findings.causes([SWALLOWED]),
    )
    assert [one.name for one in read(page_of(told))] == ["error"]


@pytest.mark.parametrize(("root", "logged"), [("backend/", "/app/versions/b.py:7"), ("", "versions/b.py:7")])
def test_one_failure_is_one_annotation_however_often_it_is_told(root, logged):
    """As ``upgrade`` tells it: the error, then the diagnosis with its cause, its log and the revision's verdict.

    Inside the repository, and outside of it.
    """
    unread = ObjectEvidence("statement", "SELECT", "present", Presence.UNVERIFIABLE, "it fails", "versions/b.py", 7, "")
    found = Note("log-failure", f"in the log, b failed at {logged}: no; found here, at versions/b.py:7", "x")
    told = report(
        line("ab"),
        "a",
        [revision("b", Verdict.UNVERIFIABLE, objects=(unread,))],
        causes=(SWALLOWED,),
        pending_after=("b",),
        findings=(found,),
    )
    page = github.GithubPage(str, lambda path: f"{root}{path}" if root and path.startswith("versions") else "")
    text.failure(MigrationFailed("b", "versions/b.py:7", "type t exists"), page=page)
    text.diagnosis(told, page=page)
    (error,) = read(page)
    assert (error.name, error.properties["title"]) == ("error", "alembic-rescue: migration-failed")
    assert error.place == (f"{root}versions/b.py:7" if root else "")


def test_of_the_same_words_the_annotation_with_a_file_is_kept():
    made = [Annotation(Level.WARNING, "t", "m"), Annotation(Level.WARNING, "t", "m", "b.py")]
    assert annotations.commands(made) == annotations.commands(made[::-1]) == [made[1].command]


def test_failures_of_the_same_kind_in_one_line_are_several():
    demands = [Demand("b", "not-null", f"t.{name} is NOT NULL", "", "t", where="", key=("id",)) for name in "nm"]
    found = rehearsed(answers=[Answer(one, 3, path="versions/b.py", line=5) for one in demands])
    assert [one.place for one in found] == ["backend/versions/b.py:5"] * 2


def test_a_failure_without_a_line_is_shown_in_its_file():
    found = replace(SWALLOWED, line=0, statement="", swallowed=False, handler_line=None)
    note = Note("revision-fails", "b fails on an empty database. versions/b.py: the process ended", "fix b")
    (error,) = read(page_of(report(line("ab"), "a", causes=(found,), findings=(note,))))
    assert (error.properties["file"], error.properties["title"]) == (
        "backend/versions/b.py",
        "alembic-rescue: revision-fails",
    )


def test_a_finding_is_a_warning():
    told = report(line("ab"), "b", findings=(Note("several-heads", "the scripts have 2 heads", "merge them"),))
    (warning,) = read(page_of(told))
    assert (warning.name, warning.place, warning.data) == ("warning", "", "the scripts have 2 heads\nhelp: merge them")


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("b fails on an empty database. versions/b.py:7: DROP TABLE t: no such table", "backend/versions/b.py:7"),
        ("env.py fails on an empty database (alembic/env.py:12): no such module", "backend/alembic/env.py:12"),
        ("redis was not found; plain.py:1 imports it", "backend/plain.py:1"),
        ("the scripts of env.py have 2 heads", ""),
        ("b (versions/b.py:7) is one of 2 heads: a and b", "backend/versions/b.py:7"),
    ],
)
def test_a_finding_that_names_a_line_is_shown_there(message, place):
    (warning,) = read(page_of(report(line("a"), "a", findings=(Note("a-code", message, "do it"),))))
    assert warning.place == place


@pytest.mark.parametrize(("code", "place"), [("revision-changed", "backend/versions/b.py:1"), ("revision-deleted", "")])
def test_a_fact_about_a_file_is_shown_at_its_first_line(code, place):
    note = Note(code, "b (versions/b.py) was changed since main", "undo the change")
    (warning,) = read(page_of(report(line("a"), "a", findings=(note,))))
    assert warning.place == place


def partial(**more):
    lacks = ObjectEvidence("table", "public.t", "present", Presence.ABSENT, None, "versions/b.py", 12, "CREATE TABLE")
    return revision("b", Verdict.PARTIAL, objects=(lacks,), **more)


def test_each_unproved_revision_is_annotated_in_its_file():
    unread = ObjectEvidence("statement", "UPDATE t", "present", Presence.UNVERIFIABLE, "rows", "versions/c.py", 3, None)
    revisions = [partial(), revision("c", Verdict.UNVERIFIABLE, objects=(unread,)), revision("d")]
    error, warning = read(page_of(report(line("abcd"), "a", revisions, pending_after=("b", "c", "d"))))
    assert (error.name, error.place, warning.name, warning.place) == (
        *("error", "backend/versions/b.py:12"),
        *("warning", "backend/versions/c.py:3"),
    )
    assert error.data == "b is partial:\nline 12: table public.t is absent, but should be present"
    assert warning.data == "c is unverifiable:\nUPDATE t: rows"


def test_a_revision_marked_as_applied_but_missing_is_an_error():
    (error,) = read(page_of(report(line("ab"), "b", [revision("b")])))
    assert (error.name, error.place, error.data) == ("error", "backend/versions/b.py", "b is not-applied")


def test_an_accepted_revision_is_a_notice():
    told = report(line("ab"), "a", [partial(accepted=True)], command="plan", target="b")
    (notice,) = read(page_of(told, show=text.plan))
    assert (notice.name, notice.data.partition(":")[0]) == ("notice", "b is partial, accepted")


def test_a_refusal_is_one_error_in_the_file_of_its_revision():
    refusal = Note("revision-not-applied", "b is not applied: table t is missing", "do not stamp it")
    told = report(line("ab"), "a", [partial()], command="plan", target="b", refusals=(refusal,))
    refused = PlanRefused(replace(told, outcome=Outcome.REFUSED))
    page = page_of(refused, show=text.failure)
    text.plan(told, page=page)
    (error,) = read(page)
    assert (error.name, error.place) == ("error", "backend/versions/b.py:12")
    assert error.properties["title"] == "alembic-rescue: revision-not-applied"


@pytest.mark.parametrize("outcome", [Outcome.STAMPED, Outcome.UNDONE, Outcome.REPAIRED, Outcome.UPGRADED])
def test_after_a_write_no_revision_is_annotated(outcome):
    told = replace(report(line("ab"), "b", [partial()], causes=(SWALLOWED,)), outcome=outcome)
    page = github.GithubPage(str, str)
    page.whole(told, told.databases[0])
    assert page.annotations == []


def rehearsed(outcome=Outcome.FAILS, causes=(), **more):
    told = report(line("ab"), "a", command="rehearse", rehearsal=Rehearsal(("b",), **more), causes=causes)
    return read(page_of(replace(told, outcome=outcome), show=text.rehearsed))


def test_a_rehearsal_that_fails_is_an_error_at_the_line_of_the_statement():
    (error,) = rehearsed(failed="b", error="no such table", path="versions/b.py", line=4)
    assert (error.name, error.place, error.data) == ("error", "backend/versions/b.py:4", "b fails: no such table")
    (warning,) = rehearsed(Outcome.ERROR, failed="b", error="no such table", undecided=True)
    assert warning.name == "warning"


def test_a_consequence_of_a_cause_is_not_annotated():
    (error,) = rehearsed(failed="b", error="current transaction is aborted", causes=(SWALLOWED,))
    assert error.place == "backend/versions/b.py:7"


def test_rows_that_do_not_fit_are_errors_and_unchecked_rows_are_warnings():
    demand = Demand("b", "not-null", "t.n is NOT NULL", "with NULL in n", "t", where="n IS NULL", key=("id",))
    answers = Answer(demand, 3, path="versions/b.py", line=5), Answer(demand, unknown="it took too long")
    error, warning = rehearsed(answers=answers)
    assert (error.name, error.place) == ("error", "backend/versions/b.py:5")
    assert error.data.startswith("b: t.n is NOT NULL: 3 rows with NULL in n\nhelp: give the rows")
    assert warning.name == "warning"
    assert rehearsed(Outcome.PASSES) == []


def test_findings_of_wait_are_annotated():
    told = report(line("a"), "a", command="wait", findings=(Note("some-code", "a fact", "do it"),))
    page = github.GithubPage(str, str)
    waiting.reached(told, page=page, is_proved=False)
    assert [one.name for one in read(page)] == ["warning"]


def test_at_most_ten_errors_first_and_a_line_that_counts_the_others():
    made = [Annotation(Level.WARNING, "w", f"{number}") for number in range(8)]
    made += [Annotation(Level.ERROR, "e", f"{number}") for number in range(4)]
    *lines, last = annotations.commands([*made, *made])
    assert [one.name for one in actions.commands("\n".join(lines))] == ["error"] * 4 + ["warning"] * 6
    assert last == "2 more are in the report."
    assert annotations.commands(made[:11])[-1] == "1 more is in the report."
    assert len(annotations.commands(made[:10])) == 10


@pytest.mark.parametrize("outcome", [Outcome.UPGRADED, Outcome.NOTHING_TO_DO])
def test_the_picture_after_an_upgrade_is_drawn_once_for_databases_that_are_alike(outcome):
    told = report(line("ab"), "b", [partial()], command="upgrade", target="b")
    other = replace(told.databases[0], database=replace(told.databases[0].database, current_heads=("a",)))
    told = replace(told, outcome=outcome, databases=(*told.databases, *told.databases, other))
    page = github.GithubPage(str, str)
    assert upgraded.upgraded(told, page=page, is_proved=False).count("```mermaid\n") == 2


# --- nothing injects a command -----------------------------------------------------------------------------------


@given(st.text() | st.sampled_from(INJECTED), st.text() | st.sampled_from(INJECTED), st.text())
def test_any_annotation_is_one_command_with_its_text_unchanged(title, message, path):
    (found,) = actions.commands(Annotation(Level.ERROR, title or "t", message, path, 3).command)
    assert (found.name, found.data) == ("error", message)
    given_path = {"file": path, "line": "3"} if path else {}
    assert found.properties == {**given_path, "title": title or "t"} or title != title.strip() or path != path.strip()


@given(st.lists(st.text() | st.sampled_from([*INJECTED, "::", "##[", "\n", "error", " ", "::error::x"])))
def test_harmless_text_has_no_commands(parts):
    assert actions.commands(annotations.harmless("".join(parts))) == []


@pytest.mark.parametrize("evil", [*INJECTED, EVIL])
def test_no_text_in_a_report_becomes_a_command(evil, monkeypatch):
    monkeypatch.delenv(writing.SUMMARY, raising=False)
    cause = replace(SWALLOWED, path=evil, statement=evil, error=evil, fix=evil)
    advice = Recommendation(Action.STOP, None, evil, (evil,))
    told = report(
        line("ab"), "a", [revision("b", Verdict.PARTIAL, evil)],
        causes=(cause,), findings=(Note("a-code", evil, evil),), recommendation=advice,
    )  # fmt: skip
    out = written([told])
    found = actions.commands(out)
    assert {one.name for one in found} == {"error", "warning", "notice"}
    assert len(found) == len(re.findall(r"^::", out, re.MULTILINE)) == 4


def written(reports, hide=str, told=print):
    """Return what is written to stdout."""
    answers, out = writing.Answers(), []
    for one in reports:
        answers.take(text.diagnosis(one, page=answers.page(hide)))
    answers.finish(out.append, told)
    return "".join(out)


def test_no_secret_is_in_an_annotation():
    secrets = Secrets()
    secrets.add("hunter2-hunter2")
    told = report(line("ab"), "b", findings=(Note("a-code", "the password is hunter2-hunter2", "x"),))
    assert "hunter2" not in written([told], secrets.hide)


# --- where it goes -----------------------------------------------------------------------------------------------


@pytest.fixture
def summary(tmp_path, monkeypatch):
    monkeypatch.setenv(writing.SUMMARY, str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


def test_the_report_is_appended_to_the_summary_and_stdout_has_the_annotations(summary):
    summary.write_text("before")
    out = written([evil_report()])
    assert out.endswith("\nThe report is in the summary of this job.\n")
    assert "###" not in out
    before, _, after = summary.read_text("utf-8").partition("\n\n")
    assert before == "before"
    assert after.startswith("### alembic-rescue diagnose\n")
    assert "```mermaid\nflowchart TD\n" in after


def test_without_a_summary_the_report_follows_on_stdout(monkeypatch):
    monkeypatch.delenv(writing.SUMMARY, raising=False)
    out = written([evil_report()])
    commands, _, markdown = out.partition("\n\n")
    assert all(one.startswith("::") for one in commands.splitlines())
    assert markdown.startswith("### alembic-rescue diagnose\n")
    fine = written([report(line("a"), "a")])
    assert fine.startswith("### alembic-rescue diagnose\n")
    assert actions.commands(fine) == []


def test_a_summary_that_cannot_be_written_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(writing.SUMMARY, str(tmp_path / "nowhere" / "summary.md"))
    told = []
    assert "### alembic-rescue diagnose\n" in written([evil_report()], told=told.append)
    assert told == ["GITHUB_STEP_SUMMARY names a file that cannot be written: No such file or directory.\n"]


def many(number):
    names = [f"r{one}" for one in range(number)]
    lacks = [
        ObjectEvidence("table", f"t{one}", "present", Presence.ABSENT, None, "v.py", 1, f"CREATE {'ä' * 9000}\n\n```\n")
        for one in range(4)
    ]
    return report(line(names), names[:1], [revision(name, Verdict.PARTIAL, objects=tuple(lacks)) for name in names[1:]])


def test_a_long_report_is_cut_with_a_sentence_and_closed_sections(summary):
    summary.write_text("x" * 1000)
    written([many(40)])
    text_of = summary.read_text("utf-8")
    assert 0.9 * github.MOST_BYTES < summary.stat().st_size <= github.MOST_BYTES
    assert text_of.endswith(f"{github.CUT}\n\n")
    assert text_of.count("\n<details>\n") == text_of.count("\n</details>\n") > 5
    assert GITHUB.parse(text_of)[-2].content.startswith("The report ends here"), "outside of code"


@pytest.mark.parametrize("room", [-5, 0, 90, 100, 1000, 5000, 20000])
def test_a_cut_report_fits_into_the_room(room):
    told = page_of(many(3)).text()
    found = github.fitting(told, room)
    assert len(found.encode()) <= max(room, 0)
    assert found in {"", told} or found.endswith(f"{github.CUT}\n\n")


def test_the_closing_sentence_is_never_inside_code():
    told = re.sub("ä+", "x", page_of(many(3)).text())
    for room in range(len(github.CUT) + 2, len(told.encode()), 31):
        found = github.fitting(told, room)
        assert GITHUB.parse(found)[-2].content.startswith("The report ends here"), room


def test_with_a_full_summary_the_report_is_on_stdout(summary):
    summary.write_text("x" * github.MOST_BYTES)
    assert "### alembic-rescue diagnose\n" in written([report(line("a"), "a")])
    assert summary.stat().st_size == github.MOST_BYTES


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    (folder / "checkout" / "backend").mkdir(parents=True)
    monkeypatch.setenv(writing.WORKSPACE, str(folder))
    monkeypatch.chdir(folder / "checkout" / "backend")
    return folder


def test_paths_are_relative_to_the_workspace(workspace):
    assert writing.from_root("versions/a.py") == "checkout/backend/versions/a.py"
    assert writing.from_root(str(workspace / "b.py")) == "b.py"
    assert writing.from_root("/usr/lib/c.py") == ""


def test_a_repository_checked_out_into_a_folder_is_the_root(workspace):
    subprocess.run(["git", "init", "-q", str(workspace / "checkout")], check=True)
    assert writing.from_root("versions/a.py") == "backend/versions/a.py"
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)
    assert writing.from_root("versions/a.py") == "checkout/backend/versions/a.py", "a submodule"


def test_without_a_workspace_the_clone_is_the_root(workspace, monkeypatch):
    subprocess.run(["git", "init", "-q", str(workspace / "checkout")], check=True)
    for name in ("", str(workspace / "elsewhere")):
        monkeypatch.setenv(writing.WORKSPACE, name)
        assert writing.from_root("versions/a.py") == "backend/versions/a.py"
