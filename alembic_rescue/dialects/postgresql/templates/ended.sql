SET LOCAL lock_timeout = '@WAIT@ms';
SET LOCAL statement_timeout = 0;
DO $rescue$
BEGIN
  -- Has the session that was about to write ended? Until then its COMMIT may come through.
  PERFORM pg_advisory_xact_lock_shared(@LOCK@);
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION USING ERRCODE = 'AR005', MESSAGE = format(
    '[still-writing] The server is still at work for it%s: the rows may yet change.', (SELECT string_agg(format(
      ', process %s (%s)', l.pid, coalesce(a.wait_event, a.state, 'state not shown')), '')
       FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) + l.objid::bigint = @LOCK@
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())));
END
$rescue$;
