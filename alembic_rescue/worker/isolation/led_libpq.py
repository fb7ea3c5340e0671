"""Redirect the drivers that are built on libpq: psycopg2 and psycopg.

libpq reads missing parameters from a service file and the environment, so every parameter that says where and how to
connect is passed explicitly.  The others are kept: options, application_name, timeouts.
"""

from __future__ import annotations

import configparser
import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from alembic_rescue.worker.isolation.routes import Routes

Current = Callable[[], Routes]

_PLACE = {"host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile", "service", "servicefile"}
_MANNER = {
    "sslmode": "disable",
    "sslnegotiation": "postgres",
    "requiressl": "0",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "require_auth": "",
    "requirepeer": "",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
    "sslcert": "",
    "sslkey": "",
    "sslpassword": "",
    "sslcertmode": "disable",
    "sslrootcert": "",
    "sslcrl": "",
    "sslcrldir": "",
    "sslsni": "0",
    "sslcompression": "0",
    "ssl_min_protocol_version": "",
    "ssl_max_protocol_version": "",
    "krbsrvname": "",
    "gsslib": "",
    "gssdelegation": "0",
    "scram_client_key": "",
    "scram_server_key": "",
    "sslkeylogfile": "",
}
"""Parameters for how to connect to the live server, with a neutral value for each."""
_VARIABLES = {
    "PGSSLMODE": "sslmode",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGGSSENCMODE": "gssencmode",
    "PGCHANNELBINDING": "channel_binding",
    "PGREQUIREAUTH": "require_auth",
    "PGREQUIREPEER": "requirepeer",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
    "PGSSLCERTMODE": "sslcertmode",
}
"""Environment variables that could prevent a connection to the scratch server."""


def _led(parameters: Mapping[str, Any], routes: Routes) -> dict[str, Any]:
    """Return the parameters of the redirected connection."""
    asked = {**_service(parameters), **{name: value for name, value in parameters.items() if value is not None}}
    for variable, name in (("PGHOST", "host"), ("PGPORT", "port"), ("PGDATABASE", "dbname"), ("PGUSER", "user")):
        if not asked.get(name) and os.environ.get(variable):
            asked[name] = os.environ[variable]
    if not asked.get("host") and asked.get("hostaddr"):
        asked["host"] = asked["hostaddr"]
    scratch = routes.to(asked)
    kept = {name: value for name, value in asked.items() if name not in _PLACE and name not in _MANNER}
    manner = {name: _MANNER[name] for variable, name in _VARIABLES.items() if os.environ.get(variable)}
    place = {
        "host": scratch.get("host") or "",
        "hostaddr": "",  # explicit, or libpq would read it from the environment
        "port": scratch.get("port") or 5432,
        "dbname": scratch.get("database") or "",
        "user": scratch.get("user") or asked.get("user") or "",
        "password": scratch.get("password") or "",
    }
    extra = {name: value for name, value in scratch.items() if name in _MANNER}
    return {**kept, **manner, **place, **extra}


def _service(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the service file's parameters for the requested service."""
    name = parameters.get("service") or os.environ.get("PGSERVICE")
    if not name:
        return {}
    named = parameters.get("servicefile") or os.environ.get("PGSERVICEFILE")
    places = [Path(named)] if named else [Path.home() / ".pg_service.conf"]
    if folder := os.environ.get("PGSYSCONFDIR"):
        places.append(Path(folder, "pg_service.conf"))
    for place in places:
        file = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            file.read_string(place.read_text("utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue
        if file.has_section(name):
            return dict(file.items(name))
    return {}


# --- psycopg2: its C module, before the rest of the package imports names from it ---------------------------------


def psycopg2(module: ModuleType, routes: Current) -> None:
    """Patch ``psycopg2._psycopg``: its class, however it is called, and the function that creates instances."""
    original = module.connection
    if getattr(original, "led_away", False):
        return
    connect, parse = module._connect, module.parse_dsn  # noqa: SLF001 - psycopg2's own hook, 2.5 to 2.9

    def led(dsn: Any) -> str:
        text = dsn.decode() if isinstance(dsn, bytes) else str(dsn or "")
        return _quoted(_led(parse(text) if text.strip() else {}, routes()))

    class connection(original):  # type: ignore[misc, valid-type]  # noqa: N801 - the driver's name
        led_away = True

        def __init__(self, dsn: Any, *arguments: Any, **more: Any) -> None:
            super().__init__(led(dsn), *arguments, **more)

    connection.__module__ = original.__module__
    connection.__qualname__ = original.__qualname__

    @functools.wraps(connect)
    def _connect(dsn: Any, connection_factory: Any = None, **more: Any) -> Any:
        # A factory may derive from the original class, imported before the patch.
        return connect(led(dsn), connection_factory=connection_factory or connection, **more)

    _replace_everywhere("psycopg2", {id(original): connection, id(connect): _connect})


def _quoted(parameters: Mapping[str, Any]) -> str:
    """Return a libpq connection string: ``name='value'``."""
    return " ".join(
        "{}='{}'".format(name, str(value).replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in parameters.items()
    )


def _replace_everywhere(package: str, replaced: Mapping[int, Any]) -> None:
    """Replace objects in all loaded modules of a package.

    Args:
        replaced: the new object, by the id of the old one.
    """
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            for attribute, value in list(vars(module).items()):
                if id(value) in replaced:
                    setattr(module, attribute, replaced[id(value)])


# --- psycopg ------------------------------------------------------------------------------------------------------


def psycopg_pq(module: ModuleType, routes: Current) -> None:
    """Patch ``psycopg.pq``: the class that wraps libpq's connections."""
    original = module.PGconn
    if getattr(original, "led_away", False):
        return

    class Meta(type(original)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, original)

    class PGconn(original, metaclass=Meta):  # type: ignore[misc, valid-type]
        led_away = True

        @classmethod
        def connect(cls, conninfo: bytes) -> Any:
            return original.connect(_conninfo(conninfo, routes()))

        @classmethod
        def connect_start(cls, conninfo: bytes) -> Any:
            return original.connect_start(_conninfo(conninfo, routes()))

        @classmethod
        def ping(cls, conninfo: bytes) -> Any:
            return original.ping(_conninfo(conninfo, routes()))

    PGconn.__module__ = original.__module__
    PGconn.__qualname__ = original.__qualname__
    module.PGconn = PGconn  # type: ignore[attr-defined]


def psycopg_generators(module: ModuleType, routes: Current) -> None:
    """Patch ``psycopg.generators``, which opens sync and async connections (in C, if that is built)."""
    original = module.connect
    if getattr(original, "led_away", False):
        return

    def connect(conninfo: str, *arguments: Any, **more: Any) -> Any:
        return original(_conninfo(conninfo.encode(), routes()).decode(), *arguments, **more)

    connect.led_away = True  # type: ignore[attr-defined]
    module.connect = connect  # type: ignore[attr-defined]


def psycopg_connection(module: ModuleType, routes: Current) -> None:
    """Patch ``psycopg.Connection.connect``, which looks up the hosts before it connects."""
    _psycopg_class(module.Connection, routes)


def psycopg_connection_async(module: ModuleType, routes: Current) -> None:
    """Patch ``psycopg.AsyncConnection.connect`` likewise."""
    _psycopg_class(module.AsyncConnection, routes)


def _psycopg_class(owner: type, routes: Current) -> None:
    original = vars(owner)["connect"].__func__
    if getattr(original, "led_away", False):
        return

    @functools.wraps(original)
    def connect(cls: Any, conninfo: str = "", **more: Any) -> Any:
        place = {name: more.pop(name) for name in list(more) if name in _PLACE or name in _MANNER}
        parsed = _parsed(conninfo.encode())
        return original(cls, _quoted(_led({**parsed, **place}, routes())), **more)

    wrapped: Any = connect
    wrapped.led_away = True
    setattr(owner, "connect", classmethod(wrapped))  # noqa: B010 - the class is only known at run time
    package: Any = sys.modules.get("psycopg")
    if getattr(getattr(package, "connect", None), "__func__", None) is original:
        package.connect = owner.connect  # type: ignore[attr-defined]  # it imported the method before


def _conninfo(conninfo: bytes, routes: Routes) -> bytes:
    return _quoted(_led(_parsed(conninfo), routes)).encode()


def _parsed(conninfo: bytes) -> dict[str, Any]:
    from psycopg import pq  # noqa: PLC0415 - it is being called, so it is installed

    return {
        option.keyword.decode(): option.val.decode() for option in pq.Conninfo.parse(conninfo) if option.val is not None
    }
