"""The differences between PostgreSQL's drivers that SQLAlchemy does not hide.

Names with an underscore are private to asyncpg and pg8000 (checked up to asyncpg 0.32 and pg8000 1.31): neither has a
public way to cancel from another thread or to reach its socket, and pg8000 none to get the server process.  If a
version no longer has them, nothing is cancelled or disconnected: the server's own timeouts end what runs, and the
caller's timeout ends the worker.
"""

from __future__ import annotations

import importlib.util
import os
import re
import struct
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL

from alembic_rescue import compat
from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import MadeBy
from alembic_rescue.dialects.postgresql import cancelling, held_by_itself
from alembic_rescue.errors import BadUrl
from alembic_rescue.when_imported import Change

PACKAGES = frozenset(["psycopg", "psycopg2", "asyncpg", "pg8000"])
"""Their module names."""

_OF_LIBPQ = ("psycopg2", "psycopg", "psycopg_async")
_IN_A_DSN = frozenset(["application_name", "options", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"])
"""Parameters that libpq accepts in a URL, and asyncpg only in its ``dsn`` argument."""
_DISTRIBUTIONS = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]"}


class Drivers(base.Drivers):
    """psycopg2, psycopg, asyncpg and pg8000."""

    packages = PACKAGES
    connect_timeout: Mapping[str, str] = {
        **dict.fromkeys(_OF_LIBPQ, "connect_timeout"),
        "asyncpg": "timeout",
        "pg8000": "timeout",
    }
    encrypted: Mapping[str, tuple[str, object]] = {
        **dict.fromkeys(_OF_LIBPQ, ("sslmode", "require")),
        "asyncpg": ("ssl", "require"),
        "pg8000": ("ssl_context", True),
    }

    def installed(self) -> str | None:
        """Return None if SQLAlchemy's own choice is installed, else the first installed driver."""
        return None if _is_installed(compat.default_driver()) else _first_installed()

    def plain_means(self, missing: str) -> tuple[str, str] | None:
        """Return both drivers; SQLAlchemy's version decides what a plain ``postgresql://`` means."""
        return (_first_installed(), _DISTRIBUTIONS[missing]) if missing == compat.default_driver() else None

    def with_defaults(self, url: URL, environment: Mapping[str, str]) -> URL:
        """Fill in what libpq takes from the environment or the role's name."""
        port = environment.get("PGPORT", "")
        user = url.username or environment.get("PGUSER")
        return url.set(
            host=url.host or (None if url.query.get("host") else environment.get("PGHOST")),
            port=url.port or (int(port) if port.isdigit() and not url.query.get("port") else None),
            database=url.database or environment.get("PGDATABASE") or user,
        )

    def in_words_of(self, driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate the arguments; drop those that a driver does not support (asyncpg: ``channel_binding``)."""
        if driver in _OF_LIBPQ:
            return {"sslmode" if name == "ssl" else name: value for name, value in given.items()}
        if driver == "asyncpg":
            return _for_asyncpg(dict(given))
        return _for_pg8000(dict(given)) if driver == "pg8000" else dict(given)

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """Return the URL, with what libpq and asyncpg take from the environment."""
        arguments = {**_from_dsn(named.get("dsn") or (positional[0] if positional else "")), **named}
        if socket := re.fullmatch(r"(.*)/\.s\.PGSQL\.(\d+)", str(arguments.get("unix_sock"))):
            arguments["host"], arguments["port"] = socket.groups()
        environment = {} if drivername.endswith("+pg8000") else os.environ  # it reads none of libpq's variables
        host = _listed(arguments.get("host") or environment.get("PGHOST"))
        port = _listed(arguments.get("port") or environment.get("PGPORT"))
        by_query = host.startswith("/") or "," in host
        return URL.create(
            drivername,
            username=arguments.get("user") or environment.get("PGUSER"),
            host=None if by_query else host or None,
            port=int(port) if port.isdigit() and not by_query else None,
            database=arguments.get("dbname") or arguments.get("database") or arguments.get("db"),
            query={"host": host, **({"port": port} if port else {})} if by_query else {},
        )

    def held_by_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Return ``PGOPTIONS``, which libpq uses if no ``options`` are given; the second setting marks it as ours."""
        theirs = environment.get("PGOPTIONS", "")
        return {"PGOPTIONS": f"{theirs} -c default_transaction_read_only=on -c alembic_rescue.held=on".lstrip()}

    def held_when_imported(self, is_held: Callable[[], bool]) -> Mapping[str, Change]:
        """Return changes for asyncpg and pg8000, which have their own startup parameters."""
        return {
            "asyncpg.connect_utils": partial(held_by_itself.asyncpg, is_held),
            "pg8000.core": partial(held_by_itself.pg8000, is_held),
        }

    def without_environment(
        self, driver: str, positional: Sequence[Any], named: MutableMapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """Restore the project's own ``PGOPTIONS``: a pooler may refuse options."""
        dsn = named.get("dsn") or (positional[0] if positional else "")
        if driver in _OF_LIBPQ and "options" not in _from_dsn(dsn):
            named.setdefault("options", environment.get("PGOPTIONS", ""))

    def made(self, raw: Any, made_by: MadeBy | None) -> None:
        """Reset pg8000's timeout: it applies the connect timeout to every response.

        It would stop waiting for a lock while the server keeps waiting.
        """
        if hasattr(raw, "_backend_key_data") and hasattr(raw, "_usock"):
            raw._usock.settimeout(None)  # noqa: SLF001

    def opened_at(self, raw: Any, asked_for: URL | None) -> URL | None:
        """Return the URL from libpq, which knows PGHOST, service files, and the host that it chose."""
        info: Any = getattr(raw, "info", None)
        if not (hasattr(info, "dsn_parameters") or hasattr(info, "get_parameters")):  # psycopg2, psycopg
            return None
        query: dict[str, Any] = dict(asked_for.query) if asked_for else {}
        query.update(host=info.host, port=str(info.port))
        if not info.host.startswith("/"):
            del query["host"], query["port"]
        return URL.create(
            asked_for.drivername if asked_for else "postgresql",
            username=info.user,
            host=None if "host" in query else info.host,
            port=None if "port" in query else info.port,
            database=info.dbname,
            query=query,
        )

    def server_process(self, raw: Any) -> int | None:
        """Return the process id from BackendKeyData, which all drivers have."""
        if hasattr(raw, "get_server_pid"):  # asyncpg
            return int(raw.get_server_pid())
        if key := getattr(raw, "_backend_key_data", None):  # pg8000
            return int(struct.unpack_from("!i", key)[0])
        pid = getattr(getattr(raw, "info", None), "backend_pid", None)  # psycopg2, psycopg
        return int(pid) if pid is not None else None

    def descriptor(self, raw: Any) -> int | None:
        """Return the descriptor; the drivers on libpq have a public method for it."""
        if type(raw).__module__.partition(".")[0] not in PACKAGES:
            return None
        if hasattr(raw, "fileno"):  # psycopg2, psycopg
            return int(raw.fileno())
        sock = raw._usock if hasattr(raw, "_usock") else raw._transport.get_extra_info("socket")  # noqa: SLF001
        return int(sock.fileno())

    def cancel(self, raw: Any, seconds: float) -> bool:
        """Cancel with libpq, or with the protocol's request for drivers without a function for it."""
        return cancelling.cancel(raw, seconds)


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _first_installed() -> str:
    return next(filter(_is_installed, ("psycopg2", "psycopg", "pg8000", "asyncpg")), compat.default_driver())


def _listed(value: Any) -> str:
    """Return one host or port, or several as libpq writes them (asyncpg takes a list)."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")


def _from_dsn(dsn: object) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", dsn)) if isinstance(dsn, str) else {}


def _for_asyncpg(given: dict[str, Any]) -> dict[str, Any]:
    for name in ("channel_binding", "gssencmode"):
        given.pop(name, None)
    if mode := given.pop("sslmode", None):
        given.setdefault("ssl", mode)
    if seconds := given.pop("connect_timeout", None):
        given["timeout"] = float(seconds)
    _check_readable(given.get("sslrootcert"))
    if in_dsn := {name: given.pop(name) for name in _IN_A_DSN & given.keys()}:
        given["dsn"] = f"postgresql://?{urlencode(in_dsn)}"
    return given


def _for_pg8000(given: dict[str, Any]) -> dict[str, Any]:
    for name in ("channel_binding", "gssencmode"):
        given.pop(name, None)
    mode, authority = given.pop("sslmode", given.pop("ssl", None)), given.pop("sslrootcert", None)
    if mode in {"disable", "require"}:
        given["ssl_context"] = mode == "require"
    elif mode in {"verify-ca", "verify-full"}:
        import ssl  # noqa: PLC0415 - it takes long, and is rarely asked for

        _check_readable(authority)
        given["ssl_context"] = ssl.create_default_context(cafile=authority)
        given["ssl_context"].check_hostname = mode == "verify-full"
    if seconds := given.pop("connect_timeout", None):
        given["timeout"] = float(seconds)
    if str(given.get("host", "")).startswith("/"):
        given["unix_sock"] = f"{given.pop('host')}/.s.PGSQL.{given.pop('port', 5432)}"
    return given


def _check_readable(authority: str | None) -> None:
    """Check that the certificate can be read: Python's own error does not name the file."""
    if authority and not os.access(authority, os.R_OK):
        raise BadUrl(f"its sslrootcert {authority} cannot be read")
