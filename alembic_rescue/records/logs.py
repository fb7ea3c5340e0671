"""A deployment's log from a file, or from stdin."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from alembic_rescue.connection import drivers
from alembic_rescue.errors import LogNotReadable
from alembic_rescue.evidence.logs import reading
from alembic_rescue.evidence.logs.values import DeploymentLog

STDIN = "-"
_LONGEST = 1_000_000
"""Maximum characters of a line; longer lines are read in pieces."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read(name: str) -> DeploymentLog:
    """Read the log in the file `name`, or from stdin if that is ``-``.  The result may contain secrets.

    Raises:
        LogNotReadable: there is no such file, it is not a file, or this user cannot read it.
    """
    with ExitStack() as stack:
        try:
            raw = _stdin() if name == STDIN else stack.enter_context(Path(name).expanduser().open("rb"))
            return reading.read(_lines(raw), drivers.code_meant)
        except OSError as error:
            raise LogNotReadable(name, error.strerror or str(error)) from error


def of_lines(lines: Iterable[str]) -> DeploymentLog:
    """Read a log that is already in memory."""
    return reading.read(lines, drivers.code_meant)


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise LogNotReadable(STDIN, "stdin is closed")
    return sys.stdin.buffer


def _lines(raw: BinaryIO) -> Iterator[str]:
    """Yield the lines, whatever the bytes: undecodable ones are replaced by a mark."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
    encoding = "utf-16" if buffered.peek(2)[:2] in _UTF_16 else "utf-8-sig"
    text = io.TextIOWrapper(buffered, encoding=encoding, errors="replace")
    try:
        while line := text.readline(_LONGEST):
            yield line
    finally:
        text.detach()
