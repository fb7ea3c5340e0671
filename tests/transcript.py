"""The demo's transcript in README.md: ``make readme`` writes it, a test holds it against what the demo prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_IN_SHORT = ("alembic upgrade head", "alembic-rescue stamp 774225e563ca --yes")
_VOLATILE = (
    (r"alembic-rescue-demo-\w{8}", "alembic-rescue-demo-5tuck4u2"),
    (r"\bid \d{19}/\d+", "id 7479120093714325518/16385"),
    (r"\b\d{8}T\d{6}-stamp-[0-9a-f]{6}", "20250527T031415-stamp-5eed42"),
    (r"\bpostgresql \d+\.\d+", "postgresql 18.4"),
)
"""What differs from run to run, and what stands for it; of the same length, so that lines break alike."""


def played() -> str:
    """Play the demo as a process, and return what it prints, with the same words for what differs each time."""
    command = [sys.executable, "-m", "alembic_rescue", "demo"]
    environment = {**os.environ, "TMPDIR": "/tmp", "COLUMNS": "132"}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    for pattern, standing_for_it in _VOLATILE:
        printed = re.sub(pattern, standing_for_it, printed)
    return printed.strip()


def short(transcript: str) -> str:
    """The failure, the stamp and the way on, without the words between them."""
    steps = re.findall(r"^\$ (.*)\n((?:(?!# |\$ ).*\n?)*)", transcript, re.MULTILINE)
    return "\n\n".join(f"$ {command}\n{shown.strip()}" for command, shown in steps if command in _IN_SHORT)


def whole(transcript: str) -> str:
    """All of it."""
    return transcript


def filled(readme: str, transcript: str) -> str:
    """`readme` with each block between its markers made anew."""
    makers: dict[str, Callable[[str], str]] = {"short": short, "whole": whole}
    for name, make in makers.items():
        block = re.compile(rf"(<!-- demo, {name}: [^\n]*\n```console\n).*?(^```$)", re.DOTALL | re.MULTILINE)
        readme, found = block.subn(lambda m, make=make: f"{m[1]}{make(transcript)}\n{m[2]}", readme)
        assert found == 1, f"README.md has {found} blocks for the demo, {name}"
    return readme


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8"), played()), "utf-8")
