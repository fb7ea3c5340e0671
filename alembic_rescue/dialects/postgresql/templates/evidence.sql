-- What the facts below depend on.
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
    SELECT o.kind, o.name, jsonb_strip_nulls(o.facts) AS facts FROM (
@CATALOGS@
    ) o WHERE o.name = ANY (proved[:][2:2])
  ), expected AS (
    SELECT proved[n][1] AS kind, proved[n][2] AS name, proved[n][3] AS state, proved[n][4]::jsonb AS facts, n
      FROM generate_subscripts(proved, 1) n
  ), compared AS (
    SELECT e.*, t.name IS NOT NULL AS there,
           (SELECT string_agg(key, ', ' ORDER BY key)
              FROM jsonb_each_text(e.facts) was FULL JOIN jsonb_each_text(t.facts) now USING (key)
             WHERE was.value IS DISTINCT FROM
                   CASE WHEN was.value LIKE 'sha256:%'
                        THEN 'sha256:' || encode(sha256(convert_to(now.value, 'UTF8')), 'hex')
                        ELSE now.value END) AS other
      FROM expected e LEFT JOIN there t ON t.kind = e.kind AND t.name = e.name
  )
  SELECT array_agg(format('%s %s is %s', c.kind, c.name,
                          CASE WHEN c.state = 'gone' THEN 'there again'
                               WHEN NOT c.there THEN 'not there any more'
                               ELSE format('not as it was (%s)', c.other) END) ORDER BY c.n)
    INTO wrong
    FROM compared c
   WHERE CASE WHEN c.state = 'gone' THEN c.there ELSE NOT c.there OR (c.facts IS NOT NULL AND c.other IS NOT NULL) END;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'AR003', MESSAGE = format(
      '[plan-changed] What was proved does not hold any more: %s%s. %s Look again with alembic-rescue diagnose, and make the file anew.',
      array_to_string(wrong[1:5], '; '),
      CASE WHEN cardinality(wrong) > 5 THEN format(' and %s more', cardinality(wrong) - 5) END,
      current_setting('alembic_rescue.so_far'));
  END IF;
@WAITED@
END
$rescue$;
