DO $rescue$
DECLARE
  system text := '-';
  here text;
  address text := host(inet_server_addr()) || ':' || inet_server_port();
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
      'This is another database: %s, id %s/%s, address %s. This file was made for %s, id %s/%s, address %s. Nothing was written.',
      current_database(), system, here, coalesce(address, 'of a local socket'),
      @TOLD@, @SYSTEM@, @OID@, coalesce(@ADDRESS@, 'of a local socket'));
  END IF;
  IF system = '-' OR @SYSTEM@ = '-' THEN
    RAISE WARNING 'The server does not tell its id: it is known by the name, the oid and the address of the database.';
  ELSIF address <> @ADDRESS@ THEN
    RAISE WARNING 'The server says that its address is %. It was % when this file was made: another way to it, or a copy of it.',
      address, @ADDRESS@;
  END IF;
  -- Does it take writes?
  IF pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE =
      CASE WHEN pg_is_in_recovery() THEN 'It is a replica, which takes no writes.'
           ELSE 'default_transaction_read_only is on for this role or database.' END;
  END IF;
END
$rescue$;
