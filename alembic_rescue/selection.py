"""Select among the databases that env.py visits: all, or the one that ``--only`` names.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from alembic_rescue import errors
from alembic_rescue.errors import RescueError
from alembic_rescue.model import Choice, Database, DatabaseReport, Recommendation
from alembic_rescue.model import addressed as commanded


def chosen(visited: Sequence[Database], only: str | None) -> list[Database]:
    """The databases of `visited` that `only` selects, in their order: all if it is None, otherwise one.

    A name takes precedence over part of a URL: ``shop`` is the database of that name, although the URL of
    ``shop_archive`` contains it too.

    Raises:
        NoSuchDatabase, AmbiguousDatabase: it matches none, or several.
    """
    if only is None:
        return list(visited)
    named = [database for database in visited if only in names(database)]
    fitting = named or [database for database in visited if only in database.identity.url]
    if not fitting:
        raise errors.NoSuchDatabase(only, [told(database) for database in visited])
    if len(fitting) > 1:
        raise errors.AmbiguousDatabase(only, [told(database) for database in fitting])
    return fitting


def names(database: Database) -> set[str]:
    """Its possible names: the database's, the schema's, the version table's, and env.py's names for it."""
    identity = database.identity
    known = {identity.database, identity.schema, identity.version_table, identity.table, *database.called}
    return {name for name in known if name}


def own_names(visited: Sequence[Database]) -> list[str]:
    """A name for each that no other one has; if there is none, its description for a sentence."""
    called = [name for database in visited for name in names(database)]
    return [_own_name(database, called) or told(database) for database in visited]


def naming(database: Database, error: RescueError) -> RescueError:
    """Add the database to the error's message."""
    error.message = f"{told(database)}: {error.message}"
    return error


def told(database: Database) -> str:
    """Unambiguous, for use in a sentence: ``tenant_a.alembic_version in shop at db.example.org:5432``."""
    called = f" ({', '.join(database.called)})" if database.called else ""
    return f"{database.identity.sentence}{called}"


def addressed(parts: Sequence[DatabaseReport], only: str | None) -> list[DatabaseReport]:
    """The reports.  If their recommendations differ, each command names its database.

    Args:
        only: the selected database.
    """
    same = Counter(part.recommendation for part in parts)
    if only is None and len(same) == 1:
        return list(parts)
    called = [name for part in parts for name in names(part.database)]
    return [
        replace(part, recommendation=_for_one(part.recommendation, only or _own_name(part.database, called)))
        if same[part.recommendation] == 1
        else part
        for part in parts
    ]


def _own_name(database: Database, called: Sequence[str]) -> str | None:
    """A name that no other one has, the most specific first."""
    identity = database.identity
    telling = (*database.called, identity.schema, identity.database, identity.table)
    return next((name for name in telling if name and called.count(name) == 1), None)


def _for_one(advice: Recommendation, only: str | None) -> Recommendation:
    steps = tuple(commanded(step, only) for step in advice.steps)
    choices = tuple(
        Choice(one.found, tuple(commanded(command, only) for command in one.commands)) for one in advice.choices
    )
    return replace(advice, steps=steps, choices=choices, only=only)
