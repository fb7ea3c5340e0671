"""Create the scratch databases, in the scratch worker, before its drivers are redirected."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from alembic_rescue import dialects, errors
from alembic_rescue.dialects.admin import connected, shown
from alembic_rescue.dialects.scratch import Making, Prepared


def prepare(making: Making) -> Prepared:
    """Create the databases that do not exist yet, and end what an earlier worker left running in them.

    Raises:
        ScratchIsProjects: it is the project's own server.
        ScratchNotEmpty: the named database is not empty.
        ScratchFailed: the server cannot be reached, or refuses to create them.
    """
    if making.admin_url.startswith("file:"):
        return Prepared("")
    try:
        with connected(making.admin_url) as admin:
            return dialects.of(admin.dialect.name).places.prepare(admin, making)
    except DBAPIError as error:
        raise errors.ScratchFailed(shown(making.admin_url), " ".join(str(error.orig).split())) from error


def remove(admin_url: str, databases: Sequence[str], roles: Sequence[str]) -> None:
    """Drop what :func:`prepare` created on a server that keeps running."""
    with connected(admin_url) as admin:
        dialects.of(admin.dialect.name).places.remove(admin, databases, roles)
