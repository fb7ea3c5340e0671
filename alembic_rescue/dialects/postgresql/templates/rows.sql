DO $rescue$
DECLARE
  standing text[];
BEGIN
  -- Where does it stand?
  IF to_regclass(@TABLE_NAME@) IS NULL THEN
    @IF_MISSING@
  ELSE
    standing := ARRAY(SELECT version_num::text FROM @TABLE@ ORDER BY version_num::text COLLATE "C");
  END IF;
  IF standing = @BEFORE@ THEN
    PERFORM set_config('alembic_rescue.stands', 'before', true);
  ELSIF standing = @AFTER@ THEN
    PERFORM set_config('alembic_rescue.stands', 'after', true);
  ELSE
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      '[database-moved] The rows changed since this file was made: %s has %s. It leads only between %s and %s. %s A deployment may have gone on: look again, and make another file.',
      @TABLE_NAME@, coalesce(nullif(array_to_string(standing, ' and ', 'NULL'), ''), 'no row'),
      @BEFORE_TOLD@, @AFTER_TOLD@, current_setting('alembic_rescue.so_far'));
  END IF;
@WAITED@
END
$rescue$;
