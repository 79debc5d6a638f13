-- Rows are found by their key, never through an index on open rows: while statistics are young the
-- planner takes those for empty. `IS NOT DISTINCT FROM` keeps it from trying.

-- name: texts_of
-- Reads the facts that still wait for a vector.
SELECT f.tenant_id, f.user_id, f.id, f.content
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN memory_facts f USING (tenant_id, user_id, id)
 WHERE f.state IS NOT DISTINCT FROM 'extracted' AND (f.retry_at IS NULL OR f.retry_at <= now());

-- name: save_vectors
-- Moves facts to embedded and stores their vectors; what somebody else moved first is passed over, and
-- nothing is written where the active space has changed since the epoch. Spaces left out take note.
WITH active AS MATERIALIZED (
    SELECT model FROM embedding_spaces
     WHERE model = %(active)s AND state = 'active' AND epoch = %(epoch)s FOR SHARE
), mine AS (
    SELECT f.tenant_id, f.user_id, f.id
      FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
      JOIN memory_facts f USING (tenant_id, user_id, id)
     WHERE f.state IS NOT DISTINCT FROM 'extracted' AND EXISTS (SELECT FROM active)
     ORDER BY f.tenant_id, f.user_id, f.id
       FOR UPDATE OF f
), moved AS (
    UPDATE memory_facts f
       SET state = 'embedded', announced_at = now(), embedded_at = now(), rings = 0, retry_at = NULL
      FROM mine
     WHERE f.tenant_id = mine.tenant_id AND f.user_id = mine.user_id AND f.id = mine.id
    RETURNING f.tenant_id, f.user_id, f.id, f.announced_at
), stored AS (
    INSERT INTO fact_vectors (tenant_id, user_id, fact_id, model, embedding)
    SELECT v.tenant_id, v.user_id, v.id, v.model, v.embedding
      FROM unnest(%(vector_tenants)s::text[], %(vector_users)s::text[], %(vector_ids)s::uuid[],
                  %(models)s::text[], %(vectors)b::halfvec[]) AS v(tenant_id, user_id, id, model, embedding)
      JOIN moved USING (tenant_id, user_id, id)
    ON CONFLICT DO NOTHING
), left_out AS (
    UPDATE embedding_spaces SET skipped = skipped + 1
     WHERE model = ANY(%(skipped)s::text[]) AND EXISTS (SELECT FROM moved)
)
SELECT tenant_id, user_id, id, announced_at FROM moved;

-- name: postpone
-- Leaves facts alone for a while, without counting an attempt.
UPDATE memory_facts f SET retry_at = now() + %(seconds)s * interval '1 second', rings = 0
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id AND f.id = t.id AND f.state = 'extracted';
