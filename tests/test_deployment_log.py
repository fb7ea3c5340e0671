"""The deployment's log as values: each platform's shape, each driver's words, and what it does not say."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alembic_rescue.connection import drivers
from alembic_rescue.errors import LogNotReadable
from alembic_rescue.evidence.logs.reading import read
from alembic_rescue.evidence.logs.remedies import remedy
from alembic_rescue.evidence.logs.values import REFUSED, DeploymentLog, LoggedError
from alembic_rescue.records import logs
from tests import platforms

LOGS = Path(__file__).parent / "logs"
SUGGESTIONS = "774225e563ca_add_document_ai_suggestions_and_version.py"
ABORTED = "current transaction is aborted"
RECORDS = "UPDATE alembic_version SET version_num='774225e563ca' WHERE alembic_version.version_num = '65e4b4ef883d'"
CREATES = "CREATE TYPE suggestion_status AS ENUM ('pending', 'accepted', 'rejected')"


def reading(text: str) -> DeploymentLog:
    return read(io.StringIO(text), drivers.code_meant)


def of(name: str) -> DeploymentLog:
    (path,) = LOGS.glob(f"{name}.*")
    return logs.read(str(path))


@pytest.mark.parametrize(
    ("name", "revision", "kind", "code", "message", "statement", "place"),
    [
        ("cut_off", "774225e563ca", "InFailedSqlTransaction", "25P02", ABORTED, RECORDS[:42], None),
        ("docker_json", "774225e563ca", "InFailedSqlTransaction", "25P02", ABORTED, RECORDS, None),
        ("docker_timestamps", "65e4b4ef883d", "OperationalError", "1050", "Table 'documents' already exists",
         "CREATE TABLE documents ( id INTEGER NOT NULL AUTO_INCREMENT, PRIMARY KEY (id) )",
         ("65e4b4ef883d_create_enum_types_and_tables.py", 31)),
        ("fly", "65e4b4ef883d", "", None, "Killed", None, None),
        ("heroku", "aae3309a2a8b", "NotNullViolation", "23502",
         'column "owner_id" of relation "documents" contains null values',
         "UPDATE documents SET tags = ARRAY['a','b']; ALTER TABLE documents ALTER COLUMN owner_id SET NOT NULL",
         ("aae3309a2a8b_require_document_owner.py", 19)),
        ("journal", "774225e563ca", "DatabaseError", "42701",
         'column "version" of relation "documents" already exists',
         "ALTER TABLE documents ADD COLUMN version INTEGER", (SUGGESTIONS, 47)),
        ("json_lines", "774225e563ca", "DuplicateTable", "42P07", 'relation "document_ai_suggestions" already exists',
         "CREATE TABLE document_ai_suggestions ( id UUID NOT NULL, names VARCHAR[] )", (SUGGESTIONS, 52)),
        ("kubernetes", "aaaa0002", "UniqueViolationError", "23505", 'could not create unique index "ix_users_email"',
         "CREATE UNIQUE INDEX ix_users_email ON users (email)", ("aaaa0002_users_have_one_address.py", 14)),
        ("last_lines", "774225e563ca", "InFailedSqlTransaction", "25P02", ABORTED, RECORDS, None),
        ("merge", "aaaa0004", "UndefinedTable", "42P01", 'table "x" does not exist', None, ("aaaa0004_merge.py", 9)),
        ("old", "e1c458791003", "InternalError", None, ABORTED,
         "UPDATE alembic_version SET version_num='e1c458791003' WHERE alembic_version.version_num = 'f72e54a6c741'",
         None),
        ("python_error", "774225e563ca", "NameError", None, "name 'Suggestion' is not defined", None,
         (SUGGESTIONS, 38)),
        ("railway", "774225e563ca", "LockNotAvailable", "55P03", "canceling statement due to lock timeout",
         "ALTER TABLE documents ADD COLUMN version INTEGER", (SUGGESTIONS, 47)),
        ("refused", None, "OperationalError", None, 'connection to server at "db.internal.example.org"', None, None),
        ("structlog_parts", "774225e563ca", "DuplicateTable", "42P07",
         'relation "document_ai_suggestions" already exists', "CREATE TABLE document_ai_suggestions (id UUID)",
         (SUGGESTIONS, 52)),
        ("windows", "aaaa0002", "OperationalError", None, "table users already exists", None,
         ("aaaa0002_second.py", 12)),
        ("flask", None, "CommandError", None, "Multiple head revisions are present", None, None),
        ("github", None, "CommandError", None, "Can't locate revision identified by 'd47310025be2'", None, None),
    ],
)  # fmt: skip
def test_the_end_of_each_log(name, revision, kind, code, message, statement, place):
    log = of(name)
    assert log.run is not None
    assert log.failed == 1
    assert log.run.revision == revision
    failure = log.run.failure
    assert failure is not None
    assert (failure.kind.rpartition(".")[2], failure.code) == (kind, code)
    assert failure.message.startswith(message)
    assert (failure.statement or "").startswith(statement or "")
    assert (failure.statement is None) == (statement is None)
    at = failure.frame and (failure.frame.path.replace("\\", "/").rpartition("/")[2], failure.frame.line)
    assert at == place


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("render", "psycopg2.errors.DuplicateObject", None),
        ("gcp", "psycopg2.errors.DuplicateObject", None),
        ("render_api", "psycopg2.errors.DuplicateObject", None),
        ("during_handling", "psycopg2.errors.DuplicateObject", 40),
        ("compose", "", None),  # only the server's own log has it
    ],
)
def test_a_hidden_error_is_found_if_the_log_shows_it(name, kind, line):
    run = of(name).run
    assert run is not None
    assert run.failure is not None
    assert run.failure.is_consequence
    assert run.first is not None
    assert run.real is run.first
    assert (run.first.kind, run.first.message) == (kind, 'type "suggestion_status" already exists')
    assert run.first.statement in {CREATES, "CREATE TYPE suggestion_status AS ENUM ('pending')"}
    assert (run.first.frame and run.first.frame.line) == line


def test_lines_that_rich_wraps_are_read():
    broken = [
        "│ │ sqlalchemy_exception = InternalError('(psycopg2.errors.InFaile… │ │",
        "╰─────────────────────────────────────────────────────────────────╯",
        "InternalError: (psycopg2.errors.InFailedSqlTransaction) current transaction is ",
        "aborted, commands ignored until end of transaction block",
        "",
        "[SQL: UPDATE alembic_version SET version_num='7742' WHERE ",
        "alembic_version.version_num = '65e4']",
    ]
    run = reading(platforms.plain(broken)).run
    assert run is not None
    assert [(step.revision, step.down) for step in run.steps] == [("7742", ("65e4",))]
    assert run.failure is not None
    assert run.failure.is_consequence


def test_output_may_follow_the_traceback():
    lines = (LOGS / "render.log").read_text().splitlines(keepends=True)
    half = len(lines) // 2
    printed = [line for line in lines[half : half + 9] if "suggestion_status" in line]
    rest = [line for line in lines[half:] if line not in printed]
    run = reading("".join([*rest, *printed])).run
    assert run is not None
    assert run.first is not None
    assert run.first.statement == CREATES
    served = "INFO:     Application startup complete.\n"
    assert reading("".join([*rest, served, *printed])).run.first is None


@pytest.mark.parametrize("name", ["cut_off", "docker_json", "last_lines", "old"])
def test_a_hidden_error_is_not_made_up(name):
    run = of(name).run
    assert run is not None
    assert run.first is None
    assert run.real is None


def test_the_last_of_several_attempts_counts_and_the_others_are_counted():
    log = of("render")
    assert (log.failed, log.alike) == (2, True)
    twice = (LOGS / "railway.log").read_text() + (LOGS / "render.log").read_text()
    log = reading(twice)
    assert (log.failed, log.alike) == (3, False)
    assert log.run is not None
    assert log.run.first is not None


def test_a_successful_run_counts_even_after_a_failed_one():
    text = (LOGS / "railway.log").read_text()
    upgrade = [line for line in text.splitlines() if "alembic.runtime" in line]
    log = reading(text + "\n".join(upgrade))
    assert log.run is not None
    assert (log.run.revision, log.run.failure, log.failed) == ("774225e563ca", None, 1)


def test_later_output_of_the_application_does_not_belong_to_the_run():
    log = of("ends_well")
    assert log.failed == 0
    assert log.run is not None
    assert (log.run.revision, log.run.failure, log.run.swallowed) == ("774225e563ca", None, ())


def test_output_of_another_container_does_not_belong_to_the_run():
    log = of("heroku")  # its web dyno logs its own errors between the lines of the release
    assert "UndefinedColumn" not in repr(log)


def test_an_empty_log_says_nothing():
    for log in (of("nothing"), reading(""), reading("\n\n"), reading("{}\n[]\nnull")):
        assert (log.run, log.failed) == (None, 0)
    assert of("nothing").lines == 4


@pytest.mark.parametrize(
    "line",
    ["FAILED: src/app.o", "ERROR: failed to solve", "ModuleNotFoundError: No module named 'x'", "deploy a -> b done",
     "https://example.org/versions/1_x.py", "[7] INFO:  ready"],
)  # fmt: skip
def test_output_of_other_programs_is_not_alembics(line):
    assert reading(f"Collecting alembic\n{line}\n").run is None


def test_terminal_control_sequences_are_removed():
    log = reading('(psycopg2.errors.DuplicateTable) \x1b]0;x\x07\x1b[2Jrelation \x9b31m"a"\x00 already exists\n')
    assert log.run.failure.message.isprintable()


def test_the_steps_are_those_that_alembic_logged():
    run = of("merge").run
    assert run is not None
    assert run.impl == "postgresql"
    assert [(step.revision, step.down, step.doc) for step in run.steps] == [
        ("aaaa0001", (), "base"),
        ("aaaa0002", ("aaaa0001",), ""),
        ("aaaa0003", ("aaaa0001",), "beside"),
        ("aaaa0004", ("aaaa0002", "aaaa0003"), "merge, with a comma"),
    ]


def test_if_only_a_statement_names_the_revision_its_predecessor_may_be_unknown():
    insert = f"sqlalchemy.exc.InternalError: (psycopg2.errors.InFailedSqlTransaction) {ABORTED}\n"
    run = reading(insert + "[SQL: INSERT INTO alembic_version (version_num) VALUES ('aaaa0001')]").run
    assert run is not None
    assert [(step.revision, step.down) for step in run.steps] == [("aaaa0001", None)]


def test_the_database_that_it_names():
    named = [(one.scheme, one.hosts, one.database) for one in of("json_lines").addresses]
    assert named == [("postgresql", ("db.internal.example.org",), "documents")]
    assert [one.hosts for one in of("refused").addresses] == [("db.internal.example.org", "10.1.2.3")]
    assert [one.database for one in reading('FATAL:  database "shop" does not exist').addresses] == ["shop"]
    assert reading("see https://sqlalche.me/e/20/f405 and redis://cache/0").addresses == ()


@pytest.mark.parametrize("name", [path.stem for path in sorted(LOGS.iterdir())])
def test_no_value_and_no_password_is_kept(name):
    assert "rnd_test" not in repr(of(name))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("psycopg2.errors.InFailedSqlTransaction", "25P02"),
        ("psycopg.errors.NotNullViolation", "23502"),
        ("asyncpg.exceptions.InFailedSQLTransactionError", "25P02"),
        ("asyncpg.exceptions.QueryCanceledError", "57014"),
        ("psycopg2.errors.SyntaxError", "42601"),
        ("psycopg2.InternalError", None),
        ("psycopg2.errors.NoSuchThing", None),
        ("SyntaxError", None),
        ("builtins.SyntaxError", None),
        ("pymysql.err.OperationalError", None),
    ],
)
def test_the_code_of_each_error_class(kind, code):
    assert drivers.code_meant(kind) == code


@pytest.mark.parametrize(
    ("line", "kind", "code", "message"),
    [
        ("(mysql.connector.errors.ProgrammingError) 1050 (42S01): Table 'a' already exists",
         "mysql.connector.errors.ProgrammingError", "1050", "Table 'a' already exists"),
        ("(MySQLdb.OperationalError) (1213, 'Deadlock found when trying to get lock')", "MySQLdb.OperationalError",
         "1213", "Deadlock found when trying to get lock"),
        ("(sqlite3.OperationalError) database is locked", "sqlite3.OperationalError", None, "database is locked"),
        ("(pg8000.dbapi.ProgrammingError) {'S': 'ERROR', 'C': '42P07', 'M': 'relation \"a",
         "pg8000.dbapi.ProgrammingError", "42P07", "{'S': 'ERROR', 'C': '42P07', 'M': 'relation \"a"),
        ("(pg8000.dbapi.ProgrammingError) {'S': 'ERROR', 'C': '42P07', 'M': 'is there', 'F': 'cut of",
         "pg8000.dbapi.ProgrammingError", "42P07", "is there"),
        ('ERROR [app.manage] Migration Error: (psycopg2.errors.UndefinedTable) relation "a" does not exist',
         "psycopg2.errors.UndefinedTable", "42P01", 'relation "a" does not exist'),
    ],
)  # fmt: skip
def test_each_drivers_words(line, kind, code, message):
    run = reading(f"INFO  [alembic.runtime.migration] Running upgrade a1 -> a2, x\n{line}\n").run
    assert run is not None
    assert run.failure is not None
    assert (run.revision, run.failure.kind, run.failure.code, run.failure.message) == ("a2", kind, code, message)


@pytest.mark.parametrize(
    "line",
    ["Error R15 (Memory quota vastly exceeded)", "==> Out of memory (used over 512Mi)", "Killed",
     "Process exited with status 137", "Terminated: OOMKilled (exitCode: 137)",
     "##[error]Process completed with exit code 137."],
)  # fmt: skip
def test_a_kill_is_recognised_from_the_platforms_words(line):
    began = "app[release.7]: INFO  [alembic.runtime.migration] Running upgrade a1 -> a2, x\n"
    run = reading(f"{began}heroku[release.7]: {line}\n").run
    assert run is not None
    assert run.failure is not None
    assert run.failure.message == line.removeprefix("##[error]")
    assert "memory" in remedy("", run.failure.message, "")
    served = f"{began}app[release.7]: INFO:     Application startup complete.\nheroku[release.7]: {line}\n"
    assert reading(served).run.failure is None


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            'null value in column "owner" of relation "users" violates not-null constraint',
            "give the rows that have none",
        ),
        ('could not create unique index "u"', "duplicate rows"),
        ("Duplicate entry 'x' for key 'u'", "duplicate rows"),
        ('insert or update on table "a" violates foreign key constraint "f"', "orphaned rows"),
        ("canceling statement due to statement timeout", "more time"),
        ("canceling statement due to lock timeout", "holds the lock"),
        ("Lock wait timeout exceeded; try restarting transaction", "holds the lock"),
        ("deadlock detected", "in a fixed order"),
        ("server closed the connection unexpectedly", "restarted"),
        ("could not extend file: No space left on device", "free space"),
        ('relation "a" already exists', "check before creating"),
        ("value too long for type character varying(3)", "wide enough"),
    ],
)
def test_remedies_for_failures_that_only_a_log_shows(message, told):
    assert told in remedy("psycopg2.errors.X", message, "")


# --- whatever the platform, whatever the bytes ---------------------------------------------------------------------

ERRORS = [
    ['sqlalchemy.exc.IntegrityError: (psycopg2.errors.NotNullViolation) column "a b" contains null values', "",
     "[SQL: ALTER TABLE t", "  ALTER COLUMN a SET DEFAULT ARRAY['x'],", "  ALTER COLUMN b SET NOT NULL]",
     "[parameters: {'secret': 'rnd_test'}]", "(Background on this error at: https://sqlalche.me/e/20/gkpj)"],
    [f"psycopg.errors.InFailedSqlTransaction: {ABORTED}, commands ignored until end of transaction block"],
    ['sqlalchemy.exc.OperationalError: (pymysql.err.OperationalError) (1050, "Table \'t\' already exists")',
     "[SQL: CREATE TABLE t (id INTEGER)]"],
    ["NameError: name 'x' is not defined"],
]  # fmt: skip
revisions = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
words = st.text("abcdef ,.()'-éü", max_size=60).map(str.strip)


@st.composite
def outputs(draw):
    """What a program prints: steps, maybe an error that a migration prints, and a traceback."""
    ids = draw(st.lists(revisions, min_size=1, max_size=4, unique=True))
    told = ["INFO  [alembic.runtime.migration] Context impl PostgresqlImpl."]
    for down, up in zip(["", *ids], ids, strict=False):
        doc = draw(words)
        told.append(f"INFO  [alembic.runtime.migration] Running upgrade {down} -> {up}{f', {doc}' if doc else ''}")
    if draw(st.booleans()):
        told.append(f'{draw(words)} (psycopg2.errors.DuplicateObject) type "x" already exists')
        told += ["", "[SQL: CREATE TYPE x AS ENUM ('a')]"]
    told += [
        "Traceback (most recent call last):",
        '  File "/venv/lib/python3.12/site-packages/alembic/runtime/migration.py", line 628, in run_migrations',
        "    step.migration_fn(**kw)",
        f'  File "/app/migrations/versions/{ids[-1]}_x.py", line {draw(st.integers(1, 999))}, in upgrade',
        f"    op.execute('{draw(words)}')",
    ]
    return told + draw(st.sampled_from(ERRORS))


def apart_from_numbers(log: DeploymentLog):
    def same(error: LoggedError | None):
        return error and replace(error, number=0)

    run = log.run
    assert run is not None
    shown = replace(
        run, number=0, failure=same(run.failure), first=same(run.first), swallowed=tuple(map(same, run.swallowed))
    )
    return shown, log.failed


@settings(max_examples=60, deadline=None)
@given(outputs())
def test_each_platforms_shape_reads_the_same(told):
    expected = apart_from_numbers(reading(platforms.plain(told)))
    assert expected[0].failure is not None
    assert "rnd_test" not in repr(expected)
    for name, text in platforms.wrapped(told):
        assert apart_from_numbers(reading(text)) == expected, name


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(path.name for path in LOGS.iterdir())), st.data())
def test_any_bytes_can_be_read(raw, name, data):
    whole = (LOGS / name).read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    for text in (raw, whole[:at] + raw + whole[at:], whole[at:], whole[:at]):
        log = reading(text.decode("utf-8", "replace"))
        assert isinstance(log, DeploymentLog)
        assert log.run is None or isinstance(log.run.key, tuple)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_in_any_encoding(tmp_path, encoding):
    text = (LOGS / "render.log").read_text("utf-8")
    (tmp_path / "a.log").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert logs.read(str(tmp_path / "a.log")) == of("render")


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "a.log").write_bytes(b"\xff\x00\x80" * 5000 + b"\n" + (LOGS / "render.log").read_bytes())
    log = logs.read(str(tmp_path / "a.log"))
    assert (log.failed, log.run) == (2, replace(of("render").run, **vars_of(log)))


def vars_of(log: DeploymentLog):
    """Where it is in the log."""
    return {name: getattr(log.run, name) for name in ("number", "failure", "first")}


def test_a_missing_file_or_a_folder(tmp_path):
    for path in (tmp_path / "none.log", tmp_path):
        with pytest.raises(LogNotReadable) as told:
            logs.read(str(path))
        assert (told.value.code, told.value.exit_status) == ("log-not-readable", 2)
        assert str(path) in told.value.message


NASTY = ["(psycopg2.", "[", "a | ", "Running upgrade ", "x -> ", '{"a":', "://", "postgres://u:p@", 'File "', "[1] ",
         "<class '", "FAILED: ", "exited with ", "2026-11-27 01:53:23 ", "app[a]: ", "UPDATE x version_num",
         "psycopg2.errors.", "version_num = '", "a", "'"]  # fmt: skip


@pytest.mark.parametrize("piece", NASTY)
def test_the_time_is_linear_in_the_log(piece):
    line = (piece * 8000)[:8000]
    text = "\n".join(f"{begins}{line}" for begins in ("", "(psycopg2.errors.X) ", "[SQL: ")) + "\n"
    began = time.process_time()
    reading(text * 10)
    assert time.process_time() - began < 2


def test_what_is_kept_is_bounded():
    attempt = (LOGS / "render.log").read_text()
    many = "".join(f"INFO  [alembic.runtime.migration] Running upgrade r{n} -> r{n + 1}\n" for n in range(9_000))
    errors = "".join(f"(psycopg2.errors.X) no. {n} postgres://a/d{n}\n" for n in range(5_000))
    log = reading(attempt * 1_500 + many + errors)
    assert log.failed == 3_001
    assert len(log.addresses) < 20
    assert log.run is not None
    assert len(log.run.steps) <= 2_000
    assert len(log.run.swallowed) < 50
    assert log.run.revision == "r9000"
    huge = reading(f"INFO  [alembic.runtime.migration] Running upgrade a1 -> a2\n(psycopg2.errors.X) {'y' * 10**6}\n")
    assert len(huge.run.failure.message) < 10_000


BEGUN = "INFO  [alembic.runtime.migration] Running upgrade a1 -> a2, x\n"


def test_a_statements_values_are_left_out_even_on_its_own_line():
    for end in ("", "\n"):
        sql = f'{end}[SQL: "INSERT INTO t VALUES (%(a)s, ARRAY[1])"] [parameters: {{"a": "rnd_test"}}]\nmore]'
        run = reading(f"{BEGUN}sqlalchemy.exc.DataError: (psycopg2.DataError) bad {sql}\n").run
        assert run.failure.statement == "INSERT INTO t VALUES (%(a)s, ARRAY[1])"
        assert run.failure.message == "bad"
        assert "rnd_test" not in repr(run)


def test_the_same_revision_again_is_another_run():
    log = reading(BEGUN * 3)
    assert [step.revision for step in log.run.steps] == ["a2"]
    assert log.run.number == 3


def test_a_lone_error_long_afterwards_does_not_belong_to_the_run():
    error = '(psycopg2.errors.UndefinedTable) relation "t" does not exist\n'
    assert reading(BEGUN + "GET /\n" * 5 + error).run.failure is not None
    assert reading(BEGUN + "GET /\n" * 60 + error).run.failure is None


def test_in_the_servers_log_only_the_aborted_session_counts():
    lines = (LOGS / "compose.log").read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if "db-1" in line)
    other = f"db-1   | 2026-11-27 01:53:23.705 UTC [44] ERROR:  {ABORTED}, commands ignored\n"
    run = reading("".join([*lines[: at + 2], other, *lines[at + 2 :]])).run
    assert run.first.message == 'type "suggestion_status" already exists'
    assert reading("".join([*lines[:at], other, *lines[at + 2 :]])).run.first is None


def test_alembics_own_refusals_have_a_class():
    assert of("github").run.failure.kind == REFUSED


# --- the log of alembic-rescue upgrade ------------------------------------------------------------------------------

OWN = """\
2026-01-02T03:04:05Z Running r1, make users (1 of 2)
2026-01-02T03:04:06Z Running r2, add a name, at last (2 of 2)
2026-01-02T03:04:16Z Running r2: ALTER TABLE t ADD COLUMN c int, for 10 s
2026-01-02T03:04:17Z error[migration-failed]: r2 failed at alembic/versions/r2.py:9: relation "t" does not exist. \
Statement: `ALTER TABLE t ADD COLUMN c int`.
2026-01-02T03:04:17Z help: nothing of it was kept: public.alembic_version is at base, as before.
"""


@pytest.mark.parametrize(
    "log",
    [OWN, OWN.replace(" Statement: `", " Statement:\n\n    ").replace("int`.", "int\n"), OWN.replace("Z ", "Z  ")],
    ids=["in the sentence", "on its own line", "prefixed"],
)
def test_the_log_of_our_own_upgrade_is_read(log):
    run = reading(log).run
    assert run is not None
    assert [(step.revision, step.down, step.doc) for step in run.steps] == [
        ("r1", None, "make users"),
        ("r2", None, "add a name, at last"),
    ]
    failure = run.failure
    assert failure is not None
    assert (failure.message, failure.statement) == ('relation "t" does not exist', "ALTER TABLE t ADD COLUMN c int")
    assert failure.frame is not None
    assert (failure.frame.path, failure.frame.line) == ("alembic/versions/r2.py", 9)


def test_a_step_that_alembic_s_logger_tells_too_is_one_step():
    own, logger = "Running r1, a (1 of 1)", "INFO  [alembic.runtime.migration] Running upgrade  -> r1, a"
    for text in (f"{own}\n{logger}\n", f"{logger}\n{own}\n"):
        run = reading(text).run
        assert run is not None
        assert [(step.revision, step.down) for step in run.steps] == [("r1", ())]


def test_a_failure_alone_names_its_revision():
    run = reading("error[migration-failed]: r1 failed at r1.py: boom.\n").run
    assert run is not None
    assert run.failure is not None
    assert [step.revision for step in run.steps] == ["r1"]
    assert (run.failure.message, run.failure.statement, run.failure.frame) == ("boom", None, None)


@pytest.mark.parametrize("line", ["Running tests (1 of 2) now", "Running env.py", "Running on http://x (1)"])
def test_other_lines_with_running_are_no_steps(line):
    assert reading(line).run is None
