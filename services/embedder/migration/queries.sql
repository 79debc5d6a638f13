-- name: try_hold
-- Keeps other commands from changing the spaces for as long as our connection lives.
SELECT pg_try_advisory_lock(1835363691) AS held;

-- name: still_held
-- Asks the connection that holds the lock whether it is there.
SELECT 1;

-- name: page
-- Reads the next facts by key: those that lack a vector of the model, and always the last of them.
WITH page AS MATERIALIZED (
    SELECT tenant_id, user_id, id, content, row_number() OVER () AS place,
           state <> 'extracted' AND standing IS DISTINCT FROM 'forgotten' AS due
      FROM (SELECT * FROM memory_facts
             WHERE (tenant_id, user_id, id) > (%(tenant)s::text, %(user)s::text, %(id)s::uuid)
             ORDER BY tenant_id, user_id, id
             LIMIT %(limit)s) AS facts
), lacking AS (
    SELECT p.*, p.due AND NOT EXISTS (
               SELECT FROM fact_vectors v
                WHERE v.tenant_id = p.tenant_id AND v.user_id = p.user_id AND v.model = %(model)s
                  AND v.fact_id = p.id) AS lacks
      FROM page p
)
SELECT tenant_id, user_id, id, lacks, CASE WHEN lacks THEN content END AS content
  FROM lacking
 WHERE lacks OR place = (SELECT max(place) FROM page)
 ORDER BY place;

-- name: fill
-- Stores vectors of facts that are still there and not forgotten; their erasure waits, or came first.
WITH incoming AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(vectors)b::halfvec[])
                  AS t(tenant_id, user_id, id, embedding)
), there AS MATERIALIZED (
    SELECT f.tenant_id, f.user_id, f.id
      FROM incoming JOIN memory_facts f USING (tenant_id, user_id, id)
     WHERE f.standing IS DISTINCT FROM 'forgotten'
     ORDER BY f.tenant_id, f.user_id, f.id
       FOR SHARE OF f
)
INSERT INTO fact_vectors (tenant_id, user_id, fact_id, model, embedding)
SELECT tenant_id, user_id, id, %(model)s, embedding FROM incoming JOIN there USING (tenant_id, user_id, id)
    ON CONFLICT DO NOTHING;

-- name: counts
-- Counts the vectors of every model.
SELECT model, count(*) AS vectors FROM fact_vectors GROUP BY model;

-- name: facts
-- Counts the facts that have, or should have, a vector.
SELECT count(*) AS facts FROM memory_facts
 WHERE state <> 'extracted' AND standing IS DISTINCT FROM 'forgotten';

-- name: lacking
-- Counts the facts without a vector of the model, and the bytes of their sentences.
SELECT count(*) AS facts, coalesce(sum(octet_length(f.content)), 0)::bigint AS bytes
  FROM memory_facts f
 WHERE f.state <> 'extracted' AND f.standing IS DISTINCT FROM 'forgotten'
   AND NOT EXISTS (SELECT FROM fact_vectors v
                    WHERE v.tenant_id = f.tenant_id AND v.user_id = f.user_id AND v.model = %(model)s
                      AND v.fact_id = f.id);

-- name: prune_page
-- Deletes a model's vectors among the next ones by key; tells the last key and how many are gone.
WITH page AS MATERIALIZED (
    SELECT tenant_id, user_id, model, fact_id FROM fact_vectors
     WHERE (tenant_id, user_id, model, fact_id)
           > (%(tenant)s::text, %(user)s::text, %(after)s::text, %(id)s::uuid)
     ORDER BY tenant_id, user_id, model, fact_id
     LIMIT %(limit)s
), gone AS (
    DELETE FROM fact_vectors v USING page p
     WHERE p.model = %(model)s AND v.tenant_id = p.tenant_id AND v.user_id = p.user_id
       AND v.model = p.model AND v.fact_id = p.fact_id
    RETURNING 1
)
SELECT tenant_id, user_id, model, fact_id, (SELECT count(*) FROM gone) AS gone
  FROM page
 ORDER BY tenant_id DESC, user_id DESC, model DESC, fact_id DESC
 LIMIT 1;

-- name: forget_space
-- Removes a space whose vectors are gone.
DELETE FROM embedding_spaces WHERE model = %(model)s AND state = 'pruning';
