"""Run PostgreSQL's client programs, with connection settings in their environment: process lists do not show them."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Connect = Mapping[str, str]
"""libpq's own keywords: ``host``, ``port``, ``dbname``, ``user``, ``password``, ``sslmode``, ``options`` ..."""

_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "client_encoding": "PGCLIENTENCODING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
_OTHER_WORDS = {"database": "dbname", "username": "user", "unix_sock": "host"}
_UNTOLD = {"sslpassword": "the password of its key for TLS can be handed to no program but on its command line"}
_SSL_MODES = frozenset(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])


class UntoldError(ValueError):
    """A connection that cannot be described to PostgreSQL's programs; the message says why."""


def environment(connect: Connect) -> dict[str, str]:
    """Return this process's environment with `connect` as the only connection settings for PostgreSQL's programs.

    Raises:
        UntoldError: no environment variable can express `connect`.
    """
    for keyword, reason in _UNTOLD.items():
        if connect.get(keyword):
            raise UntoldError(reason)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    told = {_VARIABLES[keyword]: value for keyword, value in connect.items() if keyword in _VARIABLES and value}
    return {**kept, "LC_ALL": "C", "PGAPPNAME": "alembic-rescue", "PGCLIENTENCODING": "UTF8", **told}


def of_url(url: str, database: str = "") -> dict[str, str]:
    """Return a URL as libpq's keywords, with `database` instead of its own if given."""
    parts = urlsplit(url)
    found = {keyword: value for keyword, value in parse_qsl(parts.query) if keyword in _VARIABLES}
    said = {
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": database or unquote(parts.path[1:]),
    }
    return {**found, **{keyword: value for keyword, value in said.items() if value}}


def of_driver(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the connect arguments of a driver (psycopg2, psycopg, asyncpg, pg8000) as libpq's keywords.

    Raises:
        UntoldError: the driver connects in a way that libpq does not know.
    """
    found: dict[str, str] = {}
    for name, value in arguments.items():
        keyword = _OTHER_WORDS.get(name, name)
        if name == "ssl" and value:
            found.update(_of_tls(value))
        elif name == "unix_sock" and value:
            found["host"] = str(Path(str(value)).parent)
        elif keyword in _VARIABLES and isinstance(value, (str, int, Path)) and not isinstance(value, bool):
            found[keyword] = str(value)
        elif keyword in {"host", "password"} and value is not None:
            raise UntoldError(f"its {keyword} is none that PostgreSQL's programs know")
    return found


def _of_tls(value: Any) -> dict[str, str]:
    """Return TLS settings that are no weaker than the driver's, so that no untrusted server is sent anything."""
    if isinstance(value, str) and value in _SSL_MODES:
        return {"sslmode": value}
    if isinstance(value, ssl.SSLContext) and value.verify_mode == ssl.CERT_REQUIRED:
        mode = "verify-full" if value.check_hostname else "verify-ca"
        return {"sslmode": mode, "sslrootcert": "system"} if value.check_hostname else {"sslmode": mode}
    return {"sslmode": "require"}


def run(
    program: Path,
    arguments: Sequence[str],
    connect: Connect,
    seconds: float,
    given: bytes = b"",
    descriptors: Collection[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run one of PostgreSQL's programs with `given` as its standard input; it inherits these open `descriptors`.

    Raises:
        UntoldError: see :func:`environment`.
        OSError: it cannot be run.
        subprocess.TimeoutExpired: it did not end within `seconds` and was killed.
    """
    return subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [str(program), *arguments],
        env=environment(connect),
        input=given,
        capture_output=True,
        timeout=seconds,
        check=False,
        pass_fds=descriptors,
        start_new_session=True,  # a terminal's Ctrl-C must not reach it
    )


def reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return a program's error message, on one line."""
    lines = [line.split("error: ", 1)[-1] for line in text(done.stderr).splitlines() if "error: " in line]
    return (lines or text(done.stderr).strip().splitlines() or [f"exit status {done.returncode}"])[0].strip()


def text(output: bytes) -> str:
    """Decode a program's output."""
    return output.decode("utf-8", "replace")
