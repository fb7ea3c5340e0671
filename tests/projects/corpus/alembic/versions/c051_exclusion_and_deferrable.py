"""Exclusion and deferrable"""

from alembic import op

revision = "c051"
down_revision = "c050"


def upgrade():
    op.execute("CREATE TABLE bookings (id serial, room int4range, during tsrange, EXCLUDE USING gist (during WITH &&))")
    op.create_primary_key("bookings_pk", "bookings", ["id"])
    op.create_foreign_key("bookings_user", "bookings", "users", ["id"], ["id"], deferrable=True, initially="DEFERRED")
