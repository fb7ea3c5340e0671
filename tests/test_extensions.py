"""Extensions that the live server refuses to create, on values."""

import pytest

from alembic_rescue.dialects.postgresql.extensions import barred
from alembic_rescue.dialects.scratch import Surroundings
from alembic_rescue.evidence.observation import Observation, Statement, StatementKind

SUPER, LACKS = "only a superuser may create it", "it lacks CREATE on the database"
AROUND = Surroundings(
    "app",
    superuser=False,
    extensions=(("citext", "public"),),
    available=("citext", "vector", "hstore", "uuid-ossp"),
    barred=((SUPER, ("vector",)), (LACKS, ("hstore", "uuid-ossp"))),
)


def told(sql, around=AROUND):
    sent = Statement(sql, StatementKind.CATALOG, "/p/r2.py", 9)
    return list(barred(around, [Observation("r2", statements=(sent,))]))


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE EXTENSION postgis", "not installed"),
        ("create extension if not exists PostGIS with schema public", "not installed"),
        ("SELECT 1; CREATE EXTENSION vector CASCADE", SUPER),
        ('CREATE EXTENSION IF NOT EXISTS "uuid-ossp"', LACKS),
    ],
)
def test_an_extension_that_cannot_be_created_is_named_with_its_line(sql, why):
    (cause,) = told(sql)
    assert (cause.code, cause.place) == ("extension-barred", "/p/r2.py:9")
    assert why in cause.error


@pytest.mark.parametrize("sql", ["CREATE EXTENSION IF NOT EXISTS citext", "DROP EXTENSION postgis", "SELECT 1"])
def test_an_extension_that_exists_or_is_not_created_is_not_named(sql):
    assert told(sql) == []


def test_if_nothing_is_known_or_the_role_may_create_it_nothing_is_named():
    assert told("CREATE EXTENSION postgis", Surroundings("app", superuser=False)) == []
    assert told("CREATE EXTENSION vector", Surroundings("app", superuser=True, available=("vector",))) == []
