-- name: elect
-- Elects the only one to remove anything now.
SELECT pg_try_advisory_xact_lock(1835364215, 4) AS elected;

-- name: cutoff
-- Says which moment lies so many days back, by PostgreSQL's clock.
SELECT clock_timestamp() - %(days)s::int * interval '1 day' AS cutoff;

-- name: remove_messages
-- Removes a tenant's oldest messages that are past its window, along the index of their age, and keeps
-- that each was there. Those of a user with a replay that is not promoted yet stay until then.
WITH old AS MATERIALIZED (
    SELECT c.tenant_id, c.user_id, c.id, c.session_id, c.extraction_id, c.recorded_at, c.erased_at
      FROM chat_logs c
     WHERE c.tenant_id = %(tenant)s AND c.extracted_at IS NOT NULL
       AND c.recorded_at >= %(after)s::timestamptz AND c.recorded_at < %(before)s::timestamptz
       AND NOT EXISTS (SELECT FROM replays r
                        WHERE r.tenant_id = c.tenant_id AND r.user_id = c.user_id
                          AND r.state IN ('running', 'ready', 'dropping'))
     ORDER BY c.recorded_at
     LIMIT %(limit)s
       FOR UPDATE OF c SKIP LOCKED
), noted AS (
    INSERT INTO removed_messages (tenant_id, user_id, id, session_id, erased_at)
    SELECT tenant_id, user_id, id, session_id, erased_at FROM old ORDER BY user_id, id
        ON CONFLICT DO NOTHING
), gone AS (
    DELETE FROM chat_logs c USING old
     WHERE c.tenant_id = old.tenant_id AND c.user_id = old.user_id AND c.id = old.id
)
SELECT user_id, id, extraction_id, recorded_at FROM old;

-- name: forget_accounts
-- Removes what replays noted of messages; tells which answers those were read by.
DELETE FROM replay_messages m
 USING unnest(%(users)s::text[], %(ids)s::uuid[]) AS t(user_id, id)
 WHERE m.tenant_id = %(tenant)s AND m.user_id = t.user_id AND m.chat_log_id = t.id
RETURNING m.user_id, m.extraction_id;

-- name: drop_answers
-- Takes out what models answered about messages of which none is left; by whom it was read stays known.
UPDATE extractions e SET answer = NULL, dropped = NULL
  FROM (SELECT DISTINCT * FROM unnest(%(users)s::text[], %(ids)s::uuid[])) AS t(user_id, id)
 WHERE e.tenant_id = %(tenant)s AND e.user_id = t.user_id AND e.id = t.id AND e.state <> 'open'
   AND e.answer IS NOT NULL
   AND CASE WHEN e.created_at < %(before)s::timestamptz THEN true
            ELSE NOT EXISTS (SELECT FROM chat_logs c
                              WHERE c.session_id = e.session_id AND c.user_id = e.user_id
                                AND c.tenant_id = e.tenant_id
                                AND (c.extraction_id = e.id OR c.id = ANY(e.message_ids))) END;

-- name: superseded
-- Lists a tenant's oldest superseded facts that were over before a moment, with what superseded them.
SELECT f.user_id, f.id, f.subject, f.slot, f.recorded_at
  FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.superseded_by IS NOT NULL
   AND (f.recorded_at, f.user_id, f.id) > (%(after)s::timestamptz, %(after_user)s, %(after_id)s::uuid)
   AND f.recorded_at < %(before)s::timestamptz
 ORDER BY f.recorded_at, f.user_id, f.id
 LIMIT %(limit)s;

-- name: remove_facts
-- Removes facts with their vectors and what was decided about their pairs.
WITH vectors AS (
    DELETE FROM fact_vectors
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND fact_id = ANY(%(ids)s)
), edges AS (
    DELETE FROM profile_edges
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND fact_id = ANY(%(ids)s)
), decided AS (
    DELETE FROM verdicts
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s
       AND (first_id = ANY(%(ids)s) OR second_id = ANY(%(ids)s))
)
DELETE FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s);

-- name: end_profiles
-- Marks the profiles that rest on a fact which has ended by itself, to be asked for anew.
UPDATE profiles p SET stale_since = now(), asked_for_at = now()
  FROM (SELECT tenant_id, user_id FROM profiles
         WHERE holds_until <= now() AND stale_since IS NULL
         ORDER BY holds_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS ended
 WHERE p.tenant_id = ended.tenant_id AND p.user_id = ended.user_id
RETURNING p.tenant_id, p.user_id;

-- name: stale_profiles
-- Marks the profiles that have been stale for a while, to be asked for anew.
UPDATE profiles p SET asked_for_at = now()
  FROM (SELECT tenant_id, user_id FROM profiles
         WHERE stale_since <= now() - %(seconds)s * interval '1 second' AND asked_for_at IS NULL
         ORDER BY stale_since LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS stale
 WHERE p.tenant_id = stale.tenant_id AND p.user_id = stale.user_id
RETURNING p.tenant_id, p.user_id;

-- name: remove_keys
-- Removes the oldest idempotency keys.
DELETE FROM idempotency_keys k
 USING (SELECT tenant_id, key FROM idempotency_keys
         WHERE created_at < now() - %(days)s::int * interval '1 day'
         ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS old
 WHERE k.tenant_id = old.tenant_id AND k.key = old.key;

-- name: remove_events
-- Removes the oldest events, from the beginning of the table, and keeps how far each tenant's are gone.
WITH first AS MATERIALIZED (
    SELECT seq, at FROM events ORDER BY seq LIMIT %(limit)s
), gone AS (
    DELETE FROM events e USING first
     WHERE e.seq = first.seq AND first.at < now() - %(days)s::int * interval '1 day'
    RETURNING e.tenant_id, e.xid, e.seq
), reached AS (
    INSERT INTO event_horizons AS h (tenant_id, xid, seq)
    SELECT DISTINCT ON (tenant_id) tenant_id, xid, seq FROM gone ORDER BY tenant_id, xid DESC, seq DESC
        ON CONFLICT (tenant_id) DO UPDATE SET xid = excluded.xid, seq = excluded.seq
     WHERE (excluded.xid, excluded.seq) > (h.xid, h.seq)
)
SELECT count(*) AS gone FROM gone;

-- name: remove_failures
-- Removes letters that were dropped, and failures whose items went on, long ago.
DELETE FROM failures f
 USING (SELECT id FROM failures
         WHERE (dropped_at < now() - %(days)s::int * interval '1 day')
            OR (dead_at IS NULL AND payload IS NULL
                AND next_attempt_at < now() - %(days)s::int * interval '1 day')
         LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS old
 WHERE f.id = old.id;
