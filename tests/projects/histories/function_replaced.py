op.execute("create table t (a int, at timestamptz)")
op.execute("create function touch() returns trigger language plpgsql as 'begin new.at = now(); return new; end'")
op.execute("create trigger touched before update on t for each row execute function touch()")
# ---
op.execute("create or replace function touch() returns trigger language plpgsql as 'begin new.at = clock_timestamp(); return new; end'")
# ---
op.execute("create or replace function touch() returns trigger language plpgsql as 'begin new.at = now(); return new; end'")
