"""``redeploy`` and a platform that answers oddly, late, or about somebody else's deployment.  No database."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from alembic_rescue import errors, redeployment
from alembic_rescue.cli.following import Follow
from alembic_rescue.deploying import lines, shapes
from alembic_rescue.deploying.deployment import Ended
from alembic_rescue.deploying.following import Following, Told
from alembic_rescue.deploying.hook import Hook, remember
from alembic_rescue.deploying.http import Client
from alembic_rescue.deploying.sending import Unanswered
from alembic_rescue.deploying.values import PACE, LogLine
from alembic_rescue.evidence.deployed import Deployed, Mode
from alembic_rescue.evidence.model import Cause
from alembic_rescue.model import Action, Outcome, Recommendation, Report
from alembic_rescue.redact import Secrets
from alembic_rescue.report import deployment as report_deployment
from alembic_rescue.report.page import Page
from tests.render_api import DEPLOYS, HOOK_KEY, KEY, ONE, Fault, Time, place_on, serving

FOLLOW = "alembic-rescue redeploy --follow dep-0001 --render srv-shop0001"


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as api:
        api.has("shop")
        yield api


@pytest.fixture
def on(api):
    return partial(place_on, api)


def redeploy(place):
    return place.carried_out(None, Mode.BUILD, lambda _: True)


def told(place):
    return [one.note for one in place.news if one.note]


# --- whose deployment it is --------------------------------------------------------------------------------------


def and_then(place, *acts):
    """Do these, one at each pause."""
    left = [*acts]
    place.clock = replace(place.clock, sleep=lambda s: (place.time.sleep(s), left and left.pop(0)()))


def test_after_a_202_a_push_that_is_listed_alone_is_not_taken_for_it(api, on):
    api.accepts, api.listed_after = 202, 10_000
    place = on()
    and_then(place, lambda: api.deployed("queued", trigger="new_commit"))
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert "New in the list: dep-0002 (new_commit). It may be one of these, or none" in unknown.value.message
    assert list(unknown.value.follow) == [FOLLOW.replace("0001 ", "0002 ", 1)]
    assert api.count("POST", DEPLOYS) == 1


def test_after_a_202_a_push_listed_next_to_it_is_left_alone(api, on):
    api.accepts, api.listed_after = 202, 6
    place = on()
    and_then(place, lambda: api.deployed("queued", trigger="new_commit"))
    ended = redeploy(place)
    assert ended.deployed.id == "dep-0001"
    assert "dep-0001 is new in the list and was triggered by the API, so this is it" in told(place)


def test_after_a_202_another_one_listed_a_moment_later_makes_it_unknown(api, on):
    api.accepts = 202
    place = on()
    and_then(place, lambda: api.deployed("queued"))
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        redeploy(place)
    assert len(unknown.value.follow) == 2
    assert api.count("POST", DEPLOYS) == 1


def test_an_answer_about_another_deployment_is_ignored(api, on):
    api.faults = [Fault("GET", ONE, status=200, body=json.dumps({"id": "dep-0009", "status": "live"}), times=2)]
    place = on()
    assert redeploy(place).deployed.id == "dep-0001"
    assert any("an unexpected answer" in note and "next try in" in note for note in told(place))


def test_an_answer_about_another_service_is_ignored(api, on):
    api.faults = [Fault("GET", "/services/srv-shop0001", status=200, body='{"id": "srv-other001"}', times=99)]
    with pytest.raises(errors.PlatformFailed):
        on("srv-shop0001")


# --- odd answers -------------------------------------------------------------------------------------------------

ODD = {
    "html": "<html>sign in</html>",
    "empty": "",
    "null": "null",
    "null-deploy": '{"deploy": null}',
    "list": "[]",
    "no-status": '{"id": "dep-0001"}',
    "status-is-a-number": '{"id": "dep-0001", "status": 3}',
    "cut": '{"id": "dep-0001", "sta',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_answer_while_following_is_retried(api, on, body):
    api.faults = [Fault("GET", ONE, status=200, body=body, times=8)]
    place = on()
    assert redeploy(place).deployed.status == "live"
    assert place.time.at > 15
    assert api.count("POST", DEPLOYS) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", ONE, status=200, body=ODD["html"], times=9999),
        Fault("GET", ONE, status=404, times=9999),
        Fault("GET", ONE, lost=True, times=9999),
    ],
    ids=["html", "404", "lost"],
)
def test_a_platform_that_only_answers_oddly_is_given_up_with_the_command(api, on, fault):
    api.faults = [fault]
    place = on()
    with pytest.raises(errors.FollowingLost) as lost:
        redeploy(place)
    assert PACE.away * 0.8 < place.time.at < PACE.away * 1.2
    assert lost.value.follow == FOLLOW


def test_a_key_that_is_revoked_meanwhile_ends_it_at_once_with_the_command(api, on):
    api.faults = [Fault("GET", ONE, status=401, body="{}")]
    with pytest.raises(errors.FollowingLost) as lost:
        redeploy(on())
    assert lost.value.follow == FOLLOW


@pytest.mark.parametrize("commit", ["0123456", None, [], {"id": 7, "message": None}, {"id": "01", "message": ["x"]}])
def test_an_odd_commit_counts_as_unknown(api, on, commit):
    api.deployed(commit=commit)
    ended = redeploy(on())
    assert ended.deployed.status == "live"


def test_a_null_deployment_in_the_list_is_reported_before_anything_is_triggered(api, on):
    api.faults = [Fault("GET", DEPLOYS, status=200, body='[{"cursor": "1", "deploy": null}]', times=99)]
    with pytest.raises(errors.PlatformFailed) as failed:
        redeploy(on())
    assert "HTTP 200 while listing the deployments: an unexpected answer" in failed.value.message
    assert api.count("POST", DEPLOYS) == 0


@pytest.mark.parametrize(
    "logs",
    ['{"logs": "none"}', '{"logs": [1]}', "[]", "", '{"logs": null, "hasMore": "yes"}', '{"logs": [{"labels": "x"}]}',
     '{"logs": [{"id": 1, "message": {"a": 1}, "labels": [1, {"name": 2}], "timestamp": 5}]}'],
)  # fmt: skip
def test_an_odd_log_does_not_stop_the_following(api, on, logs):
    api.faults = [Fault("GET", "/logs", status=200, body=logs, times=99)]
    assert redeploy(on()).deployed.status == "live"


def test_a_lone_surrogate_can_be_written(api, on):
    api.script = ["build_in_progress", "build_failed"]
    api.log = [("build_in_progress", "ERROR \ud800 here"), ("build_failed", "\udfff")]
    ended = redeploy(place := on())
    assert ended.deployed.last_lines == ("ERROR \\ud800 here", "\\udfff")
    assert all(one.line.encode() is not None for one in place.news)


@pytest.mark.parametrize("cut", [0, 1, 400])
def test_a_201_that_is_cut_off_is_looked_up(api, on, cut):
    api.faults = [Fault("POST", DEPLOYS, status=201, body='{"id": "dep-00', cut=cut, after=True)]
    assert redeploy(on()).deployed.id == "dep-0001"
    assert api.count("POST", DEPLOYS) == 1


def test_a_body_that_is_cut_off_is_requested_again(api, on):
    api.faults = [Fault("GET", ONE, status=200, body='{"id": "dep-0001", "status": "live"', cut=100)]
    assert redeploy(on()).deployed.status == "live"


# --- time --------------------------------------------------------------------------------------------------------


def test_a_byte_now_and_then_is_no_answer(api):
    api.faults = [Fault("GET", "/logs", status=200, body="x" * 200, drip=0.1)]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY, seconds=0.8)
    began = time.monotonic()
    with pytest.raises(Unanswered, match=r"no answer within 0\.8 s"):
        client.once("GET", "logs")
    assert 0.7 < time.monotonic() - began < 5


def test_what_it_waits_for_is_reported(api, on):
    api.faults = [
        Fault("GET", DEPLOYS, status=503, body="oh no"),
        Fault("POST", DEPLOYS, status=429, headers={"Ratelimit-Reset": "12"}),
        Fault("GET", ONE, lost=True),
    ]
    place = on()
    redeploy(place)
    first, second, triggered, third = told(place)
    assert first == "127.0.0.1 answered with HTTP 503 while listing the deployments: oh no; next try in 1 s"
    assert second == "127.0.0.1 limits requests; next try in 12 s"
    assert triggered.startswith("Triggered dep-0001.")
    assert third.startswith("cannot reach 127.0.0.1: ")
    assert third.endswith("; next try in 1 s")


def test_a_202_is_reported(api, on):
    api.accepts = 202
    place = on()
    redeploy(place)
    assert told(place)[0] == (
        "The deployment's id is unknown (it accepted the request without giving the id). "
        "Searching the list for up to 60 s"
    )


@pytest.mark.parametrize("reset", ["nan", "soon", "-5", ""])
def test_a_reset_that_is_no_time(api, on, reset):
    api.faults = [Fault("POST", DEPLOYS, status=429, headers={"Ratelimit-Reset": reset})]
    place = on()
    redeploy(place)
    assert place.time.slept[0] in {1.0, 10.0}


def test_hourly_limits_are_reported_as_such(api, on):
    api.faults = [Fault("POST", DEPLOYS, status=429, headers={"Ratelimit-Reset": "3600"}, times=9)]
    with pytest.raises(errors.PlatformFailed) as failed:
        redeploy(on())
    assert "it limits requests for another 3600 s" in failed.value.message


def test_the_id_and_the_command_are_printed_before_the_first_request_about_it(api, on):
    place = on(only="blue db")
    api.faults = [Fault("GET", ONE, status=401)]
    with pytest.raises(errors.FollowingLost):
        redeploy(place)
    (triggered,) = [one for one in place.news if one.command]
    assert triggered.note == "Triggered dep-0001. It continues if this command ends. To follow it again:"
    assert triggered.command == f"{FOLLOW} --only 'blue db'"
    assert place.news[0] is triggered


# --- redirections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "other"),
    [
        ({}, "an unreadable address"),
        ({"Location": ""}, "an unreadable address"),
        ({"Location": "http://[::1"}, "an unreadable address"),
        ({"Location": "https://h:port/"}, "an unreadable address"),
        ({"Location": "https://"}, "an unreadable address"),
        ({"Location": "javascript:alert(1)"}, "an unreadable address"),
        ({"Location": "https://a b/"}, "an unreadable address"),
        ({"Location": "https://ev\x1b[31mil/"}, "an unreadable address"),
        ({"Location": "//elsewhere.example/x"}, "http://elsewhere.example"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_odd_location_is_reported_clearly(api, headers, other, method):
    api.faults = [Fault(method, "/services", status=302, headers=headers)]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY, clock=Time().clock)
    with pytest.raises(errors.PlatformElsewhere) as elsewhere:
        client.get("services", shapes.records, "") if method == "GET" else client.once("POST", "services", {})
    assert f"127.0.0.1 redirects to {other}; the request" in elsewhere.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_invalid_address_is_no_internal_error(api, status):
    api.faults = [Fault("GET", "/services", status=status, headers={"Location": "http://[::1"})]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY)
    with pytest.raises(errors.PlatformElsewhere):
        client.get("services", shapes.records, "")


def test_a_server_that_speaks_no_tls(api):
    client = Client(api.url.replace("http:", "https:"), named="x", secrets=Secrets(), key=KEY, clock=Time().clock)
    with pytest.raises(errors.PlatformUnreachable) as away:
        client.get("services", shapes.records, "")
    assert "SSL" in away.value.message or "TLS" in away.value.message
    assert api.authorized == []


# --- the log -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [1.0, 0.001])
def test_a_flood_of_lines_is_read_to_its_end(api, on, apart):
    api.apart = timedelta(seconds=apart)
    api.script = ["build_in_progress", "update_in_progress", "live"]
    api.log = [("build_in_progress", f"line {number}") for number in range(7_000)]
    place = on()
    redeploy(place)
    assert [one.line for one in place.news if one.line] == [f"line {number}" for number in range(7_000)]


def test_each_request_continues_where_the_last_one_ended(api, on):
    api.apart, api.page = timedelta(milliseconds=1), 10  # each request begins again within the overlap
    api.script = ["build_in_progress", "update_in_progress", "live"]
    api.log = [("build_in_progress", f"line {number}") for number in range(1_300)]
    place = on()
    redeploy(place)
    assert sum(bool(one.line) for one in place.news) == 1_300


def test_lines_that_were_not_read_are_reported(api, on):
    api.page = 2
    api.script = ["live"]
    api.log = [("live", f"line {number}") for number in range(300)]
    place = on()
    redeploy(place)
    assert "The log has more lines than were read. The platform shows them all." in told(place)
    assert sum(bool(one.line) for one in place.news) == 200


def test_a_page_that_links_to_itself_is_read_once(api, on):
    body = {"hasMore": True, "nextStartTime": "2026-11-27T10:00:00Z", "nextEndTime": "2026-11-27T11:00:00Z", "logs": []}
    api.script = ["live"]
    api.faults = [Fault("GET", "/logs", status=200, body=json.dumps(body), times=99)]
    redeploy(on())
    assert api.count("GET", "/logs") == 2 * 2


def test_a_line_that_comes_twice_is_printed_once_with_or_without_an_id():
    following = Following("2026-11-27T09:00:00Z", str)
    same = LogLine("a", "2026-11-27T09:00:01Z", "ERROR x", "i-1")
    entries = [same, same, replace(same, id="b"), replace(same, id="c", instance="i-2")]
    assert [one.line for one in following.heard(entries)] == ["ERROR x", "ERROR x"]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("\x1b[31mERROR\x1b[0m", "ERROR"),
        ("\x1b[2K\x1b[1Gdone", "done"),
        ("\x1b]0;title\x07x", "\\x1b]0;title\\x07x"),
        ("\x1b]8;;http://evil\x1b\\link", "\\x1b]8;;http://evil\\x1b\\link"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x00\x08b", "a\\x00\\x08b"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\ufeffx", "\\ufeffx"),
        *[(one, one) for one in ("tab\there, na\u00efve \u00a0 x", "\U0001f469\u200d\U0001f4bb")],
    ],
)  # fmt: skip
def test_nothing_in_a_log_controls_the_terminal(written, seen):
    assert lines.of_message(written) == [seen]


def test_nothing_in_a_name_or_an_error_controls_the_terminal():
    assert shapes.text({"name": "shop\x1b]0;x\x07"}, "name") == "shop\\x1b]0;x\\x07"


def test_a_platforms_message_does_not_control_the_terminal(api):
    api.faults = [Fault("GET", "/services", status=409, body=json.dumps({"message": "no\x1b]0;x\x07"}))]
    client = Client(api.url, named="x", secrets=Secrets(), key=KEY)
    with pytest.raises(errors.PlatformFailed) as failed:
        client.get("services", shapes.records, "asking")
    assert failed.value.message.endswith("asking: no\\x1b]0;x\\x07")


TRACEBACK = """\
==> Running 'alembic upgrade head'
INFO  [alembic.runtime.migration] Running upgrade r2 -> r3, more
Traceback (most recent call last):
  File "/opt/venv/lib/python3.12/site-packages/sqlalchemy/engine/base.py", line 1967, in _exec_single_context
    self.dialect.do_execute(
psycopg2.errors.DuplicateObject: type "mood" already exists

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/venv/bin/alembic", line 8, in <module>
    sys.exit(main())
             ^^^^^^
  File "/opt/venv/lib/python3.12/site-packages/alembic/command.py", line 483, in upgrade
    script.run_env()
  File "/app/alembic/env.py", line 20, in <module>
    raise RuntimeError("Error")
  File "/app/alembic/versions/r3_more.py", line 12, in upgrade
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/venv/lib/python3.12/site-packages/alembic/operations/ops.py", line 2591, in execute
    return operations.invoke(op)
sqlalchemy.exc.ProgrammingError: (psycopg2.errors.DuplicateObject) type "mood" already exists

[SQL: CREATE TYPE mood AS ENUM ('ok')]
==> Pre-deploy has failed"""


def test_of_a_traceback_the_migrations_own_frame_and_the_error_are_shown():
    following = Following("", str, [Path("/here/alembic/versions"), Path("/here/alembic/env.py")])
    shown = [one.line for one in following.heard([LogLine("1", "", TRACEBACK)]) if one.shown]
    assert not any("site-packages" in line or "self.dialect" in line for line in following.last_lines)
    assert '  File "/app/alembic/env.py", line 20, in <module>' in following.last_lines
    assert len(following.log) == len(TRACEBACK.splitlines())
    assert shown == [
        "==> Running 'alembic upgrade head'",
        "INFO  [alembic.runtime.migration] Running upgrade r2 -> r3, more",
        "Traceback (most recent call last):",
        'psycopg2.errors.DuplicateObject: type "mood" already exists',
        "Traceback (most recent call last):",
        '  File "/app/alembic/versions/r3_more.py", line 12, in upgrade',
        "    op.execute(\"CREATE TYPE mood AS ENUM ('ok')\")",
        'sqlalchemy.exc.ProgrammingError: (psycopg2.errors.DuplicateObject) type "mood" already exists',
        "[SQL: CREATE TYPE mood AS ENUM ('ok')]",
    ]


def test_a_script_folder_with_another_name_is_recognised():
    frame = '  File "/app/db/changes/r3.py", line 1, in upgrade'
    assert not lines.Chooser().is_told(frame)
    assert lines.Chooser([Path("/home/me/shop/db/changes")]).is_told(frame)


# --- hooks -------------------------------------------------------------------------------------------------------


def test_only_the_key_of_a_hook_is_hidden():
    secrets = Secrets()
    url = f"https://api.render.com/deploy/srv-d0abcdefgh12?key={HOOK_KEY}&ref=main"
    remember(url, secrets)
    assert secrets.hide("srv-d0abcdefgh12 of main in production") == "srv-d0abcdefgh12 of main in production"
    assert HOOK_KEY not in secrets.hide(f"called {url}, {HOOK_KEY}")
    assert Hook(url, "POST", secrets).shown == "srv-d0abcdefgh12 at api.render.com"
    assert Hook("https://api.example.com/build_hooks/5f3c8a1b2d", "POST", secrets).shown == "api.example.com"
    assert "5f3c8a1b2d" not in secrets.hide("at /build_hooks/5f3c8a1b2d")


def test_a_hooks_key_is_hidden_both_encoded_and_decoded():
    secrets = Secrets()
    remember("https://hooks.example.org/%61bcdefgh/build?key=%78yz-not-to-be-seen&other=a+b%2Dc&ref=main", secrets)
    for form in ("%61bcdefgh", "abcdefgh", "%78yz-not-to-be-seen", "xyz-not-to-be-seen", "a+b%2Dc", "a b-c"):
        assert form not in secrets.hide(f"no hook <{form}> here")
    assert secrets.hide("main") == "main"


@pytest.mark.parametrize("body", ["", "<html>ok</html>", '{"deploy": null}', '{"deploy": {"id": 5}}', "[]", "null"])
def test_a_hook_that_answers_oddly_was_still_called(api, body):
    api.faults = [Fault("POST", "/deploy/.*", status=200, body=body)]
    url = api.url.replace("/v1/", f"/deploy/srv-shop?key={HOOK_KEY}")
    assert Hook(url, "POST", Secrets()).trigger() is None
    assert len(api.requests) == 1


def test_after_a_lost_hook_call_no_command_is_printed_that_cannot_work(api):
    api.faults = [Fault("POST", "/deploy/.*", lost=True)]
    url = api.url.replace("/v1/", f"/deploy/srv-shop?key={HOOK_KEY}")
    with pytest.raises(errors.DeploymentNotKnown) as unknown:
        Hook(url, "POST", Secrets()).trigger()
    assert not unknown.value.follow
    assert "--follow" not in unknown.value.help
    assert "cannot tell which deployment the hook of srv-shop at 127.0.0.1 triggered, if any" in unknown.value.message


# --- what is printed at the end ----------------------------------------------------------------------------------


def test_a_short_log_that_was_shown_is_not_shown_again():
    done = Deployed("render", "shop", last_lines=("ERROR x", "bye"))
    report = replace(Report("redeploy", Outcome.REFUSED, None, (), ()), deployment=done)

    def shown(already):
        return report_deployment.failed(report, page=Page(80, color=False), already=already)

    assert shown(already={"ERROR x"}.__contains__) == "Last lines of its log\n  ERROR x\n  bye\n\n"
    assert shown(already={"ERROR x", "bye"}.__contains__) == ""


def test_which_lines_were_shown():
    follow = Follow([].append, color=False, all_lines=False)
    follow.take(Told("live", "ERROR x"))
    follow.take(Told("live", "more", shown=False))
    assert (follow.has_shown("ERROR x"), follow.has_shown("more")) == (True, False)


def test_a_live_service_is_not_waited_for_as_long_as_a_hook():
    live = Ended(Deployed("render", "shop", status="live"))
    by_hook = Ended(Deployed("hook", "shop"))
    assert (redeployment._longest(live, None), redeployment._longest(by_hook, None)) == (60, 600)
    assert redeployment._longest(live, 1800) == 1800


@pytest.mark.parametrize(
    ("action", "more", "ready"),
    [
        (Action.NOTHING, {}, True),
        (Action.RERUN, {}, True),
        (Action.RERUN, {"steps": ("DROP TYPE mood;",)}, False),
        (Action.STAMP, {}, False),
        (Action.COMPLETE, {}, False),
        (Action.REPAIR, {}, False),
        (Action.STOP, {}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("sure", [True, False])
def test_what_must_be_done_before(action, more, ready, sure):
    cause = Cause(
        "r3", "r3.py", 1, "CREATE", "exists", swallowed=False, handler_line=None, fix="", without_rows=not sure
    )
    part = SimpleNamespace(recommendation=Recommendation(action, None, "why", **more), causes=[cause])
    assert redeployment._upgrades(part) == (ready and not (sure and action is Action.RERUN))
