"""Typical migrations for SQLite and MariaDB: the bodies of a chain of revisions, by name."""

from __future__ import annotations

EVERYWHERE = {
    "users": """
        def upgrade():
            op.create_table(
                "users",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("email", sa.String(120), nullable=False, unique=True),
                sa.Column("name", sa.String(50), server_default="nobody"),
                sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
                sa.Column("score", sa.Numeric(10, 2), server_default="1.5"),
                sa.Column("joined", sa.DateTime, server_default=sa.func.now()),
                sa.Column("bio", sa.Text),
                sa.Column("settings", sa.JSON),
                sa.Column("weight", sa.Float),
                sa.CheckConstraint("score >= 0 AND name <> 'root'", name="ck_users_score"),
                sa.UniqueConstraint("name", "joined", name="uq_users_name"),
            )
            op.create_index("ix_users_name", "users", ["name"])
        """,
    "orders": """
        def upgrade():
            op.create_table(
                "orders",
                sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
                sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
                sa.Column("state", sa.Enum("new", "paid", "it's", name="order_state"), nullable=False),
                sa.Column("note", sa.Unicode(200)),
            )
        """,
    "columns": """
        def upgrade():
            op.add_column("users", sa.Column("age", sa.SmallInteger, server_default="0", nullable=False))
            op.add_column("users", sa.Column("seen", sa.Date))
            op.create_index("ix_users_age", "users", ["age", "seen"], unique=True)
        """,
    "batch": """
        def upgrade():
            with op.batch_alter_table("users") as batch:
                batch.alter_column("name", existing_type=sa.String(50), type_=sa.String(80), nullable=False)
                batch.drop_column("weight")
        """,
    "renamed": """
        def upgrade():
            op.rename_table("orders", "purchases")
            with op.batch_alter_table("purchases") as batch:
                batch.alter_column("note", new_column_name="remark", existing_type=sa.Unicode(200))
        """,
    "guarded": """
        def upgrade():
            inspector = sa.inspect(op.get_bind())
            if not inspector.has_table("tags"):
                op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True), sa.Column("word", sa.String(9)))
            if "color" not in [column["name"] for column in inspector.get_columns("users")]:
                op.add_column("users", sa.Column("color", sa.String(10)))
        """,
    "data": """
        def upgrade():
            op.execute("UPDATE users SET bio = 'none' WHERE bio IS NULL")
        """,
    "view": """
        def upgrade():
            op.execute("CREATE VIEW grown_users AS SELECT id, email FROM users WHERE age > 17")
        """,
    "staging": """
        def upgrade():
            op.create_table("staging", sa.Column("id", sa.Integer, primary_key=True))
        """,
    "dropped": """
        def upgrade():
            op.drop_index("ix_users_age", table_name="users")
            op.drop_table("staging")
        """,
    "swallowed": """
        def upgrade():
            try:
                op.create_table("marks", sa.Column("id", sa.Integer, primary_key=True))
            except Exception:
                pass
        """,
}
ON_MARIADB = {
    "raw": """
        def upgrade():
            op.execute(
                "CREATE TABLE `items` (`id` INT(11) UNSIGNED NOT NULL AUTO_INCREMENT, `order` VARCHAR(20) NOT NULL "
                "DEFAULT 'a\\\\'b' COMMENT 'which; one', kind ENUM('x','y') NOT NULL DEFAULT 'x', flags SET('a','b'), "
                "changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, "
                "double_id BIGINT GENERATED ALWAYS AS (id * 2) VIRTUAL, blob_ MEDIUMBLOB, at DATETIME(6), "
                "price DECIMAL(8), user_id INT, PRIMARY KEY (`id`), KEY `by_order` (`order`(5), kind), "
                "UNIQUE KEY (kind, id), "
                "CHECK (kind IN ('x','y') AND LENGTH(`order`) BETWEEN 1 AND 10), "
                "FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL "
                ") ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='things'"
            )
        """,
    "modify": """
        def upgrade():
            op.execute("ALTER TABLE items MODIFY COLUMN kind ENUM('x','y','z') NOT NULL DEFAULT 'y' AFTER id")
        """,
    "change": """
        def upgrade():
            op.execute("ALTER TABLE items CHANGE `order` `position` VARCHAR(30) NULL, ADD COLUMN extra INT FIRST")
        """,
    "alembic_alter": """
        def upgrade():
            op.alter_column("items", "price", existing_type=sa.Numeric(8), type_=sa.Numeric(12, 4), comment="in cents")
            op.alter_column("items", "extra", server_default="5", existing_type=sa.Integer)
        """,
    "indexes": """
        def upgrade():
            op.execute("ALTER TABLE items RENAME INDEX by_order TO by_position, ADD FULLTEXT KEY words (position)")
            op.create_index("ix_items_prefix", "items", ["position"], mysql_length=4, mariadb_length=4)
            op.execute("CREATE UNIQUE INDEX uq_items_at ON items (at DESC)")
        """,
    "unchecked": """
        def upgrade():
            op.execute("CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW BEGIN SET NEW.extra = 1; END")
        """,
    "keys_away": """
        def upgrade():
            op.execute("DROP INDEX by_position ON items")
            op.drop_constraint("purchases_ibfk_1", "purchases", type_="foreignkey")
            op.execute("ALTER TABLE items DROP CONSTRAINT CONSTRAINT_1")
            op.drop_constraint("uq_users_name", "users", type_="unique")
        """,
    "keys": """
        def upgrade():
            op.create_foreign_key("fk_purchases_user", "purchases", "users", ["user_id"], ["id"], onupdate="CASCADE")
            op.create_check_constraint("ck_purchases", "purchases", "lower(remark) = remark OR remark IS NULL")
            op.create_table_comment("purchases", "bought")
        """,
    "converted": """
        def upgrade():
            op.execute("ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            op.execute("ALTER TABLE tags ENGINE = Aria")
        """,
    "guarded_raw": """
        def upgrade():
            if not op.get_bind().execute(sa.text("SHOW TABLES LIKE 'stamps'")).first():
                op.execute("CREATE TABLE IF NOT EXISTS stamps (id INT PRIMARY KEY) ")
            op.execute("ALTER TABLE stamps ADD COLUMN IF NOT EXISTS word VARCHAR(10)")
        """,
    "dates": """
        def upgrade():
            op.create_table(
                "days",
                sa.Column("at", sa.DateTime, server_default="2020-01-01", primary_key=True),
                sa.Column("note", sa.String(10, collation="utf8mb4_bin"), server_default=sa.text("NULL")),
                sa.Column("stamp", sa.TIMESTAMP),
                mysql_engine="InnoDB", mariadb_engine="InnoDB", mysql_charset="utf8mb4", mariadb_charset="utf8mb4",
            )
        """,
}
