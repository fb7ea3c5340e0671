EXCEPTION WHEN lock_not_available OR query_canceled THEN
  RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = format(
    '%s. %s%s', SQLERRM, current_setting('alembic_rescue.so_far'),
    (SELECT format(E' Locks on %s:\n', @TABLE_NAME@)
            || string_agg(format('  process %s (%s, %s) has %s since %s; to end it: SELECT pg_terminate_backend(%s);',
                 l.pid, coalesce(nullif(a.application_name, ''), 'no name'), coalesce(a.state, 'state not shown'),
                 l.mode, coalesce(a.xact_start::timestamptz(0)::text, 'a time not shown'), l.pid), E'\n' ORDER BY l.pid)
       FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.relation = to_regclass(@TABLE_NAME@) AND l.pid <> pg_backend_pid()));
