"""Making the scratch databases, in the scratch worker, before it is led away."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from alembic_rescue import dialects, errors
from alembic_rescue.dialects.admin import connected, shown
from alembic_rescue.dialects.scratch import Making, Prepared


def prepare(making: Making) -> Prepared:
    """Make the databases that are not there yet, and end what an earlier worker left running in them.

    Raises:
        ScratchIsProjects: it is the project's own server.
        ScratchNotEmpty: the database that is named holds something.
        ScratchFailed: it cannot be reached, or does not let them be made.
    """
    if making.admin_url.startswith("file:"):
        return Prepared("")
    try:
        with connected(making.admin_url) as admin:
            return dialects.of(admin.dialect.name).places.prepare(admin, making)
    except DBAPIError as error:
        raise errors.ScratchFailed(shown(making.admin_url), " ".join(str(error.orig).split())) from error


def remove(admin_url: str, databases: Sequence[str], roles: Sequence[str]) -> None:
    """Take away what :func:`prepare` made on a server that goes on running."""
    with connected(admin_url) as admin:
        dialects.of(admin.dialect.name).places.remove(admin, databases, roles)
