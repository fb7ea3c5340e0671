"""The protocols of a dialect: for the evidence, for live databases and their servers, and for drivers.

A body in a protocol is the default for an unknown database.  The evidence sends its queries through the driver's
cursor, so SQLAlchemy's events do not see them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from sqlalchemy import String, inspect
from sqlalchemy.engine import URL, Connection, Dialect

from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.dialects.scratch import Making, Prepared
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Change, Reading, StatementKind
from alembic_rescue.evidence.rehearsal import Answer, Demand, Lock, TableSize
from alembic_rescue.model import Blocker, Wait
from alembic_rescue.when_imported import Change as ModuleChange

Renames = tuple[tuple[CatalogObject, CatalogObject], ...]


class Watch(Protocol):
    """Follows the catalog of a scratch database from revision to revision."""

    def step(self, connection: Connection, sent: Collection[str] | None = None) -> tuple[tuple[Change, ...], Renames]:
        """Return what has changed since the last call (or since the watch began), and what was renamed.

        The changes must be committed, and no transaction may be open on `connection`; none is open afterwards.

        Args:
            sent: the statements sent since then.  A change to a server-wide object, such as a role, that they cannot
                have made is ignored: somebody else made it.  None: the statements are not known.
        """

    def there(self, connection: Connection, objects: Collection[CatalogObject]) -> Collection[CatalogObject]:
        """Return those of `objects` that existed at the last step, others of the same names, and all their parts."""


class CatalogReader(Protocol):
    """Reads catalogs in the server's own words."""

    def everything(self, connection: Connection) -> Catalog:
        """Read every object that belongs neither to the server itself nor to an extension."""

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Read `objects` of a live database and what belongs to them (all constraints of a table, for instance).

        `connection` is the reader's own: read-only, in autocommit.  Never waits for a lock that others hold or await:
        an object that is locked is reported as unread, with the holder.
        """

    def watch(self, connection: Connection) -> Watch:
        """Begin to follow a scratch database."""

    def settle(
        self, connection: Connection, texts: Sequence[tuple[CatalogObject, str, str, str]]
    ) -> dict[tuple[CatalogObject, str], bool | None]:
        """Decide whether two spellings of the same fact mean the same.

        Args:
            connection: to the scratch database, at the position in question; nothing is left behind in it.
            texts: object, fact, the scratch database's text, the live one's.

        Returns:
            By object and fact: True or False as the server reads the texts back; None where one cannot be loaded.
        """


class StatementReader(Protocol):
    """Classifies a statement by its text."""

    def __call__(self, sql: str) -> StatementKind:
        """Return the strongest kind of the statements in `sql`, which may be a script: DATA, CATALOG, SESSION."""


# --- live databases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What a database reports about itself and the current role.  None: not reported."""

    version: str
    database: str | None = None
    server_id: str | None = None
    """Unique to this database and its copies."""
    server_address: str | None = None
    """The server's own address of this connection."""
    role: str | None = None
    encrypted: bool | None = None
    found_in: str | None = None
    """The schema of the version table, or the one it would be created in."""
    refuses_writes: str | None = None
    """Why the server refuses writes from this role; None if it accepts them."""
    refused_for: str = ""
    """The role or database whose setting refuses writes; empty if it is the server's setting."""
    denied: str | None = None
    """The privileges on the version table that the role lacks, as a list in one text."""
    row_security: bool = False
    """The role does not see all rows of the version table."""
    may_create: bool | None = None
    """Whether the role may create the version table."""


class Where(NamedTuple):
    """The database of a connection; None: not reported."""

    database: str | None = None
    server_id: str | None = None
    server_address: str | None = None
    found_in: str | None = None
    """All four as in :class:`Facts`."""


class AtWork(NamedTuple):
    """The session that holds the rescue lock."""

    pid: int
    client: str
    """Its address, or ``local``; empty if it is not visible."""
    seconds: float | None
    """Since it connected; None if that is not visible."""


class Fingerprint(NamedTuple):
    """Of the committed state: equal if nothing was committed between two readings."""

    rows: tuple[str, ...]
    """The version table's rows, sorted."""
    catalog: str


class IdentityReader(Protocol):
    """Identifies the database of a connection.  Default: what SQLAlchemy knows."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """Read the facts in a fixed number of queries.

        Args:
            table: the version table, quoted, with its schema if env.py configured one.
            schema: the schema that env.py configured.
        """
        return Facts(".".join(str(part) for part in connection.dialect.server_version_info or ()))

    def version_table(self, connection: Connection, name: str, schema: str | None) -> tuple[bool, int | None]:
        """Return whether the version table exists, and the maximum length of an id; None: its type has no limit."""
        inspector = inspect(connection)
        if not inspector.has_table(name, schema=schema):
            return False, None
        kinds = [one["type"] for one in inspector.get_columns(name, schema=schema) if one["name"] == "version_num"]
        return True, kinds[0].length if kinds and isinstance(kinds[0], String) else None

    def where(self, connection: Connection, table: str) -> Where:
        """Read what identifies the database, through the driver's cursor."""
        return Where()


class Server(Protocol):
    """Queries and settings for a live server and its sessions.  Default: no settings, no answers."""

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """Return the statements that set up a session, with timeouts in seconds."""
        return ()

    def hold_read_only(self, connection: Connection) -> None:
        """Make each transaction of `connection` read-only without changing the session's settings."""
        return

    def take_rescue_lock(self, cursor: Cursor, settings: tuple[str, ...]) -> bool:
        """Take the lock that excludes a second rescue, until the session ends; False if another session holds it."""
        return True

    def hold_rescue_lock(self, cursor: Cursor) -> bool:
        """Take the same lock in autocommit, so that no transaction stays open; False if another session holds it.

        Not behind a pooler: there the lock would stay with a server session that soon serves another client.
        """
        return True

    def at_work(self, cursor: Cursor) -> AtWork | None:
        """Return the session that holds the lock; None if none is visible."""
        return None

    def is_nobody_at_work(self, cursor: Cursor) -> bool:
        """Return whether no session that :meth:`upgrade_settings` set up is left, such as one of a killed upgrade."""
        return True

    def upgrade_settings(self, lock: float) -> tuple[str, ...]:
        """Return the statements that set up a session for migrations, with the lock timeout in seconds.

        A statement that the server does not support is skipped.
        """
        return ()

    def settings_of_transaction(self, lock: float) -> tuple[str, ...]:
        """Return the same for one transaction, for a session behind a pooler, which keeps no settings."""
        return ()

    def wait_patiently(self, cursor: Cursor, statement: str, lock: float) -> bool:
        """Lift the lock timeout of :meth:`upgrade_settings` before a statement that should not give up.

        Return whether it was lifted, so that it must be set again afterwards.
        """
        return False

    def fingerprint(self, cursor: Cursor, table: str) -> Fingerprint | None:
        """Return a fingerprint of the committed catalog and version table; None if the server has none."""
        return None

    def transaction(self, cursor: Cursor) -> str | None:
        """Return the id of the session's open transaction; None if the server has none."""
        return None

    def is_committed(self, cursor: Cursor, transaction: str) -> bool:
        """Whether a transaction that :meth:`transaction` returned was committed."""
        return False

    def invalid_indexes(self, cursor: Cursor) -> tuple[str, ...]:
        """Return the indexes that no query uses, because whatever built them did not come to its end."""
        return ()

    def always_read_only(self, dialect: Dialect) -> Mapping[str, Callable[..., Any]]:
        """Return methods that replace `dialect`'s own, so that no SQLAlchemy option makes a session writable."""
        return {}

    def let_go(self, cursor: Cursor) -> str | None:
        """Return the statement that made a read-only session writable again; None: it is still read-only."""
        return None

    def has_written(self, cursor: Cursor) -> bool:
        """Whether the open transaction has written; for a session that was set to read-only."""
        return False

    def backend(self, cursor: Cursor) -> tuple[int, str]:
        """Return the server process of the session and its start time; (0, ""): not reported."""
        return 0, ""

    def is_running(self, connection: Connection, pid: int, started: str) -> bool:
        """Whether the process that :meth:`backend` returned is still running."""
        return False

    def blockers(
        self, connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> tuple[Blocker, ...]:
        """See :func:`alembic_rescue.connection.sessions.blockers`."""
        return ()

    tells_waits: bool = False
    """Whether :meth:`wait_of` is supported."""
    nobody_shown: str = "this database does not show who holds it. End other sessions and try again"
    """Advice about a lock if no :class:`Blocker` is known."""

    def wait_of(
        self, connection: Connection, pid: int, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> Wait | None:
        """Return which lock the session `pid` is waiting for, and its holders; None: it is waiting for no lock.

        Args:
            table: the version table, quoted.
            hide: removes the secrets from another session's query.
            own: the process ids of the run's own sessions, which are labelled as such.
        """
        return None

    def holds(self, connection: Connection, kind: str, name: str) -> bool:
        """Whether a `kind` (``SCHEMA``, ``TABLE`` ...) of that `name`, quoted as in SQL, exists; False if unknown."""
        return False


class Failures(Protocol):
    """The meaning of errors from a server and its drivers."""

    codes: Mapping[str, type[RescueError]] = MappingProxyType({})
    """By the server's error code."""
    vague: Mapping[str, type[RescueError]] = MappingProxyType({})
    """The same for ambiguous codes: used if the error's text is no clearer."""
    words: tuple[tuple[str, type[RescueError]], ...] = ()
    """By patterns in the text, tried in this order; for errors without a code."""

    def code_of(self, error: BaseException | None) -> str | None:
        """Return the server's code of a driver's error; None if it has none or belongs to another dialect."""
        return None

    def code_meant(self, kind: str) -> str | None:
        """Return the server's code for a driver's error class, given its full name; None if it has none."""
        return None

    def text_of(self, error: BaseException) -> str | None:
        """Return the server's message, the same for every driver; None if it is the error's own text."""
        return None

    def ends_session(self, error: BaseException) -> bool:
        """Whether the server ended the session with this error, as far as the driver reports it."""
        return False


class Places(Protocol):
    """Creates scratch databases, in a scratch worker, as a role with the privilege.  Default: there are none."""

    drivers: tuple[tuple[str, str], ...] = ()
    """The synchronous drivers: module name, and SQLAlchemy's name."""

    def with_driver(self, url: URL, driver: str) -> URL:
        """Return `url` for one of the `drivers`."""
        return url.set(drivername=f"{url.get_backend_name()}+{driver}")

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """Return the URL of a scratch database from the arguments for the project's drivers; None: unknown."""
        return None

    def prepare(self, admin: Connection, making: Making) -> Prepared:
        """Create the missing databases, and end sessions that an earlier worker left in existing ones."""
        return Prepared("")

    def remove(self, admin: Connection, databases: Sequence[str], roles: Sequence[str]) -> None:
        """Drop what :meth:`prepare` created."""
        return


class Demands(Protocol):
    """Follows a copy while the pending revisions run on it.  Default: reads nothing."""

    def begin(self, connection: Connection) -> None:
        """Read the copy before anything has run."""
        return

    def looks_before(self, statement: str) -> bool:
        """Whether this statement may remove or change a demand of earlier statements."""
        return False

    def after(self, connection: Connection, revision: str, sent: Sequence[str]) -> tuple[list[Demand], list[Lock]]:
        """Return the revision's demands on rows since the last reading, and its locks on tables that existed before.

        The revision's transaction may still be open, and is not changed.  Never raises.

        Args:
            sent: the revision's statements since the last reading.
        """
        return [], []


class Rehearsal(Protocol):
    """The questions of a rehearsal.  Default: none."""

    asks_rows: bool = False
    """Whether the live rows can be queried."""

    def demands(self) -> Demands:
        """Return an object that follows a copy."""
        return NothingDemanded()

    def answer(self, connection: Connection, demand: Demand) -> Answer:
        """Query the live rows on the caller's own connection: read-only, in autocommit.

        Never raises for an error from the server.
        """
        return Answer(demand, unknown="rows are not checked on this database")

    def sizes(self, connection: Connection, tables: Sequence[str]) -> dict[str, TableSize]:
        """Return the sizes of these tables; missing tables are left out."""
        return {}


class NothingDemanded(Demands):
    """For a database whose rows cannot be queried."""


# --- drivers -------------------------------------------------------------------------------------------------------


class MadeBy(NamedTuple):
    """The arguments of a driver's connection, unless a function of env.py's opened it."""

    dialect: Dialect
    positional: tuple[Any, ...]
    named: Mapping[str, Any]


class Drivers(Protocol):
    """How the drivers of one kind of database differ.  Default: nothing is known about them.

    `driver` is SQLAlchemy's name; `raw` is the driver's connection, which may be another dialect's.
    """

    packages: frozenset[str] = frozenset()
    """Their module names."""
    connect_timeout: Mapping[str, str] = MappingProxyType({})
    """The connect argument for the timeout in seconds, by driver."""
    encrypted: Mapping[str, tuple[str, object]] = MappingProxyType({})
    """The connect argument that requests encryption, and its value, by driver."""

    def installed(self) -> str | None:
        """Return the driver for a URL that names none; None: SQLAlchemy's own choice."""
        return None

    def plain_means(self, missing: str) -> tuple[str, str] | None:
        """Return an installed driver and the package to install, if a URL without a driver means `missing`."""
        return None

    def with_defaults(self, url: URL, environment: Mapping[str, str]) -> URL:
        """Return `url` with the drivers' defaults filled in."""
        return url

    def in_words_of(self, driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate connect arguments, from a hosting provider's URL or another driver, for `driver`."""
        return dict(given)

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """Return the URL that is equivalent to the connect arguments, without password.

        Args:
            drivername: of the URL, such as ``postgresql+psycopg2``.
        """
        port = str(named.get("port") or "")
        return URL.create(
            drivername,
            username=named.get("user"),
            host=named.get("host"),
            port=int(port) if port.isdigit() else None,
            database=named.get("database") or named.get("dbname") or named.get("db"),
        )

    def held_by_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Return environment variables that make sessions read-only if env.py calls the driver directly."""
        return {}

    def held_when_imported(self, is_held: Callable[[], bool]) -> Mapping[str, ModuleChange]:
        """Return changes that do the same to the modules of drivers that read no environment, by module name.

        Args:
            is_held: returns whether a session opened now must be read-only.
        """
        return {}

    def without_environment(
        self, driver: str, positional: Sequence[Any], named: MutableMapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """Add to `named` what :meth:`held_by_environment` hides: an engine's sessions are made read-only elsewhere."""
        return

    def absent(self, at: URL) -> RescueError | None:
        """Return the error for a database that does not exist and that connecting would create."""
        return None

    def bound(
        self, driver: str, named: MutableMapping[str, Any], seconds: float, silent: Callable[[], Exception]
    ) -> None:
        """Limit the wait for the server's greeting to the connect timeout.

        Args:
            named: connect arguments, changed in place.
            silent: makes the error to raise if the driver has none of its own.
        """
        return

    def made(self, raw: Any, made_by: MadeBy | None) -> None:
        """Handle a new connection."""
        return

    def opened_at(self, raw: Any, asked_for: URL | None) -> URL | None:
        """Return the URL that the driver connected to; None if it does not report it."""
        return None

    def server_process(self, raw: Any) -> int | None:
        """Return the process id that the server (or a pooler) sent when `raw` was opened."""
        return None

    def descriptor(self, raw: Any) -> int | None:
        """Return the file descriptor of `raw`'s socket; None if unknown or another dialect's.  Raises if closed."""
        return None

    def cancel(self, raw: Any, seconds: float) -> bool:
        """Ask the server to cancel what `raw` is running, for at most `seconds`, from any thread.

        Returns False if `raw` is another dialect's.
        """
        return False
