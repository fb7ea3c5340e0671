"""docs/compatibility.md is written from test results: ``make compatibility`` writes it, and each test checks its row.

A module with such tests has a ``TABLE`` and is listed in MODULES.  Each of its tests ends in ``TABLE.check(...)``.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "compatibility.md"
MODULES = ("tests.test_styles", "tests.test_drivers", "tests.test_drivers_elsewhere")
"""The modules whose tests measure a row each."""
_RESULTS = "COMPATIBILITY_RESULTS"
"""Names the file to which measured rows are appended, instead of comparing them with the document."""


@dataclass(frozen=True)
class Table:
    """A table of the document, between ``<!-- name: ... -->`` and ``<!-- end of name -->``."""

    name: str
    columns: tuple[str, ...]
    """The headings; the cell in the first column is the name of the row."""
    rows: tuple[str, ...]
    """The names of all rows, in the document's order."""

    def check(self, row: str, *cells: str) -> None:
        """Compare a row that was just measured with the document, or record it if the document is being written."""
        assert row in self.rows
        assert len(cells) == len(self.columns) - 1
        line = _line((row, *cells))
        if results := os.environ.get(_RESULTS):
            with Path(results).open("a", encoding="utf-8") as file:  # several workers do; a short line is written whole
                file.write(json.dumps([self.name, row, line]) + "\n")
            return
        assert written(self.name).get(row) == line, "stale: make compatibility"


def tables() -> list[Table]:
    """Return every table of the document."""
    return list({(table := importlib.import_module(module).TABLE).name: table for module in MODULES}.values())


def written(table: str, text: str | None = None) -> dict[str, str]:
    """Return the rows of a table in the document (or in `text`): name -> line."""
    (body,) = re.findall(_marked(table), DOCUMENT.read_text("utf-8") if text is None else text, re.DOTALL)
    lines = [line for line in body[1].splitlines() if line.startswith("| ")][2:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def filled(text: str, table: Table, measured: dict[str, str]) -> str:
    """Return the document with the `measured` rows of `table`; the others stay as they are."""
    known = {**written(table.name, text), **measured}
    rows = [known[row] for row in table.rows if row in known]
    body = "\n".join([_line(table.columns), _line("---" for _ in table.columns), *rows])
    return re.sub(_marked(table.name), lambda found: f"{found[1]}{body}\n{found[3]}", text, flags=re.DOTALL)


def _marked(table: str) -> str:
    return rf"(<!-- {table}: [^\n]*-->\n)(.*?)(<!-- end of {table} -->)"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Run the tests (`arguments` are for pytest), and write what they measured."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "measured"
        results.touch()
        files = [str(importlib.import_module(module).__file__) for module in MODULES]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "compatibility", *arguments, *files]
        ran = subprocess.run(command, env={**os.environ, _RESULTS: str(results)}, check=False)
        measured: dict[str, dict[str, str]] = {}
        for table, row, line in map(json.loads, results.read_text("utf-8").splitlines()):
            measured.setdefault(table, {})[row] = line
    text = DOCUMENT.read_text("utf-8")
    for table in tables():
        text = filled(text, table, measured.get(table.name, {}))
        for row in sorted(set(table.rows) - set(measured.get(table.name, {}))):
            sys.stderr.write(f"not measured, left as it stands: {row}\n")
    DOCUMENT.write_text(text, "utf-8")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
