op.execute("create type mood as enum ('sad', 'ok')")
op.execute("create table t (id int, m mood default 'ok')")
# ---
with op.get_context().autocommit_block():
    op.execute("alter type mood add value 'happy'")
# ---
op.execute("update t set m = 'happy' where m = 'ok'")
op.execute("alter type mood rename value 'sad' to 'blue'")
# ---
op.execute("alter table t alter m drop default")
op.execute("alter table t alter m type text using m::text")
op.execute("drop type mood")
op.execute("create type mood as enum ('blue', 'happy')")
op.execute("alter table t alter m type mood using m::mood")
