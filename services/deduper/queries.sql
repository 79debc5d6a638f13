-- name: belief_version
-- Reads the user's version: it grows whenever there is more to compare with.
SELECT belief_version FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: fresh_facts
-- Reads the facts that wait for comparison, with their vectors where they are free text.
SELECT f.id, f.subject, f.slot, f.content, f.generation, v.embedding
  FROM memory_facts f
  LEFT JOIN fact_vectors v ON v.tenant_id = f.tenant_id AND v.user_id = f.user_id
                          AND v.fact_id = f.id AND v.model = %(model)s AND f.slot IS NULL
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = ANY(%(ids)s)
   AND f.state = 'embedded' AND (f.retry_at IS NULL OR f.retry_at <= now());

-- name: comparands
-- Reads the free text these subjects' new facts are compared with.
SELECT f.id, f.subject, f.content, f.generation, v.embedding
  FROM memory_facts f
  JOIN fact_vectors v ON v.tenant_id = f.tenant_id AND v.user_id = f.user_id
                     AND v.fact_id = f.id AND v.model = %(model)s
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.slot IS NULL
   AND f.subject = ANY(%(subjects)s) AND f.state IN ('compared', 'settled')
   AND f.standing IS DISTINCT FROM 'forgotten';

-- name: grow_version
-- Takes the next version of what there is to compare with; finds nothing if somebody else did first.
UPDATE users SET belief_version = belief_version + 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND belief_version = %(version)s
RETURNING belief_version;

-- name: claim
-- Moves facts to compared; what somebody else moved first is not returned.
UPDATE memory_facts f
   SET state = 'compared', announced_at = now(), compared_at = now(), rings = 0, retry_at = NULL
  FROM (SELECT id FROM memory_facts
         WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
           AND state = 'embedded'
         ORDER BY id FOR UPDATE) AS mine
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = mine.id
RETURNING f.tenant_id, f.user_id, f.id, f.announced_at;

-- name: save_verdicts
-- Stores what was decided about pairs; the first decision stands.
INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
SELECT %(tenant)s, %(user)s, t.*
  FROM unnest(%(firsts)s::uuid[], %(seconds)s::uuid[], %(verdicts)s::text[], %(judges)s::text[],
              %(reasons)s::text[], %(cosines)s::real[])
       AS t(first_id, second_id, verdict, judge, reason, cosine)
 ORDER BY first_id, second_id
    ON CONFLICT DO NOTHING;
