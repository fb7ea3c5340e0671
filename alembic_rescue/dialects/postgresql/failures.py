"""PostgreSQL's errors (https://www.postgresql.org/docs/current/errcodes-appendix.html), as each driver reports them.

While connecting, psycopg2 has no code; libpq's text decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from alembic_rescue import errors
from alembic_rescue.dialects import base
from alembic_rescue.dialects.postgresql.drivers import PACKAGES
from alembic_rescue.errors import RescueError

_CONDITION = re.compile(r"(?:psycopg2?\.errors|asyncpg\.exceptions)\.(\w{1,80})")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FIELDS = {"": ("M", "message"), "DETAIL:  ": ("D", "detail"), "HINT:  ": ("H", "hint"), "CONTEXT:  ": ("W", "context")}
"""The fields of PostgreSQL's error report, in pg8000's and asyncpg's names, by libpq's heading."""


class Failures(base.Failures):
    """Errors by SQLSTATE."""

    codes: Mapping[str, type[RescueError]] = {
        "28P01": errors.LoginRefused,
        "28000": errors.LoginRefused,
        "3D000": errors.DatabaseMissing,
        "57P03": errors.ConnectionRefused,
        "53300": errors.TooManyConnections,
        "57P01": errors.ConnectionLost,
        "57P02": errors.ConnectionLost,
        "08003": errors.ConnectionLost,
        "08006": errors.ConnectionLost,
        "57014": errors.StatementTimeout,
        "40001": errors.StatementTimeout,  # on a replica: a conflict with what it replays
        "25006": errors.ReadOnlyServer,
        "55P03": errors.LockTimeout,
        "40P01": errors.Deadlock,
        "42501": errors.PermissionDenied,
    }
    words = (
        (
            (
                r"password authentication failed|no password supplied|role .* does not exist|pg_hba\.conf"
                r"|tenant or user not found"
            ),
            errors.LoginRefused,
        ),
        (r"too many (clients|connections)|remaining connection slots", errors.TooManyConnections),
        (r"database .* does not exist", errors.DatabaseMissing),
    )

    def code_of(self, error: BaseException | None) -> str | None:
        """Return the SQLSTATE; each driver has its own name for it, and MySQL's drivers share one of them."""
        if not _is_ours(error):
            return None
        code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or _report(error).get("C")
        return str(code) if code else None

    def text_of(self, error: BaseException) -> str | None:
        """Return the text as libpq writes it; None for psycopg2 and psycopg, whose own text is libpq's."""
        return "\n".join(f"{heading}{value}" for heading, value in _told(error) if value) or None

    def code_meant(self, kind: str) -> str | None:
        """Return the code of the condition that psycopg's or asyncpg's class is named after."""
        found = _CONDITION.fullmatch(kind)
        words = _HUMP.sub("_", found[1]).upper() if found else ""
        with suppress(ImportError):
            known = vars(import_module("psycopg2.errorcodes")) if words else {}
            code = known.get(words) or known.get(words.removesuffix("_ERROR"))
            return str(code) if code else None
        return None

    def ends_session(self, error: BaseException) -> bool:
        """Whether the severity is FATAL."""
        severity = _report(error).get("V") or getattr(error, "severity_en", None)
        return severity == "FATAL"


def _is_ours(error: BaseException | None) -> bool:
    """Whether the error is from a PostgreSQL driver, or SQLAlchemy's replacement for one."""
    modules = {base.__module__ for base in type(error).__mro__}
    return any(module.partition(".")[0] in PACKAGES or ".postgresql." in module for module in modules)


def _told(error: BaseException) -> Iterable[tuple[str, Any]]:
    """Return headings and texts."""
    if report := _report(error):
        return [(heading, report.get(letter)) for heading, (letter, _) in _FIELDS.items()]
    for one in (error, error.__cause__):  # SQLAlchemy replaces asyncpg's error with its own
        if type(one).__module__.startswith("asyncpg.") and getattr(one, "message", None):
            return [(heading, getattr(one, name, None)) for heading, (_, name) in _FIELDS.items()]
    return []


def _report(error: BaseException | None) -> Mapping[str, str]:
    """Return the fields of the server's report, which pg8000 passes on unchanged."""
    told = error.args[0] if error is not None and error.args else None
    return told if isinstance(told, dict) and "C" in told else {}
