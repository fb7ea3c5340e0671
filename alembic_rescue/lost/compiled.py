"""What remains of a revision without its source: its bytecode, which is never run.

``marshal``, which may crash on malicious bytes, and ``dis`` take the bytecode apart.  They run in a separate process,
which may crash alone, with the project's own Python.  Only constants come back, as JSON.  Bytecode of another Python is
not taken apart, because its format differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from alembic_rescue.evidence.lost import Found, Lost
from alembic_rescue.worker.interpreter import Interpreter

_HEADER = 16
"""Bytes before the code: the magic number, flags, and details of the source."""
_LARGEST = 4 * 1024 * 1024
_SECONDS = 10.0
_LONGEST = 255
_TEXTS = b"zZ\xfa\xda"
"""What marshal writes before a short ASCII text, in every version since 3.4."""
_TOLD = """
import dis, json, marshal, sys
constants, last = {}, None
for one in dis.get_instructions(marshal.loads(sys.stdin.buffer.read())):
    if one.opname == "STORE_NAME" and last is not None:
        constants.setdefault(one.argval, last.argval)
    if one.opname not in {"EXTENDED_ARG", "NOP", "CACHE"}:
        last = one if one.opname == "LOAD_CONST" else None
told = {name: constants.get(name) for name in ("revision", "down_revision", "__doc__")}
print(json.dumps({name: value if isinstance(value, (str, tuple)) else None for name, value in told.items()}))
"""


def find(revision: str, folders: Iterable[Path], python: Interpreter | None = None) -> Lost | None:
    """Return the revision from bytecode without source in these folders, made by `python`, or by this interpreter."""
    program, magic = (python.python, python.magic) if python else (sys.executable, MAGIC_NUMBER)
    name = revision.encode()
    if len(name) > _LONGEST or not name.isascii():
        return None
    for path in _without_source(folders):
        with suppress(OSError):
            data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
            if not any(bytes([kind, len(name)]) + name in data for kind in _TEXTS):
                continue
            told = _constants(data, program) if data[: len(magic)] == magic else None
            if told is None and _is_in_name(revision, path):
                return Lost(revision, Found.COMPILED, str(path))
            if told is not None and told["revision"] == revision:
                down = told["down_revision"]
                follows = (down,) if isinstance(down, str) else tuple(down or ())
                doc = str(told["__doc__"] or "").strip().split("\n\n")[0]
                return Lost(revision, Found.COMPILED, str(path), follows, doc)
    return None


def _without_source(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in sorted([*folder.glob("*.pyc"), *folder.glob("__pycache__/*.pyc")]):
            if not (folder / f"{path.name.split('.')[0]}.py").exists():
                yield path


def _is_in_name(revision: str, path: Path) -> bool:
    """Return whether the file is named after it, as Alembic names files: ``1a2b3c_add_orders``."""
    stem = path.name.split(".")[0]
    return f"_{revision}_" in f"_{stem}_"


def _constants(data: bytes, program: str) -> dict[str, str | list[str] | None] | None:
    """Return the constants that the module assigns to its names; None if the bytecode cannot be taken apart."""
    with suppress(subprocess.TimeoutExpired, OSError, ValueError):
        done = subprocess.run(  # noqa: S603 - a Python, on a text of ours
            [program, "-I", "-S", "-c", _TOLD],
            input=data[_HEADER:],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        told: dict[str, str | list[str] | None] = json.loads(done.stdout)
        return told
    return None
