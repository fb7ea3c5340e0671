DO $rescue$
DECLARE
  other CONSTANT integer := (SELECT min(l.pid) FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND (l.classid::bigint << 32) + l.objid::bigint = @LOCK@
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid());
BEGIN
  -- Is another rescue at work, or a run of this file that lost its connection?
  IF @TAKEN@ THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      '[rescue-under-way] Another alembic-rescue is writing to this database%s. %s Wait for it, then look again.',
      ' (process ' || other || ')', current_setting('alembic_rescue.so_far'));
  END IF;
END
$rescue$;
