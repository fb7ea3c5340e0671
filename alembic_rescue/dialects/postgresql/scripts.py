"""A stamp as one file for psql, or for bash and psql: the shared SQL, and the two forms around it.

The SQL uses only what psql 12 and PostgreSQL 12 support.  A refusal has its own error code (``AR003``); so has a write
that cannot be verified (``AR005``).
"""

# ruff: noqa: S608 - the SQL is made of constants, and of literals and names that are quoted here

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlalchemy.engine import Connection, make_url

from alembic_rescue.dialects import handover
from alembic_rescue.dialects.handover import HandOver, Standing
from alembic_rescue.dialects.postgresql import standing
from alembic_rescue.dialects.postgresql.blockers import RESCUE, RESCUE_LOCK
from alembic_rescue.dialects.postgresql.session import SETTINGS
from alembic_rescue.errors.words import rows
from alembic_rescue.model import Identity

_HERE = Path(__file__).parent
_PLACE = re.compile(r"@([A-Z_]+)@")
_SHOWN = 300
"""The maximum length of a fact in the file, in characters.  For a longer one, its digest is compared."""
_DIGEST = "sha256:"
_FEW = 5
_OUTSIDE_SECONDS = 30
"""For connecting and for network delays."""
_END_SECONDS = 5
"""How long a server may take to clean up after a timeout."""
_PSQL = "psql -X -v ON_ERROR_STOP=1 -f FILE"
_QUOTE = "$rescue$"
"""The dollar quote of the SQL's blocks."""


class Scripts(handover.Scripts):
    """Scripts for bash with psql, and for psql alone."""

    shells = ("bash", "psql")

    def standing(self, connection: Connection, names: Collection[str]) -> tuple[Standing, ...]:
        """See :func:`alembic_rescue.dialects.postgresql.standing.read`."""
        return standing.read(connection, names)

    def unasked_kinds(self, kinds: Collection[str]) -> frozenset[str]:
        """Return the kinds for which :mod:`alembic_rescue.dialects.postgresql.standing` has no query."""
        return frozenset(kinds) - standing.KINDS

    def run(self, shell: str, identity: Identity) -> str:
        """Return the command, with the connection settings, which psql reads from variables."""
        return "DATABASE_URL=... bash FILE" if shell == "bash" else f"{_way(identity)} {_PSQL}"

    def file(self, shell: str, handed_over: HandOver) -> str:
        """Fill the template of that shell."""
        return _filled(f"stamp.{shell}", {**_words(handed_over), **sql(handed_over)})


def sql(handed_over: HandOver) -> dict[str, str]:
    """Return the steps that both forms share, each as SQL; all except the last two only read."""
    lock = {"LOCK": str(RESCUE_LOCK)}
    wait = round((handed_over.lock_seconds + handed_over.statement_seconds + _END_SECONDS) * 1000)
    return {
        "SESSION": _session(handed_over),
        "ALONE": _filled("lock.sql", {**lock, "TAKEN": "other IS NOT NULL"}),
        "LOCK": _filled("lock.sql", {**lock, "TAKEN": f"NOT pg_try_advisory_xact_lock({RESCUE_LOCK})"}),
        "ENDED": _filled("ended.sql", {**lock, "WAIT": str(wait)}),
        "DATABASE": _filled("database.sql", _database(handed_over)),
        "ROWS": _filled("rows.sql", _of_rows(handed_over)),
        "EVIDENCE": _evidence(handed_over),
        "STAMP": _write(handed_over, handed_over.before, handed_over.after, "before"),
        "UNDO": _write(handed_over, handed_over.after, handed_over.before, "after"),
    }


# --- the SQL -----------------------------------------------------------------------------------------------------


def _session(handed_over: HandOver) -> str:
    """Return the session settings: nothing shadows the server's functions and operators, and every wait has a timeout.

    They use two psql variables: ``so_far``, whether something was written, and ``address``, which the user confirms.
    """
    statement = f"'{round(handed_over.statement_seconds * 1000)}ms'"
    settings = {
        "search_path": SETTINGS["search_path"],
        "standard_conforming_strings": "on",
        "lock_timeout": f"'{round(handed_over.lock_seconds * 1000)}ms'",
        "statement_timeout": statement,
        "idle_in_transaction_session_timeout": statement,
        "client_min_messages": "warning",
        "application_name": f"'{RESCUE}'",
        "alembic_rescue.so_far": ":'so_far'",
        "alembic_rescue.address": ":'address'",
    }
    return "\n".join(f"SET LOCAL {name} = {value};" for name, value in settings.items())


def _database(handed_over: HandOver) -> dict[str, str]:
    identity = handed_over.identity
    system, _, oid = identity.server_id.rpartition("/")
    return {
        "TOLD": literal(identity.name),
        "DATABASE_NAME": literal(identity.database),
        "SYSTEM": literal(system),
        "OID": literal(oid),
        "ADDRESS": literal(identity.server_address or "socket"),
    }


def _of_rows(handed_over: HandOver) -> dict[str, str]:
    return {
        "TABLE": _in_block(handed_over),
        **_waited(handed_over),
        "BEFORE": _array(handed_over.before),
        "AFTER": _array(handed_over.after),
        "BEFORE_TOLD": literal(rows(handed_over.before)),
        "AFTER_TOLD": literal(rows(handed_over.after)),
        "IF_MISSING": "standing := '{}';"
        if handed_over.makes_table
        else f"RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format({literal(_NO_TABLE)}, "
        f"{literal(_table(handed_over))}, current_setting('alembic_rescue.so_far'));",
    }


_NO_TABLE = "[database-moved] Table %s does not exist, or this role cannot see it. %s"


def _waited(handed_over: HandOver) -> dict[str, str]:
    """Return the values for a block's message after a timeout."""
    name = {"TABLE_NAME": literal(_table(handed_over))}
    return {**name, "WAITED": _filled("waited.sql", name)}


def _evidence(handed_over: HandOver) -> str:
    asked = [*handed_over.there, *handed_over.gone]
    if not asked:
        return "-- Nothing in the catalog was proved, so there is no object to check.\n"
    gone = {(one.kind, one.name) for one in handed_over.gone}
    lines = [
        f"    ARRAY[{literal(one.kind)}, {literal(one.name)}, "
        f"{literal('gone') if (one.kind, one.name) in gone else literal('there')}, {_expected(one.facts)}]"
        for one in asked
    ]
    settings = [f"SET LOCAL {name} = {literal(value)};" for name, value in SETTINGS.items() if name != "search_path"]
    values = {
        "SETTINGS": "\n".join(settings),
        "PROVED": ",\n".join(lines),
        "CATALOGS": standing.query_of({one.kind for one in asked}),
        **_waited(handed_over),
    }
    return _filled("evidence.sql", values)


def _expected(facts: Mapping[str, str] | None) -> str:
    if facts is None:
        return "NULL"
    short = {
        name: fact if len(fact) <= _SHOWN else f"{_DIGEST}{hashlib.sha256(fact.encode()).hexdigest()}"
        for name, fact in facts.items()
    }
    return literal(json.dumps(short, ensure_ascii=False))


def _write(handed_over: HandOver, here: Sequence[str], there: Sequence[str], stands: str) -> str:
    """Return SQL that changes the rows: pairs of old and new rows are updated, the rest is deleted or inserted."""
    table, key = _in_block(handed_over), _in_quotes(f"{handed_over.identity.version_table}_pkc")
    gone, new = sorted(set(here) - set(there)), sorted(set(there) - set(here))
    statements = [
        f"UPDATE {table} SET version_num = {literal(to)} WHERE version_num = {literal(from_)};"
        for from_, to in zip(gone, new, strict=False)
    ]
    statements += [f"DELETE FROM {table} WHERE version_num = {literal(row)};" for row in gone[len(new) :]]
    statements += [f"INSERT INTO {table} (version_num) VALUES ({literal(row)});" for row in new[len(gone) :]]
    made_first = (
        _filled("table.sql", {"TABLE": table, "KEY": key}) if handed_over.makes_table and stands == "before" else ""
    )
    made = [line for statement in statements for line in (f"  {statement}", *_ONE_ROW)]
    return _filled(
        "write.sql",
        {
            "STANDS": literal(stands),
            "MAKE_TABLE": made_first,
            "TABLE": table,
            "STATEMENTS": "\n".join(made),
            "THERE": _array(sorted(there)),
            **_waited(handed_over),
        },
    )


_ONE_ROW = (
    "  GET DIAGNOSTICS changed = ROW_COUNT;",
    "  IF changed <> 1 THEN",
    "    RAISE EXCEPTION USING ERRCODE = 'AR003',",
    "      MESSAGE = format('[database-moved] The rows have changed: %s matched instead of 1. %s', changed,",
    "                       current_setting('alembic_rescue.so_far'));",
    "  END IF;",
)


def _table(handed_over: HandOver) -> str:
    identity = handed_over.identity
    return ".".join(identifier(part) for part in (identity.schema, identity.version_table) if part)


def _in_block(handed_over: HandOver) -> str:
    """Return the version table's name for use inside a quoted block."""
    identity = handed_over.identity
    return ".".join(_in_quotes(part) for part in (identity.schema, identity.version_table) if part)


def _in_quotes(name: str) -> str:
    """Quote a name for SQL so that it cannot end a block."""
    if _QUOTE not in name:
        return identifier(name)
    escaped = name.replace('"', '""').replace("\\", "\\\\").replace("$", "\\0024")
    return f'U&"{escaped}"'


def _array(texts: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, texts))}]::text[]"


def identifier(name: str) -> str:
    """Quote any name for SQL."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in RESERVED_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote any text for SQL, on one line: no part of it can be mistaken for the file's own text."""
    quoted = text.replace("'", "''")
    if text.isprintable() and "\\" not in text and _QUOTE not in text:
        return f"'{quoted}'"
    plain = quoted.replace("\\", "\\\\").replace(_QUOTE, _QUOTE.replace("$", "\\x24"))
    return f"E'{''.join(one if one.isprintable() else _escape(one) for one in plain)}'"


def _escape(character: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return known.get(character) or "".join(f"\\x{byte:02x}" for byte in character.encode())


# --- the words ---------------------------------------------------------------------------------------------------


def _words(handed_over: HandOver) -> dict[str, str]:
    identity = handed_over.identity
    table, pending = _table(handed_over), handed_over.pending
    facts = {
        "TOOL": handed_over.tool,
        "MADE": handed_over.made,
        "DATABASE_TOLD": identity.name,
        "SERVER": f"PostgreSQL {identity.server_version}, id {identity.server_id}",
        "TABLE_TOLD": table,
        "BEFORE_ROWS": rows(handed_over.before),
        "AFTER_ROWS": rows(handed_over.after),
        "PENDING": _pending(pending),
        "NEXT": handed_over.upgrade if pending else "",
        "COMMAND": handed_over.command,
    }
    shown = {name: shlex.quote(_line(value)) for name, value in facts.items()}
    return {
        **{f"Q_{name}": value for name, value in shown.items()},
        "TABLE_NAME": literal(table),
        "ABOUT": "\n".join(_comment("#", line) for line in _about(handed_over)),
        "ABOUT_SQL": "\n".join(_comment("--", line) for line in _about(handed_over)),
        "RUN": _comment("--", _way(identity)).removeprefix("-- "),
        "WITHIN": str(round(handed_over.lock_seconds + handed_over.statement_seconds)),
        "PATIENCE": str(round(_OUTSIDE_SECONDS + handed_over.lock_seconds + 2 * handed_over.statement_seconds)),
        "ECHO_DONE": _echo(f"{table} is at {rows(handed_over.after)}: written, and verified on a new connection."),
        "ECHO_THERE": _echo(f"Nothing to do: {table} is already at {rows(handed_over.after)}."),
        "ECHO_BACK": _echo(f"{table} is back at {rows(handed_over.before)}."),
        "ECHO_NEXT": _echo(
            f"Next: redeploy, or run: {handed_over.upgrade}. {_pending(pending)}."
            if pending
            else "Next: redeploy. Nothing is pending."
        ),
    }


_PLAIN = re.compile(r"(?<=^postgresql)\+\w+")
"""The part of a URL that only SQLAlchemy understands."""


def _way(identity: Identity) -> str:
    """Return the connection settings, as psql's environment variables."""
    user = make_url(identity.url).username or identity.role
    ways = {
        "PGHOST": identity.socket or identity.host,
        "PGPORT": identity.port,
        "PGUSER": user,
        "PGDATABASE": identity.database,
        "PGSSLMODE": "require" if identity.encrypted else None,
    }
    return " ".join(f"{name}={shlex.quote(_line(str(value)))}" for name, value in ways.items() if value)


def _pending(pending: Sequence[str]) -> str:
    if not pending:
        return "Nothing is pending"
    number = "1 revision is" if len(pending) == 1 else f"{len(pending)} revisions are"
    more = f" and {len(pending) - _FEW} more" if len(pending) > _FEW else ""
    return f"{number} pending: {', '.join(pending[:_FEW])}{more}"


def _about(handed_over: HandOver) -> Iterator[str]:
    """Yield the lines of the file's header."""
    identity = handed_over.identity
    yield f"Sets {_table(handed_over)} in {_line(identity.name)}"
    yield f"  from {rows(handed_over.before)}"
    yield f"  to   {rows(handed_over.after)}"
    yield "and marks these revisions as applied, without running them:"
    for skipped in handed_over.skipped:
        yield f"  {_line(skipped)}"
    yield ""
    yield f"Database  {_line(_PLAIN.sub('', identity.url))}"
    yield f"Server    PostgreSQL {_line(identity.server_version)}, id {identity.server_id}"
    yield f"Made      {handed_over.made} by {handed_over.tool}, with: {_line(handed_over.command)}"
    yield f"Plan      {handed_over.fingerprint}"
    if handed_over.reason:
        yield f"Reason    {_line(handed_over.reason)}"
    yield ""
    asked = len(handed_over.there) + len(handed_over.gone)
    yield f"It checks again what was proved: {asked} {'object' if asked == 1 else 'objects'}, below."
    yield "Each must be as it was when this file was made. Not checked of any object:"
    yield f"{standing.NOT_ASKED}."
    if handed_over.not_asked:
        yield "It does not check:"
        for told in handed_over.not_asked:
            yield f"  {_line(told)}"


def _comment(mark: str, line: str) -> str:
    """Write one comment line of the header: an id or a name may contain a line break."""
    return f"{mark} {''.join(one if one.isprintable() else ' ' for one in line)}".rstrip()


def _line(text: str) -> str:
    """Return `text` on one line, without control characters."""
    return "".join(one if one.isprintable() else " " for one in " ".join(text.split()))


def _echo(text: str) -> str:
    r"""Quote the argument of psql's ``\echo``."""
    return "'" + _line(text).replace("\\", "\\\\").replace("'", "''") + "'"


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = (_HERE / "templates" / template).read_text("utf-8")
    commented = {f"{name}_COMMENTED": value for name, value in values.items()}

    def fill(place: re.Match[str]) -> str:
        name = place[1]
        if name in commented:
            return "\n".join(f"-- {line}".rstrip() for line in commented[name].rstrip("\n").splitlines())
        return values[name].rstrip("\n")

    return _PLACE.sub(fill, text)
