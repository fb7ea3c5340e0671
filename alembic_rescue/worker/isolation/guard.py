"""The guard of a worker: no migration reaches anything but the scratch databases.

It works in two steps.  :func:`lead_away` is called before the first project import: a driver opens a scratch database,
whichever database it is asked for.  Everything else works as usual, so env.py can fetch its secrets.  :func:`close` is
called before the first revision and is irreversible: the process reaches the scratch servers' sockets and nothing else.

A refused action raises :class:`Refused` and is recorded in :data:`refusals`, even if the migration swallows the error.
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
"""Default memory limit of a worker, in bytes."""

lead_away = led_away.lead_away


@dataclass(frozen=True)
class Held:
    """What confines a migration."""

    children: bool
    """The kernel prevents starting processes."""
    network: bool
    """The kernel prevents using the network."""


def close(routes: Routes) -> Held:
    """Confine this process to the scratch servers of `routes`, permanently and in all threads.

    The kernel cannot tell a scratch server that is reached over the network from other servers: then only the drivers
    and Python's own sockets are confined to it.
    """
    led_away.lead_away(routes)
    children = seccomp.refuse((*seccomp.NO_CHILDREN, *seccomp.NO_MEDDLING))
    network = routes.sockets() is not None and seccomp.refuse(seccomp.NO_NETWORK)
    audit.install(routes)  # last, because it would refuse setting the filter
    return Held(children, network)


def bound_memory(limit: int = MEMORY) -> None:
    """Limit this process to `limit` bytes of private memory and disable core dumps, where possible.

    On Linux, memory that is only reserved does not count: numerical libraries reserve many times what they use.
    """
    if sys.platform == "win32":
        return
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    for what, wanted in ((kind, limit), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(what)
        bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (bound, bound))
