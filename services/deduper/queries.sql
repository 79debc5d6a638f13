-- Rows are found by their key, never through an index on open rows: while statistics are young the
-- planner takes those for empty. `IS NOT DISTINCT FROM` keeps it from trying.

-- name: active_model
-- Tells whose vectors are compared.
SELECT model FROM embedding_spaces WHERE state = 'active';

-- name: belief_versions
-- Reads each user's version: it grows whenever there is more to compare with.
SELECT u.tenant_id, u.user_id, u.belief_version
  FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)
  JOIN users u USING (tenant_id, user_id);

-- name: fresh_facts
-- Reads the facts that wait for comparison, with their vectors where they are free text; what is held
-- for review is compared with nothing.
SELECT f.tenant_id, f.user_id, f.id, f.subject, f.slot, f.content, f.generation,
       least(f.said_at, f.recorded_at) AS said, f.message_key, f.ordinal, v.embedding
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN memory_facts f USING (tenant_id, user_id, id)
  LEFT JOIN fact_vectors v ON v.tenant_id = f.tenant_id AND v.user_id = f.user_id
                          AND v.fact_id = f.id AND v.model = %(model)s AND f.slot IS NULL
                          AND f.standing IS DISTINCT FROM 'quarantined'
 WHERE f.state IS NOT DISTINCT FROM 'embedded' AND (f.retry_at IS NULL OR f.retry_at <= now());

-- name: comparands
-- Reads all the free text of users that new facts are compared with.
SELECT f.tenant_id, f.user_id, f.id, f.subject, f.content, f.generation,
       least(f.said_at, f.recorded_at) AS said, f.message_key, f.ordinal, v.embedding
  FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)
  JOIN memory_facts f USING (tenant_id, user_id)
  JOIN fact_vectors v ON v.tenant_id = f.tenant_id AND v.user_id = f.user_id
                     AND v.fact_id = f.id AND v.model = %(model)s
 WHERE f.slot IS NULL AND f.state IN ('compared', 'settled')
   AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined');

-- name: grow_versions
-- Takes each user's next version; who has grown since it was read, or was compared by vectors that
-- no longer count, is not returned.
UPDATE users u SET belief_version = u.belief_version + 1
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(versions)s::bigint[], %(models)s::text[])
       AS t(tenant_id, user_id, version, model)
 WHERE u.tenant_id = t.tenant_id AND u.user_id = t.user_id AND u.belief_version = t.version
   AND coalesce((SELECT model FROM embedding_spaces WHERE state = 'active'), t.model) = t.model
RETURNING u.tenant_id, u.user_id;

-- name: claim
-- Moves facts to compared; what somebody else moved first is not returned.
UPDATE memory_facts f
   SET state = 'compared', announced_at = now(), compared_at = now(), rings = 0, retry_at = NULL
  FROM (SELECT f.tenant_id, f.user_id, f.id
          FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
          JOIN memory_facts f USING (tenant_id, user_id, id)
         WHERE f.state IS NOT DISTINCT FROM 'embedded'
         ORDER BY f.tenant_id, f.user_id, f.id FOR UPDATE OF f) AS mine
 WHERE f.tenant_id = mine.tenant_id AND f.user_id = mine.user_id AND f.id = mine.id
RETURNING f.tenant_id, f.user_id, f.id, f.announced_at;

-- name: save_verdicts
-- Stores what was decided about pairs; the first decision stands.
INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
SELECT *
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(firsts)s::uuid[], %(seconds)s::uuid[],
              %(verdicts)s::text[], %(judges)s::text[], %(reasons)s::text[], %(cosines)s::real[])
       AS t(tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
 ORDER BY tenant_id, user_id, first_id, second_id
    ON CONFLICT DO NOTHING;

-- name: sentences
-- Reads a user's settled free text that counts, without vectors.
SELECT f.id, f.subject, f.content, f.generation, least(f.said_at, f.recorded_at) AS said,
       f.message_key, f.ordinal
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.slot IS NULL
   AND f.state IS NOT DISTINCT FROM 'settled' AND f.generation IN (0, u.generation)
   AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined');

-- name: verdicts_of_pairs
-- Reads which of these pairs are decided for good: by a model, or by guards that had no doubt.
SELECT v.first_id, v.second_id
  FROM unnest(%(firsts)s::uuid[], %(seconds)s::uuid[]) AS t(first_id, second_id)
  JOIN verdicts v ON v.tenant_id = %(tenant)s AND v.user_id = %(user)s
                 AND v.first_id = t.first_id AND v.second_id = t.second_id
 WHERE NOT (v.verdict = 'doubtful' AND v.judge = 'guards');

-- name: vectors_of
-- Reads the vectors that a model made of some facts.
SELECT v.fact_id, v.embedding
  FROM unnest(%(ids)s::uuid[]) AS t(fact_id)
  JOIN fact_vectors v ON v.tenant_id = %(tenant)s AND v.user_id = %(user)s AND v.model = %(model)s
                     AND v.fact_id = t.fact_id;

-- name: save_overlooked
-- Stores verdicts about pairs of facts that still count; what a model said stands.
INSERT INTO verdicts AS v (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
SELECT t.*
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(firsts)s::uuid[], %(seconds)s::uuid[],
              %(verdicts)s::text[], %(judges)s::text[], %(reasons)s::text[], %(cosines)s::real[])
       AS t(tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
 WHERE 2 = (SELECT count(*) FROM memory_facts f
             WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id
               AND f.id IN (t.first_id, t.second_id)
               AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined'))
 ORDER BY tenant_id, user_id, first_id, second_id
    ON CONFLICT (tenant_id, user_id, first_id, second_id) DO UPDATE
   SET verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, cosine = EXCLUDED.cosine,
       recorded_at = now()
 WHERE v.verdict = 'doubtful' AND v.judge = 'guards'
RETURNING first_id, second_id;
