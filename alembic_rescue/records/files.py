"""Records as files: one JSON document each, readable only by the user, written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alembic_rescue.errors import RescueError

LARGEST = 64 * 1024 * 1024
"""In bytes.  No record comes close to it."""


class NotADocument(ValueError):  # noqa: N818 - it says what the file is
    """The file is not a JSON document; the message says what it is."""


def read_as(bad: Callable[[str, str], RescueError], path: Path) -> dict[str, Any]:
    """Return the document in `path`; if there is none, raise what `bad` makes of the path and the reason."""
    try:
        return read(path)
    except OSError as error:
        raise bad(str(path), error.strerror or str(error)) from error
    except NotADocument as error:
        raise bad(str(path), str(error)) from error


def read(path: Path) -> dict[str, Any]:
    """Return the document in `path`.  Never blocks, whatever kind of file it is.

    Raises:
        OSError: it cannot be read.
        NotADocument: it is not a regular file, too large, or not JSON.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotADocument("it is not a regular file")
        if found.st_size > LARGEST:
            raise NotADocument(f"it has {found.st_size} bytes")
        text = file.read(LARGEST)
    try:
        content = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise NotADocument(f"it says {error} twice") from error
    except (ValueError, RecursionError) as error:
        raise NotADocument("it is not JSON") from error
    if not isinstance(content, dict):
        raise NotADocument("it is not a JSON object")
    return content


class _TwiceError(ValueError):
    """A name that occurs twice in one JSON object: one reader takes the first, another the last."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(name)
        found[name] = value
    return found


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a document: see :func:`write_text`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str, *, runs: bool = False) -> None:
    """Write to a temporary file next to it, sync, then rename; the user may execute it if it `runs`.

    Raises:
        OSError: it cannot be written; the previous file is still there.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    mode = stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if runs else 0)
    beside = path.with_name(f"{path.name}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)  # it may have existed with another mode
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
