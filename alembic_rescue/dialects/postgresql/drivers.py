"""What one of PostgreSQL's drivers calls otherwise than the next, where SQLAlchemy leaves it to the driver.

The names that begin with an underscore are asyncpg's and pg8000's own (checked up to asyncpg 0.32 and pg8000 1.31):
neither has a public way to cancel from another thread, nor to its socket, nor pg8000 to the process that answers.
Where a version has them no more, nothing is cancelled or hung up on: the server's own timeouts end what runs, and the
caller's clock ends the worker.
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
"""As they are imported."""

_OF_LIBPQ = ("psycopg2", "psycopg", "psycopg_async")
_IN_A_DSN = frozenset(["application_name", "options", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"])
"""What libpq takes in a URL, and asyncpg in its argument ``dsn`` only."""
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
        """SQLAlchemy's own choice where it is installed, else the first that is."""
        return None if _is_installed(compat.default_driver()) else _first_installed()

    def plain_means(self, missing: str) -> tuple[str, str] | None:
        """What a plain ``postgresql://`` means differs by SQLAlchemy's version."""
        return (_first_installed(), _DISTRIBUTIONS[missing]) if missing == compat.default_driver() else None

    def with_defaults(self, url: URL, environment: Mapping[str, str]) -> URL:
        """What libpq takes from the environment, or from the role's name."""
        port = environment.get("PGPORT", "")
        user = url.username or environment.get("PGUSER")
        return url.set(
            host=url.host or (None if url.query.get("host") else environment.get("PGHOST")),
            port=url.port or (int(port) if port.isdigit() and not url.query.get("port") else None),
            database=url.database or environment.get("PGDATABASE") or user,
        )

    def in_words_of(self, driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What asks for more than a driver can do, as ``channel_binding`` does of asyncpg, goes."""
        if driver in _OF_LIBPQ:
            return {"sslmode" if name == "ssl" else name: value for name, value in given.items()}
        if driver == "asyncpg":
            return _for_asyncpg(dict(given))
        return _for_pg8000(dict(given)) if driver == "pg8000" else dict(given)

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """With what libpq, and asyncpg after it, take from the environment."""
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
        """What libpq adds where no ``options`` are given; the second setting says that it was us."""
        theirs = environment.get("PGOPTIONS", "")
        return {"PGOPTIONS": f"{theirs} -c default_transaction_read_only=on -c alembic_rescue.held=on".lstrip()}

    def held_when_imported(self, is_held: Callable[[], bool]) -> Mapping[str, Change]:
        """These two have startup parameters of their own."""
        return {
            "asyncpg.connect_utils": partial(held_by_itself.asyncpg, is_held),
            "pg8000.core": partial(held_by_itself.pg8000, is_held),
        }

    def without_environment(
        self, driver: str, positional: Sequence[Any], named: MutableMapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """A pooler may refuse options."""
        dsn = named.get("dsn") or (positional[0] if positional else "")
        if driver in _OF_LIBPQ and "options" not in _from_dsn(dsn):
            named.setdefault("options", environment.get("PGOPTIONS", ""))

    def made(self, raw: Any, made_by: MadeBy | None) -> None:
        """pg8000 keeps the connect timeout for each of its answers.

        It would leave off waiting for a lock, while the server goes on.
        """
        if hasattr(raw, "_backend_key_data") and hasattr(raw, "_usock"):
            raw._usock.settimeout(None)  # noqa: SLF001

    def opened_at(self, raw: Any, asked_for: URL | None) -> URL | None:
        """Libpq knows PGHOST, service files, and which of several hosts it took."""
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
        """As BackendKeyData has it, for all of them."""
        if hasattr(raw, "get_server_pid"):  # asyncpg
            return int(raw.get_server_pid())
        if key := getattr(raw, "_backend_key_data", None):  # pg8000
            return int(struct.unpack_from("!i", key)[0])
        pid = getattr(getattr(raw, "info", None), "backend_pid", None)  # psycopg2, psycopg
        return int(pid) if pid is not None else None

    def descriptor(self, raw: Any) -> int | None:
        """Libpq's drivers tell it."""
        if type(raw).__module__.partition(".")[0] not in PACKAGES:
            return None
        if hasattr(raw, "fileno"):  # psycopg2, psycopg
            return int(raw.fileno())
        sock = raw._usock if hasattr(raw, "_usock") else raw._transport.get_extra_info("socket")  # noqa: SLF001
        return int(sock.fileno())

    def cancel(self, raw: Any, seconds: float) -> bool:
        """By libpq, or by the protocol's own request for the drivers that have no function for it."""
        return cancelling.cancel(raw, seconds)


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _first_installed() -> str:
    return next(filter(_is_installed, ("psycopg2", "psycopg", "pg8000", "asyncpg")), compat.default_driver())


def _listed(value: Any) -> str:
    """One host or port; or several, as libpq writes them (asyncpg takes a list)."""
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
    """Python's own error for a certificate that is not there names no file."""
    if authority and not os.access(authority, os.R_OK):
        raise BadUrl(f"its sslrootcert {authority} cannot be read")
