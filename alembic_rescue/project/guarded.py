"""Call the project's own configuration code under the same rules as env.py.

An application's setup may print, log, fail, or use its database.  Its output is kept out of the answer, the server
holds its sessions read-only, and its failures are reported in the tool's own words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.engine import URL

from alembic_rescue import errors
from alembic_rescue.connection import failures, urls
from alembic_rescue.connection.connections import Hold
from alembic_rescue.connection.sessions import Timeouts
from alembic_rescue.environment.printed import Printed
from alembic_rescue.redact import Secrets

T = TypeVar("T")


@dataclass(frozen=True)
class Guard:
    """The rules for the project's code before there is a Project."""

    url: URL | None
    """The URL of ``--url``."""
    timeouts: Timeouts
    secrets: Secrets
    printed: Printed
    """The output captured meanwhile."""

    def call(self, what: str, make: Callable[[], T]) -> T:
        """Call `make`; `what` describes it in messages.

        Raises:
            SetupFailed, SetupWrites, EnvVariableMissing, ModuleMissing, DriverMissing, DatabaseError: it failed.
        """
        hold = Hold(self, read_only=True)
        try:
            with hold.in_force():
                return make()
        except (errors.RescueError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too: an application may exit
            raise self._explained(what, error, hold) from error

    def _explained(self, what: str, error: BaseException, hold: Hold) -> errors.RescueError:
        hide = self.secrets.hide
        at = hold.attempted[-1] if hold.attempted else None
        role = (at.username if at is not None else None) or "in use"
        where = failures.At(urls.name_of(at) if at is not None else "the database", role, (what, self.timeouts.lock))
        of_database = failures.of_database(error, where, hide) if hold.attempted else None
        if isinstance(of_database, errors.ReadOnlyServer):
            return errors.SetupWrites(what, failures.place_of_setup(error), failures.one_line(error, hide))
        return of_database or failures.of_setup(error, what, self.printed.tail(), hide)
