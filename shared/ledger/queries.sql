-- name: slot_observations
-- Reads every settled observation of the given attributes of users, with its cached standing.
SELECT f.tenant_id, f.user_id, f.id, f.subject, f.slot, f.value, f.value_key, f.content,
       f.cardinality, f.claim, f.temporal_state, f.said_at, f.recorded_at, f.message_key, f.ordinal,
       f.occurred_at, f.occurred_precision, f.ended_at, f.ended_precision, f.source_message_ids,
       f.standing, f.canonical_id, f.believed, f.planned_for, f.planned_since, f.superseded_by,
       f.evidence_count, f.source, f.suspicions
  FROM (SELECT DISTINCT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(subjects)s::text[],
                                      %(slots)s::text[])) AS t(tenant_id, user_id, subject, slot)
 CROSS JOIN LATERAL (SELECT * FROM memory_facts f
                      WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id
                        AND f.subject = t.subject AND f.slot = t.slot
                     OFFSET 0) AS f  -- one by one: planned while there are few, it reads everybody's
  JOIN users u ON u.tenant_id = t.tenant_id AND u.user_id = t.user_id
 WHERE f.state = 'settled' AND f.generation IN (0, u.generation);

-- name: clustered_observations
-- Reads the settled free-text facts that stored verdicts connect with the given ones.
WITH RECURSIVE reached (tenant_id, user_id, id) AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[])
    UNION
    SELECT r.tenant_id, r.user_id, near.id
      FROM reached r CROSS JOIN LATERAL (
           SELECT v.second_id AS id FROM verdicts v
            WHERE v.tenant_id = r.tenant_id AND v.user_id = r.user_id AND v.first_id = r.id
              AND v.verdict IN ('duplicate', 'supersedes')
            UNION ALL
           SELECT v.first_id FROM verdicts v
            WHERE v.tenant_id = r.tenant_id AND v.user_id = r.user_id AND v.second_id = r.id
              AND v.verdict IN ('duplicate', 'supersedes')) AS near
)
SELECT f.tenant_id, f.user_id, f.id, f.subject, f.slot, f.value, f.value_key, f.content,
       f.cardinality, f.claim, f.temporal_state, f.said_at, f.recorded_at, f.message_key, f.ordinal,
       f.occurred_at, f.occurred_precision, f.ended_at, f.ended_precision, f.source_message_ids,
       f.standing, f.canonical_id, f.believed, f.planned_for, f.planned_since, f.superseded_by,
       f.evidence_count, f.source, f.suspicions
  FROM reached
 CROSS JOIN LATERAL (SELECT * FROM memory_facts f
                      WHERE f.tenant_id = reached.tenant_id AND f.user_id = reached.user_id
                        AND f.id = reached.id
                     OFFSET 0) AS f  -- row by row: the planner takes the recursion for endless
 WHERE f.slot IS NULL AND f.state = 'settled'
   AND f.generation IN (0, (SELECT u.generation FROM users u
                             WHERE u.tenant_id = f.tenant_id AND u.user_id = f.user_id));

-- name: verdicts_among
-- Reads what was decided about pairs of these facts.
SELECT v.first_id, v.second_id, v.verdict, v.recorded_at
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN verdicts v ON v.tenant_id = t.tenant_id AND v.user_id = t.user_id AND v.first_id = t.id
 WHERE v.verdict IN ('duplicate', 'supersedes');

-- name: acts
-- Reads the operators' acts and tombstones about users.
SELECT a.tenant_id, a.user_id, id, kind, fact_id, subject, slot, value, value_key, old_value_key,
       valid_from, valid_to, source_message_ids, acted_at, deed, undoes, origin, learnt_since, review_key
  FROM (SELECT DISTINCT * FROM unnest(%(tenants)s::text[], %(users)s::text[])) AS t(tenant_id, user_id)
  JOIN belief_acts a USING (tenant_id, user_id);

-- name: reworded_facts
-- Lists the free text that corrections join: their own, the facts they name and what says the same.
SELECT DISTINCT f.tenant_id, f.user_id, f.id
  FROM (SELECT DISTINCT * FROM unnest(%(tenants)s::text[], %(users)s::text[])) AS t(tenant_id, user_id)
  JOIN belief_acts a USING (tenant_id, user_id)
  JOIN memory_facts f USING (tenant_id, user_id)
 WHERE a.kind = 'correction' AND a.slot IS NULL AND f.slot IS NULL AND f.state = 'settled'
   AND (f.id = a.id OR f.id = a.fact_id OR (f.subject = a.subject AND f.value_key = a.old_value_key));

-- name: mark_stale
-- Marks the profiles that rest on these facts; the words of one that rests on what was forgotten go.
UPDATE profiles p
   SET stale_since = coalesce(p.stale_since, now()), stale_fact = coalesce(p.stale_fact, c.fact_id),
       content = CASE WHEN c.forgotten THEN '' ELSE p.content END
  FROM (SELECT e.tenant_id, e.user_id, min(e.fact_id::text)::uuid AS fact_id,
               bool_or(t.forgotten) AS forgotten
          FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(forgotten)s::boolean[])
               AS t(tenant_id, user_id, fact_id, forgotten)
          JOIN profile_edges e USING (tenant_id, user_id, fact_id)
         GROUP BY e.tenant_id, e.user_id) AS c
 WHERE p.tenant_id = c.tenant_id AND p.user_id = c.user_id AND (p.stale_since IS NULL OR c.forgotten);

-- name: lock_user
-- Takes a user for this transaction, as soon as whoever has it lets go.
SELECT pg_advisory_xact_lock(hashtextextended(%(scope)s::text || chr(31) || %(tenant)s::text || chr(31) || %(user)s::text, 0));

-- name: observations_known
-- Reads what had been recorded about a user by a moment, without its cache; all slots, or some.
SELECT f.id, f.subject, f.slot, f.value, f.value_key,
       CASE WHEN f.suspicions IS NOT NULL THEN f.content END AS content, f.cardinality, f.claim,
       f.temporal_state, f.said_at, f.recorded_at, f.message_key, f.ordinal, f.occurred_at,
       f.occurred_precision, f.ended_at, f.ended_precision, f.source_message_ids, f.source, f.suspicions
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.state = 'settled' AND f.recorded_at <= %(known_at)s::timestamptz
   AND (%(slots)s::text[] IS NULL OR f.slot = ANY(%(slots)s));

-- name: verdicts_known
-- Reads what had been decided about a user's pairs by a moment.
SELECT first_id, second_id, verdict FROM verdicts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND recorded_at <= %(known_at)s::timestamptz
   AND verdict IN ('duplicate', 'supersedes');

-- name: write_standings
-- Rewrites the cache of the facts whose standing changed; what is said anew does not fade until the
-- decay job has looked.
UPDATE memory_facts f
   SET standing = t.standing, canonical_id = t.canonical_id, believed = t.believed::tstzmultirange,
       planned_for = t.planned_for, planned_since = t.planned_since,
       superseded_by = t.superseded_by, evidence_count = t.evidence_count, fades_at = NULL
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(kinds)s::text[],
              %(canonical)s::uuid[], %(believed)s::text[], %(planned_for)s::timestamptz[],
              %(planned_since)s::timestamptz[], %(superseded_by)s::uuid[], %(evidence)s::int[])
       AS t(tenant_id, user_id, id, standing, canonical_id, believed, planned_for, planned_since,
            superseded_by, evidence_count)
 WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id AND f.id = t.id;

-- name: record_events
-- Appends what happened to facts.
INSERT INTO events (tenant_id, user_id, event, fact_id, trace_id, data)
SELECT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(events)s::text[], %(facts)s::uuid[],
                     %(traces)s::uuid[], %(data)s::jsonb[]);

-- name: grow_version
-- Tells whoever keeps anything of a user, and every kind of job, that it is another by now.
UPDATE users SET belief_version = belief_version + 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: try_lock_users
-- Takes users for this transaction; whom somebody else has is not returned, and not waited for.
SELECT tenant_id, user_id
  FROM (SELECT DISTINCT * FROM unnest(%(tenants)s::text[], %(users)s::text[])) AS t(tenant_id, user_id)
 WHERE pg_try_advisory_xact_lock(
           hashtextextended(%(scope)s || chr(31) || tenant_id || chr(31) || user_id, 0));

-- name: attributes_of
-- Lists the attributes that anything settled was said about, for a user.
SELECT DISTINCT subject, slot FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND slot IS NOT NULL AND state = 'settled';

-- name: free_text_of
-- Lists a user's settled free-text facts.
SELECT id FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND slot IS NULL AND state = 'settled';
