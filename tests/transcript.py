"""The demo's transcript in README.md: ``make readme`` writes it, and a test compares it with what the demo prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_RESCUED = {
    "alembic upgrade head": "",
    "alembic-rescue diagnose": "",
    "alembic-rescue stamp 774225e563ca --yes": "Nothing has been written yet.",
}
_TRAPPED = {
    "alembic-rescue diagnose": "warning",
    "alembic-rescue stamp 774225e563ca --yes": "Refused: ",
}
"""The commands of an act that README shows, and the beginning of the first output line that it shows."""
_SECOND_ACT = "# Second act"
_VOLATILE = (
    (r"alembic-rescue-demo-\w{8}", "alembic-rescue-demo-5tuck4u2"),
    (r"\bid \d{19}/\d+", "id 7479120093714325518/16385"),
    (r"\b\d{8}T\d{6}-stamp-[0-9a-f]{6}", "20250527T031415-stamp-5eed42"),
    (r"\bpostgresql \d+\.\d+", "postgresql 18.4"),
)
"""What differs from run to run, and its replacement; of the same length, so that lines break alike."""


def played() -> str:
    """Play the demo as a process, and return its output, with the same words for what differs each time."""
    command = [sys.executable, "-m", "alembic_rescue", "demo"]
    environment = {**os.environ, "TMPDIR": "/tmp", "COLUMNS": "132"}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    for pattern, standing_for_it in _VOLATILE:
        printed = re.sub(pattern, standing_for_it, printed)
    return printed.strip()


def rescued(transcript: str) -> str:
    """The first act: the failure, the diagnosis, the stamp and the next steps."""
    return _steps(transcript.split(_SECOND_ACT, maxsplit=1)[0], _RESCUED)


def trapped(transcript: str) -> str:
    """The second act: the advice, and the refusal."""
    return _steps(transcript.split(_SECOND_ACT)[1], _TRAPPED)


def _steps(act: str, wanted: Mapping[str, str]) -> str:
    steps = re.findall(r"^\$ (.*)\n((?:(?!# |\$ ).*\n?)*)", act, re.MULTILINE)
    return "\n\n".join(f"$ {name}\n{_from(wanted[name], shown.strip())}" for name, shown in steps if name in wanted)


def _from(beginning: str, shown: str) -> str:
    """Return the output from the line with that beginning on; dots replace the lines before it."""
    at = re.search(f"^{re.escape(beginning)}", shown, re.MULTILINE)
    assert at is not None, f"no line begins with {beginning!r}"
    return ("...\n" if at.start() else "") + shown[at.start() :]


def filled(readme: str, transcript: str) -> str:
    """Return `readme` with each block between its markers written anew."""
    makers: dict[str, Callable[[str], str]] = {"short": rescued, "trap": trapped}
    for name, make in makers.items():
        block = re.compile(rf"(<!-- demo, {name}: [^\n]*\n```console\n).*?(^```$)", re.DOTALL | re.MULTILINE)
        readme, found = block.subn(lambda m, make=make: f"{m[1]}{make(transcript)}\n{m[2]}", readme)
        assert found == 1, f"README.md has {found} blocks for the demo, {name}"
    return readme


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8"), played()), "utf-8")
