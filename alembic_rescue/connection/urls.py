"""Database URLs: which database one names, and how ``--url`` is laid over what env.py opens.  Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from alembic_rescue import dialects
from alembic_rescue.errors import BadUrl, UrlNotHeeded

_ADDRESS = frozenset(
    ["dsn", "service", "host", "hostaddr", "port", "unix_socket", "unix_sock", "database", "dbname", "db"]
    + ["user", "username", "password", "passwd", "passfile"]
)
"""Connect arguments by which the drivers are told where to go and as whom: these ``--url`` replaces, all others
that env.py gives (search path, time zone, certificates) stay."""


def parse(text: str) -> URL:
    """Read a URL as hosts hand it out: ``postgres://`` is accepted.

    Raises:
        BadUrl: the text is no URL; it is not repeated, because it may hold a password.
    """
    if scheme := re.match(r"\w+(?=\+|://)", text):
        text = dialects.proper_name(scheme[0]) + text[scheme.end() :]
    try:
        return make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadUrl("it does not have a URL's form") from error


def with_installed_driver(url: URL, configured: str | None) -> URL:
    """`url` with a driver that env.py can use: the `configured` one where `url` names none, or one of another kind.

    Raises:
        BadUrl: SQLAlchemy has no such dialect.
    """
    theirs = _dialect(configured)
    if theirs is not None and theirs[0].get_backend_name() == url.get_backend_name():
        ours = _known(url).get_dialect() if "+" in url.drivername else None
        if ours is None or getattr(ours, "is_async", False) != getattr(theirs[1], "is_async", False):
            url = url.set(drivername=theirs[0].drivername)
    if "+" not in url.drivername and (driver := dialects.of(url.drivername).drivers.installed()):
        url = url.set(drivername=f"{url.drivername}+{driver}")
    return _known(url)


def plain_means(missing: str) -> tuple[str, str, str] | None:
    """Where `missing` is what a URL without a driver means: in which SQLAlchemy; what is there; what to install."""
    told = next(filter(None, (one.drivers.plain_means(missing) for one in dialects.known())), None)
    return told and (".".join(sqlalchemy.__version__.split(".")[:2]), *told)


def _dialect(configured: str | None) -> tuple[URL, type[Dialect]] | None:
    """The `configured` URL and its dialect; None where there is none, or one that SQLAlchemy does not know."""
    with suppress(ArgumentError, ValueError, NoSuchModuleError, ImportError):
        theirs = make_url(configured or "")
        return theirs, theirs.get_dialect()
    return None


def _known(url: URL) -> URL:
    try:
        url.get_dialect()
    except (NoSuchModuleError, ImportError) as error:
        raise BadUrl(f"SQLAlchemy knows no database or driver {url.drivername}") from error
    return url


def masked(url: URL) -> str:
    """`url` for people: no password, no options (they may hold keys), ``***`` where a password was."""
    shown = url.set(
        query={k: v for k, v in url.query.items() if k in ("host", "port", "sslmode", "ssl", "unix_socket")}
    )
    return shown.render_as_string(hide_password=True).replace("%2F", "/")  # a socket's path stays readable


def without_password(url: URL) -> URL:
    """`url` with nothing in the password's place (``URL.set`` takes None for "as it is")."""
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)


def host_of(url: URL) -> str | None:
    """The host that `url` names; None for a local socket."""
    if url.query.get("unix_socket"):
        return None
    host = url.host or url.query.get("host")
    host = host[0] if isinstance(host, tuple) else host
    return None if not host or host.startswith("/") else str(host)


def socket_of(url: URL) -> str | None:
    """The folder (PostgreSQL's) or the file (MySQL's) of the local socket that `url` names."""
    named = url.query.get("unix_socket") or url.query.get("host")
    return named if isinstance(named, str) and named.startswith("/") else None


def port_of(url: URL) -> int | None:
    """The port, the dialect's own where `url` has none."""
    named = url.port or url.query.get("port")
    return int(str(named)) if named else dialects.of(url.get_backend_name()).port


def is_local(host: str | None) -> bool:
    """Whether `host` is this machine: a socket, ``localhost`` or a loopback address."""
    if host is None or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same_database(one: URL, other: URL) -> bool:
    """Whether two URLs name the same database, as far as text can tell (drivers, users and options aside)."""
    if one.get_backend_name() != other.get_backend_name():
        return False
    if dialects.of(one.get_backend_name()).is_file:
        return _file(one) == _file(other)
    hosts = host_of(one), host_of(other)
    same_host = _canonical(hosts[0]) == _canonical(hosts[1]) or (is_local(hosts[0]) and is_local(hosts[1]))
    return same_host and port_of(one) == port_of(other) and one.database == other.database


def _canonical(host: str | None) -> str | None:
    return host and host.lower().rstrip(".")


def _file(url: URL) -> Path | None:
    return Path(url.database).resolve() if url.database and url.database != ":memory:" else None


def name_of(url: URL) -> str:
    """For a sentence: ``shop at db.example.org:5432``; no user, no password."""
    if dialects.of(url.get_backend_name()).is_file:
        return str(_file(url) or ":memory:")
    host = host_of(url)
    return f"{url.database} at {f'{host}:{port_of(url)}' if host else 'a local socket'}"


def with_defaults(url: URL, environment: Mapping[str, str]) -> URL:
    """`url` with what its drivers take from the environment, where it is silent."""
    return dialects.of(url.get_backend_name()).drivers.with_defaults(url, environment)


def laid_over(url: URL, dialect: Dialect, cargs: list[Any], cparams: MutableMapping[str, Any]) -> URL:
    """Change the connect arguments in place so that they lead to `url`, and return the URL they now stand for.

    `dialect` is env.py's own: its driver connects, whichever `url` names.  The other arguments of env.py stay.

    Raises:
        UrlNotHeeded: env.py opens a database of another kind.
    """
    if url.get_backend_name() != dialect.name:
        raise UrlNotHeeded(f"env.py opens a {dialect.name} database, the URL is for {url.get_backend_name()}")
    url = url.set(drivername=f"{dialect.name}+{dialect.driver}")
    new_args, new_params = dialect.create_connect_args(url)
    kept = {k: v for k, v in cparams.items() if k not in _ADDRESS}
    cargs[:] = list(new_args)
    cparams.clear()
    cparams.update(dialects.of(dialect.name).drivers.in_words_of(dialect.driver, {**kept, **new_params}))
    return url


def require_encryption(
    url: URL, driver: str, cparams: MutableMapping[str, Any], environment: Mapping[str, str]
) -> None:
    """Ask for an encrypted connection where `url` leads to another host and nothing says how."""
    argument, value = dialects.of(url.get_backend_name()).drivers.encrypted.get(driver, ("", None))
    if argument and not is_local(host_of(url)) and argument not in cparams and "PGSSLMODE" not in environment:
        cparams[argument] = value
