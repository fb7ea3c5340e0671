op.execute("create table a (x int)")
op.execute("create table b (x int)")
op.execute("create function f() returns trigger language plpgsql as 'begin return new; end'")
op.execute("create trigger tr before insert on a for each row execute function f()")
# ---
op.execute("drop trigger tr on a")
op.execute("create trigger tr before insert on b for each row execute function f()")
# ---
op.execute("alter table b disable trigger tr")
# ---
op.execute("drop function f() cascade")
