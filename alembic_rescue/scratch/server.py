"""The server on which the scratch databases are: named by the user, or a private one that is started for the run.

A private one is reached by a Unix socket in a folder of mode 0700 and listens to no network.  It is the run's own
child's child (``keeper``), gone when the run ends, in whatever way; what is left behind where a machine's power fails
is removed by the next run.  It keeps nothing safe: its files need not outlive a crash.

What it is no way out by, and where:

- Linux: the server cannot connect to anything nor start a program, by the kernel's word (seccomp), whatever role asks;
  for root, and where users may have namespaces, it has no network either.
- Elsewhere: what reaches out (``dblink``, ``postgres_fdw``, ``COPY TO PROGRAM``, subscriptions) is not to be had for a
  role that is no superuser, and the wheel brings no such extension.
- A server named by URL: nothing but its own roles' rights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from alembic_rescue import dialects
from alembic_rescue.dialects.scratch import Alike, ScratchServer, Tell
from alembic_rescue.errors import ScratchUnfit
from alembic_rescue.scratch.cache import default_folder
from alembic_rescue.servers import programs

LOCAL, NONE = "local", "none"
_USUAL = Alike()


@contextlib.contextmanager
def provided(
    choice: str | None,
    dialect: str,
    live_version: str,
    tell: Tell,
    alike: Alike = _USUAL,
) -> Iterator[ScratchServer]:
    """A server for scratch databases, for as long as the block lasts.

    Args:
        choice: a URL; ``local``, or None: the best on this machine; ``none``.
        dialect: SQLAlchemy's word: ``postgresql``, ``sqlite``, ``mysql``, ``mariadb``.
        live_version: what the live server calls itself; the same major version is preferred.
        tell: is told where the server is of another version, or lacks the locale.
        alike: what a private one has as the live one has it.

    Raises:
        ScratchMissing: there is none, or none is wanted.
        ScratchUnfit: the choice is no URL of that dialect.
        ScratchFailed: it does not start.
    """
    kind = dialects.of(dialect)
    if choice == NONE:
        raise kind.scratch.missing("disabled with --scratch none", live_version)
    if choice not in {None, LOCAL}:
        yield _named(str(choice), dialect, live_version)
        return
    if programs.WINDOWS and not kind.is_file:
        raise kind.scratch.missing("none is started automatically on Windows", live_version)
    kept = default_folder().with_name("alembic-rescue-servers")
    with kind.scratch.started(live_version, tell, alike, kept) as server:
        yield server


def _named(choice: str, dialect: str, live_version: str) -> ScratchServer:
    parts = urlsplit(choice)
    scheme = dialects.proper_name(parts.scheme.partition("+")[0])
    shown = f"{parts.scheme}://..." if "://" in choice else "..."  # there may be a password in it
    if not scheme or "://" not in choice:
        raise ScratchUnfit(shown, "it is neither a URL, nor local, nor none")
    kind = dialects.of(dialect)
    if not kind.is_kin(scheme):
        raise ScratchUnfit(shown, f"the project's database is {dialect}")
    url = urlunsplit(parts._replace(scheme=scheme)) if parts.netloc else choice.replace(parts.scheme, scheme, 1)
    return ScratchServer(url, "", kind.scratch.programs(live_version), private=False)
