-- name: reckon
-- Works out for some of a user's facts, behind a cursor, from when they are faded, as `weight.fades_at`
-- has it, and writes what differs; what merged into a fact lends it its pin and its uses. What changed since
-- it was read is left to the next run. Tells when time alone will change any of it: one fades, or what is
-- believed begins or ends; and whether any of that began or ended since the last run.
WITH looked AS MATERIALIZED (
    SELECT f.id, f.fades_at, f.faded, f.confidence::float8 AS confidence, f.planned_for,
           least(f.said_at, f.recorded_at) AS said_at, f.pinned OR f.essential AS kept,
           f.generation IN (0, u.generation)
           AND coalesce(f.standing = 'plan' OR (f.standing = 'belief' AND f.believed @> now()), false) AS live,
           CASE WHEN f.standing = 'belief' AND NOT f.believed @> tstzrange(now(), NULL)
                THEN (SELECT min(edge) FROM unnest(f.believed) AS stretch,
                             LATERAL (VALUES (lower(stretch)), (upper(stretch))) AS e(edge)
                       WHERE edge > now()) END AS turns_at,
           f.standing = 'belief' AND EXISTS (
               SELECT FROM unnest(f.believed) AS stretch, LATERAL (VALUES (lower(stretch)), (upper(stretch))) AS e(edge)
                WHERE edge <= now() AND edge > (SELECT r.last_run_at FROM job_runs r
                                                 WHERE r.tenant_id = f.tenant_id AND r.user_id = f.user_id
                                                   AND r.kind = 'decay')) AS turned,
           CASE WHEN f.slot = ANY(%(slots)s::text[])
                THEN (%(slot_days)s::float8[])[array_position(%(slots)s::text[], f.slot)]
                ELSE coalesce((%(category_days)s::float8[])[array_position(%(categories)s::text[], f.category)],
                              %(other_days)s::float8) END AS half_life_days
      FROM memory_facts f
      JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
     WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.state = 'settled'
       AND (%(after)s::uuid IS NULL OR f.id > %(after)s::uuid)
     ORDER BY f.id
     LIMIT %(limit)s
), confirmed AS MATERIALIZED (
    SELECT o.canonical_id AS id, max(least(o.said_at, o.recorded_at)) AS at,
           max(s.last_used_at) AS used_at, bool_or(o.pinned) AS pinned
      FROM memory_facts o
      LEFT JOIN fact_uses s ON s.tenant_id = o.tenant_id AND s.user_id = o.user_id AND s.fact_id = o.id
     WHERE o.tenant_id = %(tenant)s AND o.user_id = %(user)s AND o.state = 'settled'
       AND o.standing IN ('belief', 'merged', 'plan')
     GROUP BY o.canonical_id
), moments AS MATERIALIZED (
    SELECT l.*, CASE WHEN l.live AND NOT (l.kept OR coalesce(c.pinned, false)) AND %(faded_below)s::float8 > 0
                     THEN greatest(coalesce(c.at, l.said_at), c.used_at, l.planned_for)
                          + make_interval(secs => 86400 * l.half_life_days * greatest(
                                0, ln(greatest(l.confidence, 1e-9) / greatest(%(faded_below)s::float8, 1e-9)) / ln(2::float8)))
                     END AS then_fades_at
      FROM looked l
      LEFT JOIN confirmed c ON c.id = l.id
), changed AS (
    UPDATE memory_facts f
       SET fades_at = m.then_fades_at, faded = coalesce(m.then_fades_at <= now(), false)
      FROM moments m
     WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = m.id
       AND f.fades_at IS NOT DISTINCT FROM m.fades_at
       AND (m.fades_at IS DISTINCT FROM m.then_fades_at
            OR m.faded <> coalesce(m.then_fades_at <= now(), false))
    RETURNING f.id, f.faded, m.faded AS was_faded, m.live, f.fades_at, f.source_message_ids
)
SELECT (SELECT count(*) FROM looked)::int AS looked,
       (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last,
       least((SELECT min(then_fades_at) FROM moments WHERE then_fades_at > now()),
             (SELECT min(turns_at) FROM looked)) AS due_at,
       coalesce((SELECT bool_or(turned) FROM looked), false) AS turned, changed.*
  FROM (VALUES (1)) AS once
  LEFT JOIN changed ON true
 ORDER BY changed.id;
