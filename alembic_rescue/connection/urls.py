"""Database URLs: which database one names, and how ``--url`` replaces the address that env.py opens.  Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from alembic_rescue import dialects
from alembic_rescue.errors import BadUrl, UrlNotHeeded

NOT_ENCODED = "its password holds an @ that is not percent-encoded"
_TORN = re.compile(r"[^:/@]+://[^:/@]*:[^@]*@.*@[^@]*/", re.DOTALL)
"""A URL whose password contains an ``@`` that ends it too early: the host would begin with the rest of it."""
_ADDRESS = frozenset(
    ["dsn", "service", "host", "hostaddr", "port", "unix_socket", "unix_sock", "database", "dbname", "db"]
    + ["user", "username", "password", "passwd", "passfile"]
)
"""Connect arguments that tell the driver where to connect and as whom.  ``--url`` replaces these; env.py's others
(search path, time zone, certificates) stay."""


def parse(text: str) -> URL:
    """Parse a URL as hosting platforms print it: ``postgres://`` is accepted.

    Raises:
        BadUrl: the text is not a URL; the message omits it, because it may contain a password.
    """
    if scheme := re.match(r"\w+(?=\+|://)", text):
        text = dialects.proper_name(scheme[0]) + text[scheme.end() :]
    if _TORN.match(text):
        raise BadUrl(NOT_ENCODED)
    try:
        return make_url(text)
    except (ArgumentError, ValueError) as error:
        raise BadUrl("it is not a URL") from error


def is_torn(url: URL) -> bool:
    """Return whether an ``@`` in the password ended it too early, so that the host begins with the rest of it."""
    return url.host is not None and ("@" in url.host[1:] or re.search(r"@[^@]*/", url.database or "") is not None)


def with_installed_driver(url: URL, configured: str | None) -> URL:
    """Return `url` with a driver that env.py can use: the `configured` one if `url` names none, or one of another kind.

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
    """If `missing` is a plain URL's default driver, return SQLAlchemy's version, what is installed, and a package."""
    told = next(filter(None, (one.drivers.plain_means(missing) for one in dialects.known())), None)
    return told and (".".join(sqlalchemy.__version__.split(".")[:2]), *told)


def _dialect(configured: str | None) -> tuple[URL, type[Dialect]] | None:
    """Return the `configured` URL and its dialect; None if it is missing, or unknown to SQLAlchemy."""
    with suppress(ArgumentError, ValueError, NoSuchModuleError, ImportError):
        theirs = make_url(configured or "")
        return theirs, theirs.get_dialect()
    return None


def _known(url: URL) -> URL:
    try:
        url.get_dialect()
    except (NoSuchModuleError, ImportError) as error:
        raise BadUrl(f"SQLAlchemy has no dialect or driver {url.drivername}") from error
    return url


def masked(url: URL) -> str:
    """Return `url` for people: no password, no options (they may contain keys), ``***`` in place of a password."""
    shown = url.set(
        query={k: v for k, v in url.query.items() if k in ("host", "port", "sslmode", "ssl", "unix_socket")}
    )
    return shown.render_as_string(hide_password=True).replace("%2F", "/")  # a socket's path stays readable


def without_password(url: URL) -> URL:
    """Return `url` without a password (``URL.set`` treats None as "unchanged")."""
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)


def servers_of(url: URL) -> list[tuple[str | None, int | None]]:
    """Return host and port of each server that `url` names: libpq takes several.  A local socket has no host."""
    if url.query.get("unix_socket"):
        return [(None, port_of(url))]
    hosts = _listed(url.host or url.query.get("host")) or [""]
    ports = _listed(url.port or url.query.get("port"))
    ports = ports * len(hosts) if len(ports) == 1 else ports
    default, found = dialects.of(url.get_backend_name()).port, []
    for host, port in zip_longest(hosts, ports[: len(hosts)], fillvalue=""):
        name = host
        if url.host is None and re.fullmatch(r"[^/:]+:\d+", host):  # SQLAlchemy's form
            name, _, port = host.partition(":")  # noqa: PLW2901
        local = not name or name.startswith("/")
        found.append((None if local else name, int(port) if port.isdigit() else default))
    return found


def _listed(value: Any) -> list[str]:
    """Return the values in libpq's form (``a,b``) or SQLAlchemy's (a tuple)."""
    if isinstance(value, tuple):
        return list(map(str, value))
    return str(value).split(",") if value else []


def host_of(url: URL) -> str | None:
    """Return the host, or hosts, that `url` names; None for a local socket."""
    return ",".join(host for host, _ in servers_of(url) if host) or None


def socket_of(url: URL) -> str | None:
    """Return the folder (PostgreSQL) or the file (MySQL) of the local socket that `url` names."""
    named = url.query.get("unix_socket") or url.query.get("host")
    return named if isinstance(named, str) and named.startswith("/") else None


def port_of(url: URL) -> int | None:
    """Return the port, or the dialect's default if `url` has none; None if it names several."""
    if url.query.get("unix_socket"):
        return url.port or dialects.of(url.get_backend_name()).port
    ports = {port for _, port in servers_of(url)}
    return ports.pop() if len(ports) == 1 else None


def is_local(host: str | None) -> bool:
    """Return whether `host` is this machine: a socket, ``localhost`` or a loopback address."""
    if host is None or host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def same_database(one: URL, other: URL) -> bool:
    """Return whether two URLs can mean the same database, judging by text (without drivers, users and options)."""
    if one.get_backend_name() != other.get_backend_name():
        return False
    if dialects.of(one.get_backend_name()).is_file:
        return _file(one) == _file(other)
    servers = [{_canonical(*server) for server in servers_of(url)} for url in (one, other)]
    return not servers[0].isdisjoint(servers[1]) and one.database == other.database


def _canonical(host: str | None, port: int | None) -> tuple[str | None, int | None]:
    return None if host is None or is_local(host) else host.lower().rstrip("."), port


def _file(url: URL) -> Path | None:
    return Path(url.database).resolve() if url.database and url.database != ":memory:" else None


def name_of(url: URL) -> str:
    """Return the name for a sentence: ``shop at db.example.org:5432``; no user, no password."""
    if dialects.of(url.get_backend_name()).is_file:
        return str(_file(url) or ":memory:")
    places = [f"{host}:{port}" if host else "a local socket" for host, port in servers_of(url)]
    return f"{url.database} at {' or '.join(places)}"


def with_defaults(url: URL, environment: Mapping[str, str]) -> URL:
    """Return `url`, completed with what its driver takes from the environment."""
    return dialects.of(url.get_backend_name()).drivers.with_defaults(url, environment)


def laid_over(url: URL, dialect: Dialect, cargs: list[Any], cparams: MutableMapping[str, Any]) -> URL:
    """Change the connect arguments in place so that they lead to `url`, and return the URL that they now mean.

    `dialect` is env.py's own: its driver connects, whichever one `url` names.  The other arguments of env.py stay.

    Raises:
        UrlNotHeeded: env.py opens a database of another kind.
    """
    if url.get_backend_name() != dialect.name:
        raise UrlNotHeeded(f"env.py opens a {dialect.name} database, but the URL is for {url.get_backend_name()}")
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
    """Request an encrypted connection if `url` leads to another host and nothing configures encryption."""
    argument, value = dialects.of(url.get_backend_name()).drivers.encrypted.get(driver, ("", None))
    local = all(is_local(host) for host, _ in servers_of(url))
    if argument and not local and argument not in cparams and "PGSSLMODE" not in environment:
        cparams[argument] = value
