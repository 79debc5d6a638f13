-- Rows are found by their key, never through an index on open rows: while statistics are young the
-- planner takes those for empty. `IS NOT DISTINCT FROM` keeps it from trying.

-- name: claim
-- Moves facts to settled; what somebody else moved first is not returned. Tells which count: those of
-- a generation that is not promoted are nobody's news. Of those a message said, how long ago it came.
UPDATE memory_facts f
   SET state = 'settled', announced_at = now(), settled_at = now(), rings = 0, retry_at = NULL
  FROM (SELECT f.tenant_id, f.user_id, f.id
          FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
          JOIN memory_facts f USING (tenant_id, user_id, id)
         WHERE f.state IS NOT DISTINCT FROM 'compared' AND (f.retry_at IS NULL OR f.retry_at <= now())
         ORDER BY f.tenant_id, f.user_id, f.id FOR UPDATE OF f) AS mine
 WHERE f.tenant_id = mine.tenant_id AND f.user_id = mine.user_id AND f.id = mine.id
RETURNING f.tenant_id, f.user_id, f.id, f.subject, f.slot, f.source_message_ids,
          CASE WHEN f.session_id IS NOT NULL
               THEN extract(epoch FROM clock_timestamp() - f.recorded_at)::float8 END AS seconds,
          f.standing IS NOT DISTINCT FROM 'quarantined' AS held,
          f.generation IN (0, coalesce((SELECT u.generation FROM users u
                                         WHERE u.tenant_id = f.tenant_id AND u.user_id = f.user_id), 1))
          AS counts;
