"""What one driver calls otherwise than the next, where SQLAlchemy leaves it to the driver.

The names that begin with an underscore are asyncpg's and pg8000's own (checked up to asyncpg 0.32 and pg8000 1.31):
neither has a public way to cancel from another thread, nor pg8000 to tell which process answers.  Where a version
has them no more, nothing is cancelled, and the server's own timeouts end what runs.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from alembic_rescue.errors import BadUrl

CONNECT_TIMEOUT = {
    "psycopg2": "connect_timeout",
    "psycopg": "connect_timeout",
    "psycopg_async": "connect_timeout",
    "asyncpg": "timeout",
    "pg8000": "timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "aiomysql": "connect_timeout",
    "asyncmy": "connect_timeout",
}
"""The connect argument, in seconds, by SQLAlchemy's name of the driver."""

ENCRYPTED: Mapping[str, tuple[str, object]] = {
    "psycopg2": ("sslmode", "require"),
    "psycopg": ("sslmode", "require"),
    "psycopg_async": ("sslmode", "require"),
    "asyncpg": ("ssl", "require"),
    "pg8000": ("ssl_context", True),
}
"""The connect argument that asks for an encrypted connection, and its value."""

PACKAGES = frozenset(
    ["psycopg", "psycopg2", "asyncpg", "pg8000", "pymysql", "MySQLdb", "aiomysql", "asyncmy", "aiosqlite"]
)
"""As they are imported."""

_OF_MYSQL = frozenset(["pymysql", "MySQLdb", "aiomysql", "asyncmy"])
_OF_LIBPQ = frozenset(["psycopg2", "psycopg", "psycopg_async"])
_IN_A_DSN = frozenset(["application_name", "options", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"])
"""What libpq takes in a URL, and asyncpg in its argument ``dsn`` only."""
_CANCEL_REQUEST = 80877102
"""PostgreSQL's protocol, "CancelRequest"."""
_FIELDS = {"": ("M", "message"), "DETAIL:  ": ("D", "detail"), "HINT:  ": ("H", "hint"), "CONTEXT:  ": ("W", "context")}
"""Of an error that PostgreSQL reports: by pg8000's name and by asyncpg's, under the heading that libpq gives it."""


# --- URLs --------------------------------------------------------------------------------------------------------


def in_words_of(driver: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Connect arguments from a URL as hosts hand it out, or as another driver has it, for `driver`.

    What asks for more than a driver can do, as ``channel_binding`` does of asyncpg, goes: the application does without.
    """
    if driver in _OF_LIBPQ:
        return {"sslmode" if name == "ssl" else name: value for name, value in given.items()}
    if driver == "asyncpg":
        return _for_asyncpg(dict(given))
    return _for_pg8000(dict(given)) if driver == "pg8000" else dict(given)


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


# --- errors ------------------------------------------------------------------------------------------------------


def error_code(error: BaseException | None) -> str | None:
    """The server's own code of a driver's error: SQLSTATE, or MySQL's number; None where there is none."""
    if told := _told_by_mysql(error):
        return told[0]
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or _report(error).get("C")
    return str(code) if code else None


def error_text(error: BaseException) -> str:
    """What the error says, in the same words whichever driver had it, as far as it was the server that spoke."""
    if of_mysql := _told_by_mysql(error):
        return of_mysql[1]
    told = [f"{heading}{value}" for heading, value in _told_by_server(error) if value]
    if told:
        return "\n".join(told)
    if isinstance(error, OSError) and error.filename is None and error.strerror:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return str(error) or ("timeout expired" if type(error).__name__ == "TimeoutError" else "")


def _told_by_mysql(error: BaseException | None) -> tuple[str, str] | None:
    """The number and the text of an error, as each of MySQL's drivers has them; None where it is none of theirs."""
    arguments = getattr(error, "args", ())
    ours = type(error).__module__.partition(".")[0] in _OF_MYSQL
    if error is None or not ours or not arguments or not isinstance(arguments[0], int):
        return None
    text = str(arguments[1]) if len(arguments) > 1 else type(error).__name__
    if isinstance(error.__cause__, OSError) and str(error.__cause__) not in text:  # aiomysql keeps the reason apart
        text += f" ({error.__cause__})"
    return str(arguments[0]), text


def ends_session(error: BaseException) -> bool:
    """Whether the server let go of the client with it (its severity is FATAL), as far as the driver tells."""
    severity = _report(error).get("V") or getattr(error, "severity_en", None)
    return severity == "FATAL"


def _told_by_server(error: BaseException) -> Iterable[tuple[str, Any]]:
    """Headings and texts; nothing for psycopg2 and psycopg, whose own text is libpq's."""
    if report := _report(error):
        return [(heading, report.get(letter)) for heading, (letter, _) in _FIELDS.items()]
    for one in (error, error.__cause__):  # SQLAlchemy has an error of its own in place of asyncpg's
        if type(one).__module__.startswith("asyncpg.") and getattr(one, "message", None):
            return [(heading, getattr(one, name, None)) for heading, (_, name) in _FIELDS.items()]
    return []


def _report(error: BaseException | None) -> Mapping[str, str]:
    """pg8000 hands on the fields of the server's report as they are."""
    told = error.args[0] if error is not None and error.args else None
    return told if isinstance(told, dict) and "C" in told else {}


# --- connections -------------------------------------------------------------------------------------------------


def server_process(raw: Any) -> int | None:
    """The process that the server (or a pooler) named when the driver's connection `raw` was made."""
    if hasattr(raw, "get_server_pid"):  # asyncpg
        return int(raw.get_server_pid())
    if key := getattr(raw, "_backend_key_data", None):  # pg8000
        return int(struct.unpack_from("!i", key)[0])
    pid = getattr(getattr(raw, "info", None), "backend_pid", None)  # psycopg2, psycopg
    return int(pid) if pid is not None else None


def made(raw: Any) -> None:
    """To be called once a connection is made, because pg8000 keeps the connect timeout for each of its answers.

    It would leave off waiting for a lock, while the server goes on.
    """
    if hasattr(raw, "_backend_key_data") and hasattr(raw, "_usock"):
        raw._usock.settimeout(None)  # noqa: SLF001


def request_cancel(raw: Any, seconds: float) -> None:
    """Ask PostgreSQL to cancel what `raw` is running, from any thread, for a driver that has no function for it."""
    if not (reached := _address_and_key(raw)):
        return
    family, address, key = reached
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.settimeout(seconds)
        asking.connect(address)
        asking.sendall(struct.pack("!ii", 8 + len(key), _CANCEL_REQUEST) + key)
        with suppress(OSError):
            asking.recv(1)  # the server hangs up when it has passed the request on


def _address_and_key(raw: Any) -> tuple[int, Any, bytes] | None:
    if key := getattr(raw, "_backend_key_data", None):  # pg8000
        return raw._usock.family, raw._usock.getpeername(), bytes(key)  # noqa: SLF001
    protocol = getattr(raw, "_protocol", None)
    if (secret := getattr(protocol, "backend_secret", None)) is None:  # asyncpg
        return None
    address = raw._addr  # noqa: SLF001
    key = struct.pack("!ii", raw.get_server_pid(), secret)
    if isinstance(address, str):
        return socket.AF_UNIX, address, key
    host, port = address[:2]
    family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, resolved, key
