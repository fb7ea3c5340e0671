-- What the words below depend on.
@SETTINGS@
DO $rescue$
DECLARE
  -- What was proved: kind, name, whether it is there or gone, and what it is like.
  proved CONSTANT text[] := ARRAY[
@PROVED@
  ];
  wrong text[];
BEGIN
  IF current_setting('alembic_rescue.stands') = 'after' THEN
    RETURN;
  END IF;
  WITH there AS (
    SELECT * FROM (
@CATALOGS@
    ) o WHERE o.name = ANY (proved[:][2:2])
  ), expected AS (
    SELECT proved[n][1] AS kind, proved[n][2] AS name, proved[n][3] AS state, proved[n][4] AS words, n
      FROM generate_subscripts(proved, 1) n
  )
  SELECT array_agg(format('%s %s %s', e.kind, e.name, CASE WHEN e.state = 'gone' THEN 'is there again'
                          WHEN t.name IS NULL THEN 'is not there any more' ELSE 'is not as it was' END)
                   ORDER BY e.n)
    INTO wrong
    FROM expected e LEFT JOIN there t ON t.kind = e.kind AND t.name = e.name
   WHERE CASE WHEN e.state = 'gone' THEN t.name IS NOT NULL
              WHEN t.name IS NULL THEN true
              WHEN e.words LIKE 'sha256:%'
                THEN e.words <> 'sha256:' || encode(sha256(convert_to(coalesce(t.words, ''), 'UTF8')), 'hex')
              ELSE e.words <> coalesce(t.words, '') END;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      'What was proved does not hold any more: %s%s. Nothing was written. Look again: alembic-rescue diagnose.',
      array_to_string(wrong[1:5], '; '),
      CASE WHEN cardinality(wrong) > 5 THEN format(' and %s more', cardinality(wrong) - 5) END);
  END IF;
END
$rescue$;
