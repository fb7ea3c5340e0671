DO $rescue$
DECLARE
  changed bigint;
BEGIN
  IF current_setting('alembic_rescue.stands') <> @STANDS@ THEN
    RETURN;
  END IF;
@MAKE_TABLE@
  LOCK TABLE @TABLE@ IN SHARE ROW EXCLUSIVE MODE;
@STATEMENTS@
  IF ARRAY(SELECT version_num::text FROM @TABLE@ ORDER BY version_num::text COLLATE "C") <> @THERE@ THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003',
      MESSAGE = '[database-moved] The rows changed meanwhile: others are there besides. Nothing was written.';
  END IF;
@WAITED@
END
$rescue$;
