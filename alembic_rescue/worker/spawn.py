"""Start the process of a worker.

The command line does this before anything else, so this module imports only what loads quickly.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from alembic_rescue.worker.interpreter import Interpreter

_START = (
    "import json, sys; a = json.loads(sys.argv[1]); sys.path[:] = a['path']; sys.argv[:] = a['argv']; "
    "from alembic_rescue.worker.serve import serve; serve(a)"
)
_START_APART = """
import json, os, sys
from importlib.util import module_from_spec, spec_from_file_location
a = json.loads(sys.argv[1])
sys.argv[:] = a["argv"]
sys.path[:] = [folder or os.path.dirname(sys.executable) for folder in sys.path]
for name, folder in a["packages"].items():
    spec = spec_from_file_location(name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from alembic_rescue.worker.serve import serve
serve(a)
"""
"""For the project's Python, with ``sys.path`` as its own ``alembic`` has it; see
:mod:`alembic_rescue.worker.interpreter`."""
_AHEAD: list[Spawned] = []


class Spawned(NamedTuple):
    """A worker's process, and this side's ends of the pipes."""

    process: subprocess.Popen[bytes]
    reads: int
    writes: int


def spawn(mode: str, by: Interpreter | None = None) -> Spawned:
    """Start a worker in a new session, so that a Ctrl-C in the terminal does not reach it.

    Args:
        mode: see :class:`alembic_rescue.worker.process.Worker`.
        by: the project's Python; None for this one.
    """
    here, theirs = _pipe(), _pipe()
    given: dict[str, Any] = {
        "mode": mode,
        "reads": here[0],
        "writes": theirs[1],
        "argv": ["alembic", "upgrade" if mode == "scratch" else "current"],
        "caller": os.getpid() if threading.current_thread() is threading.main_thread() else None,
    }
    if by is None:
        command = [sys.executable, *_flags(), "-c", _START, json.dumps({**given, "path": sys.path})]
    else:
        command = [by.python, "-c", _START_APART, json.dumps({**given, "packages": by.packages})]
    process = subprocess.Popen(  # noqa: S603 - this Python, or the one that the user chose
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(here[0], theirs[1]),
        start_new_session=True,
    )
    os.close(here[0])
    os.close(theirs[1])
    return Spawned(process, theirs[0], here[1])


def _pipe() -> tuple[int, int]:
    """Create a pipe with descriptors above the standard streams.

    The caller may have closed some of those, and the child's streams take their numbers.
    """
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


def spawn_ahead() -> None:
    """Start a live worker for the first caller of one, so that it imports while the command line is parsed."""
    _AHEAD.append(spawn("live"))


def spawned_ahead() -> Spawned | None:
    """Return the process that was started ahead, if any; only once."""
    return _AHEAD.pop() if _AHEAD else None


def _flags() -> list[str]:
    """Return the interpreter's options that affect how modules are found or which warnings are shown."""
    return [flag for flag, on in (("-I", sys.flags.isolated), ("-E", sys.flags.ignore_environment)) if on]
