"""``redeploy`` without a database: a local server that speaks Render's API, and a clock that does not really wait."""

from __future__ import annotations

import subprocess
import time
import traceback
from dataclasses import replace
from functools import partial

import pytest

from alembic_rescue import errors
from alembic_rescue.cli.following import Follow
from alembic_rescue.deploying import choosing, settings, shapes
from alembic_rescue.deploying.deployment import ByHook
from alembic_rescue.deploying.following import Following, Told
from alembic_rescue.deploying.hook import Hook
from alembic_rescue.deploying.http import Client
from alembic_rescue.deploying.render import of_environment
from alembic_rescue.deploying.sending import Unanswered
from alembic_rescue.deploying.values import PACE, Deployment, LogLine, Service, State, moment
from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.redact import Secrets
from tests.render_api import DEPLOYS, HOOK_KEY, KEY, ONE, Fault, Time, place_on, serving
from tests.repositories import Repo

MIGRATED = "INFO  [alembic.runtime.migration] Running upgrade r1 -> r2, more"


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as api:
        yield api


@pytest.fixture
def on(api):
    """The service ``shop`` on a local Render."""
    api.has("shop")

    return partial(place_on, api)


def redeploy(place, mode=Mode.BUILD, *, yes=True):
    shown = []
    ended = place.carried_out(None, mode, lambda planned: shown.append(planned) or yes)
    return ended, shown


# --- finding the service -----------------------------------------------------------------------------------------


def test_a_service_by_name_is_found_on_any_page_and_matched_exactly(api, on):
    api.page = 100
    for number in range(230):
        api.has("shop-api", number)
    wanted = api.has("shop", 9)
    api.services = api.services[1:]  # the fixture's
    api.services.insert(120, api.services.pop())
    assert on().service.id == wanted["id"]
    assert api.count("GET", "/services") == 3


def test_a_service_by_id_is_one_request(api, on):
    assert on("srv-shop0001").service.name == "shop"
    assert api.count("GET", "/services") == 0


def test_a_name_that_several_services_have_is_refused_with_their_ids(api, on):
    api.has("shop", 2)
    with pytest.raises(errors.AmbiguousService) as refused:
        on()
    assert (refused.value.code, refused.value.exit_status) == ("ambiguous-service", 2)
    assert "srv-shop0001 and srv-shop0002" in refused.value.message


@pytest.mark.parametrize("named", ["shopping", "srv-nowhere1"])
def test_no_such_service(api, on, named):
    api.has("shopping-cart")
    with pytest.raises(errors.NoSuchService) as refused:
        on(named)
    assert (refused.value.code, refused.value.exit_status) == ("no-such-service", 2)
    assert ("shopping-cart (srv-shoppingcart0001)" in refused.value.message) == (named == "shopping")


def test_a_suspended_service_is_refused(api, on):
    api.services[0]["suspended"] = "suspended"
    with pytest.raises(errors.ServiceSuspended) as refused:
        redeploy(on())
    assert (refused.value.code, refused.value.exit_status) == ("service-suspended", 3)
    assert api.count("POST", DEPLOYS) == 0


# --- triggering it once ------------------------------------------------------------------------------------------


def test_it_is_shown_with_a_question_and_a_no_triggers_nothing(api, on):
    api.deployed()
    with pytest.raises(errors.NotConfirmed) as refused:
        redeploy(on(), yes=False)
    assert refused.value.message == "not confirmed; nothing was triggered"
    assert api.count("POST", DEPLOYS) == 0


@pytest.mark.parametrize("kind", ["web_service", "private_service", "background_worker", "static_site", "cron_job"])
def test_it_is_followed_until_it_is_live(api, on, kind):
    api.services[0]["type"] = kind
    api.script = ["build_in_progress", "pre_deploy_in_progress", "update_in_progress", "live"]
    place = on()
    ended, (planned,) = redeploy(place, Mode.DEPLOY_ONLY)
    assert (ended.failed, ended.deployed.status, ended.deployed.id) == (False, "live", "dep-0001")
    assert (planned.service, planned.branch, planned.choice.mode) == ("shop (srv-shop0001)", "main", Mode.DEPLOY_ONLY)
    assert [body for method, _, body in api.requests if method == "POST"] == [{"deployMode": "deploy_only"}]
    assert place.time.slept == [10.0, 5.0, 5.0, 5.0]
    assert [told.status for told in place.news if told.shown and not told.note] == ["created", *api.script]
    assert set(api.authorized) == {f"Bearer {KEY}"}


def test_if_accepted_without_a_body_it_is_found_in_the_queue(api, on):
    api.accepts, api.listed_after = 202, 6
    old = api.deployed("queued")
    place = on()
    ended, _ = redeploy(place)
    assert ended.deployed.id != old["id"]
    assert place.time.slept[:2] == [1.0, 1.0]
    assert api.count("POST", DEPLOYS) == 1


def test_accepted_and_never_listed(api, on):
    api.accepts, api.listed_after = 202, 10_000
    place = on()
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert (unknown.value.code, unknown.value.exit_status) == ("deployment-not-known", 5)
    assert "and none appeared in the list within 60 s" in unknown.value.message
    assert place.time.at == 60.0
    assert api.count("POST", DEPLOYS) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", DEPLOYS, lost=True, after=True),
        Fault("POST", DEPLOYS, status=504, body="<html>gateway timeout</html>", after=True),
        Fault("POST", DEPLOYS, status=200, body="{}", hangs=2.0, after=True),
        Fault("POST", DEPLOYS, status=201, body="<html>welcome</html>", after=True),
        Fault("POST", DEPLOYS, status=408, body="", after=True),
        Fault("POST", DEPLOYS, status=302, headers={"Location": "https://elsewhere.example/"}, after=True),
    ],
    ids=["lost", "504", "silent", "no-json", "408", "sent-on"],
)
def test_if_the_answer_is_lost_it_is_looked_up_and_never_sent_again(api, on, fault):
    api.deployed()
    api.faults, api.listed_after = [fault], 3
    place = on(seconds=1.0)
    ended, _ = redeploy(place)
    assert ended.deployed.id == "dep-0002"
    assert any(
        "dep-0002 is new in the list and was triggered by the API, so this is it" in told.note for told in place.news
    )
    assert api.count("POST", DEPLOYS) == 1


def test_accepted_and_the_list_cannot_be_read(api, on):
    api.accepts, api.listed_after = 202, 10_000
    place = on()
    place.clock = replace(place.clock, sleep=lambda _: api.faults.append(Fault("GET", DEPLOYS, status=403)))
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert "it accepted the request without giving the id; and 127.0.0.1 denied the request" in unknown.value.message


def test_an_unknown_outcome_is_reported_as_such(api, on):
    api.deployed()
    api.faults = [Fault("POST", DEPLOYS, lost=True)]
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(on())
    assert "none appeared in the list within 60 s. The request was not repeated" in unknown.value.message
    assert "check the platform's list of deployments" in unknown.value.help
    assert api.count("POST", DEPLOYS) == 1


def test_a_deployment_from_somebody_elses_push_is_not_taken_for_it(api, on):
    api.faults = [Fault("POST", DEPLOYS, lost=True)]
    place = on()
    place.clock = replace(place.clock, sleep=lambda s: (place.time.sleep(s), api.deployed(trigger="new_commit")))
    with pytest.raises(errors.DeploymentNotKnown):
        redeploy(place)


def test_of_two_new_ones_neither_is_taken(api, on):
    api.faults = [Fault("POST", DEPLOYS, lost=True)]
    place = on()
    place.clock = replace(
        place.clock, sleep=lambda s: (place.time.sleep(s), api.deploys or api.deployed(), api.deployed())
    )
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert (
        "New in the list: dep-0001 (api), dep-0002 (api) and dep-0003 (api). It may be one of these"
        in unknown.value.message
    )
    follow = [f"alembic-rescue redeploy --follow dep-000{n} --render srv-shop0001" for n in (1, 2, 3)]
    assert list(unknown.value.follow) == follow
    assert (
        f"Follow yours: `{follow[0]}`; `{follow[1]}`; `{follow[2]}`. Redeploy only if none of them is yours"
        in unknown.value.help
    )


def test_if_the_look_up_fails_the_outcome_is_unknown_too(api, on):
    api.faults = [Fault("POST", DEPLOYS, lost=True)]
    place = on()
    place.clock = replace(place.clock, sleep=lambda _: api.faults.append(Fault("GET", DEPLOYS, status=403)))
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert "denied the request (HTTP 403" in unknown.value.message


@pytest.mark.parametrize(
    ("reset", "waited"), [("7", 7.0), ("1800000009", 9.0), ("1800000009000", 9.0), ("0", 1.0)], ids=str
)
def test_too_many_requests_are_retried_when_the_platform_says(api, on, reset, waited):
    api.faults = [Fault("POST", DEPLOYS, status=429, headers={"Ratelimit-Reset": reset})]
    place = on()
    ended, _ = redeploy(place)
    assert ended.deployed.status == "live"
    assert place.time.slept[0] == waited
    assert api.count("POST", DEPLOYS) == 2


def test_too_many_requests_for_longer_than_anybody_waits(api, on):
    api.faults = [Fault("POST", DEPLOYS, status=429, headers={"Ratelimit-Reset": "3600"}, times=9)]
    with pytest.raises(errors.PlatformFailed) as failed:
        redeploy(on())
    assert (failed.value.code, failed.value.exit_status, failed.value.status) == ("platform-failed", 4, 429)
    assert api.count("POST", DEPLOYS) == 1


def test_a_refused_request_is_reported_in_the_platforms_words(api, on):
    api.faults = [Fault("POST", DEPLOYS, status=409, body='{"message": "a deploy is under way"}')]
    with pytest.raises(errors.PlatformFailed) as failed:
        redeploy(on())
    assert "HTTP 409 while triggering a deployment of shop: a deploy is under way" in failed.value.message
    assert api.deploys == []


# --- following it ------------------------------------------------------------------------------------------------


def test_transient_faults_are_retried(api, on):
    api.script = ["build_in_progress", "update_in_progress", "live"]
    api.faults = [
        Fault("GET", ONE, status=503, body="<html>no</html>", times=2),
        Fault("GET", ONE, lost=True),
        Fault("GET", ONE, status=429, headers={"Ratelimit-Reset": "3"}),
        Fault("GET", "/logs", status=500, times=9),
    ]
    place = on()
    ended, _ = redeploy(place)
    assert ended.deployed.status == "live"
    assert sum("The log cannot be read" in told.note for told in place.news) == 1


def test_a_platform_that_stays_away_is_reported_with_the_command_that_follows_it_again(api, on):
    api.faults = [Fault("GET", ONE, status=502, body="<html>bad gateway</html>", times=99)]
    with pytest.raises(errors.FollowingLost) as lost:
        redeploy(on())
    assert (lost.value.code, lost.value.exit_status) == ("following-lost", 4)
    assert lost.value.follow == "alembic-rescue redeploy --follow dep-0001 --render srv-shop0001"
    assert "bad gateway" in lost.value.message


def test_lines_come_once_in_order_and_across_pages(api, on):
    api.page = 3
    api.script = ["build_in_progress", "update_in_progress", "live"]
    api.log = [("build_in_progress", f"line {number}") for number in range(8)]
    api.log += [
        ("update_in_progress", MIGRATED),
        ("update_in_progress", "sqlalchemy.exc.DBAPIError: x\n[SQL: SELECT 1]"),
    ]
    place = on()
    redeploy(place)
    lines = [told.line for told in place.news if told.line]
    assert lines == [*(f"line {n}" for n in range(8)), MIGRATED, "sqlalchemy.exc.DBAPIError: x", "[SQL: SELECT 1]"]
    assert [told.line for told in place.news if told.line and told.shown] == lines[8:]


@pytest.mark.parametrize("status", ["build_failed", "pre_deploy_failed", "update_failed", "canceled"])
def test_a_failed_deployment_has_its_last_lines(api, on, status):
    api.script = ["build_in_progress", status]
    api.log = [("build_in_progress", MIGRATED), (status, "password=hunter22 was wrong")]
    ended, _ = redeploy(on())
    assert (ended.failed, ended.deployed.status) == (True, status)
    assert ended.deployed.last_lines == (MIGRATED, "password=*** was wrong")
    assert list(ended.log) == [f"render[pre-deploy-1]: {MIGRATED}", "render[pre-deploy-1]: password=hunter22 was wrong"]


def test_a_deployment_that_a_newer_one_replaced(api, on):
    api.script = ["live", "deactivated"]
    place = on()
    api.on_state = {"live": lambda: api.deploys[0].update(script=["deactivated"], status="update_in_progress")}
    api.on_state["deactivated"] = lambda: api.deployed("live")
    ended, _ = redeploy(place)
    assert (ended.failed, ended.deployed.status, ended.deployed.superseded_by) == (False, "deactivated", "dep-0002")


def test_a_deployment_that_was_canceled_for_a_newer_one(api, on):
    api.script = ["canceled"]
    api.on_state = {"canceled": lambda: api.deployed("build_in_progress")}
    with pytest.raises(errors.DeploymentSuperseded) as superseded:
        redeploy(on())
    assert (superseded.value.code, superseded.value.exit_status) == ("deployment-superseded", 3)
    assert superseded.value.follow == "alembic-rescue redeploy --follow dep-0002 --render srv-shop0001"


def test_it_is_followed_for_an_hour_at_most(api, on):
    api.script = []
    place = on()
    with pytest.raises(errors.DeploymentUnfinished) as unfinished:
        redeploy(place)
    assert (unfinished.value.code, unfinished.value.exit_status) == ("deployment-timeout", 4)
    assert place.time.at == PACE.longest == 3600
    assert set(place.time.slept) == {10.0}


def test_a_running_deployment_is_followed_and_nothing_triggered(api, on):
    api.deployed("update_in_progress", script=["live"])
    ended = on().carried_out("dep-0001", None, lambda _: pytest.fail("asked"))
    assert (ended.deployed.status, ended.deployed.mode) == ("live", None)
    assert api.count("POST", DEPLOYS) == 0
    with pytest.raises(errors.NoSuchDeployment) as refused:
        on().carried_out("dep-9999", None, lambda _: True)
    assert (refused.value.code, refused.value.exit_status) == ("no-such-deployment", 2)


def test_ctrl_c_leaves_it_running(on):
    place = on()

    def interrupt(_):
        raise KeyboardInterrupt

    place.clock = replace(place.clock, sleep=interrupt)
    with pytest.raises(errors.FollowingInterrupted) as interrupted:
        redeploy(place)
    assert (interrupted.value.code, interrupted.value.exit_status) == ("following-interrupted", 130)
    assert "continues" in interrupted.value.message
    assert interrupted.value.follow == "alembic-rescue redeploy --follow dep-0001 --render srv-shop0001"


def test_ctrl_c_while_its_id_is_printed_leaves_it_running_too(on):
    def interrupt(news):
        if news.command:
            raise KeyboardInterrupt

    place = on()
    place.told = interrupt
    with pytest.raises(errors.FollowingInterrupted) as interrupted:
        redeploy(place)
    assert interrupted.value.follow == "alembic-rescue redeploy --follow dep-0001 --render srv-shop0001"


def test_the_command_that_deploys_has_the_given_options(api, on):
    place = on()
    assert place.command(None) == "alembic-rescue redeploy --render srv-shop0001"
    assert place.command(Mode.DEPLOY_ONLY) == "alembic-rescue redeploy --render srv-shop0001 --deploy-only"
    assert ByHook(Hook(hook_url(api), "POST", Secrets())).command == "alembic-rescue redeploy"
    assert ByHook(Hook(hook_url(api), "GET", Secrets())).command == "alembic-rescue redeploy --hook-method GET"


# --- pure --------------------------------------------------------------------------------------------------------


def test_an_unknown_state_counts_as_under_way():
    following = Following("2026-11-27T09:00:00Z", str)
    assert following.now(Deployment("dep-1", "polishing", State.RUNNING, built=False)) == Told("polishing")
    assert not following.now(Deployment("dep-1", "polishing", State.RUNNING, built=False)).shown


def test_what_is_read_again_overlaps_but_never_before_the_beginning():
    following = Following("2026-11-27T09:00:00Z", str)
    assert following.since == "2026-11-27T09:00:00Z"
    following.heard([LogLine("a", "2026-11-27T09:00:10.5Z", "x")])
    assert following.since == "2026-11-27T09:00:00Z"
    following.heard([LogLine("b", "2026-11-27T09:10:10.123456789Z", "y")])
    assert following.since == "2026-11-27T09:09:40.123456Z"


def test_points_in_time():
    assert moment("2026-11-27T09:00:00.1Z") < moment("2026-11-27T09:00:00.12Z") < moment("2026-11-27T08:00:01-01:00")
    assert moment("yesterday") is moment("2026-13-27T09:00:00Z") is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (MIGRATED, True),
        ("psycopg2.errors.InFailedSqlTransaction: current transaction is aborted", True),
        ("Traceback (most recent call last):", True),
        ("FATAL: password authentication failed", True),
        ("==> Uploading build...", False),
        ("Collecting fastapi==0.115", False),
        ("", False),
    ],
)
def test_which_lines_are_about_migrations(line, shown):
    told = Following("", str).heard([LogLine("1", "", line)])
    assert any(one.shown for one in told) == shown


def test_on_stderr_there_is_one_line_for_the_rest():
    now, written = [0.0], []
    follow = Follow(written.append, color=False, all_lines=False, now=lambda: now[0])
    follow.take(Told("build_in_progress"))
    follow.take(Told("build_in_progress", "Collecting fastapi", shown=False))
    follow.take(Told("build_in_progress", MIGRATED))
    now[0] = 31.0
    follow.take(Told("build_in_progress", shown=False))
    follow.take(Told("build_in_progress", shown=False))
    assert written == [
        "Deployment: build_in_progress\n",
        f"{MIGRATED}\n",
        "Deployment: build_in_progress, 2 log lines, for 31 s\n",
    ]
    everything = Follow(written.append, color=False, all_lines=True)
    everything.take(Told("build_in_progress", "Collecting fastapi", shown=False))
    assert written[-1] == "Collecting fastapi\n"


# --- to build or not ---------------------------------------------------------------------------------------------

SHOP = Service("srv-1", "shop", "tea-1", "web_service", suspended=False, branch="main")
LIVE = Deployment("dep-1", "live", State.LIVE, built=True, commit="0123456789abcdef", message="fix the order")
STUCK = replace(LIVE, id="dep-2", status="pre_deploy_failed", state=State.FAILED)
NOT_BUILT = replace(LIVE, id="dep-3", status="build_failed", state=State.FAILED, built=False)


@pytest.mark.parametrize(
    ("recent", "changed", "asked", "mode", "why"),
    [
        (
            [STUCK, LIVE],
            [],
            None,
            Mode.DEPLOY_ONLY,
            "only the version table was behind; the migrations are unchanged since the last build",
        ),
        ([STUCK], ["versions/a.py"], None, Mode.BUILD, "changed since the last build, 012345678: versions/a.py"),
        ([STUCK], "git is not installed", None, Mode.BUILD, "git is not installed"),
        ([NOT_BUILT, LIVE], [], None, Mode.BUILD, "the last build failed"),
        ([], [], None, Mode.BUILD, "the commit of the last build is unknown"),
        ([replace(LIVE, commit=None)], [], None, Mode.BUILD, "the commit of the last build is unknown"),
        ([STUCK], ["versions/a.py"], Mode.DEPLOY_ONLY, Mode.DEPLOY_ONLY, "as asked for"),
        ([STUCK], [], Mode.BUILD, Mode.BUILD, "as asked for"),
    ],
)
def test_whether_to_build_and_why(recent, changed, asked, mode, why):
    choice = choosing.decided(SHOP, recent, changed, asked)
    assert (choice.mode, why in choice.why) == (mode, True), choice
    expected = "the last build, 012345678 (fix the order)" if mode is Mode.DEPLOY_ONLY else "the latest commit of main"
    assert choice.commit == expected


def test_what_git_shows_since_the_last_build(tmp_path):
    repo = Repo(tmp_path)
    repo.git("init", "-q")
    repo.write("r1", None)
    (tmp_path / "app.py").write_text("x = 1")
    built = repo.commit()
    folders = [repo.folder]
    assert choosing.changed_since(built, folders) == []
    (tmp_path / "app.py").write_text("x = 2")
    repo.commit()
    assert choosing.changed_since(built, folders) == []  # nothing about migrations
    repo.write("r1", None, text="# fixed")
    uncommitted = "versions/r1_x.py (not committed, so a build does not include it)"
    assert choosing.changed_since(built, folders) == [uncommitted]
    repo.commit()
    assert choosing.changed_since(built, folders) == ["versions/r1_x.py"]
    repo.write("r2", "r1")
    assert len(choosing.changed_since(built, folders)) == 2
    assert f"cannot be compared with commit {'f' * 40}" in choosing.changed_since("f" * 40, folders)
    assert "is not a commit" in choosing.changed_since("--output=x", folders)


def test_without_a_repository_nobody_can_tell(tmp_path):
    assert "not a git repository" in choosing.changed_since("0123456", [tmp_path])


# --- HTTP --------------------------------------------------------------------------------------------------------


def test_without_a_key():
    for key in ("", "  ", "two words", "rnd_tést"):
        with pytest.raises(errors.PlatformKeyMissing) as missing:
            of_environment(Secrets(), {"RENDER_API_KEY": key})
        assert (missing.value.code, missing.value.exit_status) == ("platform-key-missing", 2)
        assert "tést" not in missing.value.message


def test_a_key_that_is_wrong(api):
    render = of_environment(Secrets(), {"RENDER_API_KEY": "rnd_test_other", "RENDER_HOST": api.url})
    with pytest.raises(errors.PlatformRefused) as refused:
        render.service("shop")
    assert (refused.value.code, refused.value.exit_status, refused.value.status) == ("platform-refused", 4, 401)
    assert "Set the right key" in refused.value.help
    assert "rnd_test_other" not in refused.value.message + refused.value.help


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org/v1/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:pw@127.0.0.1/",
        "https://[::1",
        "https://a b/",
    ],
)
def test_an_address_that_cannot_be_used(url):
    with pytest.raises(errors.BadPlatformUrl) as refused:
        Client(url, named="RENDER_HOST", secrets=Secrets())
    assert (refused.value.code, refused.value.exit_status) == ("bad-platform-url", 2)
    assert url == "https://" or url not in refused.value.message


def test_nobody_listens():
    render = of_environment(
        Secrets(), {"RENDER_API_KEY": KEY, "RENDER_HOST": "http://127.0.0.1:9/"}, clock=Time().clock
    )
    with pytest.raises(errors.PlatformUnreachable) as away:
        render.service("shop")
    assert (away.value.code, away.value.exit_status) == ("platform-unreachable", 4)
    with pytest.raises(errors.PlatformUnreachable):  # nothing was sent: that is known
        render.client.once("POST", "services/srv-1/deploys", {})


def test_a_silent_server_is_given_up(api):
    api.faults = [Fault("GET", "/logs", hangs=20.0)]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY, seconds=0.3)
    began = time.monotonic()
    with pytest.raises(Unanswered, match=r"no answer within 0\.3 s"):
        client.once("GET", "logs")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_goes_to_no_other_host_or_port_or_http(api, method, status):
    with serving() as other:
        for location in (other.url + "services", "http://localhost:1/", "https://127.0.0.1/v1/"):
            api.faults = [Fault(method, "/services", status=status, headers={"Location": location})]
            client = Client(api.url, named="x", secrets=Secrets(), key=KEY)
            with pytest.raises(errors.PlatformElsewhere) as elsewhere:
                client.get("services", shapes.records, "") if method == "GET" else client.once("POST", "services", {})
            assert (elsewhere.value.code, elsewhere.value.exit_status) == ("platform-elsewhere", 4)
        assert other.requests == []


def test_a_redirection_on_the_same_host_is_followed(api):
    api.has("shop")
    api.faults = [
        Fault("GET", "/old", status=302, headers={"Location": "/v1/services"}),
        Fault("GET", "/round", status=302, headers={"Location": "/v1/round"}, times=9),
    ]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY)
    assert len(client.get("old", shapes.records, "")) == 1
    with pytest.raises(errors.PlatformElsewhere):
        client.get("round", shapes.records, "")


def test_a_certificate_that_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    pem = tmp_path / "self.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", tmp_path / "c.pem",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate = (tmp_path / "c.pem").read_text()
    pem.write_text(pem.read_text() + certificate)
    with serving(pem) as api:
        api.has("shop")
        environment = {"RENDER_API_KEY": KEY, "RENDER_HOST": api.url}
        with pytest.raises(errors.PlatformNotTrusted) as refused:
            of_environment(Secrets(), environment).service("shop")
        assert (refused.value.code, refused.value.exit_status) == ("platform-not-trusted", 4)
        assert "self" in refused.value.message
        assert api.requests == []
        (tmp_path / "c.pem").write_text(certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
        assert of_environment(Secrets(), environment).service("shop").id == "srv-shop0001"


# --- hooks -------------------------------------------------------------------------------------------------------


def hook_url(api):
    return api.url.replace("/v1/", f"/deploy/srv-shop?key={HOOK_KEY}")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hook_is_called_once_without_the_key_and_returns_an_id(api, method, monkeypatch):
    monkeypatch.setenv("RENDER_API_KEY", KEY)
    assert Hook(hook_url(api), method, Secrets()).trigger() == "dep-0001"
    assert [one[0] for one in api.requests] == [method]
    assert api.authorized == [None]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("POST", "/deploy/.*", lost=True), "deployment-not-known"),
        (Fault("POST", "/deploy/.*", status=503), "deployment-not-known"),
        (Fault("POST", "/deploy/.*", status=408), "deployment-not-known"),
        (Fault("POST", "/deploy/.*", status=499), "deployment-not-known"),
        (
            Fault("POST", "/deploy/.*", status=302, headers={"Location": "https://other.example/?key=x"}),
            "deployment-not-known",
        ),
        (Fault("POST", "/deploy/.*", status=404, body=f"no hook {HOOK_KEY}"), "platform-failed"),
        (Fault("POST", "/deploy/.*", status=403, body=f"no hook {HOOK_KEY}"), "platform-refused"),
    ],
    ids=["lost", "503", "408", "499", "302", "404", "403"],
)
def test_a_hook_that_fails_is_reported_without_its_secret_and_not_called_again(api, fault, code):
    api.faults = [fault]
    with pytest.raises(errors.RescueError) as failed:
        Hook(hook_url(api), "POST", Secrets()).trigger()
    assert failed.value.code == code
    told = "".join(traceback.format_exception(failed.value)) + failed.value.message + failed.value.help
    assert HOOK_KEY not in told
    assert "key=" not in told
    assert len(api.requests) == 1


def test_a_hook_with_an_unusable_url():
    secrets = Secrets()
    with pytest.raises(errors.BadPlatformUrl) as refused:
        Hook(f"http://hooks.example.org/deploy/prj_Xy7notToBeSeen?key={HOOK_KEY}", "POST", secrets)
    assert "the URL of the hook cannot be used: it uses http" in refused.value.message
    assert "prj_Xy7" not in secrets.hide("hooks: /deploy/prj_Xy7notToBeSeen")
    with pytest.raises(errors.BadUsage):
        Hook("https://hooks.example.org/", "PUT", Secrets())


def test_what_a_hook_does_not_return(api):
    by_hook = ByHook(Hook(hook_url(api), "POST", Secrets()), there_before=True)
    ended = by_hook.carried_out(lambda _: True)
    assert (ended.deployed.id, ended.deployed.status) == ("dep-0001", None)
    assert "the database was already at its head" in ended.deployed.untold
    with pytest.raises(errors.NotConfirmed):
        by_hook.carried_out(lambda _: False)
    assert len(api.requests) == 1


def test_ctrl_c_while_a_hook_is_called_says_to_check_before_it_is_called_again(api, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    by_hook = ByHook(Hook(hook_url(api), "POST", Secrets()))
    monkeypatch.setattr(by_hook.hook, "trigger", interrupted)
    with pytest.raises(errors.Interrupted) as failed:
        by_hook.carried_out(lambda _: True)
    assert "check the platform's list of deployments before you redeploy" in failed.value.help


# --- the configuration -------------------------------------------------------------------------------------------


def test_what_the_configuration_says_about_redeploying():
    assert settings.redeploy({}, None) is None
    assert settings.redeploy({"render_service": "", "deploy_hook": " "}, None) is None
    assert settings.redeploy({"render_service": "shop api"}, "blue").command == (
        "alembic-rescue redeploy --render 'shop api' --only blue"
    )
    by_hook = settings.redeploy({"deploy_hook": "SHOP_HOOK"}, None)
    assert (by_hook.command, by_hook.variable) == ("alembic-rescue redeploy", "SHOP_HOOK")
