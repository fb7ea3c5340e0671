"""From the lines of a deployment's log to what Alembic was doing when it failed.  Pure, linear, bounded.

Each container is read separately, because a log interleaves their lines.  Nothing is assumed: only what the log
contains is reported.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from alembic_rescue.evidence.logs import lines, shapes
from alembic_rescue.evidence.logs.lines import Line
from alembic_rescue.evidence.logs.opened import CodeNamed, OpenError, OpenRun
from alembic_rescue.evidence.logs.shapes import OfServer
from alembic_rescue.evidence.logs.values import REFUSED, Address, DeploymentLog, Frame, LoggedError, Run, Step

_IMPL = re.compile(r"\bContext impl (\w{1,60}?)(?:Impl)?\.")
_RUNNING = re.compile(r"\bRunning upgrade ")
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]{1,1000})", line (?P<line>\d{1,9})(?:, in (?P<name>\S+))?')
_AGAIN = ("During handling of the above exception", "The above exception was the direct cause")
_END_OF_SQL = ("[parameters:", "(Background on this error", "Traceback (most recent", *_AGAIN)
_DETAIL = re.compile(r"(?:LINE \d+|DETAIL|HINT|CONTEXT|QUERY):|connection to server at ")
_PARAMETERS = re.compile(r"\]\s*\[parameters:.*")
_OF_ALEMBIC = re.compile(r"/bin/alembic$|/alembic/(?:runtime|script|command|config)\b|/alembic/env\.py|flask_migrate/")
_SETS_VERSION = re.compile(r"(?:UPDATE|INSERT INTO|DELETE FROM)\s+\S+.*?\bversion_num\b")
_SERVES = re.compile(
    r"Application startup complete|Uvicorn running on|Started server process|Listening at:|Booting worker"
    r"|Running on http|Starting gunicorn|spawned uWSGI|celery@\S+ ready"
)
_URL = re.compile(
    r"\b(?P<scheme>[a-z][a-z0-9]{2,20})(?:\+[a-z0-9_]{1,30})?://(?:[^\s'\"]{0,300}@)?"
    r"(?P<host>[\w.-]{1,253})?(?::\d{1,5})?/(?P<database>[\w.%/-]{1,200})"
)
_NOT_DATABASES = frozenset(["http", "https", "file", "git", "ssh", "redis", "rediss", "amqp", "amqps", "wss", "smtp"])
_SERVER = re.compile(r'connection to server at "(?P<host>[^"]{1,253})"(?: \((?P<ip>[^)]{1,60})\))?')
_HOST = re.compile(r'could not translate host name "(?P<host>[^"]{1,253})"')
_DATABASE = re.compile(
    r"(?:database \"(?P<name>[^\"]{1,200})\" does not exist|Unknown database '(?P<other>[^']{1,200})')"
)

_LEFT_OUT = re.compile(r"\s*[\W_]{0,4}(?:\.\.\.|…|\d{1,9} (?:more )?(?:lines?|frames?|messages?|bytes)\b)|\S")
"""A line in a traceback that Python did not write."""

_RUNS = 2_000
_DETAILS = 8
_IDLE = 3
_STRAY = 6
_ADDRESSES = 8
_SERVERS = 200
_LONGEST_SQL = 4_000
_LONGEST_DOC = 200
_LONGEST_ID = 255
_LONGEST = 2_000


def read(raw: Iterable[str], code_named: CodeNamed = lambda _: None) -> DeploymentLog:
    """Read a log.

    Args:
        raw: its lines.
        code_named: returns the error code of an exception class, for errors that the log names only by class.
    """
    reader = _Reader()
    for line in lines.lines(raw):
        reader.take(line)
    return reader.closed(code_named)


def _step(text: str) -> Step | None:
    """Return the step that is announced: ``Running upgrade a, b -> c, merge``; by us, ``Running c, merge (1 of 2)``."""
    if (own := shapes.run_by_rescue(text)) is not None:
        return Step(own[0], None, own[1].strip()[:_LONGEST_DOC])
    found = _RUNNING.search(text) if "->" in text else None
    if found is None:
        return None
    down, arrow, rest = text[found.end() :].partition("->")
    up, _, doc = rest.strip().partition(", ")
    if not arrow or not up or " " in up or len(up) > _LONGEST_ID or len(down) > _LONGEST:
        return None
    follows = tuple(filter(None, (one.strip() for one in down.split(","))))
    return Step(up.rstrip(","), follows, doc.strip()[:_LONGEST_DOC])


class _Reader:
    """All containers of a log."""

    def __init__(self) -> None:
        self.sources: dict[str, _Source] = {}
        self.runs: list[OpenRun] = []
        self.failed_before = 0
        self.server: deque[tuple[int, OfServer]] = deque(maxlen=_SERVERS)
        self.addresses: dict[Address, None] = {}
        self.number = 0

    def take(self, line: Line) -> None:
        """Read one more line."""
        self.number = line.number
        text = line.text
        if (of_server := shapes.of_server(text)) is not None:
            self.server.append((line.number, of_server))
            return
        self.note_addresses(text)
        if line.source not in self.sources:
            self.sources[line.source] = _Source(self.begin, cut=not self.sources)
        if shapes.of_kill(text) and self.runs:  # from the platform, not the program
            self.runs[-1].dies(line.number, text.strip()[:_LONGEST_DOC])
        self.sources[line.source].take(line.number, text)

    def begin(self, number: int) -> OpenRun:
        """Begin a run."""
        self.runs.append(OpenRun(number))
        if len(self.runs) > _RUNS:  # the first ones are only counted
            old, self.runs = self.runs[: -_RUNS // 2], self.runs[-_RUNS // 2 :]
            self.failed_before += sum(run.ending is not None for run in old)
        return self.runs[-1]

    def note_addresses(self, text: str) -> None:
        """Record the databases that a line names."""
        found: list[Address] = []
        if "://" in text:
            found += [
                Address(url["scheme"], (url["host"],) if url["host"] else (), url["database"])
                for url in _URL.finditer(text)
                if url["scheme"] not in _NOT_DATABASES
            ]
        elif server := _SERVER.search(text):
            found.append(Address(hosts=tuple(filter(None, server.group("host", "ip")))))
        elif host := _HOST.search(text):
            found.append(Address(hosts=(host["host"],)))
        if database := _DATABASE.search(text):
            found.append(Address(database=database["name"] or database["other"]))
        for address in found:
            if len(self.addresses) < _ADDRESSES:
                self.addresses[address] = None

    def closed(self, code_named: CodeNamed) -> DeploymentLog:
        """Return what was read."""
        for source in self.sources.values():
            source.close()
        for source in () if any(run.steps or run.ending for run in self.runs) else self.sources.values():
            source.takes_stray()
        runs = [run.value(code_named) for run in self.runs if run.steps or run.ending is not None]
        runs = [self.with_server(run) for run in runs]
        failed = [run for run in runs if run.failure is not None]
        alike = len({run.key for run in failed}) <= 1
        last = runs[-1] if runs else None
        return DeploymentLog(self.number, last, self.failed_before + len(failed), alike, tuple(self.addresses))

    def with_server(self, run: Run) -> Run:
        """Return the run with the first error from the server's own log, if no other source has it."""
        if run.failure is None or not run.failure.is_consequence or run.first is not None:
            return run
        real: dict[str, LoggedError] = {}
        for number, (pid, what, text) in self.server:
            error = LoggedError("", None, text, self.statement_of(pid, number), number=number)
            if number < run.number or what != "ERROR":
                continue
            if error.is_consequence and pid in real:
                return replace(run, first=real[pid])
            real[pid] = error
        return run

    def statement_of(self, pid: str, after: int) -> str | None:
        """Return the statement that the server logged with an error."""
        told = (line for number, line in self.server if number > after and line.pid == pid)
        following = next(told, None)
        return following.text if following is not None and following.what == "STATEMENT" else None


class _Source:
    """One container's lines."""

    def __init__(self, begin: Callable[[int], OpenRun], *, cut: bool) -> None:
        self.begin = begin
        self.run: OpenRun | None = None
        self.error: OpenError | None = None
        self.sql: list[str] | None = None
        self.depth = 0
        self.idle = 0
        """Lines since the open error that say nothing about it."""
        self.frame: Frame | None = None
        self.wants_code = False
        self.in_trace = False
        self.of_alembic = False
        self.abridged = False
        """Lines of the open traceback were left out."""
        self.begun = False
        """The open traceback has no frame yet."""
        self.number = 0
        self.cut = cut
        """The log begins inside a traceback, as far as read."""
        self.stray: deque[OpenError] = deque(maxlen=_STRAY)
        """Errors not yet known to belong to a run."""

    def take(self, number: int, text: str) -> None:
        """Read one more line."""
        self.number = number
        if self.sql is not None and self.goes_on_with_sql(text):
            return
        if self.is_of_alembic(number, text) or self.is_of_trace(text) or self.is_error(number, text):
            return
        if self.error is None and text.strip().startswith("[SQL:"):  # its error message was cut off
            self.error = OpenError(shapes.Shape("", None, ""), number, ends=self.cut)
        if self.error is not None:
            self.adds_detail(text)
        elif self.in_trace and _LEFT_OUT.match(text):
            self.abridged = True
        elif _SERVES.search(text) and self.run is not None:
            if self.of_alembic:
                self.breaks_off()
            self.run.closed, self.run = True, None
        self.cut = self.cut and not text.strip()

    def close(self) -> None:
        """End the log."""
        self.close_sql()
        self.close_error()
        self.breaks_off()

    def breaks_off(self) -> None:
        """Record a traceback without its last line, which names the error: platforms truncate long ones."""
        if self.in_trace and self.run is not None:
            self.run.breaks_off(OpenError(shapes.Shape("", None, ""), self.number, frame=self.frame, ends=True))
        self.in_trace = False

    def takes_stray(self) -> None:
        """Report the errors of a log that contains no run."""
        if self.stray:
            run = self.begin(self.stray[0].number)
            run.errors, run.last = list(self.stray), self.stray[-1].number

    # --- what Alembic says ---------------------------------------------------------------------------------------

    def is_of_alembic(self, number: int, text: str) -> bool:
        """Return whether it is one of Alembic's own lines."""
        if "Context impl " in text and (found := _IMPL.search(text)):
            self.begins(number).impl = found[1].lower()
        elif (step := _step(text)) is not None:
            self.runs_step(number, step)
        elif (failed := shapes.failed_by_rescue(text)) is not None:
            self.fails(number, failed)
        elif (message := shapes.of_alembic(text)) is not None:
            self.close_error()
            self.refuses(number, message)
        else:
            return False
        self.cut = False
        return True

    def begins(self, number: int) -> OpenRun:
        self.close_error()
        self.stray.clear()
        self.run = self.begin(number)
        self.run.last = number
        return self.run

    def runs_step(self, number: int, step: Step) -> None:
        self.close_error()
        self.in_trace = False
        if self.run is not None and not self.run.closed and self.run.announces_again(step):
            return
        if self.run is None or self.run.closed or step.revision in self.run.seen:
            self.begins(number)
        assert self.run is not None
        self.run.steps.append(step)
        self.run.seen.add(step.revision)
        self.run.last = number

    def refuses(self, number: int, message: str) -> None:
        if self.run is None or (self.run.closed and self.run.steps):
            self.begins(number)
        assert self.run is not None
        if not any(error.ends for error in self.run.errors):
            self.run.errors.append(OpenError(shapes.Shape(REFUSED, None, message), number, ends=True))
        self.run.closed = True

    def fails(self, number: int, failed: shapes.Failed) -> None:
        """Read how ``alembic-rescue upgrade`` ended."""
        self.close_error()
        self.in_trace = False
        if self.run is None or failed.revision not in self.run.seen:
            self.runs_step(number, Step(failed.revision, None))
        frame = Frame(failed.path, failed.line) if failed.line else None
        shape = shapes.Shape("", None, failed.message)
        self.error, self.idle = OpenError(shape, number, failed.statement, frame=frame, ends=True, printed=False), 0

    # --- tracebacks and errors -----------------------------------------------------------------------------------

    def is_of_trace(self, text: str) -> bool:
        """Return whether it is a line of a traceback before the last one."""
        if "Traceback (most recent call last)" in text:
            self.close_error()
            self.frame, self.in_trace, self.of_alembic, self.cut = None, True, False, False
            self.begun, self.abridged = True, False
            return True
        if found := _FRAME.match(text):
            self.close_error()
            self.in_trace, self.begun = True, False
            path = found["path"].replace("\\", "/")
            self.of_alembic = self.of_alembic or self.cut or bool(_OF_ALEMBIC.search(path))
            self.wants_code = self.is_revision(path)
            if self.wants_code:
                self.frame = Frame(found["path"], int(found["line"]))
            return True
        if self.wants_code:
            self.wants_code = False
            if self.frame is not None and text[:1].isspace() and not _LEFT_OUT.match(text):
                self.frame = replace(self.frame, code=text.strip()[:200])
                return True
        return False

    def is_revision(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        revision = self.run.steps[-1].revision if self.run is not None and self.run.steps else ""
        return "/versions/" in path or bool(revision and revision in name)

    def is_error(self, number: int, text: str) -> bool:
        """Return whether the line reports an error."""
        shape = shapes.of_database(text)
        if shape is None and self.in_trace and not text[:1].isspace():
            shape = shapes.of_python(text)
        if shape is None:
            return False
        self.close_error()
        ends = self.in_trace and self.of_alembic
        frame = self.frame if self.in_trace else None
        printed = not self.in_trace or self.abridged or self.begun  # unknown whether Alembic raised it
        self.error, self.idle = OpenError(shape, number, frame=frame, ends=ends, printed=printed), 0
        if not self.in_trace and self.cut:
            self.error.ends = True
        self.in_trace, self.cut = False, False
        _, found, sql = text.partition(" [SQL: ")
        if found:
            self.begins_sql(sql)
        return True

    def adds_detail(self, text: str) -> None:
        """Read a line below an error."""
        error, told = self.error, text.strip()
        assert error is not None
        if told.startswith("[SQL:"):
            self.begins_sql(told[len("[SQL:") :])
        elif told.startswith(("(Background on this error", *_AGAIN)):
            self.close_error()
        elif text.startswith((" ", "\t")) or _DETAIL.match(told):
            if error.statement == "":
                error.statement = told[:_LONGEST_SQL]
            elif error.statement is None and len(error.details) < _DETAILS and told.strip("^~"):
                error.details.append(told[:500])
        elif told:
            self.idle += 1
            if self.idle > _IDLE:
                self.close_error()

    def begins_sql(self, text: str) -> None:
        self.sql, self.depth = [], 1
        self.goes_on_with_sql(text)

    def goes_on_with_sql(self, text: str) -> bool:
        """Return whether the line still belongs to the statement."""
        assert self.sql is not None
        told = text.strip()
        over = told.startswith(_END_OF_SQL) or _step(text) or _IMPL.search(text)
        if over or sum(map(len, self.sql)) > _LONGEST_SQL:
            self.close_sql()
            return False
        told, ended = _PARAMETERS.subn("]", told)
        self.depth += told.count("[") - told.count("]")
        self.sql.append(told)
        if ended or self.depth <= 0:
            self.close_sql()
        return True

    def close_sql(self) -> None:
        if self.sql is not None and self.error is not None:
            statement = "\n".join(self.sql)[:_LONGEST_SQL].strip()
            statement = statement[:-1] if self.depth <= 0 and statement.endswith("]") else statement
            if statement[:1] in "'\"" and statement[-1:] == statement[:1]:  # a repr, before SQLAlchemy 1.3
                statement = statement[1:-1].replace("\\n", "\n")
            self.error.statement = statement
        self.sql = None

    def close_error(self) -> None:
        """Finish the open error: it belongs to the run, or to the log of something else."""
        self.close_sql()
        error, self.error = self.error, None
        if error is None:
            return
        records = error.statement is not None and bool(_SETS_VERSION.search(error.statement))
        error.ends = error.ends or records
        run = self.run
        if run is not None and (not run.closed or run.tells_late(error)):
            run.adds(error)
        elif error.ends and not (run is not None and run.has(error)):
            self.run = self.begin(self.stray[0].number if self.stray else error.number)
            self.run.errors, self.run.last = list(self.stray), error.number
            self.stray.clear()
            self.run.adds(error)
        else:
            self.stray.append(error)
