"""Each style of env.py: planned, stamped outside any transaction, verified, undone, and nothing else touched."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests import compatibility
from tests.styles import Stage, Style
from tests.watching import everything

STYLES = (
    Style("is the one that `alembic init` makes", "stock"),
    Style(
        "makes its own engine, from a URL in the environment",
        "url_from_environment",
        environment={"SHOP_DATABASE": "postgresql+psycopg2://shop@db.example/shop"},
    ),
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
