-- name: slot_observations
-- Reads every settled observation of the given attributes of one user, with its cached standing.
SELECT f.id, f.subject, f.slot, f.value, f.value_key, f.content, f.cardinality, f.claim,
       f.temporal_state, f.said_at, f.recorded_at, f.message_key, f.ordinal, f.occurred_at,
       f.occurred_precision, f.ended_at, f.ended_precision, f.source_message_ids, f.standing,
       f.canonical_id, f.believed, f.planned_for, f.planned_since, f.superseded_by, f.evidence_count
  FROM memory_facts f
  JOIN (SELECT DISTINCT * FROM unnest(%(subjects)s::text[], %(slots)s::text[])) AS t(subject, slot)
    ON t.subject = f.subject AND t.slot = f.slot
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.state = 'settled'
   AND f.generation IN (0, u.generation);

-- name: clustered_observations
-- Reads the settled free-text facts that stored verdicts connect with the given ones.
WITH RECURSIVE reached (id) AS (
    SELECT unnest(%(ids)s::uuid[])
    UNION
    SELECT CASE WHEN v.first_id = r.id THEN v.second_id ELSE v.first_id END
      FROM reached r
      JOIN verdicts v ON v.tenant_id = %(tenant)s AND v.user_id = %(user)s
                     AND v.verdict IN ('duplicate', 'supersedes')
                     AND (v.first_id = r.id OR v.second_id = r.id)
)
SELECT f.id, f.subject, f.slot, f.value, f.value_key, f.content, f.cardinality, f.claim,
       f.temporal_state, f.said_at, f.recorded_at, f.message_key, f.ordinal, f.occurred_at,
       f.occurred_precision, f.ended_at, f.ended_precision, f.source_message_ids, f.standing,
       f.canonical_id, f.believed, f.planned_for, f.planned_since, f.superseded_by, f.evidence_count
  FROM memory_facts f
  JOIN reached USING (id)
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.slot IS NULL AND f.state = 'settled'
   AND f.generation IN (0, u.generation);

-- name: verdicts_among
-- Reads what was decided about pairs of these facts.
SELECT first_id, second_id, verdict, recorded_at FROM verdicts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND verdict IN ('duplicate', 'supersedes')
   AND first_id = ANY(%(ids)s) AND second_id = ANY(%(ids)s);

-- name: acts
-- Reads the operators' acts and tombstones about one user.
SELECT id, kind, fact_id, subject, slot, value, value_key, old_value_key, valid_from, valid_to,
       source_message_ids, acted_at
  FROM belief_acts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: write_standings
-- Rewrites the cache of the facts whose standing changed.
UPDATE memory_facts f
   SET standing = t.standing, canonical_id = t.canonical_id, believed = t.believed::tstzmultirange,
       planned_for = t.planned_for, planned_since = t.planned_since,
       superseded_by = t.superseded_by, evidence_count = t.evidence_count
  FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(canonical)s::uuid[], %(believed)s::text[],
              %(planned_for)s::timestamptz[], %(planned_since)s::timestamptz[],
              %(superseded_by)s::uuid[], %(evidence)s::int[])
       AS t(id, standing, canonical_id, believed, planned_for, planned_since, superseded_by,
            evidence_count)
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = t.id;

-- name: record_events
-- Appends what happened to facts.
INSERT INTO events (tenant_id, user_id, event, fact_id, trace_id, data)
SELECT %(tenant)s, %(user)s, t.* FROM unnest(%(events)s::text[], %(facts)s::uuid[],
                                             %(traces)s::uuid[], %(data)s::jsonb[]) AS t;

-- name: try_lock_user
-- Takes the user for this transaction, or says at once that somebody else has it.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(scope)s || chr(31) || %(tenant)s || chr(31) || %(user)s, 0)) AS locked;

-- name: attributes_of
-- Lists the attributes that anything settled was said about, for a user.
SELECT DISTINCT subject, slot FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND slot IS NOT NULL AND state = 'settled';

-- name: free_text_of
-- Lists a user's settled free-text facts.
SELECT id FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND slot IS NULL AND state = 'settled';
