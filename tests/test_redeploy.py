"""``redeploy`` with the whole tool: a real project and database, and a local server that speaks Render's API."""

from __future__ import annotations

import signal
import time

import pytest

import alembic_rescue
from alembic_rescue import Mode, errors
from alembic_rescue.deploying.values import Pace
from alembic_rescue.model import Action
from tests import chains, terminal
from tests.conftest import ProjectCopy
from tests.render_api import DEPLOYS, HOOK_KEY, KEY, Fault, serving
from tests.repositories import Repo

pytestmark = pytest.mark.slow

SHOP = {f"r{n}": f"op.create_table('t{n}', sa.Column('id', sa.Integer, primary_key=True))" for n in (1, 2, 3)}
STUCK = {
    **SHOP,
    "r3": "op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")\nop.create_table('t3', sa.Column('id', sa.Integer))",
}
MIGRATED = "INFO  [alembic.runtime.migration] Running upgrade r2 -> r3"
LOGGING = """\
import logging
logging.basicConfig(level=logging.INFO, format="%(levelname)-5.5s [%(name)s] %(message)s")
"""
QUICK = Pace(0.05, 0.05, 60.0, 0.05, 1.0, 0.05)


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as api:
        api.has("shop-api")
        api.first, api.script = "build_in_progress", ["live"]
        yield api


def project(tmp_path, database, api, bodies=SHOP):
    root = chains.write(tmp_path / "project", database.url, bodies, env=LOGGING + chains.ENV.format(options="")).root
    given = {"RENDER_API_KEY": KEY, "RENDER_HOST": api.url}
    return ProjectCopy(root, tmp_path / "state", database, given)


@pytest.fixture
def shop(tmp_path, database, api):
    made = project(tmp_path, database, api)
    made.alembic("upgrade", "r2")
    return made


def hook_of(api):
    return api.url.replace("/v1/", f"/deploy/srv-shop?key={HOOK_KEY}")


def configure(project, setting):
    with (project.root / "alembic.ini").open("a") as ini:
        ini.write(f"\n[alembic_rescue]\n{setting}\n")


# --- all goes well -----------------------------------------------------------------------------------------------


def test_it_ends_once_the_chain_is_proved_up_to_the_head(shop, api):
    api.log = [("live", "Collecting fastapi"), ("live", MIGRATED)]
    api.on_state = {"live": lambda: shop.alembic("upgrade", "head")}
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes")
    assert ran.status == 0, ran.everything
    assert ran.stdout.splitlines()[0] == "Live: shop-api (dep-0001)."
    assert "is at r3.\n" in ran.stdout
    assert ran.stdout.endswith(
        "The database is at the latest revision: proved (nothing is missing from the 3 applied revisions).\n"
    )
    assert "Service  shop-api (srv-shopapi0001)\nBranch   main\n" in ran.stderr
    assert "How      build and deploy (--build)\nWhy      the commit of the last build is unknown" in ran.stderr
    assert f"{MIGRATED}\n" in ran.stderr
    follow = "alembic-rescue redeploy --follow dep-0001 --render srv-shopapi0001"
    assert (
        f"Triggered dep-0001. It continues if this command ends. To follow it again:\n{follow}\nDeployment: "
        in ran.stderr
    )
    assert "fastapi" not in ran.stderr
    assert "env.py" not in ran.stderr
    assert KEY not in ran.everything


def test_as_json_and_with_all_lines(shop, api):
    api.log = [("live", "Collecting fastapi")]
    api.on_state = {"live": lambda: shop.alembic("upgrade", "head")}
    ran = shop.rescue("--format", "json", "redeploy", "--render", "shop-api", "--yes", "--logs", "--deploy-only")
    assert ran.status == 0, ran.everything
    assert (ran.json["command"], ran.json["outcome"]) == ("redeploy", "deployed")
    deployment = ran.json["deployment"]
    assert (deployment["id"], deployment["status"], deployment["mode"]) == ("dep-0001", "live", "deploy-only")
    assert "Collecting fastapi\n" in ran.stderr


def test_if_only_the_version_was_behind_nothing_is_built(shop, api):
    repo = Repo(shop.root, "alembic/versions")
    repo.git("init", "-q")
    built = repo.commit()
    api.deployed("pre_deploy_failed", commit={"id": built, "message": "more tables"})
    api.on_state = {"live": lambda: shop.alembic("upgrade", "head")}
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes")
    assert ran.status == 0, ran.everything
    assert f"Commit   the last build, {built[:9]} (more tables)\nHow      deploy without a build" in ran.stderr
    assert [body for method, _, body in api.requests if method == "POST"] == [{"deployMode": "deploy_only"}]
    api.deploys[0]["commit"] = api.deploys[1]["commit"]
    file = shop.root / "alembic" / "versions" / "r3.py"
    file.write_text(f"# fixed\n{file.read_text()}")
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes")
    assert "changed since the last build" in ran.stderr
    assert "alembic/versions/r3.py (not committed, so a build does not include it)" in ran.stderr


def test_a_running_deployment_is_followed(shop, api):
    shop.alembic("upgrade", "head")
    api.deployed("update_in_progress", script=["live"])
    ran = shop.rescue("redeploy", "--follow", "dep-0001", "--render", "srv-shopapi0001")
    assert (ran.status, api.count("POST", DEPLOYS)) == (0, 0), ran.everything


def test_the_python_api_reports_what_cannot_be_proved(shop, api, monkeypatch):
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    api.on_state = {"live": lambda: shop.alembic("upgrade", "head")}
    loaded = alembic_rescue.load(str(shop.root / "alembic.ini"), scratch="none")
    report = alembic_rescue.redeploy(
        loaded, render="shop-api", mode=Mode.BUILD, confirm=lambda _: True, pace=QUICK, folder=shop.home,
        despite=[Action.STOP],
    )  # fmt: skip
    assert report.outcome is alembic_rescue.Outcome.DEPLOYED
    from alembic_rescue.report import deployment
    from alembic_rescue.report.page import Page

    assert "The database is at the latest revision: not proved (" in deployment.deployed(
        report, page=Page(300, color=False)
    )


# --- it does not go live -----------------------------------------------------------------------------------------


@pytest.fixture
def stuck(tmp_path, database, api):
    made = project(tmp_path, database, api, STUCK)
    made.alembic("upgrade", "r2")
    database.run("CREATE TYPE mood AS ENUM ('ok')")
    api.script = ["pre_deploy_failed"]
    api.log = [("pre_deploy_failed", line) for line in made.alembic("upgrade", "head").stderr.splitlines()]
    return made


def test_a_failure_shows_the_last_lines_and_the_diagnosis_from_log_and_database(stuck):
    options = ("redeploy", "--render", "shop-api", "--yes", "--build", "--despite", "rerun", "--despite", "stop")
    ran = stuck.rescue(*options)
    assert ran.status == 3, ran.everything
    assert "error[deployment-failed]: dep-0001 did not go live: pre_deploy_failed" in ran.stderr
    assert ran.stdout.startswith("Last lines of its log\n")
    assert "warning[log-failure]: in the log, r3 failed at " in ran.stdout
    assert 'type "mood" already exists' in ran.stdout
    assert "Recommendation: " in ran.stdout
    document = stuck.rescue_json(*options)
    assert [note["code"] for note in document["refusals"]] == ["deployment-failed"]
    assert (document["command"], document["outcome"]) == ("redeploy", "refused")
    assert document["log"]["run"]["failure"]["kind"].endswith("DuplicateObject")
    assert "[SQL: CREATE TYPE mood AS ENUM ('ok')]" in document["deployment"]["last_lines"]


def test_a_live_service_with_a_database_that_does_not_follow(shop):
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes", "--timeout", "0.5")
    assert ran.status == 4, ran.everything
    assert "Live: shop-api (dep-0001).\n" in ran.stderr
    assert "error[schema-behind]: shop-api is live, so its new code runs on the old schema: " in ran.stderr
    assert "is at r2, 2 of 3 revisions on the way to r3. Waited 0.5 s" in ran.stderr
    at_once = (
        "shop-api is live, and its new code runs on the old schema. "
        "A pre-deploy command would have upgraded the database first."
    )
    assert (
        f"{at_once} Waiting another 0.5 s for the database. To upgrade it now:\nalembic upgrade heads\n" in ran.stderr
    )
    document = shop.rescue_json("redeploy", "--render", "shop-api", "--yes", "--timeout", "0")
    assert (document["command"], document["deployment"]["status"]) == ("redeploy", "live")
    assert (document["error"]["code"], document["error"]["blockers"]) == ("schema-behind", [])


def test_a_revision_that_counts_as_applied_and_is_missing(shop, database):
    shop.alembic("upgrade", "head")
    database.run("DROP TABLE t3")
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes", "--despite", "stop")
    assert (ran.status, "error[applied-missing]" in ran.stderr) == (3, True), ran.everything
    assert "table public.t3" in ran.stdout


def test_ctrl_c_prints_the_command_that_follows_it_again_on_its_own_line(shop, api):
    api.script = ["build_in_progress"] * 99
    process = shop.started("-c", "alembic.ini", "redeploy", "--render", "shop-api", "--yes")
    deadline = time.monotonic() + 60
    while not api.count("POST", DEPLOYS):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "\nalembic-rescue -c alembic.ini redeploy --follow dep-0001 --render srv-shopapi0001\n" in err
    assert "error[following-interrupted]" in err
    assert "Traceback" not in err


def test_if_it_may_be_either_of_two_each_command_is_on_its_own_line(shop, api, monkeypatch):
    api.accepts = 202
    once = api.triggered
    monkeypatch.setattr(api, "triggered", lambda body: (api.deployed("queued"), once(body))[1])
    ran = shop.rescue("redeploy", "--render", "shop-api", "--yes")
    assert (ran.status, "error[deployment-not-known]" in ran.stderr) == (5, True), ran.everything
    for number in (1, 2):
        assert f"\nalembic-rescue redeploy --follow dep-000{number} --render srv-shopapi0001\n" in ran.stderr
    assert api.count("POST", DEPLOYS) == 1


def test_at_a_terminal_it_asks(shop, api):
    with terminal.at_a_terminal(shop, "redeploy", "--render", "shop-api") as screen:
        screen.wait_for("Deploy? [y/N]: ")
        screen.type("n\n")
        assert screen.end() == 3
        assert "error[not-confirmed]: not confirmed; nothing was triggered" in screen.text
    assert api.count("POST", DEPLOYS) == 0
    api.on_state = {"live": lambda: shop.alembic("upgrade", "head")}
    with terminal.at_a_terminal(shop, "redeploy", "--render", "shop-api") as screen:
        screen.wait_for("Deploy? [y/N]: ")
        screen.type("y\n")
        assert screen.end(90) == 0, screen.text
        assert "proved" in screen.text


def test_without_a_terminal_the_whole_command_is_printed(shop, api):
    ran = shop.rescue("redeploy", "--timeout", "3", "--render", "shop-api")
    assert (ran.status, "error[no-terminal]" in ran.stderr) == (2, True), ran.everything
    assert "repeat with:\n    alembic-rescue redeploy --timeout 3 --render shop-api --yes\n" in ran.stderr
    assert api.requests == []


# --- what must be done before ------------------------------------------------------------------------------------


@pytest.fixture
def behind(shop, database):
    """All objects exist, and the version does not say so: a deployment would fail."""
    shop.alembic("upgrade", "r3")
    database.stand_at("r2")
    return shop


def test_if_a_stamp_is_due_nothing_is_triggered(behind, api):
    ran = behind.rescue("redeploy", "--render", "shop-api", "--yes")
    assert (ran.status, api.count("POST", DEPLOYS)) == (3, 0), ran.everything
    assert (
        "Recommendation: stamp r3: all revisions up to r3 are applied; only the version table is behind." in ran.stdout
    )
    assert "is not ready for a deployment; nothing was triggered. All revisions up to r3 are applied" in ran.stderr
    assert (
        "run first:\n    alembic-rescue stamp r3\n  To deploy anyway:\n"
        "    alembic-rescue redeploy --render srv-shopapi0001 "
        "--despite stamp\n" in ran.stderr
    )
    document = behind.rescue_json("redeploy", "--render", "shop-api", "--yes")
    assert (document["command"], document["outcome"]) == ("redeploy", "refused")
    assert [note["code"] for note in document["refusals"]] == ["not-ready"]
    assert document["databases"][0]["recommendation"]["command"] == "alembic-rescue stamp r3"


def test_the_same_before_a_hook(behind, api):
    ran = behind.rescue("redeploy", "--yes", ALEMBIC_RESCUE_DEPLOY_HOOK=hook_of(api))
    assert (ran.status, "error[not-ready]" in ran.stderr, api.requests) == (3, True, [])
    assert "To deploy anyway:\n    alembic-rescue redeploy --despite stamp\n" in ran.stderr


def test_a_person_may_deploy_nevertheless_and_nothing_else(behind, api):
    refused = behind.rescue("redeploy", "--render", "shop-api", "--yes", "--despite", "complete")
    assert (refused.status, api.count("POST", DEPLOYS)) == (3, 0)
    api.on_state = {"live": lambda: behind.rescue("stamp", "r3", "--yes")}
    ran = behind.rescue("redeploy", "--render", "shop-api", "--yes", "--despite", "stamp")
    assert ran.status == 0, ran.everything
    assert "Despite  stamp: all revisions up to r3 are applied" in ran.stderr


def test_a_certain_failure_is_not_triggered(stuck, api):
    ran = stuck.rescue("redeploy", "--render", "shop-api", "--yes")
    assert (ran.status, "error[not-ready]" in ran.stderr) == (3, True), ran.everything
    assert "To deploy anyway:\n    alembic-rescue redeploy --render srv-shopapi0001 --despite " in ran.stderr
    assert api.count("POST", DEPLOYS) == 0


def test_if_nothing_is_in_the_way_the_database_is_shown_above_the_question(shop, database):
    with terminal.at_a_terminal(shop, "redeploy", "--render", "shop-api") as screen:
        screen.wait_for("Deploy? [y/N]: ")
        screen.type("n\n")
        screen.end()
    above = " ".join(screen.text.partition("Deploy?")[0].split())
    assert f"Database public.alembic_version in {database.name}" in above
    assert ", at r2 1 revision pending: r3 Service shop-api" in above
    assert "Despite" not in above


# --- what is refused before ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "status"),
    [
        (["--render", "shop-api"], {}, "no-terminal", 2),
        ([], {}, "no-platform", 2),
        (["--render", "shop-api"], {"RENDER_API_KEY": ""}, "platform-key-missing", 2),
        (["--hook", "http://h.example/x"], {}, "bad-platform-url", 2),
        (["--yes", "--hook", "https://h.example/x", "--build"], {}, "usage", 2),
        (["--yes", "--hook", "https://h.example/x", "--logs", "--deploy-only"], {}, "usage", 2),
        (["--yes", "--render", "shop-api", "--despite", "everything"], {}, "usage", 2),
        (["--yes", "--render", "shop-api", "--hook", "https://h.example/x"], {}, "usage", 2),
        (["--yes", "--render", "shop-api", "--build", "--deploy-only"], {}, "usage", 2),
        (["--yes", "--render", "shop-api", "--timeout", "inf"], {}, "usage", 2),
        (["--yes", "--render", "shop-api", "--timeout", "-1"], {}, "usage", 2),
        (["--follow", "dep-1", "--hook", "https://h.example/x"], {}, "usage", 2),
        (["--follow", "dep-1", "--render", "shop-api", "--build"], {}, "usage", 2),
        (["--follow", "dep-1", "--render", "shop-api", "--despite", "stop"], {}, "usage", 2),
        (["--yes", "--render", "shop-api"], {"RENDER_API_KEY": ""}, "platform-key-missing", 2),
        (["--yes", "--render", "shop-api"], {"RENDER_API_KEY": "rnd_test_other"}, "platform-refused", 4),
        (["--yes", "--render", "nowhere"], {}, "no-such-service", 2),
        (["--yes", "--render", "shop-api"], {"RENDER_HOST": "http://api.example.org/"}, "bad-platform-url", 2),
    ],
)
def test_nothing_is_triggered(shop, api, arguments, environment, code, status):
    shop.environment.update(environment)
    ran = shop.rescue("redeploy", *arguments)
    assert (ran.status, f"error[{code}]" in ran.stderr) == (status, True), ran.everything
    assert api.count("POST", DEPLOYS) == 0


def test_an_unreachable_database_is_reported_before_anything_is_triggered(shop, api, database):
    wrong = database.url.replace("marker-pa55w0rd", "wrong")
    ran = shop.rescue("--url", wrong, "redeploy", "--render", "shop-api", "--yes")
    assert (ran.status, "error[login-refused]" in ran.stderr) == (4, True)
    assert api.count("POST", DEPLOYS) == 0


# --- hooks -------------------------------------------------------------------------------------------------------


def test_a_hook_with_the_database_as_the_judge(shop, api):
    import threading

    shop.environment["ALEMBIC_RESCUE_DEPLOY_HOOK"] = hook_of(api)
    threading.Timer(6, lambda: shop.alembic("upgrade", "head")).start()
    ran = shop.rescue("redeploy", "--yes")
    assert ran.status == 0, ran.everything
    assert ran.stdout.startswith(
        "Triggered: srv-shop at 127.0.0.1 (dep-0001). A hook does not report whether the service is live"
    )
    assert "Hook     srv-shop at 127.0.0.1\n" in ran.stderr
    assert HOOK_KEY not in ran.everything
    again = shop.rescue("redeploy", "--yes")
    assert "the database was already at its head" in again.stdout.lower()


@pytest.mark.parametrize("options", [[], ["--format", "json"], ["--debug"]], ids=str)
def test_a_hooks_secret_is_in_no_output(shop, api, options):
    api.faults = [Fault("POST", "/deploy/.*", status=403, body=f"no {HOOK_KEY} here")]
    ran = shop.rescue(*options, "redeploy", "--yes", "--hook", hook_of(api))
    assert (ran.status, "platform-refused" in ran.everything) == (4, True), ran.everything
    assert HOOK_KEY not in ran.everything
    broken = shop.rescue(*options, "redeploy", "--yes", "--hook", hook_of(api).replace("http", "gopher"))
    assert (broken.status, HOOK_KEY in broken.everything) == (2, False)


# --- the configuration, and the next steps -----------------------------------------------------------------------


def test_the_next_steps_name_the_very_command(shop, database):
    configure(shop, "render_service = shop-api")
    shop.alembic("upgrade", "r3")
    database.stand_at("r2")
    ran = shop.rescue("stamp", "r3", "--yes")
    assert ran.status == 0, ran.everything
    assert "  1. Redeploy:\n       alembic-rescue redeploy --render shop-api\n     Nothing is pending: " in ran.stdout
    assert shop.rescue("undo", "--yes").status == 0
    document = shop.rescue_json("stamp", "r3", "--yes")
    assert document["redeploy"] == {"command": "alembic-rescue redeploy --render shop-api", "variable": None}
    done = shop.rescue("redeploy", "--yes")
    assert done.status == 0, done.everything


def test_the_next_steps_name_a_hook_by_its_variable_alone(shop, api, database):
    configure(shop, "deploy_hook = SHOP_HOOK")
    shop.alembic("upgrade", "r3")
    database.stand_at("r1")
    ran = shop.rescue("stamp", "r2", "--yes", SHOP_HOOK=hook_of(api))
    assert ran.status == 0, ran.everything
    assert (
        "  1. Redeploy, with the hook's URL in SHOP_HOOK:\n       alembic-rescue redeploy\n"
        "     Or run:\n       alembic upgrade head\n"
        "     Alembic continues from r2: 1 revision pending: r3." in ran.stdout
    )
    assert HOOK_KEY not in ran.everything
    missing = shop.rescue("redeploy", "--yes")
    assert (missing.status, "deploy_hook refers to the variable SHOP_HOOK, which is not set" in missing.stderr) == (
        2,
        True,
    )
    database.stand_at("r3")
    assert shop.rescue("redeploy", "--yes", SHOP_HOOK=hook_of(api)).status == 0


def test_repair_and_complete_name_it_too(shop, database):
    configure(shop, "render_service = shop-api")
    shop.alembic("upgrade", "head")
    database.stand_at("feed0000cafe")
    repaired = shop.rescue("repair", "--yes")
    assert (repaired.status, "Redeploy:\n       alembic-rescue redeploy --render shop-api\n" in repaired.stdout) == (
        0,
        True,
    )
    database.run("DROP TABLE t2")
    completed = shop.rescue("complete", "r2", "--yes")
    assert completed.status == 0, completed.everything
    assert "Then redeploy:\n    alembic-rescue redeploy --render shop-api\n" in completed.stdout


def test_a_url_instead_of_a_variables_name_is_refused_and_not_shown(shop, api):
    configure(shop, f"deploy_hook = {hook_of(api)}")
    ran = shop.rescue("diagnose")
    assert (ran.status, "error[bad-config]" in ran.stderr) == (2, True)
    assert "must be the name of the variable" in ran.stderr
    assert HOOK_KEY not in ran.everything


def test_without_a_configuration_the_next_steps_are_unchanged(shop, database):
    database.stand_at("r1")
    ran = shop.rescue("stamp", "r2", "--yes")
    assert "  1. Redeploy, or run:\n       alembic upgrade head\n" in ran.stdout


def test_errors_of_redeploy_say_what_they_are():
    lost = errors.FollowingLost("dep-1", "cannot reach api.render.com: x", "alembic-rescue redeploy --follow dep-1")
    assert lost.exit_status == 4
    assert "It continues" in lost.message
