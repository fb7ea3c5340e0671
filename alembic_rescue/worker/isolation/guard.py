"""The guard of a worker: no migration reaches anything but the scratch databases.

In two steps.  :func:`lead_away` comes before the first of the project's imports: whatever database a driver is asked
for, a scratch database is opened; all else goes on as ever, so env.py may fetch its secrets.  :func:`close` comes
before the first revision, and cannot be taken back: the process reaches the scratch servers' sockets and nothing else.

What is refused raises :class:`Refused`, and is in :data:`refusals` whatever the migration makes of that.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

from alembic_rescue.servers import seccomp
from alembic_rescue.worker.isolation import audit, led_away
from alembic_rescue.worker.isolation.refusal import Refusal, Refused, Stack, refusals
from alembic_rescue.worker.isolation.routes import Address, Routes
from alembic_rescue.worker.isolation.undisturbed import undisturbed

if sys.platform != "win32":
    import resource

__all__ = [
    "MEMORY",
    "Address",
    "Held",
    "Refusal",
    "Refused",
    "Routes",
    "Stack",
    "bound_memory",
    "close",
    "lead_away",
    "refusals",
    "undisturbed",
]

MEMORY = 4 * 2**30
"""Bytes that a worker may use, unless told otherwise."""

lead_away = led_away.lead_away


@dataclass(frozen=True)
class Held:
    """By what a migration is held back."""

    children: bool
    """The kernel lets no process be started."""
    network: bool
    """The kernel lets no network be used."""


def close(routes: Routes) -> Held:
    """Let nothing out of this process any more but to the scratch servers of `routes`.  For good, in all threads.

    A scratch server that is reached by network cannot be told from others by the kernel: then only the drivers and
    Python's own sockets are held to it.
    """
    led_away.lead_away(routes)
    children = seccomp.refuse((*seccomp.NO_CHILDREN, *seccomp.NO_MEDDLING))
    network = routes.sockets() is not None and seccomp.refuse(seccomp.NO_NETWORK)
    audit.install(routes)  # last: it would refuse to set the filter
    return Held(children, network)


def bound_memory(limit: int = MEMORY) -> None:
    """Let this process have no more than `limit` bytes of memory of its own, and leave no core behind, where it can.

    On Linux what is only reserved does not count: numerical libraries reserve many times what they use.
    """
    if sys.platform == "win32":
        return
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    for what, wanted in ((kind, limit), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(what)
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (bound, bound))
