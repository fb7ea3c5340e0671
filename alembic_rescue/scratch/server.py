"""The server for the scratch databases: named by the user, or a private one that is started for the run.

A private server is reached by a Unix socket in a folder of mode 0700 and does not listen on a network.  It is a
grandchild of the run, started through ``keeper``, and stops when the run ends, however that happens.  What a power
failure leaves behind is removed by the next run.  The server runs without durability: its files need not survive a
crash.

What keeps it from reaching outside:

- Linux: the kernel (seccomp) lets the server neither connect to anything nor start a program, whatever role asks; as
  root, and where users may create namespaces, it has no network either.
- Elsewhere: what reaches out (``dblink``, ``postgres_fdw``, ``COPY TO PROGRAM``, subscriptions) is not available to a
  role that is not a superuser, and the wheel contains no such extension.
- A server named by URL: only the privileges of its own roles.
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
    """Provide a server for scratch databases for the duration of the block.

    Args:
        choice: a URL; ``local`` or None for the best server on this machine; ``none``.
        dialect: SQLAlchemy's name: ``postgresql``, ``sqlite``, ``mysql``, ``mariadb``.
        live_version: version reported by the live server; the same major version is preferred.
        tell: called if the server has another version or lacks the locale.
        alike: settings that a private server copies from the live one.

    Raises:
        ScratchMissing: there is no server, or ``none`` was chosen.
        ScratchUnfit: the choice is not a URL of that dialect.
        ScratchFailed: the server does not start.
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
    shown = f"{parts.scheme}://..." if "://" in choice else "..."  # it may hold a password
    if not scheme or "://" not in choice:
        raise ScratchUnfit(shown, "it is neither a URL, nor local, nor none")
    kind = dialects.of(dialect)
    if not kind.is_kin(scheme):
        raise ScratchUnfit(shown, f"the project's database is {dialect}")
    url = urlunsplit(parts._replace(scheme=scheme)) if parts.netloc else choice.replace(parts.scheme, scheme, 1)
    return ScratchServer(url, "", kind.scratch.programs(live_version), private=False)
