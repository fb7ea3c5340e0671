DO $rescue$
BEGIN
  -- Is another rescue at work? This transaction holds the lock that keeps others out, as the tool does.
  IF NOT pg_try_advisory_xact_lock(@LOCK@) THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003',
      MESSAGE = 'Another alembic-rescue is writing to this database. Nothing was written. Wait for it, then look again.';
  END IF;
END
$rescue$;
