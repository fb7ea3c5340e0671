"""MariaDB and SQLite through the public API: at the head nothing is missing, and one damaged object is named."""

from __future__ import annotations

import pytest

from tests.chains import MISSING, told, write
from tests.dialect_chains import EVERYWHERE, ON_MARIADB

DAMAGE = [
    # (what is done by hand, the revision that is no longer proved, the end of the name that is reported)
    ("ALTER TABLE users DROP COLUMN color", "guarded", "users.color"),
    ("ALTER TABLE users MODIFY age SMALLINT NOT NULL DEFAULT 1", "columns", "users.age"),
    ("ALTER TABLE users MODIFY age BIGINT NOT NULL DEFAULT 0", "columns", "users.age"),
    ("ALTER TABLE users MODIFY name VARCHAR(80) NULL", "batch", "users.name"),
    ("ALTER TABLE users DROP INDEX email", "users", "email on users"),
    ("ALTER TABLE users DROP INDEX ix_users_name, ADD INDEX ix_users_name (email)", "users", "ix_users_name on users"),
    ("ALTER TABLE users DROP CONSTRAINT ck_users_score", "users", "ck_users_score on users"),
    (
        "ALTER TABLE users DROP CONSTRAINT ck_users_score, ADD CONSTRAINT ck_users_score CHECK (score > 0)",
        "users",
        "ck_users_score on users",
    ),
    ("ALTER TABLE purchases DROP FOREIGN KEY fk_purchases_user", "keys", "fk_purchases_user on purchases"),
    ("ALTER TABLE purchases MODIFY state ENUM('new','paid') NOT NULL", "orders", "purchases.state"),
    ("ALTER TABLE purchases COMMENT = ''", "keys", "purchases"),
    ("ALTER TABLE items MODIFY kind ENUM('x','y') NOT NULL DEFAULT 'y'", "modify", "items.kind"),
    ("ALTER TABLE items MODIFY id INT UNSIGNED NOT NULL", "raw", "items.id"),
    ("ALTER TABLE items DROP INDEX ix_items_prefix", "indexes", "ix_items_prefix on items"),
    ("ALTER TABLE items DROP INDEX words", "indexes", "words on items"),
    ("ALTER TABLE days DROP PRIMARY KEY", "dates", "days"),
    ("DROP TABLE marks", "swallowed", "marks"),
    ("DROP VIEW grown_users", "view", "grown_users"),
]


def test_nothing_is_missing_on_sqlite(tmp_path):
    chain = write(tmp_path / "project", f"sqlite:///{tmp_path}/shop.db", EVERYWHERE)
    chain.upgrade("head")
    part = chain.applied()
    assert not [told(revision) for revision in part.revisions if revision.verdict in MISSING]
    assert "applied" in {revision.verdict.value for revision in part.revisions}
    assert part.recommendation.action.value == "nothing"


@pytest.fixture
def chain(maria, tmp_path):
    """A database on MariaDB with all of it."""
    chain = write(tmp_path / "project", maria.url, {**EVERYWHERE, **ON_MARIADB})
    chain.upgrade("head")
    return chain


def missing(chain):
    return {
        (revision.revision, found.name): found
        for revision in chain.applied().revisions
        if revision.verdict in MISSING
        for found in revision.missing
    }


def test_nothing_is_missing_on_mariadb(chain):
    assert missing(chain) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "revision", "name"), DAMAGE, ids=[sql for sql, _, _ in DAMAGE])
def test_one_damaged_object_is_named_on_mariadb(chain, maria, damage, revision, name):
    maria.run(damage)
    found = missing(chain)
    assert [key for key in found if key[0] == revision and key[1].endswith(name)], found
