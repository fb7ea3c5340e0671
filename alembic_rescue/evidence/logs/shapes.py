"""The formats in which errors are printed: by SQLAlchemy, each driver, Alembic, and PostgreSQL.  Pure."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_DRIVER = (
    r"(?:psycopg2?|asyncpg|pg8000|sqlalchemy\.dialects|pymysql|aiomysql|asyncmy|MySQLdb|mysql\.connector|mariadb|sqlite3"
    r"|aiosqlite|pysqlite\w*|pyodbc|oracledb|cx_Oracle|builtins)(?:\.\w+){1,6}"
)
_WRAPPED = re.compile(rf"\((?P<kind>{_DRIVER})\) (?P<message>.*)")
"""SQLAlchemy's format, anywhere in a line: a migration may have printed it."""
_RAISED = re.compile(rf"(?P<kind>{_DRIVER}): (?P<message>.*)")
_PYTHON = re.compile(r"(?P<kind>[A-Za-z_][\w.]{0,200}(?:Error|Exception|Exit|Interrupt))(?:: (?P<message>.*))?$")
_OF_CLASS = re.compile(r"<class '(?P<kind>[\w.]+)'>: (?P<message>.*)")
_NUMBERED = re.compile(r"\('?(?P<code>\w{4,6})'?, (?P<quote>[\"'])(?P<message>.*)(?P=quote)\)")
_BEFORE = re.compile(r"(?P<code>\d{4}) \(\w{5}\): (?P<message>.*)")
_FIELD = re.compile(r"'(C|M)': (?:'([^']*)'|\"([^\"]*)\")")
_COMMAND = re.compile(
    r"(?:^\s*FAILED: (?=.{0,60}(?:[Rr]evision|head|database|script_location|config|Path|branch))"
    r"|\[alembic\.util\.messaging\] |^alembic\.util\.exc\.\w+: |\[(?:root|flask_migrate)\] Error: )(?P<message>.*)"
)
_KILLED = re.compile(
    r"OOM ?[Kk]illed|oom[-_]?kill|[Oo]ut of memory|Memory quota vastly exceeded|^Killed$|signal: killed|SIGKILL"
    r"|(?:exit(?:ed)?(?: with)?(?: status| code| status code)?|exitCode)[ :=]{1,2}137\b"
)
_OF_SERVER = re.compile(r"\[(?P<pid>\d+)(?:-\d+)?\]:?.{0,120}?\b(?P<what>ERROR|FATAL|STATEMENT):  (?P<text>.*)")
_RUNS = re.compile(r"^Running (?P<revision>[^\s,:]{1,255})(?:, (?P<doc>.*))? \(\d+ of \d+\)$")
_FAILED = re.compile(
    r"^error\[migration-failed\]: (?P<revision>\S{1,255}) failed at (?P<path>.{1,1000}?)(?::(?P<line>\d{1,9}))?: "
    r"(?P<message>.*)"
)
_STATEMENT = re.compile(r"\.? Statement:(?: (?P<marks>`+)(?P<sql>.*)(?P=marks)\.?)?$")


class Shape(NamedTuple):
    """An error in one line."""

    kind: str
    code: str | None
    message: str


class OfServer(NamedTuple):
    """A line of PostgreSQL's own log."""

    pid: str
    what: str
    """``ERROR``, ``FATAL`` or ``STATEMENT``."""
    text: str


class Failed(NamedTuple):
    """A migration's failure, as ``alembic-rescue upgrade`` tells it."""

    revision: str
    path: str
    line: int
    """0 if unknown."""
    message: str
    statement: str | None
    """Empty if it stands on the next line."""


def of_database(text: str) -> Shape | None:
    """Return the database error in a line."""
    found = _WRAPPED.search(text) if "(" in text else None
    found = found or _RAISED.match(text)
    return _plain(found["kind"], found["message"]) if found is not None else None


def of_python(text: str) -> Shape | None:
    """Return any exception from the last line of a traceback."""
    found = _PYTHON.match(text)
    return Shape(found["kind"], None, (found["message"] or "").strip()) if found is not None else None


def of_alembic(text: str) -> str | None:
    """Return the message of an error that Alembic raised."""
    found = _COMMAND.search(text)
    return found["message"].strip() if found is not None else None


def run_by_rescue(text: str) -> tuple[str, str] | None:
    """Return the revision that ``alembic-rescue upgrade`` says it runs, and its message."""
    found = _RUNS.match(text)
    return (found["revision"], found["doc"] or "") if found is not None else None


def failed_by_rescue(text: str) -> Failed | None:
    """Return the failure with which ``alembic-rescue upgrade`` ended."""
    found = _FAILED.match(text)
    if found is None:
        return None
    sent = _STATEMENT.search(found["message"])
    message = found["message"][: sent.start()] if sent is not None else found["message"].strip().removesuffix(".")
    sql = (sent["sql"] or "") if sent is not None else None
    return Failed(found["revision"], found["path"], int(found["line"] or 0), message, sql)


def of_kill(text: str) -> bool:
    """Return whether a line says that the process was killed, mostly for its memory."""
    return ("ill" in text or "OM" in text or "emory" in text or "137" in text) and _KILLED.search(text) is not None


def of_server(text: str) -> OfServer | None:
    """Return a line of PostgreSQL's own log, as Docker Compose interleaves it."""
    found = _OF_SERVER.search(text) if ":  " in text else None
    return OfServer(found["pid"], found["what"], found["text"].strip()) if found is not None else None


def _plain(kind: str, text: str) -> Shape:
    """Return the error without what drivers add around the server's words."""
    text = text.partition(" [SQL: ")[0].strip()
    if found := _OF_CLASS.match(text):  # asyncpg, through SQLAlchemy
        return Shape(found["kind"], None, found["message"].strip())
    if text.startswith("{") and "'M'" in text:  # pg8000
        return Shape(kind, *_fields(text))
    if found := _NUMBERED.match(text) or _BEFORE.match(text):  # MySQL
        return Shape(kind, found["code"], found["message"].strip())
    return Shape(kind, None, text)


def _fields(text: str) -> tuple[str | None, str]:
    try:
        fields = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        fields = {name: one or other for name, one, other in _FIELD.findall(text)}
    if not isinstance(fields, dict):
        return None, text
    code = fields.get("C")
    return (str(code) if code else None), str(fields.get("M") or text)
