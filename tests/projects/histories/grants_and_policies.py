op.execute("create table t (id int, owner text)")
# ---
op.execute("alter table t enable row level security")
op.execute("create policy own on t using (owner = current_user)")
op.execute("grant select on t to public")
# ---
op.execute("drop policy own on t")
op.execute("create policy own on t using (owner = current_user) with check (owner = current_user)")
op.execute("revoke select on t from public")
op.execute("comment on table t is 'rows of their owners'")
# ---
op.execute("alter table t disable row level security")
