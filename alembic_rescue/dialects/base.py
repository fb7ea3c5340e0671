"""What is asked of a dialect: by the evidence, of live databases and their servers, and of drivers.

Where a protocol has a body, that is what is done for a database that nobody here knows.  What the evidence asks goes
through the driver's cursor, unseen by SQLAlchemy's events.
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
        """What has changed since the last call (or since the watch began), and what was renamed.

        The transaction of what changed it must be committed, and none be open on `connection`; none is afterwards.

        Args:
            sent: the statements that were sent since then.  What belongs to the whole server, such as a role, and
                cannot be of their making is somebody else's.  None: they are not known.
        """

    def there(self, connection: Connection, objects: Collection[CatalogObject]) -> Collection[CatalogObject]:
        """Which of these there were at the last step, what else goes by their names, and what belongs to any of it."""


class CatalogReader(Protocol):
    """Reads catalogs in the server's own words."""

    def everything(self, connection: Connection) -> Catalog:
        """Every object that is not the server's own, nor an extension's member."""

    def named(self, connection: Connection, objects: Collection[CatalogObject]) -> Reading:
        """Those objects of a live database, and what belongs to them (all constraints of a table, for instance).

        `connection` is the reader's own: read-only, in autocommit.  Waits for no lock that others hold or await: what
        cannot be read for that reason is told as unread, with who holds it.
        """

    def watch(self, connection: Connection) -> Watch:
        """Begin to follow a scratch database."""

    def settle(
        self, connection: Connection, texts: Sequence[tuple[CatalogObject, str, str, str]]
    ) -> dict[tuple[CatalogObject, str], bool | None]:
        """Whether two texts of the same fact, spelled otherwise, mean the same.

        Args:
            connection: to the scratch database, at the position in question; nothing of it stays.
            texts: object, fact, the scratch database's text, the live one's.

        Returns:
            By object and fact: True and False as the server reads them back; None where one cannot be loaded.
        """


class StatementReader(Protocol):
    """Tells what a statement does by its own text."""

    def __call__(self, sql: str) -> StatementKind:
        """The strongest kind of the statements in `sql`, which may be a script: DATA before CATALOG before SESSION."""


# --- live databases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What a database says of itself, and of the role that asks.  None: it does not tell."""

    version: str
    database: str | None = None
    server_id: str | None = None
    """Tells this database from every other but its copies."""
    server_address: str | None = None
    """What the server says that it was reached at."""
    role: str | None = None
    encrypted: bool | None = None
    found_in: str | None = None
    """The schema in which the version table is found, or would be made."""
    refuses_writes: str | None = None
    """Why the server takes no writes from this role; None where it takes them."""
    denied: str | None = None
    """The privileges on the version table that the role lacks, listed."""
    row_security: bool = False
    """The role does not see all rows of the version table."""
    may_create: bool | None = None
    """Whether it may make the version table."""


class Where(NamedTuple):
    """Which database a connection leads to; None: it does not tell."""

    database: str | None = None
    server_id: str | None = None
    server_address: str | None = None
    found_in: str | None = None
    """As of :class:`Facts`, all four."""


class IdentityReader(Protocol):
    """Tells which database a connection leads to.  By itself: what SQLAlchemy knows."""

    def facts(self, connection: Connection, table: str, schema: str | None) -> Facts:
        """Read in a fixed number of queries.

        Args:
            table: the version table, quoted, with its schema where env.py configured one.
            schema: that one.
        """
        return Facts(".".join(str(part) for part in connection.dialect.server_version_info or ()))

    def version_table(self, connection: Connection, name: str, schema: str | None) -> tuple[bool, int | None]:
        """Whether it is there, and how many characters an id in it may have; None: its type tells no limit."""
        inspector = inspect(connection)
        if not inspector.has_table(name, schema=schema):
            return False, None
        kinds = [one["type"] for one in inspector.get_columns(name, schema=schema) if one["name"] == "version_num"]
        return True, kinds[0].length if kinds and isinstance(kinds[0], String) else None

    def where(self, connection: Connection, table: str) -> Where:
        """What tells the database from others, through the driver's cursor."""
        return Where()


class Server(Protocol):
    """What is asked of a live server, and of its sessions.  By itself: it has no settings, and tells nothing."""

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """The statements that set up a session, with its timeouts in seconds."""
        return ()

    def hold_read_only(self, connection: Connection) -> None:
        """Make each transaction of `connection` a read-only one, without touching the session's settings."""
        return

    def take_rescue_lock(self, cursor: Cursor, settings: tuple[str, ...]) -> bool:
        """Take the lock against a second rescue, for as long as the session lasts; False where another has it."""
        return True

    def always_read_only(self, dialect: Dialect) -> Mapping[str, Callable[..., Any]]:
        """Methods to put in place of `dialect`'s own, so that no option of SQLAlchemy's makes a session writable."""
        return {}

    def let_go(self, cursor: Cursor) -> str | None:
        """What was done to a session that was set to be read-only, in the words that did it; None: it is so still."""
        return None

    def has_written(self, cursor: Cursor) -> bool:
        """Whether the open transaction has; asked in a session that was set to be read-only."""
        return False

    def backend(self, cursor: Cursor) -> tuple[int, str]:
        """The process behind it, and when it began; (0, ""): not told."""
        return 0, ""

    def is_running(self, connection: Connection, pid: int, started: str) -> bool:
        """Whether the process that :meth:`backend` told still runs."""
        return False

    def blockers(
        self, connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> tuple[Blocker, ...]:
        """See :func:`alembic_rescue.connection.sessions.blockers`."""
        return ()

    tells_waits: bool = False
    """Whether :meth:`wait_of` knows."""
    nobody_shown: str = "this database does not show who holds it. End other sessions and try again"
    """What to do about a lock where no :attr:`Blocker` is known."""

    def wait_of(
        self, connection: Connection, pid: int, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> Wait | None:
        """What the session `pid` waits for now, and whom; None: for no lock.

        Args:
            table: the version table, quoted.
            hide: takes the secrets out of another session's query.
            own: the process ids of the run's own sessions, to be told as such.
        """
        return None

    def holds(self, connection: Connection, kind: str, name: str) -> bool:
        """Whether there is a `kind` (``SCHEMA``, ``TABLE`` ...) of that `name`, as SQL writes it; False: not known."""
        return False


class Failures(Protocol):
    """What errors of a server and its drivers mean."""

    codes: Mapping[str, type[RescueError]] = MappingProxyType({})
    """By the server's own code."""
    vague: Mapping[str, type[RescueError]] = MappingProxyType({})
    """Likewise, for codes of several things: where the words tell nothing more."""
    words: tuple[tuple[str, type[RescueError]], ...] = ()
    """By patterns that the text holds, in this order; for what comes without a code."""

    def code_of(self, error: BaseException | None) -> str | None:
        """The server's own code of a driver's error; None where there is none, or where it is another dialect's."""
        return None

    def code_meant(self, kind: str) -> str | None:
        """The server's own code that a driver's class means, by its full name; None where it means none."""
        return None

    def text_of(self, error: BaseException) -> str | None:
        """What the server said, in the same words whichever driver has it; None where the error's own text is that."""
        return None

    def ends_session(self, error: BaseException) -> bool:
        """Whether the server let go of the client with it, as far as the driver tells."""
        return False


class Places(Protocol):
    """Makes scratch databases, in a scratch worker, as one who may.  By itself: there are none."""

    drivers: tuple[tuple[str, str], ...] = ()
    """Those that work without an event loop: as they are imported, and as SQLAlchemy calls them."""

    def with_driver(self, url: URL, driver: str) -> URL:
        """`url` for that one of the `drivers`."""
        return url.set(drivername=f"{url.get_backend_name()}+{driver}")

    def url(self, scratch: Mapping[str, Any]) -> URL | None:
        """That of a scratch database, by what leads the project's drivers there; None: it is not known."""
        return None

    def prepare(self, admin: Connection, making: Making) -> Prepared:
        """Make the databases that are not there yet, and end what an earlier worker left running in them."""
        return Prepared("")

    def remove(self, admin: Connection, databases: Sequence[str], roles: Sequence[str]) -> None:
        """Take away what :meth:`prepare` made."""
        return


class Demands(Protocol):
    """Follows a copy while the pending revisions run on it.  By itself: nothing is read."""

    def begin(self, connection: Connection) -> None:
        """Nothing has run yet."""
        return

    def looks_before(self, statement: str) -> bool:
        """Whether this statement may take back, or change, what those before it came to demand."""
        return False

    def after(self, connection: Connection, revision: str, sent: Sequence[str]) -> tuple[list[Demand], list[Lock]]:
        """What the revision has come to demand of rows since the last reading, and the locks that it holds.

        Those on tables that were there before.

        Its transaction may be open yet, and stays as it is.  Never raises.

        Args:
            sent: its statements since then.
        """
        return [], []


class Rehearsal(Protocol):
    """What a rehearsal asks.  By itself: nothing."""

    asks_rows: bool = False
    """Whether the live rows can be asked."""

    def demands(self) -> Demands:
        """Follows a copy."""
        return NothingDemanded()

    def answer(self, connection: Connection, demand: Demand) -> Answer:
        """Ask the live rows, on a connection of the asker's own: read-only, in autocommit.

        Never raises for what the server answers.
        """
        return Answer(demand, unknown="rows are not checked on this database")

    def sizes(self, connection: Connection, tables: Sequence[str]) -> dict[str, TableSize]:
        """How large these tables are; those that are not there are left out."""
        return {}


class NothingDemanded(Demands):
    """Of a database that nobody here can ask."""


# --- drivers -------------------------------------------------------------------------------------------------------


class MadeBy(NamedTuple):
    """What a driver's connection is made by, but for a function of env.py's own."""

    dialect: Dialect
    positional: tuple[Any, ...]
    named: Mapping[str, Any]


class Drivers(Protocol):
    """What the drivers of one kind of database leave to others.  By itself: nothing is known of them.

    A driver is called as SQLAlchemy calls it; `raw` is its own connection, which may be another dialect's.
    """

    packages: frozenset[str] = frozenset()
    """As they are imported."""
    connect_timeout: Mapping[str, str] = MappingProxyType({})
    """The connect argument, in seconds, by driver."""
    encrypted: Mapping[str, tuple[str, object]] = MappingProxyType({})
    """The connect argument that asks for an encrypted connection, and its value, by driver."""

    def installed(self) -> str | None:
        """The driver to take for a URL that names none; None: SQLAlchemy's own choice."""
        return None

    def plain_means(self, missing: str) -> tuple[str, str] | None:
        """Where the package `missing` is what a URL without a driver means: what is there, and what to install."""
        return None

    def with_defaults(self, url: URL, environment: Mapping[str, str]) -> URL:
        """`url` with what the drivers put in where it is silent."""
        return url

    def in_words_of(self, driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Connect arguments from a URL as hosts hand it out, or as another driver has it, for `driver`."""
        return dict(given)

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """The URL that connect arguments stand for, without password.

        Args:
            drivername: that of the URL: ``postgresql+psycopg2``.
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
        """Variables that make the sessions read-only of drivers that env.py calls by itself."""
        return {}

    def held_when_imported(self, is_held: Callable[[], bool]) -> Mapping[str, ModuleChange]:
        """The same for drivers that read no environment: what to change of their modules, by name.

        Args:
            is_held: whether a session that is opened now is to be held.
        """
        return {}

    def without_environment(
        self, driver: str, positional: Sequence[Any], named: MutableMapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """Have `named` hold what :meth:`held_by_environment` hides: sessions of an engine are held in another way."""
        return

    def absent(self, at: URL) -> RescueError | None:
        """The error for what connecting would make instead of finding it."""
        return None

    def bound(
        self, driver: str, named: MutableMapping[str, Any], seconds: float, silent: Callable[[], Exception]
    ) -> None:
        """Have the server's greeting awaited no longer than the connection.

        Args:
            named: connect arguments, changed in place.
            silent: makes the error to raise where the driver has none of its own.
        """
        return

    def made(self, raw: Any, made_by: MadeBy | None) -> None:
        """To be called once a connection is made."""
        return

    def opened_at(self, raw: Any, asked_for: URL | None) -> URL | None:
        """Where the driver says that it connected to; None where it does not."""
        return None

    def server_process(self, raw: Any) -> int | None:
        """The process that the server (or a pooler) named when `raw` was made."""
        return None

    def descriptor(self, raw: Any) -> int | None:
        """That of the socket of `raw`; None where it is no one's, or not known.  Raises where it is closed."""
        return None

    def cancel(self, raw: Any, seconds: float) -> bool:
        """Ask the server, for that long, to cancel what `raw` is running; from any thread.  False: it is no one's."""
        return False
