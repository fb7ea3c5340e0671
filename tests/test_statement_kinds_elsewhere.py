"""What a statement on SQLite or MySQL does, by its text; and how a script is split into statements."""

from __future__ import annotations

import pytest

from alembic_rescue import dialects
from alembic_rescue.dialects.mysql.statements import kind_of as on_mysql
from alembic_rescue.dialects.sqlite.statements import kind_of as on_sqlite
from alembic_rescue.dialects.statements import MYSQL, POSTGRESQL, SQLITE, split, words
from alembic_rescue.evidence.observation import StatementKind

QUERY, SESSION, CATALOG, DATA = StatementKind

SCRIPTS = [
    (POSTGRESQL, "select 1; -- a;b\nselect 'a;''b'; /* x /* ; */ y; */ select 2;", 3),
    (POSTGRESQL, "do $$ begin a; end $$; select $a$ ; $b$ ; $a$; select $1; select E'a\\';b'; select U&';'", 5),
    (POSTGRESQL, "create function f() begin atomic select 1; select case 1 when 1 then 2 end; end; select 1", 2),
    (POSTGRESQL, "create rule r as on insert to t do (select 1; select 2); begin; update t set a = 1; commit", 4),
    (POSTGRESQL, 'create table a (begin int); create table "b;" ()', 2),
    (POSTGRESQL, "select 'a\\'; select 1", 2),
    (SQLITE, "create trigger t insert on x begin update a set b = (case 1 when 1 then 2 end); end; select [a;]", 2),
    (SQLITE, 'begin; insert into x values (1); end; select `;`, ";"', 4),
    (
        MYSQL,
        "create procedure p() begin if a then b; end if; case x when 1 then c; end case; while 1 do d; end while; end;",
        1,
    ),
    (
        MYSQL,
        'select "a;\\"" # ;\n; select 2 -- ;\n; select `a;` --1;',
        3,
    ),
    (MYSQL, "/*!50003 create trigger z before insert on x for each row begin set new.a = 1; end */; select 1", 2),
    (MYSQL, "  ; /* nothing */ ; -- nothing\n", 0),
    (MYSQL, "/* never closed ; select 1", 0),
    (SQLITE, "select 'never closed ; select 1", 1),
]


@pytest.mark.parametrize(("lexis", "script", "count"), SCRIPTS, ids=[script for _, script, _ in SCRIPTS])
def test_a_script_is_split_where_its_statements_end(lexis, script, count):
    assert len(split(script, lexis)) == count, split(script, lexis)


def test_words_are_neither_names_nor_constants():
    told = words("select \"A\", 'b' from c.d -- e\nwhere f = 1.5", POSTGRESQL)
    assert told == ["SELECT", "FROM", "C", "D", "WHERE", "F"]
    assert words('/*!40101 set @x = "a" */', MYSQL) == ["SET", "X"]


ON_SQLITE = {
    QUERY: [
        "",
        "-- nothing",
        "SELECT replace(a, 'x', 'y') FROM t",
        "VALUES (1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "PRAGMA table_info(users)",
        "PRAGMA main.table_xinfo('users')",
        "PRAGMA foreign_key_check",
        "PRAGMA integrity_check(10)",
        "PRAGMA user_version",
        "SELECT 'DELETE FROM t; DROP TABLE t'",
    ],
    SESSION: [
        "BEGIN EXCLUSIVE",
        "SAVEPOINT a",
        "RELEASE a",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA main.synchronous = 0",
        "CREATE TEMP TABLE t (id)",
        "CREATE TEMPORARY VIEW v AS SELECT 1",
        "SELECT 1; PRAGMA foreign_keys = ON",
    ],
    CATALOG: [
        "CREATE TABLE t (id INTEGER, [select] TEXT DEFAULT 'select')",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN UPDATE y SET a = 1; DELETE FROM z; END",
        "DROP INDEX i",
        "ALTER TABLE t RENAME TO u",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode(wal)",
        "INSERT INTO _alembic_tmp_users (id, name) SELECT users.id, CAST(users.name AS VARCHAR(80)) AS a \nFROM users",
        'INSERT INTO "_alembic_tmp_order" ("a b") SELECT CAST("order"."a b" AS DOUBLE PRECISION) AS "a b" FROM "order"',
        "SELECT 1; DROP TABLE t; PRAGMA foreign_keys = ON",
    ],
    DATA: [
        "INSERT INTO t VALUES (1)",
        "replace into t values (1)",
        "/* a */ UPDATE t SET a = 1",
        "WITH a AS (SELECT 1) DELETE FROM t",
        "CREATE TABLE t AS SELECT * FROM u",
        "CREATE TABLE t AS VALUES (1)",
        "INSERT INTO _alembic_tmp_users (id) SELECT users.id FROM users WHERE users.id > 1",
        "INSERT INTO _alembic_tmp_users (id) SELECT upper(users.id) FROM users",
        "INSERT INTO _alembic_tmp_users (id) SELECT users.id + 1 FROM users",
        "INSERT INTO _alembic_tmp_users (id) SELECT NULL FROM users",
        "INSERT INTO _alembic_tmp_users (id) SELECT 1 AS id FROM users",
        "INSERT INTO _alembic_tmp_users (id) SELECT people.id FROM people",
        "INSERT INTO users (id) SELECT users.id FROM users",
        "VACUUM",
        "ANALYZE",
        "REINDEX t",
        "ATTACH 'other.db' AS other",
        "PRAGMA optimize",
        "SELECT load_extension('x')",
        "nonsense",
        "DROP TABLE t; DELETE FROM u",
    ],
}
ON_MYSQL = {
    QUERY: [
        "",
        "# nothing",
        "SELECT count(*), ifnull(a, 'x') FROM t WHERE b IN (1, 2) AND EXISTS (SELECT 1)",
        "(SELECT 1) UNION (SELECT 2)",
        "SELECT CAST(a AS CHAR(10)), CONVERT(b, DECIMAL(4,2)) FROM t USE INDEX (i) FOR UPDATE",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SHOW TABLES LIKE 'x'",
        "DESC t",
        "EXPLAIN DELETE FROM t",
        "ANALYZE SELECT 1",
        "TABLE t",
    ],
    SESSION: [
        "SET FOREIGN_KEY_CHECKS = 0",
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SET @a = (SELECT max(id) FROM t)",
        "/*!40101 SET SESSION sql_mode = '' */",
        "SELECT 1 INTO @a",
        "DO sleep(1)",
        "LOCK TABLES t WRITE",
        "START TRANSACTION",
        "CREATE TEMPORARY TABLE t SELECT 1",
        "DROP TEMPORARY TABLE t",
        "SET ROLE admin",
    ],
    CATALOG: [
        "CREATE TABLE `select` (id INT AUTO_INCREMENT PRIMARY KEY, `update` INT) AUTO_INCREMENT=7",
        "CREATE TABLE t LIKE u",
        "CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (5))",
        "ALTER TABLE t MODIFY id INT NOT NULL AUTO_INCREMENT, ADD INDEX (a)",
        "RENAME TABLE a TO b",
        "CREATE OR REPLACE ALGORITHM = MERGE DEFINER = `root`@`localhost` VIEW v AS SELECT f(1)",
        "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SET NEW.a = 1; DELETE FROM y; END",
        "CREATE UNIQUE INDEX i ON t (a)",
        "ALTER DATABASE CHARACTER SET utf8mb4",
        "DROP SEQUENCE s",
        "CREATE PROCEDURE p() BEGIN DELETE FROM t; UPDATE t SET a = 1; END",
        "SET STATEMENT max_statement_time = 5 FOR ALTER TABLE t ADD a INT",
    ],
    DATA: [
        "INSERT INTO t VALUES (1)",
        "REPLACE INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "WITH a AS (SELECT 1) UPDATE t SET a = 1",
        "LOAD DATA INFILE 'x' INTO TABLE t",
        "CALL p()",
        "TRUNCATE TABLE t",
        "CREATE TABLE t SELECT * FROM u",
        "CREATE TABLE t (SELECT * FROM u)",
        "CREATE TABLE t (a INT) ENGINE = InnoDB AS TABLE u",
        "SELECT * FROM t INTO OUTFILE 'x'",
        "SELECT my_function(1)",
        "SELECT `count`(1)",
        "SELECT shop.f(1)",
        "DO f(1)",
        "SET @a = f(1)",
        "SELECT NEXT VALUE FOR s",
        "SELECT nextval(s)",
        "SET GLOBAL max_connections = 5",
        "SET @@GLOBAL.max_connections = 5",
        "SET PASSWORD = 'x'",
        "SET DEFAULT ROLE a TO b",
        "SET STATEMENT max_statement_time = 5 FOR DELETE FROM t",
        "CREATE USER a",
        "DROP ROLE a",
        "GRANT SELECT ON t TO a",
        "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
        "CREATE DATABASE other",
        "ALTER TABLE t AUTO_INCREMENT = 5",
        "ALTER TABLE t ADD a INT, AUTO_INCREMENT 5",
        "ALTER TABLE t TRUNCATE PARTITION p",
        "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
        "ALTER SEQUENCE s RESTART 5",
        "OPTIMIZE TABLE t",
        "ANALYZE TABLE t",
        "ANALYZE DELETE FROM t",
        "EXECUTE s",
        "EXECUTE IMMEDIATE 'DROP TABLE t'",
        "BEGIN NOT ATOMIC DELETE FROM t; END",
        "/*! DELETE FROM t */",
        "SELECT 1; DROP TABLE t; DELETE FROM u",
    ],
}
CASES = [(on_sqlite, sql, kind) for kind, all_ in ON_SQLITE.items() for sql in all_] + [
    (on_mysql, sql, kind) for kind, all_ in ON_MYSQL.items() for sql in all_
]


@pytest.mark.parametrize(("kind_of", "sql", "kind"), CASES, ids=[f"{sql} [{kind.value}]" for _, sql, kind in CASES])
def test_the_kind_of_a_statement(kind_of, sql, kind):
    assert kind_of(sql) is kind


def test_an_unknown_dialect_has_no_reader_and_may_do_anything():
    other = dialects.of("oracle")
    assert (other.name, other.reader) == ("oracle", None)
    assert other.kind_of("SELECT 1") is DATA
    assert other.kind_of(" ") is QUERY
