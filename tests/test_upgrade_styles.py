"""Each style of env.py, upgraded from an empty database: the rows are the same as after ``alembic upgrade``."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.styles import Stage
from tests.test_styles import STYLES

UPGRADED = [style for style in STYLES if not style.refused]


class _Upgraded(Stage):
    """A stage set up by ``alembic-rescue upgrade`` instead of the project's own command."""

    def program(self, *arguments):
        if arguments != ("upgrade", "heads"):
            return super().program(*arguments)
        self.done = self._run(self._style.rescue, "--format", "json", *self._style.options, "upgrade")
        return self.done


@pytest.mark.compatibility
@pytest.mark.parametrize(
    "style",
    [
        pytest.param(style, marks=style.applicable(), id=f"{style.project}{style.only and '-only'}")
        for style in UPGRADED
    ],
)
def test_it_is_upgraded(style, server, tmp_path):
    with ExitStack() as around:
        stage = _Upgraded(style, server, tmp_path, around)
        if style.finding == "env-failed-after":  # as `alembic upgrade` does
            assert stage.done.status == 2, stage.done.everything
            assert " ran, and all of it is kept: " in stage.done.json["error"]["message"]
            return
        assert (stage.done.status, stage.done.json["outcome"]) == (0, "upgraded"), stage.done.everything
        assert all(part["ran"] for part in stage.done.json["databases"])
