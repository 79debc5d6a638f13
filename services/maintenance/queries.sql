-- name: now_if_open
-- Takes PostgreSQL's time before Redis is looked at, and tells whether any row is open at all.
SELECT clock_timestamp() AS now,
       EXISTS (SELECT FROM chat_logs WHERE extracted_at IS NULL)
    OR EXISTS (SELECT FROM memory_facts WHERE state <> 'settled')
    OR EXISTS (SELECT FROM jobs WHERE state = 'requested')
    OR EXISTS (SELECT FROM failures WHERE next_attempt_at IS NOT NULL AND payload IS NOT NULL) AS open;

-- name: elect
-- Elects the only one to do this duty now.
SELECT pg_try_advisory_xact_lock(1835364215, %(duty)s) AS elected;

-- name: waiting_tenants
-- Lists tenants with messages that wait for their window, along the index of these alone.
WITH RECURSIVE tenant (id) AS (
    (SELECT tenant_id FROM chat_logs
      WHERE coalesce(announced_at, extracted_at) IS NULL ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT tenant_id FROM chat_logs
             WHERE coalesce(announced_at, extracted_at) IS NULL AND tenant_id > tenant.id
             ORDER BY tenant_id LIMIT 1)
      FROM tenant WHERE tenant.id IS NOT NULL
)
SELECT id AS tenant_id FROM tenant WHERE id IS NOT NULL;

-- name: refill_window
-- Announces a tenant's oldest waiting messages, as many as its window has room for.
WITH room AS (
    SELECT %(window)s - count(*) AS places
      FROM (SELECT FROM chat_logs
             WHERE tenant_id = %(tenant)s AND announced_at IS NOT NULL
               AND extracted_at IS NULL AND (retry_at IS NULL OR retry_at = postponed_until)
             LIMIT %(window)s) AS announced
), next AS (
    SELECT user_id, id FROM chat_logs
     WHERE tenant_id = %(tenant)s AND coalesce(announced_at, extracted_at) IS NULL
     ORDER BY recorded_at, user_id, id
     LIMIT (SELECT places FROM room)
       FOR UPDATE SKIP LOCKED
)
UPDATE chat_logs c SET announced_at = now()
  FROM next
 WHERE c.tenant_id = %(tenant)s AND c.user_id = next.user_id AND c.id = next.id
RETURNING c.tenant_id, c.user_id, c.id, c.session_id, c.announced_at;

-- name: lost_messages
-- Announces again the messages whose bell is lost, whose retry is due or whose lease ran out.
WITH chosen AS (
    SELECT c.tenant_id, c.user_id, c.id FROM chat_logs c
      LEFT JOIN LATERAL (SELECT e.id, e.lease_until FROM extractions e
                          WHERE e.tenant_id = c.tenant_id AND e.user_id = c.user_id
                            AND e.session_id = c.session_id AND e.state = 'open'
                         OFFSET 0) AS e ON true
     WHERE c.extracted_at IS NULL AND c.announced_at IS NOT NULL
       AND c.announced_at < %(now)s::timestamptz - least(300, %(patience)s::float8 * 2 ^ least(c.rings, 10)) * interval '1 second'
       AND CASE WHEN c.retry_at IS NOT NULL THEN c.retry_at <= %(now)s::timestamptz
                WHEN e.id IS NOT NULL THEN e.lease_until < %(now)s::timestamptz
                ELSE c.announced_at < %(oldest_bell)s::timestamptz END
     ORDER BY c.announced_at
     LIMIT %(limit)s
       FOR UPDATE OF c SKIP LOCKED
)
UPDATE chat_logs c
   SET announced_at = now(), rings = least(c.rings + 1, 100), retry_at = NULL,
       extraction_id = (SELECT e.id FROM extractions e  -- a closed reservation holds nothing
                         WHERE e.tenant_id = c.tenant_id AND e.user_id = c.user_id
                           AND e.id = c.extraction_id AND e.state = 'open')
  FROM chosen
 WHERE c.tenant_id = chosen.tenant_id AND c.user_id = chosen.user_id AND c.id = chosen.id
RETURNING c.tenant_id, c.user_id, c.id, c.session_id, c.announced_at;

-- name: lost_facts
-- Announces again the facts in one state whose bell is lost or whose retry is due.
WITH chosen AS (
    SELECT tenant_id, user_id, id FROM memory_facts
     WHERE state = %(state)s AND state <> 'settled'
       AND announced_at < %(now)s::timestamptz - least(300, %(patience)s::float8 * 2 ^ least(rings, 10)) * interval '1 second'
       AND CASE WHEN retry_at IS NOT NULL THEN retry_at <= %(now)s::timestamptz
                ELSE announced_at < %(oldest_bell)s::timestamptz END
     ORDER BY announced_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE memory_facts f SET announced_at = now(), rings = least(f.rings + 1, 100), retry_at = NULL
  FROM chosen
 WHERE f.tenant_id = chosen.tenant_id AND f.user_id = chosen.user_id AND f.id = chosen.id
RETURNING f.tenant_id, f.user_id, f.id, f.announced_at;

-- name: lost_jobs
-- Announces again the jobs of one kind whose bell is lost or whose retry is due.
WITH chosen AS (
    SELECT tenant_id, user_id, id FROM jobs
     WHERE state = 'requested' AND kind = %(kind)s
       AND coalesce(announced_at, '-infinity')
           < %(now)s::timestamptz - least(300, %(patience)s::float8 * 2 ^ least(rings, 10)) * interval '1 second'
       AND CASE WHEN retry_at IS NOT NULL THEN retry_at <= %(now)s::timestamptz
                ELSE coalesce(announced_at, '-infinity') < %(oldest_bell)s END
     ORDER BY announced_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE jobs j SET announced_at = now(), rings = least(j.rings + 1, 100), retry_at = NULL
  FROM chosen
 WHERE j.tenant_id = chosen.tenant_id AND j.user_id = chosen.user_id AND j.id = chosen.id
RETURNING j.tenant_id, j.user_id, j.id, j.announced_at;

-- name: due_entries
-- Reads redriven entries that never became rows: their payload is their only copy.
SELECT id, stage, subject_id, tenant_id, user_id, payload FROM failures
 WHERE next_attempt_at <= %(now)s::timestamptz AND dead_at IS NULL AND payload IS NOT NULL
 ORDER BY next_attempt_at
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED;

-- name: forget_entries
-- Removes entries that are on their stream again.
DELETE FROM failures WHERE id = ANY(%(ids)s);

-- name: known_facts
-- Reads what is believed now about a user themself: of a slot or a category as much as could ever fit.
SELECT id, category, slot, value, content, evidence_count, said_at
  FROM (
SELECT f.id, f.category, f.slot, f.value, f.content, f.evidence_count, f.said_at,
       row_number() OVER (PARTITION BY f.slot, f.category
                          ORDER BY f.evidence_count DESC, f.said_at DESC, f.id) AS place
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.subject = 'user' AND f.state = 'settled' AND f.standing = 'belief' AND f.believed @> now()
   AND (f.fades_at IS NULL OR f.fades_at > now())
       ) AS best
 WHERE place <= 300;

-- name: asked_for_profile
-- Reads what a model was last asked for a user's profile; nothing where none was.
SELECT asked_sha256 FROM profiles
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND asked_sha256 IS NOT NULL;

-- name: note_asked
-- Keeps what a model was asked without a change to the profile.
UPDATE profiles SET asked_sha256 = %(asked)s
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: stored_profile
-- Reads a user's profile and what it rests on, in the order of its text.
SELECT p.content, p.stale_since IS NOT NULL AS stale, p.written_by, p.asked_sha256,
       ARRAY(SELECT e.fact_id FROM profile_edges e
              WHERE e.tenant_id = p.tenant_id AND e.user_id = p.user_id ORDER BY e.place) AS rests_on
  FROM profiles p
 WHERE p.tenant_id = %(tenant)s AND p.user_id = %(user)s;

-- name: clear_profile
-- Removes a user's profile and its edges.
WITH edges AS (
    DELETE FROM profile_edges WHERE tenant_id = %(tenant)s AND user_id = %(user)s
)
DELETE FROM profiles WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: store_profile
-- Stores a user's profile with an edge to each fact it rests on.
WITH written AS (
    INSERT INTO profiles (tenant_id, user_id, content, written_by, asked_sha256, holds_until)
    VALUES (%(tenant)s, %(user)s, %(content)s, %(by)s, %(asked)s,
            (SELECT min(upper(stretch)) FROM memory_facts f, unnest(f.believed) AS stretch
              WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = ANY(%(facts)s)
                AND stretch @> now()))
)
INSERT INTO profile_edges (tenant_id, user_id, fact_id, place)
SELECT %(tenant)s, %(user)s, fact_id, place
  FROM unnest(%(facts)s::uuid[]) WITH ORDINALITY AS t(fact_id, place);

-- name: rounds
-- Takes PostgreSQL's time, and reads how far each kind's last round has come.
SELECT clock_timestamp() AS now, k.kind, s.slot, s.turn, s.finished_at IS NOT NULL AS finished
  FROM unnest(%(kinds)s::text[]) AS k(kind)
  LEFT JOIN schedules s ON s.kind = k.kind;

-- name: save_round
-- Keeps how far a kind's round has come.
INSERT INTO schedules AS s (kind, slot, turn, finished_at)
VALUES (%(kind)s, %(slot)s, %(turn)s, CASE WHEN %(finished)s THEN clock_timestamp() END)
    ON CONFLICT (kind) DO UPDATE
   SET slot = excluded.slot, turn = excluded.turn, finished_at = excluded.finished_at;

-- name: room_for_jobs
-- Says how many more jobs of a kind the schedule may ask for; those asked for by hand do not count.
SELECT %(window)s::int - count(*)::int AS room
  FROM (SELECT FROM jobs
         WHERE kind = %(kind)s AND state = 'requested' AND due_slot IS NOT NULL
           AND retry_at IS DISTINCT FROM 'infinity'
         LIMIT %(window)s) AS waiting;

-- name: ask_users
-- Asks for the jobs of the next users in turn who have news, unless one waits already; tells how far it
-- looked. News is what was learnt, what only this kind counts, a moment that has come, or other rules. Users of one turn stay together. Read along the index of turns, so a step costs the same
-- among millions.
WITH next AS MATERIALIZED (
    SELECT tenant_id, user_id, belief_version,
           hashtextextended(tenant_id || chr(31) || user_id, 0) & 2147483647 AS turn
      FROM users
     WHERE (hashtextextended(tenant_id || chr(31) || user_id, 0) & 2147483647) > %(after)s::bigint
       AND (hashtextextended(tenant_id || chr(31) || user_id, 0) & 2147483647) < %(below)s::bigint
     ORDER BY hashtextextended(tenant_id || chr(31) || user_id, 0) & 2147483647
     FETCH FIRST %(looked_at)s ROWS WITH TIES
), news AS MATERIALIZED (
    SELECT n.tenant_id, n.user_id, n.turn
      FROM next n
      LEFT JOIN LATERAL (SELECT * FROM job_runs r
                          WHERE r.tenant_id = n.tenant_id AND r.user_id = n.user_id AND r.kind = %(kind)s
                         OFFSET 0) AS r ON true  -- by user, never all that ever ran
     WHERE n.belief_version > coalesce(r.last_version, 0) OR r.news > r.seen_news OR r.due_at <= now()
        OR r.rules <> %(rules)s OR r.last_run_at > now()  -- by a clock that was ahead
), due AS MATERIALIZED (
    SELECT n.tenant_id, n.user_id, n.turn
      FROM news n
     WHERE (SELECT true FROM jobs j  -- by user, never all that is open of a kind
             WHERE j.tenant_id = n.tenant_id AND j.user_id = n.user_id
               AND j.kind IS NOT DISTINCT FROM %(kind)s AND j.state = 'requested'
               AND j.retry_at IS DISTINCT FROM 'infinity'
             LIMIT 1) IS NULL
     ORDER BY n.turn
     FETCH FIRST %(limit)s ROWS WITH TIES
), made AS (
    INSERT INTO jobs (tenant_id, user_id, id, kind, due_slot, announced_at)
    SELECT tenant_id, user_id, gen_random_uuid(), %(kind)s, %(slot)s::timestamptz, now() FROM due
        ON CONFLICT DO NOTHING
    RETURNING tenant_id, user_id, id, announced_at
)
SELECT looked.turn, made.tenant_id, made.user_id, made.id, made.announced_at
  FROM (SELECT CASE WHEN (SELECT count(*) FROM due) >= %(limit)s THEN (SELECT max(turn) FROM due)
                    ELSE (SELECT max(turn) FROM next) END AS turn) AS looked
  LEFT JOIN made ON true;

-- name: forget_jobs
-- Deletes a kind's jobs that were done long ago.
DELETE FROM jobs j
 USING (SELECT tenant_id, user_id, id FROM jobs
         WHERE kind = %(kind)s AND state = 'done'
           AND finished_at < now() - %(keep_days)s::int * interval '1 day'
         ORDER BY finished_at LIMIT %(limit)s) AS old
 WHERE j.tenant_id = old.tenant_id AND j.user_id = old.user_id AND j.id = old.id;
