"""Each style of env.py: planned, stamped outside any transaction, verified, undone, and nothing else touched."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests import compatibility, servers
from tests.styles import Stage, Style, compiled, installed
from tests.watching import everything


def _schemas(*names):
    return "; ".join(f"CREATE SCHEMA {name} AUTHORIZATION {servers.ROLE}" for name in names)


STYLES = (
    Style("is the one that `alembic init` makes", "stock"),
    Style(
        "makes its own engine, from a URL in the environment",
        "url_from_environment",
        environment={"SHOP_DATABASE": "postgresql+psycopg2://shop@db.example/shop"},
    ),
    Style("gives `upgrade()` arguments: `run_migrations(prefix=..., settings=...)`", "keyword_arguments"),
    Style(
        "takes the tenant from `-x tenant=...`",
        "tenant_by_x",
        tables=(("shop", "acme.alembic_version"),),
        prepare=_schemas("acme", "globex"),
        options=("-x", "tenant=acme"),
    ),
    Style(
        "is one of two in one database, each with a section and a version table of its own (`-n billing`)",
        "two_sections",
        tables=(("shop", "alembic_version_billing"),),
        options=("-n", "billing"),
    ),
    Style(
        "has labelled branches in several `version_locations`, one depending on another",
        "version_locations",
        before=("b1110001", "c0de0001"),
        target="billing@head",
        after=("b1110002",),
    ),
    Style(
        "is in an installed package, the ini says `script_location = package:folder`",
        "in_a_package",
        make_ready=installed,
    ),
    Style("is shipped as `.pyc` only, and so are the revisions (`sourceless`)", "sourceless", make_ready=compiled),
)
TABLE = compatibility.Table(
    "styles", ("Your env.py ...", "plan", "stamp", "undo", "example"), tuple(style.does for style in STYLES)
)


@pytest.mark.compatibility
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.project)
def test_it_is_planned_stamped_and_undone_and_nothing_else_is_touched(style, server, tmp_path):
    with ExitStack() as around:
        stage = Stage(style, server, tmp_path, around)
        files, elsewhere = stage.files(), everything(stage.watched)
        cells = _refused(stage, style) if style.refused else _rescued(stage, style)
        assert stage.files() == files
        assert everything(stage.watched) == elsewhere
    TABLE.check(style.does, *cells, f"[{style.project}](../tests/projects/styles/{style.project})")


def _rescued(stage, style):
    behind, stamped = ({table: sorted(rows) for table in style.tables} for rows in (style.before, style.after))
    left_alone = stage.rows(*style.untouched)

    planned = stage.rescue("plan", style.target)
    assert (planned.status, planned.json["outcome"]) == (0, "ready"), planned.everything
    findings = {finding["code"] for part in planned.json["databases"] for finding in part["findings"]}
    assert findings == ({style.finding} if style.finding else set())
    assert stage.rows(*style.tables) == behind

    log = stage.logs()
    done = stage.rescue("stamp", style.target, "--yes")
    assert (done.status, done.json["outcome"]) == (0, "stamped"), done.everything
    assert stage.rows(*style.tables) == stamped
    changes = log.changes()
    assert len(changes) >= len(style.tables)
    assert stage.current() == {*style.after, *(style.before if style.untouched else ())}

    log = stage.logs()
    undone = stage.rescue("undo", "--yes")
    assert (undone.status, undone.json["outcome"]) == (0, "undone"), undone.everything
    assert stage.rows(*style.tables) == behind
    assert len(log.changes()) >= len(style.tables)
    assert stage.current() == set(style.before)

    assert stage.rows(*style.untouched) == left_alone
    warned = f", warns: `{style.finding}`" if style.finding else ""
    return f"yes{warned}", f"yes: {len(changes)} statement{'s' * (len(changes) > 1)}", "yes"


def _refused(stage, style):
    rows, log = stage.rows(*style.tables), stage.logs()
    for command in (("plan", style.target), ("stamp", style.target, "--yes")):
        ended = stage.rescue(*command).json
        codes = [ended["error"]["code"]] if ended["error"] else [refusal["code"] for refusal in ended["refusals"]]
        assert codes == [style.refused], ended
    assert stage.rows(*style.tables) == rows
    assert log.changes() == []
    return f"no: `{style.refused}`", style.why, ""
