"""Run a server for as long as it is needed, and no longer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic_rescue.errors import ScratchFailed
from alembic_rescue.servers import programs
from alembic_rescue.servers.keeper import Wanted
from alembic_rescue.servers.leftovers import RunFolder

_ROOT = Path(__file__).parents[2]
_KEEPER = f"import sys; sys.path.append({str(_ROOT)!r}); from alembic_rescue.servers import keeper; keeper.main()"


@contextlib.contextmanager
def running(folder: RunFolder, wanted: Wanted, name: str) -> Iterator[bool]:
    """Run the server for the duration of the block; yield whether it has no network."""
    own = {"TMPDIR": str(folder.sockets)}  # another folder may be closed to the server's user
    process = subprocess.Popen(  # noqa: S603 - this package's own code
        [sys.executable, "-I", "-S", "-c", _KEEPER, wanted.argument()],
        cwd="/",
        env={**programs.environment(), "TZ": "UTC", "LC_ALL": "C", "PYTHONDONTWRITEBYTECODE": "1", **own},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(folder.lock,),  # the folder belongs to the run for as long as the keeper lives
        **programs.out_of_reach_of_ctrl_c(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        answer: dict[str, Any] = json.loads(process.stdout.readline() or b'{"failed": "its keeper ended"}')
        if answer["failed"]:
            raise ScratchFailed(name, answer["failed"])
        yield bool(answer["alone"])
    finally:
        process.stdin.close()  # the keeper's lifeline
        process.stdout.close()
        process.wait()
