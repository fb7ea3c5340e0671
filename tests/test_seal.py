"""Sealed plans: carried out exactly as approved, or refused with what has changed since then."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alembic_rescue import Report, load, plan
from alembic_rescue.errors import BadPlanFile
from alembic_rescue.records import plans, seal
from tests import servers
from tests.conftest import PROJECTS, ProjectCopy, fresh_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database(server):
    """One for all these tests: each sets its own position."""
    with fresh_database(server) as database:
        yield database


@pytest.fixture
def linear(project, database) -> ProjectCopy:
    """Five revisions in a line, with the database at the first."""
    database.stand_at("aaaa0001")
    return project("linear", database)


@pytest.fixture(scope="module")
def plan_for_aaaa0003(database, tmp_path_factory) -> str:
    """The content of a sealed plan, made once: a plan contains no place, only contents."""
    folder = tmp_path_factory.mktemp("planned")
    shutil.copytree(PROJECTS / "linear", folder / "linear")
    linear = ProjectCopy(folder / "linear", folder / "state", database)
    linear.set_url(database.url)
    database.stand_at("aaaa0001")
    ran = linear.rescue("plan", "aaaa0003", "--out", "plan.json")
    assert ran.status == 0, ran.everything
    return (linear.root / "plan.json").read_text()


@pytest.fixture
def sealed(plan_for_aaaa0003, linear) -> ProjectCopy:
    """Five revisions in a line, with the database at the first, and a sealed plan for the third in plan.json."""
    (linear.root / "plan.json").write_text(plan_for_aaaa0003)
    return linear


def refused(project: ProjectCopy, *arguments: str, status: int = 3) -> str:
    """Return the stderr of a refused ``stamp --plan plan.json``, without progress; check that it wrote nothing."""
    rows = project.database.versions()
    ran = project.rescue(*arguments, "stamp", "--plan", "plan.json", "--yes")
    assert ran.status == status, ran.everything
    assert project.database.versions() == rows
    assert project.receipts == []
    return ran.stderr[ran.stderr.index("error[") :]


# --- carried out -------------------------------------------------------------------------------------------------


def test_a_sealed_plan_is_carried_out_if_nothing_changed(sealed):
    ran = sealed.rescue("stamp", "--plan", "plan.json", "--yes")
    assert ran.status == 0, ran.everything
    assert sealed.database.versions() == ["aaaa0003"]


def test_the_plan_says_how_to_carry_it_out(linear):
    ran = linear.rescue("plan", "aaaa0003", "--out", "plan.json")
    assert ran.stdout.endswith(
        "Sealed in plan.json. To carry out exactly this plan:\n    alembic-rescue stamp --plan plan.json\n"
    )


def test_the_file_is_the_json_of_the_plan_and_its_seal(linear):
    answer = linear.rescue_json("plan", "aaaa0003", "--out", "plan.json")
    written = json.loads((linear.root / "plan.json").read_text())
    assert written.pop("seal").startswith("sha256:")
    assert written.pop("sealed")["databases"][0]["current_heads"] == ["aaaa0001"]
    assert written == answer
    assert written["fingerprint"].startswith("sha256:")


def test_the_file_holds_no_password(sealed):
    assert servers.PASSWORD not in (sealed.root / "plan.json").read_text()
    assert quote(servers.PASSWORD, safe="") not in (sealed.root / "plan.json").read_text()


def test_a_relative_target_is_sealed_as_the_revision_that_it_meant(linear):
    assert linear.rescue("plan", "+2", "--out", "plan.json").status == 0
    assert linear.rescue("stamp", "--plan", "plan.json", "--yes").status == 0
    assert linear.database.versions() == ["aaaa0003"]


def test_several_heads_can_be_sealed(project, database):
    database.stand_at("5afe0000")
    branches = project("labelled_branches", database)
    assert branches.rescue("plan", "heads", "--out", "plan.json").status == 0
    assert branches.rescue("stamp", "--plan", "plan.json", "--yes").status == 0
    assert database.versions() == ["0c33cc03", "1e55ee02"]


def test_the_files_can_be_named_by_variables(linear):
    assert linear.rescue("plan", "aaaa0003", ALEMBIC_RESCUE_OUT="plan.json").status == 0
    assert linear.rescue("stamp", "--yes", ALEMBIC_RESCUE_PLAN="plan.json").status == 0
    assert linear.database.versions() == ["aaaa0003"]


def test_a_plan_with_nothing_to_do_is_carried_out_by_doing_nothing(linear):
    assert linear.rescue("plan", "aaaa0001", "--out", "plan.json").status == 0
    ran = linear.rescue("stamp", "--plan", "plan.json", "--yes")
    assert ran.status == 0
    assert "Nothing to do" in ran.stdout
    assert linear.receipts == []


@contextlib.contextmanager
def role_whose_password_is_its_name(database):
    name = f"twin_{uuid.uuid4().hex[:8]}"
    database.run(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE {servers.ROLE}", role="postgres")
    try:
        yield f"postgresql+psycopg2://{name}:{name}@127.0.0.1:{database.server.port}/{database.name}"
    finally:
        database.run(f"DROP ROLE {name}", role="postgres")


def test_a_password_that_is_also_the_name_of_the_role_does_not_break_the_seal(linear):
    with role_whose_password_is_its_name(linear.database) as url:
        assert linear.rescue("--url", url, "plan", "aaaa0003", "--out", "plan.json").status == 0
        ran = linear.rescue("--url", url, "stamp", "--plan", "plan.json", "--yes")
        assert ran.status == 0, ran.everything
    assert linear.database.versions() == ["aaaa0003"]


# --- refused: something changed ----------------------------------------------------------------------------------


def test_refused_if_the_rows_changed(sealed):
    sealed.database.stand_at("aaaa0002")
    told = refused(sealed)
    assert told.startswith("error[plan-changed]: plan.json was sealed for a different state: ")
    assert "the rows of the version table changed from aaaa0001 to aaaa0002" in told
    assert "the revisions that the stamp skips changed from aaaa0002, aaaa0003 to aaaa0003" in told
    assert "the script file" not in told, "no file changed"
    assert "help: plan again, and have the new plan approved:\n    alembic-rescue plan REVISION --out FILE\n" in told


def test_once_it_was_carried_out_there_is_nothing_to_do(sealed):
    """A job that runs again does not need a new approval."""
    assert sealed.rescue("stamp", "--plan", "plan.json", "--yes").status == 0
    ran = sealed.rescue_json("stamp", "--plan", "plan.json", "--yes")
    assert ran["outcome"] == "nothing-to-do"
    assert len(sealed.receipts) == 1


def test_refused_if_the_database_moved_past_the_target(sealed):
    sealed.database.stand_at("aaaa0005")
    assert "the rows of the version table changed from aaaa0001 to aaaa0005" in refused(sealed)


def test_refused_if_the_content_of_a_skipped_script_changed(sealed):
    script = sealed.root / "alembic" / "versions" / "0002_step_2.py"
    script.write_text(script.read_text().replace("pass", "return"))
    told = refused(sealed)
    assert told.startswith(
        "error[plan-changed]: plan.json was sealed for a different state: the script file of aaaa0002 changed\n"
    )


def test_not_refused_if_a_script_changed_that_is_not_skipped(sealed):
    script = sealed.root / "alembic" / "versions" / "0005_step_5.py"
    script.write_text(script.read_text().replace("pass", "return"))
    assert sealed.rescue("stamp", "--plan", "plan.json", "--yes").status == 0


def test_refused_if_there_is_a_new_latest_revision(sealed):
    versions = sealed.root / "alembic" / "versions"
    latest = (versions / "0005_step_5.py").read_text()
    (versions / "0006_step_6.py").write_text(latest.replace("aaaa0005", "aaaa0006").replace("aaaa0004", "aaaa0005"))
    told = refused(sealed)
    assert "state: the latest revisions of the scripts changed from aaaa0005 to aaaa0006\n" in told


def test_refused_if_a_revision_was_inserted(sealed):
    versions = sealed.root / "alembic" / "versions"
    second, third = versions / "0002_step_2.py", versions / "0003_step_3.py"
    between = second.read_text().replace("aaaa0002", "beef0002").replace("aaaa0001", "aaaa0002")
    (versions / "0002_b.py").write_text(between)
    third.write_text(third.read_text().replace("aaaa0002", "beef0002"))
    told = refused(sealed)
    assert (
        "the revisions that the stamp skips changed from aaaa0002, aaaa0003 to aaaa0002, beef0002, aaaa0003; "
        "the script file of aaaa0003 changed"
    ) in told


def test_refused_on_another_database(sealed):
    with fresh_database(sealed.database.server) as other:
        other.stand_at("aaaa0001")
        told = refused(sealed, "--url", other.url)
        assert "a different state: the database changed from " in told
        assert other.versions() == ["aaaa0001"]


def test_refused_as_another_role(sealed):
    with role_whose_password_is_its_name(sealed.database) as url:
        assert "a different state: the database changed from " in refused(sealed, "--url", url)


def test_refused_for_another_revision_than_the_sealed_one(sealed):
    ran = sealed.rescue("stamp", "aaaa0004", "--plan", "plan.json", "--yes")
    assert ran.status == 3
    assert "the target changed from aaaa0003 to aaaa0004" in ran.stderr
    assert sealed.database.versions() == ["aaaa0001"]


def test_a_dry_run_of_a_sealed_plan_reports_changes_too(sealed):
    assert sealed.rescue("stamp", "--plan", "plan.json", "--dry-run").status == 0
    sealed.database.stand_at("aaaa0002")
    ran = sealed.rescue("stamp", "--plan", "plan.json", "--dry-run")
    assert ran.status == 3
    assert "error[plan-changed]" in ran.stderr


def test_changes_are_reported_in_json_too(sealed):
    sealed.database.stand_at("aaaa0002")
    answer = sealed.rescue_json("stamp", "--plan", "plan.json", "--yes")
    assert answer["outcome"] == "refused"
    assert [refusal["code"] for refusal in answer["refusals"]] == ["plan-changed"]


# --- refused: no sealed plan -------------------------------------------------------------------------------------


def test_a_refused_plan_is_not_sealed(linear):
    ran = linear.rescue("plan", "deadbeef", "--out", "plan.json")
    assert ran.status == 3
    assert not (linear.root / "plan.json").exists()


def test_a_plan_that_cannot_be_written_is_an_error(linear):
    ran = linear.rescue("plan", "aaaa0003", "--out", "alembic.ini/plan.json")
    assert ran.status == 2
    assert "error[cannot-write-file]: alembic.ini/plan.json cannot be written: Not a directory" in ran.stderr
    assert "help: choose another path; the database was not changed" in ran.stderr


@pytest.mark.parametrize("shown", ["url", "heads_after", "revisions"])
def test_a_plan_that_was_changed_is_refused(sealed, shown):
    content = json.loads((sealed.root / "plan.json").read_text())
    content["databases"][0][shown] = []
    (sealed.root / "plan.json").write_text(json.dumps(content))
    told = refused(sealed, status=2)
    assert told.startswith("error[bad-plan-file]: plan.json is not a sealed plan: it was changed after it was sealed\n")
    assert "help: create one with:\n    alembic-rescue plan REVISION --out FILE\n" in told


def changed(value):
    """Yield each value that differs from `value` in one leaf, or by one member."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {key: one for key, one in value.items() if key != name}
            yield from ({**value, name: other} for other in changed(inner))
    elif isinstance(value, list):
        yield [*value, "more"]
        for number, inner in enumerate(value):
            yield from ([*value[:number], other, *value[number + 1 :]] for other in changed(inner))
    else:
        yield "changed" if value is None else None


@pytest.mark.parametrize("key", ["", "a key that is kept elsewhere"])
def test_the_seal_covers_the_whole_plan(plan_for_aaaa0003, tmp_path, key):
    content = json.loads(plan_for_aaaa0003)
    del content["seal"]
    content = {**content, "seal": seal._seal(content, key)}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(content, indent=7, sort_keys=True))
    assert plans.read(file, key).target == "aaaa0003", "however it is spaced and sorted"
    edits = list(changed(content))
    assert len(edits) > 100
    for edit in edits:
        file.write_text(json.dumps(edit))
        with pytest.raises(BadPlanFile):
            plans.read(file, key)


def test_with_a_key_nobody_can_forge_a_seal(linear):
    key = {"ALEMBIC_RESCUE_PLAN_KEY": "kept by those who approve"}
    assert linear.rescue("plan", "aaaa0003", "--out", "plan.json", **key).status == 0
    file = linear.root / "plan.json"
    keyed = json.loads(file.read_text())
    assert keyed["seal"].startswith("hmac-sha256:")
    assert key["ALEMBIC_RESCUE_PLAN_KEY"] not in file.read_text()
    without = {name: value for name, value in keyed.items() if name != "seal"}
    forged = {**without, "seal": seal.digest(without)}
    file.write_text(json.dumps(keyed))
    ran = linear.rescue("stamp", "--plan", "plan.json", "--yes")
    assert ran.status == 2, ran.everything
    assert "error[plan-key-needed]: plan.json is sealed with a key, but no key is set here" in ran.stderr
    assert "set ALEMBIC_RESCUE_PLAN_KEY to the value used when the plan was made" in " ".join(ran.stderr.split())
    for content, in_use, reason in (
        (
            keyed,
            {"ALEMBIC_RESCUE_PLAN_KEY": "another"},
            "it was changed after it was sealed, or sealed with another key",
        ),
        (forged, key, "it is sealed without the key in ALEMBIC_RESCUE_PLAN_KEY"),
    ):
        file.write_text(json.dumps(content))
        ran = linear.rescue("stamp", "--plan", "plan.json", "--yes", **in_use)
        assert ran.status == 2, ran.everything
        assert f"plan.json is not a sealed plan: {reason}" in ran.stderr
        assert "kept by those" not in ran.everything
    file.write_text(json.dumps(keyed))
    assert linear.rescue("stamp", "--plan", "plan.json", "--yes", **key).status == 0
    assert linear.database.versions() == ["aaaa0003"]


def test_a_file_that_is_no_plan_is_not_overwritten(linear):
    before = (linear.root / "alembic.ini").read_text()
    ran = linear.rescue("plan", "aaaa0003", "--out", "alembic.ini")
    assert ran.status == 2
    assert "error[cannot-write-file]: alembic.ini cannot be written: it already exists and is not a plan" in ran.stderr
    assert (linear.root / "alembic.ini").read_text() == before


def test_a_duplicate_name_is_refused(plan_for_aaaa0003, tmp_path):
    (tmp_path / "plan.json").write_text(plan_for_aaaa0003.replace("{", '{"target": null, ', 1))
    with pytest.raises(BadPlanFile, match="it says target twice"):
        plans.read(tmp_path / "plan.json", "")


def test_a_sealed_plan_itself_says_what_it_accepts(sealed):
    ran = sealed.rescue("stamp", "--plan", "plan.json", "--accept", "aaaa0002", "--yes")
    assert ran.status == 2
    assert "a sealed plan records what it accepts" in ran.stderr


def test_only_the_user_can_read_a_plan_whatever_the_file_was_before(linear):
    (linear.root / "plan.json").write_text('{"seal": ""}')
    (linear.root / "plan.json").chmod(0o644)
    before = os.umask(0)
    try:
        assert linear.rescue("plan", "aaaa0003", "--out", "plan.json").status == 0
    finally:
        os.umask(before)
    assert (linear.root / "plan.json").stat().st_mode & 0o777 == 0o600


NO_PLANS = {
    "empty": ("", "it is not JSON"),
    "text": ("stamp aaaa0003, please", "it is not JSON"),
    "deep": ('{"seal":' * 100_000, "it is not JSON"),
    "list": ("[]", "it is not a JSON object"),
    "number": ("7", "it is not a JSON object"),
    "another-document": ('{"format": 1, "outcome": "ready"}', "it has no seal"),
    "hollow": ('{"seal": [], "sealed": "", "target": null}', "it was changed after it was sealed"),
}


@pytest.mark.parametrize("kind", NO_PLANS)
def test_a_file_that_is_no_plan_is_refused(tmp_path, kind):
    content, reason = NO_PLANS[kind]
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(BadPlanFile, match=reason):
        plans.read(tmp_path / "plan.json", "")


def test_something_that_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    for name, reason in (("fifo", "not a regular file"), (".", "Is a directory"), ("huge", "1099511627776 bytes")):
        with pytest.raises(BadPlanFile, match=reason):
            plans.read(tmp_path / name, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_whatever_is_sealed_a_file_is_a_plan_or_is_rejected(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        for whole in (content, {"target": content, "sealed": content, "seal": content}):
            if isinstance(whole, dict):
                whole = {**whole, "seal": seal.digest({k: v for k, v in whole.items() if k != "seal"})}  # noqa: PLW2901
            file.write_text(json.dumps(whole))
            with contextlib.suppress(BadPlanFile):
                plans.read(file, "")


def test_a_plan_that_was_not_sealed_is_refused(linear):
    (linear.root / "plan.json").write_text(linear.rescue("--format", "json", "plan", "aaaa0003").stdout)
    assert "error[bad-plan-file]: plan.json is not a sealed plan: it has no seal" in refused(linear, status=2)


def test_a_missing_file_is_refused(linear):
    told = refused(linear, status=2)
    assert "error[bad-plan-file]: plan.json is not a sealed plan: No such file or directory" in told


# --- the fingerprint ---------------------------------------------------------------------------------------------


@pytest.fixture
def planned(linear, monkeypatch):
    """Plan in this process."""
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def plan_(target: str) -> Report:
        return plan(load(str(linear.root / "alembic.ini")), target)

    return plan_


def test_the_fingerprint_is_the_same_from_run_to_run(linear, planned):
    fingerprint = planned("aaaa0003").fingerprint
    assert linear.rescue_json("plan", "aaaa0003")["fingerprint"] == fingerprint
    assert linear.rescue_json("plan", "aaaa0003", PYTHONHASHSEED="7")["fingerprint"] == fingerprint


def test_the_fingerprint_depends_on_the_meaning_and_not_on_the_notation(planned):
    assert planned("aaaa0003").fingerprint == planned("+2").fingerprint
    assert planned("aaaa0003").fingerprint != planned("aaaa0004").fingerprint


def test_the_fingerprint_does_not_depend_on_other_sessions(linear, planned):
    alone = planned("aaaa0003").fingerprint
    with linear.database.session() as somebody:
        somebody.cursor().execute("LOCK TABLE alembic_version IN ROW EXCLUSIVE MODE")
        report = planned("aaaa0003")
        assert report.databases[0].database.blockers
        assert report.fingerprint == alone


def test_the_fingerprint_survives_a_round_trip_through_a_file(planned):
    report = planned("aaaa0003")
    assert seal.digest(json.loads(json.dumps(seal.parts(report)))) == report.fingerprint
    assert seal.differences(json.loads(json.dumps(seal.parts(report))), seal.parts(report)) == []


def test_a_check_with_another_result_is_reported_by_its_revision():
    then = {"databases": [{"scripts": {"one": "a"}, "verdicts": {"one": "applied"}, "refusals": []}]}
    now = {"databases": [{"scripts": {"one": "a"}, "verdicts": {"one": "partial"}, "refusals": ["revision-partial"]}]}
    same = {"target": ["one"], "script_heads": ["two"]}
    assert seal.differences({**same, **then}, {**same, **now}) == [
        "the check of one changed from applied to partial",
        "what is refused changed from none to revision-partial",
    ]


def test_another_number_of_databases_is_reported():
    assert seal.differences(
        {"target": None, "script_heads": [], "databases": [{}]}, {"target": None, "script_heads": [], "databases": []}
    ) == ["1 databases then, 0 now"]
