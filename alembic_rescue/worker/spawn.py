"""Starts the process of a worker.

For the command line, which starts one before all else: only what is quick to import stands here.
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
"""By the project's Python: its path is that of its own ``alembic``; see :mod:`alembic_rescue.worker.interpreter`."""
_AHEAD: list[Spawned] = []


class Spawned(NamedTuple):
    """A worker's process, and this side's ends of the pipes between."""

    process: subprocess.Popen[bytes]
    reads: int
    writes: int


def spawn(mode: str, by: Interpreter | None = None) -> Spawned:
    """Start one, in a session of its own, so that no Ctrl-C of the terminal reaches it.

    Args:
        mode: see :class:`alembic_rescue.worker.process.Worker`.
        by: the project's Python; None: this very one.
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
    process = subprocess.Popen(  # noqa: S603 - this very Python, or the one that was chosen
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
    """Above the standard streams, of which the caller may have closed some: a child's own come to stand there."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


def spawn_ahead() -> None:
    """Start a live worker for whoever asks for one first: it imports while the command line is still parsed."""
    _AHEAD.append(spawn("live"))


def spawned_ahead() -> Spawned | None:
    """The one that was started ahead, once."""
    return _AHEAD.pop() if _AHEAD else None


def _flags() -> list[str]:
    """The interpreter's own options, as far as they change how modules are found or warned of."""
    return [flag for flag, on in (("-I", sys.flags.isolated), ("-E", sys.flags.ignore_environment)) if on]
