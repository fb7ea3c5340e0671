"""Every printed command, as the next step or as help, runs as it is: it refers to the same project."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack

import pytest

from alembic_rescue.cli.call import VERBS
from alembic_rescue.cli.commands import app
from tests import servers
from tests.conftest import BIN
from tests.styles import Stage, Style

SECTIONS = Style("", "two_sections", tables=(("shop", "alembic_version_billing"),), options=("-n", "billing"))
IN_CODE = Style(
    "",
    "config_in_code",
    tables=(("shop", "shop_version"),),
    before=("b1110001", "c0de0001"),
    after=("b1110002",),
    environment={"SHOP_DATABASE": "postgresql+psycopg2://shop@db.example/shop"},
    program=("python", "manage.py"),
)


@pytest.fixture
def stage(server, tmp_path, request):
    with ExitStack() as around:
        yield Stage(getattr(request, "param", SECTIONS), server, tmp_path, around)


def run_as_told(project, text):
    """Run the first command that is on its own line."""
    found = re.search(r"^ +alembic-rescue (.+)$", text, re.MULTILINE)
    assert found, text
    return project.run([str(BIN / "alembic-rescue"), *shlex.split(found[1])])


def test_each_printed_command_has_the_projects_options():
    named = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert set(VERBS) == named - {"demo"}


def test_plan_stamp_and_undo_each_run_as_printed(stage):
    options = ("-n", "billing", "-x", "note=two words", "--receipts", "kept here")
    planned = stage.copy.rescue(*options, "plan", "head")
    told = "alembic-rescue -n billing -x 'note=two words' --receipts "
    assert told in planned.stdout
    stamped = run_as_told(stage.copy, planned.stdout.replace("stamp head", "stamp head --yes"))
    assert stamped.status == 0, stamped.everything
    assert f"{told}'kept here' undo\n" in stamped.stdout
    undone = run_as_told(stage.copy, stamped.stdout.replace("undo\n", "undo --yes\n"))
    assert (undone.status, "Undone and verified" in undone.stdout) == (0, True), undone.everything


def test_the_projects_own_command_is_printed_with_its_options(stage):
    stage.databases["shop"].run("DROP TABLE payments")
    told = stage.copy.rescue("-n", "billing", "-x", "a=b", "diagnose").stdout
    assert "Fix what failed, then upgrade:\n    alembic -n billing -x a=b upgrade head\n" in told


def test_an_errors_help_has_the_options_too_in_text_and_in_json(stage):
    told = stage.copy.rescue("-n", "billing", "undo", "--yes")
    assert "help: list the receipts:\n    alembic-rescue -n billing receipts\n" in told.stderr
    told = stage.copy.rescue("-n", "billing", "--format", "json", "undo", "--yes").json
    assert told["refusals"][0]["help"].startswith("list the receipts: `alembic-rescue -n billing receipts`. To use")


def test_what_a_variable_sets_is_not_repeated(stage):
    planned = stage.copy.rescue("--no-color", "plan", "head", ALEMBIC_RESCUE_NAME="billing")
    assert planned.status == 0, planned.everything
    assert "To apply this plan:\n    alembic-rescue stamp head\n" in planned.stdout


def test_no_secret_is_repeated(stage):
    url = stage.databases["shop"].url
    told = stage.copy.rescue("-n", "billing", "-x", "api_key=Xy7-not-to-be-seen", "--url", url, "plan", "head")
    assert told.status == 0
    (printed,) = re.findall(r"alembic-rescue (.* stamp head)\n", told.stdout)
    assert "note: first set ALEMBIC_RESCUE_URL to what you passed" in told.stderr
    assert printed == "-n billing -x 'api_key=***' --url \"$ALEMBIC_RESCUE_URL\" stamp head"
    assert "not-to-be-seen" not in told.everything
    assert servers.PASSWORD not in told.everything


@pytest.mark.parametrize("stage", [IN_CODE], indirect=True)
def test_a_project_without_a_file_is_told_to_upgrade_in_its_own_way(stage):
    options = ("--config-from", "shop.migrating:alembic_config")
    stamped = stage.copy.rescue(*options, "stamp", "c0de0002", "--yes")
    assert stamped.status == 0, stamped.everything
    assert "1. Redeploy, or run:\n       your own upgrade head" in stamped.stdout
    assert "alembic-rescue --config-from shop.migrating:alembic_config undo" in stamped.stdout
