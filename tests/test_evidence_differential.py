"""The test that counts: a real PostgreSQL at each revision of a corpus, and then damaged one object at a time.

Run with ``-s`` to see the counts.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import psycopg2
import pytest
from alembic.script import ScriptDirectory

from alembic_rescue.model import Verdict
from alembic_rescue.model_evidence import Presence, Proof
from tests import proving
from tests.conftest import Database, fresh_database
from tests.servers import ROLE, Server

pytestmark = pytest.mark.slow

BELOW = {Verdict.APPLIED, Verdict.UNVERIFIABLE, Verdict.EMPTY}
ABOVE = {Verdict.NOT_APPLIED, Verdict.UNVERIFIABLE, Verdict.EMPTY}
DATA = re.compile(r"changes data|loop or case|fills the table")


def test_each_revision_of_the_corpus(any_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    config = proving.config_for(proving.PROJECTS / "corpus", any_database.url)
    revisions = proving.chain(ScriptDirectory.from_config(config))
    counts: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    unverifiable: Counter[str] = Counter()
    wrong = []
    for standing in range(len(revisions) + 1):
        if standing:
            proving.upgrade(config, revisions[standing - 1])
        proof = proving.proof(config)
        for position, evidence in enumerate(proof.revisions, start=1):
            allowed = BELOW if position <= standing else ABOVE
            if evidence.verdict not in allowed:
                wrong.append((standing, evidence.revision, evidence.verdict.value))
            counts["unverifiable" if evidence.verdict is Verdict.UNVERIFIABLE else "true"] += (
                evidence.verdict in allowed
            )
        assert not wrong, wrong
    for evidence in proof.revisions:
        for found in evidence.objects:
            objects[found.kind] += 1
            unverifiable[found.kind] += found.presence is Presence.UNVERIFIABLE
            assert found.presence is not Presence.UNVERIFIABLE or DATA.search(found.detail or ""), found
    verdicts = Counter(evidence.verdict.value for evidence in proof.revisions)
    with capsys.disabled():
        print(  # noqa: T201 - the counts are what the test is for
            f"\n{len(revisions)} revisions at {len(revisions) + 1} positions: true {counts['true']}, "
            f"unverifiable {counts['unverifiable']}, false {len(wrong)}; at the head: {dict(verdicts)}, "
            "unverifiable by kind: "
            + ", ".join(f"{kind} {unverifiable[kind]}/{n}" for kind, n in sorted(objects.items()))
        )


@pytest.fixture(scope="module")
def at_head(server: Server) -> Iterator[Database]:
    """A database with the whole corpus in it, to be cloned."""
    with fresh_database(server) as database:
        config = proving.config_for(proving.PROJECTS / "corpus", database.url)
        proving.upgrade(config, "head")
        yield database


@contextlib.contextmanager
def clone(database: Database) -> Iterator[Database]:
    name = f"rescue_test_{uuid.uuid4().hex[:12]}"
    with contextlib.closing(psycopg2.connect(database.server.admin_dsn)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {database.name}")
        try:
            yield replace(database, name=name)
        finally:
            with admin.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


DAMAGE = [
    # (what is done by hand, the revision that is no longer proved, the object that is named)
    ("DROP TABLE user_profiles", "c014", "public.user_profiles"),
    ("DROP TABLE metrics", "c054", "public.metrics"),
    ("ALTER TABLE metrics RENAME TO measurements", "c054", "public.metrics"),
    ("ALTER TABLE users DROP COLUMN locale", "c015", "public.users.locale"),
    ("ALTER TABLE users DROP COLUMN timezone", "c016", "public.users.timezone"),
    ("ALTER TABLE users RENAME COLUMN tags TO labels", "c004", "public.users.tags"),
    ("ALTER TABLE users RENAME COLUMN handle TO nickname", "c006", "public.users.handle"),
    ("ALTER TABLE user_profiles ALTER bio TYPE text", "c019", "public.user_profiles.bio"),
    ("ALTER TABLE orders ALTER total_cents DROP EXPRESSION", "c050", "public.orders.total_cents"),
    ("ALTER TABLE metrics ALTER at TYPE timestamp(6)", "c054", "public.metrics.at"),
    ("ALTER TABLE metrics ALTER at TYPE timestamptz(3)", "c054", "public.metrics.at"),
    ("ALTER TABLE ledger ALTER since TYPE timestamp", "c056", "public.ledger.since"),
    ("ALTER TABLE ledger ALTER amount TYPE numeric(12)", "c056", "public.ledger.amount"),
    ("ALTER TABLE audit ALTER at DROP NOT NULL", "c013", "public.audit.at"),
    ("ALTER TABLE tags ALTER slug DROP NOT NULL", "c045", "public.tags.slug"),
    ("ALTER TABLE users ALTER locale DROP DEFAULT", "c015", "public.users.locale"),
    ("ALTER TABLE users ALTER locale SET DEFAULT 'de'", "c015", "public.users.locale"),
    ("ALTER TABLE flags ALTER enabled SET DEFAULT true", "c053", "public.flags.enabled"),
    ("ALTER TABLE ledger ALTER amount SET DEFAULT 7", "c057", "public.ledger.amount"),
    ("ALTER TABLE ledger ALTER id SET GENERATED BY DEFAULT", "c056", "public.ledger.id"),
    ("DROP INDEX ix_users_name", "c001", "public.ix_users_name"),
    (
        "DROP INDEX uq_users_lower_email; CREATE UNIQUE INDEX uq_users_lower_email ON users (upper(email))",
        "c007",
        "public.uq_users_lower_email",
    ),
    (
        "DROP INDEX ix_orders_status_placed; CREATE INDEX ix_orders_status_placed ON orders (status, placed)",
        "c007",
        "public.ix_orders_status_placed",
    ),
    (
        "DROP INDEX order_totals_user; CREATE INDEX order_totals_user ON order_totals (user_id)",
        "c025",
        "public.order_totals_user",
    ),
    ("ALTER INDEX audit_at RENAME TO audit_when", "c013", "public.audit_at"),
    ("ALTER TABLE users DROP CONSTRAINT uq_users_email", "c001", "public.users.uq_users_email"),
    ("ALTER TABLE memberships DROP CONSTRAINT fk_memberships_user", "c008", "public.memberships.fk_memberships_user"),
    (
        (
            "ALTER TABLE memberships DROP CONSTRAINT fk_memberships_user, ADD CONSTRAINT fk_memberships_user FOREIGN KEY"  # noqa: E501
            " (user_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE"
        ),
        "c008",
        "public.memberships.fk_memberships_user",
    ),
    (
        (
            "ALTER TABLE memberships DROP CONSTRAINT fk_memberships_user, ADD CONSTRAINT fk_memberships_user FOREIGN KEY"  # noqa: E501
            " (user_id) REFERENCES users (id) ON DELETE SET NULL ON UPDATE CASCADE NOT VALID"
        ),
        "c008",
        "public.memberships.fk_memberships_user",
    ),
    (
        (
            "ALTER TABLE orders DROP CONSTRAINT ck_orders_total_positive, ADD CONSTRAINT ck_orders_total_positive"
            " CHECK (total >= 5)"
        ),
        "c002",
        "public.orders.ck_orders_total_positive",
    ),
    ("ALTER TABLE ledger DROP CONSTRAINT ck_ledger_kind_known", "c056", "public.ledger.ck_ledger_kind_known"),
    ("ALTER TABLE bookings DROP CONSTRAINT bookings_pk", "c051", "public.bookings.bookings_pk"),
    ("ALTER TABLE bookings ALTER CONSTRAINT bookings_owner NOT DEFERRABLE", "c051", "public.bookings.bookings_owner"),
    (
        "ALTER TABLE bookings RENAME CONSTRAINT bookings_owner TO bookings_user",
        "c052",
        "public.bookings.bookings_owner",
    ),
    ("ALTER TYPE order_status RENAME VALUE 'refunded' TO 'returned'", "c010", "public.order_status.refunded"),
    ("ALTER TYPE priority RENAME VALUE 'medium' TO 'normal'", "c037", "public.priority"),
    ("ALTER TYPE job_state RENAME VALUE 'done' TO 'finished'", "c043", "public.job_state"),
    ("ALTER TYPE member_role RENAME TO member_roles", "c003", "public.member_role"),
    ("DROP VIEW active_users", "c024", "public.active_users"),
    ("DROP VIEW active_users; CREATE VIEW active_users AS SELECT id, email FROM users", "c024", "public.active_users"),
    ("DROP MATERIALIZED VIEW order_totals", "c025", "public.order_totals"),
    ("ALTER SEQUENCE invoice_no INCREMENT BY 1", "c028", "public.invoice_no"),
    ("DROP TABLE billing.rates", "c060", "billing.rates"),
    ("ALTER TABLE billing.countries SET SCHEMA public", "c030", "billing.countries"),
    ("DROP POLICY own_orders ON orders", "c035", "public.orders.own_orders"),
    ("ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "c035", "public.orders"),
    ("REVOKE INSERT ON audit FROM PUBLIC", "c036", "public.audit.insert to public"),
    ("COMMENT ON COLUMN orders.note IS NULL", "c002", "public.orders.note"),
    ("COMMENT ON TABLE audit IS 'other'", "c013", "public.audit"),
    ("ALTER DOMAIN email_address DROP CONSTRAINT email_address_check", "c034", "public.email_address"),
    ("CREATE TABLE import_staging (id int)", "c041", "public.import_staging"),
    ("ALTER TABLE audit ADD COLUMN hits int", "c046", "public.audit.hits"),
    ("CREATE TYPE channel_old AS ENUM ('mail')", "c038", "public.channel_old"),
    ("CREATE FUNCTION touch() RETURNS int LANGUAGE sql AS 'SELECT 1'", "c059", "public.touch()"),
    ("ALTER TABLE users DROP COLUMN home; ALTER TABLE users ADD COLUMN home text", "c061", "public.users.home"),
]


@pytest.mark.parametrize(("damage", "revision", "name"), DAMAGE, ids=[sql[:60] for sql, _, _ in DAMAGE])
def test_one_damaged_object_is_named(at_head: Database, damage: str, revision: str, name: str) -> None:
    with clone(at_head) as database:
        database.run(damage)
        proof = proving.proof(proving.config_for(proving.PROJECTS / "corpus", database.url))
        blamed = {e.revision: e for e in proof.revisions if e.missing}
        assert revision in blamed, {r: [o.name for o in e.missing] for r, e in blamed.items()}
        assert blamed[revision].verdict in {Verdict.PARTIAL, Verdict.NOT_APPLIED}
        assert name in [found.name for found in blamed[revision].missing]
        others = [o.name for e in blamed.values() for o in e.missing if not _of_same(o.name, name)]
        assert len(others) <= 2, others  # what else cannot stand without it


def _of_same(name: str, damaged: str) -> bool:
    return name.startswith(damaged) or damaged.startswith(name)


def test_an_invalid_index_is_not_there(at_head: Database) -> None:
    with clone(at_head) as database:
        database.run(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_users_name'::regclass", role="postgres"
        )
        proof = proving.proof(proving.config_for(proving.PROJECTS / "corpus", database.url))
        (found,) = _missing(proof)
        assert (found.name, found.presence) == ("public.ix_users_name", Presence.DIFFERENT)
        assert "invalid" in (found.detail or "")


REPAIRED = [
    "ALTER TABLE users DROP COLUMN locale",
    "ALTER TABLE users DROP COLUMN score CASCADE",
    "ALTER TABLE orders DROP COLUMN placed",
    "ALTER TABLE users DROP CONSTRAINT uq_users_email",
    "ALTER TABLE users ALTER locale SET DEFAULT 'de', ALTER locale TYPE text, ALTER locale DROP NOT NULL",
    "ALTER TYPE job_state RENAME TO unused; DROP TABLE jobs; DROP TYPE unused",
    "DROP INDEX uq_users_lower_email; CREATE INDEX uq_users_lower_email ON users (email)",
    "ALTER TABLE ledger DROP CONSTRAINT ck_ledger_kind_known",
    "DROP TABLE metrics",
    "DROP TABLE user_profiles",
    "DROP VIEW active_users",
    "CREATE TABLE import_staging (id int)",
    "ALTER TABLE users RENAME COLUMN handle TO nickname",
    "REVOKE INSERT ON audit FROM PUBLIC",
    "ALTER TABLE bookings DROP CONSTRAINT bookings_pk",
    "DROP POLICY own_orders ON orders",
    "COMMENT ON COLUMN orders.note IS NULL",
]


@pytest.mark.parametrize("damage", REPAIRED)
def test_the_sql_that_is_shown_makes_it_so(at_head: Database, damage: str) -> None:
    with clone(at_head) as database:
        database.run(damage)
        config = proving.config_for(proving.PROJECTS / "corpus", database.url)
        for _ in range(2):  # an index needs its column first, which another revision makes
            for found in _missing(proving.proof(config)):
                if found.sql:
                    with contextlib.suppress(psycopg2.errors.UndefinedColumn, psycopg2.errors.UndefinedTable):
                        database.run(found.sql)
        assert [(o.name, o.detail) for o in _missing(proving.proof(config))] == []


def _missing(proof: Proof) -> list:
    return [found for evidence in proof.revisions for found in evidence.missing]
