"""Support env.py files that take their connection from the application: ``config.attributes["connection"]``.

In Alembic's cookbook, the application puts an open connection there.  Most env.py files open their own if it is
missing, so the first run passes none: env.py knows best where to connect.  An env.py that fails without one is run
again with a connection to ``--url`` or to the configured ``sqlalchemy.url``, opened within the run and guarded like
any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum, auto
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from alembic_rescue import errors
from alembic_rescue.connection import urls
from alembic_rescue.connection.failures import chain
from alembic_rescue.model import Note
from alembic_rescue.project.loading import Project

KEY = "connection"


class Given(Enum):
    """The value of the key; tried in this order."""

    NOTHING = auto()
    CONNECTION = auto()
    ENGINE = auto()


class Attributes(dict[str, Any]):
    """``config.attributes`` for one run of env.py."""

    asked = False
    """env.py looked for a connection, and none was set."""

    def __missing__(self, key: str) -> Any:
        self._note(key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Same as ``dict.get``."""
        self._note(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Same as ``dict.pop``."""
        self._note(key)
        return super().pop(key, *default)

    def _note(self, key: object) -> None:
        self.asked = self.asked or (key == KEY and not super().__contains__(key))


@contextmanager
def giving(project: Project, given: Given) -> Iterator[Attributes]:
    """Put `given` into ``config.attributes`` for the duration of the block.

    Raises:
        ConnectionExpected: there is no URL to connect to.
    """
    own = project.config.attributes
    attributes = Attributes(own)
    with ExitStack() as opened:
        if given is not Given.NOTHING:
            engine = create_engine(_url(project), poolclass=NullPool)
            opened.callback(engine.dispose)
            attributes[KEY] = engine if given is Given.ENGINE else opened.enter_context(engine.connect())
        vars(project.config)["attributes"] = attributes
        opened.callback(vars(project.config).__setitem__, "attributes", own)
        try:
            yield attributes
        except KeyError as error:
            _leave_out_of_traceback(error)
            raise


def _leave_out_of_traceback(error: KeyError) -> None:
    """Cut ``__missing__`` from the traceback, so that it ends at the line that used the key, as with any dict."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        if last.tb_next.tb_frame.f_code is Attributes.__missing__.__code__:
            last.tb_next = None
        last = last.tb_next


_OF_NONE = re.compile(
    r"'NoneType' object has no attribute '(connect|begin|engine|dialect|execute|execution_options|run_sync|__enter__)'"
    r"|'NoneType' object does not support the context manager protocol"
    r"|Connection, url, or dialect_name is required"  # MigrationContext.configure()
)


def is_missed(project: Project, error: BaseException | None) -> bool:
    """Whether `error` was caused by the missing connection, in an env.py that looked for one and opened none.

    An `error` of None means that env.py finished without running migrations.

    A KeyError and a None used as a connection are unambiguous.  Anything else could also be a missing setting, and
    then the configured URL may be wrong: only ``--url`` is certain.
    """
    if isinstance(error, KeyboardInterrupt):
        return False
    if project.url is not None:
        return True
    return error is not None and any(
        (isinstance(link, KeyError) and link.args == (KEY,)) or _OF_NONE.search(errors.said(link))
        for link in chain(error)
    )


def is_of_wrong_kind(error: BaseException) -> bool:
    """Whether `error` may have been caused by passing a Connection where env.py expects an Engine."""
    ours = isinstance(error, errors.RescueError) and not isinstance(error, errors.EnvNeverMigrates)
    with_the_database = any(isinstance(link, DBAPIError) for link in chain(error))
    return not (ours or with_the_database or isinstance(error, KeyboardInterrupt))


def hint() -> str:
    """Return the text to add to the help if env.py looked for a connection and failed for an unclear reason."""
    return (
        '; it expects config.attributes["connection"]. If the application passes it, give its database '
        "with --url or ALEMBIC_RESCUE_URL"
    )


def note(project: Project) -> Note | None:
    """Return the note that the configured URL was used; None with ``--url``, which the user chose explicitly."""
    if project.url is not None:
        return None
    return Note(
        "connection-handed-over",
        "env.py expects a connection from the application; alembic-rescue passed one to the "
        "configuration's sqlalchemy.url",
        "if the application uses another database, pass it with --url or ALEMBIC_RESCUE_URL",
    )


def _url(project: Project) -> URL:
    """Return ``--url``, or else ``sqlalchemy.url``, with a synchronous driver."""
    configured = project.config.get_section(project.config.config_ini_section) or {}
    try:
        url = project.url or urls.parse(configured.get("sqlalchemy.url") or "")
        if url.get_dialect().is_async:
            url = urls.with_installed_driver(url.set(drivername=url.get_backend_name()), None)
    except (errors.BadUrl, ArgumentError, NoSuchModuleError):  # unset, or the template's driver://
        raise errors.ConnectionExpected(project.source) from None
    return url
