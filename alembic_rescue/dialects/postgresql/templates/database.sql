DO $rescue$
DECLARE
  system text := '-';
  here text;
  address CONSTANT text := coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'socket');
BEGIN
  -- Is it the database that was looked at?
  IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
    SELECT system_identifier::text INTO system FROM pg_control_system();
  END IF;
  SELECT oid::text INTO here FROM pg_database WHERE datname = current_database();
  IF current_database() <> @DATABASE_NAME@ OR here <> @OID@
     OR (system <> '-' AND @SYSTEM@ <> '-' AND system <> @SYSTEM@)
     OR ((system = '-' OR @SYSTEM@ = '-') AND address <> @ADDRESS@) THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      '[database-changed] This is another database: %s, id %s/%s, address %s. This file was made for %s, id %s/%s, address %s. %s',
      current_database(), system, here, address, @TOLD@, @SYSTEM@, @OID@, @ADDRESS@,
      current_setting('alembic_rescue.so_far'));
  END IF;
  IF system = '-' OR @SYSTEM@ = '-' THEN
    RAISE WARNING 'The server does not tell its id: it is known by the name, the oid and the address of the database.';
  ELSIF address <> @ADDRESS@ AND address <> current_setting('alembic_rescue.address') THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      '[database-changed] The server says that its address is %s. It was %s when this file was made: it is a copy of it, or another way to it. %s If you know that it is the same server, name its address: --address %s (psql: -v address=%s).',
      address, @ADDRESS@, current_setting('alembic_rescue.so_far'), address, address);
  END IF;
  -- Does it take writes?
  IF pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = format('[read-only-server] %s %s',
      CASE WHEN pg_is_in_recovery() THEN 'It is a replica, which takes no writes.'
           ELSE 'default_transaction_read_only is on for this role or database.' END,
      current_setting('alembic_rescue.so_far'));
  END IF;
END
$rescue$;
