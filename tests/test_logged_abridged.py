"""A log in which a platform cut lines: an incomplete traceback is never reported as a successful run."""

from __future__ import annotations

import pytest

from alembic_rescue import logged
from tests.test_deployment_log import reading
from tests.test_logged import PENDING, PRINTED, TRACE, at, graph, log

BEGUN, ALEMBICS, *MIGRATIONS = TRACE
PROGRAMS = '  File "/opt/venv/bin/alembic", line 8, in <module>'
CUT = "... 38 lines omitted ..."
CUT_INDENTED = "    [38 lines truncated]"
NEXT = "INFO  [alembic.runtime.migration] Running upgrade 7742 -> d473"
SERVES = "INFO:     Application startup complete."
NULLS = [
    'sqlalchemy.exc.IntegrityError: (psycopg2.errors.NotNullViolation) column "a" contains null values',
    "[SQL: ALTER TABLE t ALTER COLUMN a SET NOT NULL]",
]


def told(*lines):
    ((causes, (note,)),) = logged.held_against(log(*lines), graph(), [(at("b354"), PENDING)])
    return causes, note


@pytest.mark.parametrize(
    "lines",
    [
        [BEGUN],
        [BEGUN, CUT],
        [BEGUN, ALEMBICS, CUT],
        [BEGUN, ALEMBICS, CUT_INDENTED],
        [BEGUN, PROGRAMS, "    sys.exit(main())", CUT, SERVES],
        [*TRACE, CUT, "==> Pre-deploy has failed", "==> Exited with status 1"],
        [BEGUN, *MIGRATIONS, CUT],
    ],
)
def test_a_traceback_without_its_last_line_is_a_failure_with_its_error_cut_off(lines):
    (cause,), note = told(*lines)
    assert (note.code, cause.revision, cause.error) == ("log-failure", "7742", "the log does not show it")
    assert note.message.endswith("an error that the log cuts off")
    assert ("7742_x.py:40" in note.message) == (MIGRATIONS[0] in lines)


@pytest.mark.parametrize(
    "lines",
    [[BEGUN, *NULLS], [BEGUN, CUT, *NULLS], [CUT, *NULLS], [BEGUN, *MIGRATIONS, CUT_INDENTED, *NULLS],
     [BEGUN, MIGRATIONS[0], CUT_INDENTED, *NULLS], [BEGUN, *MIGRATIONS, "…", *NULLS]],
)  # fmt: skip
def test_an_error_at_the_end_of_an_abridged_traceback_ended_the_run(lines):
    (cause,), note = told(*lines)
    assert (note.code, cause.error) == ("log-failure", 'column "a" contains null values')


@pytest.mark.parametrize(
    "lines",
    [
        [BEGUN, *MIGRATIONS, CUT, NEXT],
        [BEGUN, *MIGRATIONS, CUT, *NULLS, NEXT],
        [BEGUN, *MIGRATIONS, *NULLS],  # complete, and none of it is Alembic's: the migration printed it and continued
        [*PRINTED, NEXT],
        [],
        [CUT],
    ],
)
def test_an_error_after_which_alembic_continued_did_not_end_the_run(lines):
    causes, note = told(*lines)
    assert (note.code, causes) == ("log-without-failure", ())
    assert "its last run" not in note.message


def test_a_complete_traceback_is_read_as_before():
    assert told(*TRACE, *NULLS)[1].code == "log-failure"


def test_no_part_of_a_password_is_read_as_a_host_or_a_database():
    log = reading("INFO connecting to postgresql://shop:12/34@pa@db.example.org:5432/shop ...")
    assert [(one.hosts, one.database) for one in log.addresses] == [(("db.example.org",), "shop")]
