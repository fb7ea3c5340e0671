"""Redirect the drivers that implement a server's protocol themselves: asyncpg, pg8000, and those for MySQL."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from alembic_rescue.worker.isolation.routes import Routes

Current = Callable[[], Routes]

_ADDRESSES = {
    "host",
    "port",
    "dbname",
    "database",
    "user",
    "username",
    "password",
    "passfile",
    "service",
    "servicefile",
    "ssl",
    "sslmode",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "krbsrvname",
    "gsslib",
}
"""Query parameters of an asyncpg URL that are not session settings."""


def asyncpg(module: ModuleType, routes: Current) -> None:
    """Patch ``asyncpg.connect_utils``, at the function that parses the arguments of every kind of connection.

    The function is private, but exists and takes its arguments by name in asyncpg 0.21 to 0.32.
    """
    original = module._parse_connect_arguments  # noqa: SLF001 - see above
    if getattr(original, "led_away", False):
        return

    @functools.wraps(original)
    def parse(**asked: Any) -> Any:
        dsn, query = _dsn(asked.get("dsn"))
        environment = {"host": "PGHOST", "port": "PGPORT", "database": "PGDATABASE", "user": "PGUSER"}
        wanted = {
            name: _first(asked.get(name)) or dsn.get(name) or os.environ.get(variable)
            for name, variable in environment.items()
        }
        scratch = routes().to(wanted)
        settings = {**query, **(asked.get("server_settings") or {})}
        led = {
            "dsn": None,
            "host": scratch.get("host"),
            "port": int(str(scratch.get("port") or 5432)),
            "database": scratch.get("database"),
            "user": scratch.get("user") or wanted["user"],
            "password": scratch.get("password") or "",
            "server_settings": settings or None,
            "passfile": None,
            "ssl": "disable",  # None would mean the environment's value
            "direct_tls": False,
            "target_session_attrs": "any",
            "krbsrvname": None,
            "gsslib": None,
            "service": None,
            "servicefile": None,
        }
        return original(**{**asked, **{name: value for name, value in led.items() if name in asked}})

    parse.led_away = True  # type: ignore[attr-defined]
    module._parse_connect_arguments = parse  # type: ignore[attr-defined]  # noqa: SLF001 - see above


def _dsn(dsn: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the address in a URL, and the session settings in its query."""
    if not dsn:
        return {}, {}
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query))
    _, _, hosts = parts.netloc.rpartition("@")
    host, _, port = hosts.split(",")[0].rpartition(":") if ":" in hosts.split(",")[0] else (hosts.split(",")[0], "", "")
    found = {
        "host": unquote(host.strip("[]")) or query.get("host", ""),
        "port": port or query.get("port", ""),
        "database": unquote(parts.path[1:]) or query.get("dbname", "") or query.get("database", ""),
        "user": unquote(parts.username or "") or query.get("user", ""),
    }
    settings = {name: value for name, value in query.items() if name not in _ADDRESSES}
    return {name: value for name, value in found.items() if value}, settings


def _first(value: Any) -> Any:
    """Return the first of several hosts or ports."""
    return next(iter(value), None) if isinstance(value, (list, tuple)) else value


def pg8000(module: ModuleType, routes: Current) -> None:
    """Patch ``pg8000.core.CoreConnection``, the base class of all its connections."""
    defaults = {"host": "localhost", "port": 5432}

    def led(asked: Mapping[str, Any]) -> dict[str, Any]:
        folder, _, port = str(asked.get("unix_sock") or "").rpartition("/.s.PGSQL.")
        place = (
            {"host": folder, "port": port}
            if folder
            else {name: asked.get(name, default) for name, default in defaults.items()}
        )
        scratch = routes().to({**place, "database": asked.get("database"), "user": asked.get("user")})
        host, number = str(scratch.get("host") or ""), int(str(scratch.get("port") or 5432))
        local = host.startswith("/")
        return {
            "host": None if local else host,
            "port": number,
            "unix_sock": f"{host}/.s.PGSQL.{number}" if local else None,
            "database": scratch.get("database"),
            "user": scratch.get("user") or asked.get("user"),
            "password": scratch.get("password"),
            "ssl_context": None,
            "sock": None,
            "source_address": None,
        }

    _change_initialiser(module.CoreConnection, led)


# --- MySQL and MariaDB ---------------------------------------------------------------------------------------------


def pymysql(module: ModuleType, routes: Current) -> None:
    """Patch the class ``Connection`` of PyMySQL, mysqlclient or aiomysql."""
    _change_initialiser(module.Connection, functools.partial(_mysql, routes))


def asyncmy(module: ModuleType, routes: Current) -> None:
    """Patch the function ``connect`` of asyncmy or MySQL Connector/Python, whose classes are written in C."""
    original = module.connect
    if getattr(original, "led_away", False):
        return

    def connect(**asked: Any) -> Any:
        led = {name: value for name, value in _mysql(routes, asked).items() if value is not None}
        return original(**{**{name: value for name, value in asked.items() if name not in _MYSQL_ADDRESSES}, **led})

    connect.led_away = True  # type: ignore[attr-defined]
    module.connect = connect  # type: ignore[attr-defined]


_MYSQL_ADDRESSES = {
    "host",
    "port",
    "unix_socket",
    "user",
    "password",
    "passwd",
    "database",
    "db",
    "ssl",
    "ssl_ca",
    "ssl_cert",
    "ssl_key",
    "ssl_mode",
    "ssl_disabled",
    "ssl_verify_cert",
    "ssl_verify_identity",
    "read_default_file",
    "read_default_group",
    "option_files",
    "bind_address",
    "server_public_key",
    "failover",
}


def _mysql(routes: Current, asked: Mapping[str, Any]) -> dict[str, Any]:
    database = "db" if "db" in asked and "database" not in asked else "database"
    scratch = routes().to(
        {
            "unix_socket": asked.get("unix_socket"),
            "host": asked.get("host"),
            "port": asked.get("port") or 3306,
            "database": asked.get("database") or asked.get("db"),
            "user": asked.get("user"),
        }
    )
    socket = scratch.get("unix_socket")
    return {
        **dict.fromkeys((name for name in asked if name in _MYSQL_ADDRESSES), None),
        "host": "localhost" if socket else scratch.get("host"),
        "port": int(str(scratch.get("port") or 3306)),
        "unix_socket": socket,
        "user": scratch.get("user") or asked.get("user"),
        "password": str(scratch.get("password") or ""),
        database: scratch.get("database"),
    }


def _change_initialiser(owner: type, led: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Patch the initializer of a class to use the arguments that `led` returns, given all original ones by name."""
    original: Any = vars(owner)["__init__"]
    if getattr(original, "led_away", False):
        return
    signature = inspect.signature(original)

    @functools.wraps(original)
    def initialise(self: Any, *arguments: Any, **more: Any) -> Any:
        asked = _by_name(signature, arguments, more)
        changed = led(asked)
        kept = {name: value for name, value in asked.items() if name not in changed}
        return original(self, **kept, **_taken(signature, changed))

    initialise.led_away = True  # type: ignore[attr-defined]
    owner.__init__ = initialise  # type: ignore[misc]


def _by_name(signature: inspect.Signature, arguments: Iterable[Any], more: Mapping[str, Any]) -> dict[str, Any]:
    bound = signature.bind(None, *arguments, **more).arguments
    found = dict(list(bound.items())[1:])
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(found.pop(name, {}))
        elif parameter.kind is parameter.VAR_POSITIONAL:  # mysqlclient: in the order of its C library
            names = ("host", "user", "password", "database", "port", "unix_socket")
            found.update(zip(names, found.pop(name, ()), strict=False))
    return found


def _taken(signature: inspect.Signature, led: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the driver's version knows; if it accepts any, those set or in its signature."""
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        return {name: value for name, value in led.items() if value is not None or name in signature.parameters}
    return {name: value for name, value in led.items() if name in signature.parameters}
