"""A real browser, Debian's Chromium, run from the command line: how wide a page gets, and how it looks."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

REQUIRED = "ALEMBIC_RESCUE_TEST_NEEDS_CHROMIUM"
"""If set, a missing browser is a failure, as in CI."""
MISSING = "there is no Chromium on this machine: apt-get install chromium"
_MEASURE = """
const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
const box = (one) => { const at = one.getBoundingClientRect(); return [at.left, at.top, at.right, at.bottom]; };
document.title = JSON.stringify({
  scroll: root.scrollWidth, client: root.clientWidth, text: page.body.innerText,
  background: getComputedStyle(page.body).backgroundColor,
  elements: [...new Set([...page.querySelectorAll("*")].map((one) => one.localName))],
  dots: [...page.querySelectorAll("circle:not(.here)")].map(box), names: [...page.querySelectorAll("li")].map(box),
});
"""


def program() -> str | None:
    """Return the path of the browser, if it is installed."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def _run(folder: Path, page: Path, *options: str) -> str:
    browser = program()
    assert browser, MISSING
    fixed = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    )
    command = [browser, *fixed, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def _framed(folder: Path, document: str, width: int, height: int, script: str = "") -> Path:
    """Return a page with the document in a frame: browser windows cannot be as narrow as a phone."""
    page = folder / "frame.html"
    frame = f'<iframe width="{width}" height="{height}" style="border:0" srcdoc="{html.escape(document)}"></iframe>'
    code = f"<script>document.querySelector('iframe').onload = () => {{ {script} }}</script>" if script else ""
    page.write_text(f'<!doctype html><meta charset="utf-8"><style>body {{ margin: 0 }}</style>{frame}{code}', "utf-8")
    return page


def measured(folder: Path, document: str, width: int, *, dark: bool = False) -> dict[str, Any]:
    """Measure the document in a frame of that many pixels."""
    options = ["--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom", *_scheme(dark=dark)]
    dom = _run(folder, _framed(folder, document, width, 900, _MEASURE), *options)
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title, dom
    return json.loads(html.unescape(title[1]))


def pictured(folder: Path, document: str, width: int, height: int, image: Path, *, dark: bool = False) -> None:
    """Write a screenshot to a PNG."""
    options = [f"--window-size={max(width, 500)},{height}", f"--screenshot={image}", *_scheme(dark=dark)]
    _run(folder, _framed(folder, document, width, height), *options)


def _scheme(*, dark: bool) -> list[str]:
    return ["--blink-settings=preferredColorScheme=0"] if dark else []
