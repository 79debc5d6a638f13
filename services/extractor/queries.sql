-- Rows are found by their key, never by reading an index on open rows whole: while statistics are young, or
-- were gathered when nothing was open, the planner takes those for empty. `IS NOT DISTINCT FROM` keeps it
-- from trying; where such an index is the key, `OFFSET 0` or a subquery has it asked once for each.

-- name: reserve
-- Takes sessions for one worker: a dead worker's open reservation, else a new one if work waits;
-- and tells how long ago the session's newest waiting message arrived.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(ids)s::uuid[])
                  AS t(tenant_id, user_id, session_id, id)
), taken AS (
    UPDATE extractions e
       SET lease_until = now() + %(lease)s * interval '1 second', worker = %(worker)s,
           attempts = e.attempts + 1
      FROM asked CROSS JOIN LATERAL (
           SELECT x.id FROM extractions x
            WHERE x.tenant_id = asked.tenant_id AND x.user_id = asked.user_id
              AND x.session_id = asked.session_id AND x.state = 'open'
           OFFSET 0) AS open
     WHERE e.tenant_id = asked.tenant_id AND e.user_id = asked.user_id AND e.id = open.id
       AND e.state IS NOT DISTINCT FROM 'open' AND e.lease_until < now()
    RETURNING e.tenant_id, e.user_id, e.session_id, e.id, e.attempts, true AS taken_over
), made AS (
    INSERT INTO extractions (tenant_id, user_id, id, session_id, lease_until, worker)
    SELECT tenant_id, user_id, id, session_id, now() + %(lease)s * interval '1 second', %(worker)s
      FROM asked
     WHERE NOT EXISTS (SELECT FROM taken t WHERE t.tenant_id = asked.tenant_id
                          AND t.user_id = asked.user_id AND t.session_id = asked.session_id)
       AND (SELECT true FROM chat_logs c
             WHERE c.tenant_id = asked.tenant_id AND c.user_id = asked.user_id
               AND c.session_id = asked.session_id
               AND c.state IN ('received', 'extracting') AND c.extraction_id IS NULL
               AND (c.retry_at IS NULL OR c.retry_at <= now())
             LIMIT 1)
     ORDER BY tenant_id, user_id, session_id
        ON CONFLICT (tenant_id, user_id, session_id) WHERE state = 'open' DO NOTHING
    RETURNING tenant_id, user_id, session_id, id, attempts, false AS taken_over
)
SELECT held.*, (SELECT extract(epoch FROM clock_timestamp() - max(c.recorded_at))::float8
                  FROM chat_logs c
                 WHERE c.tenant_id = held.tenant_id AND c.user_id = held.user_id
                   AND c.session_id = held.session_id AND c.state IN ('received', 'extracting')
                   AND c.extraction_id IS NULL) AS quiet_seconds
  FROM (SELECT * FROM taken UNION ALL SELECT * FROM made) AS held;

-- name: renew
-- Keeps a living worker's reservations; what somebody else has taken is not returned. What is locked is
-- being claimed or committed just now, and has its turn in a third of a lease: waiting for it would hold
-- up everybody who comes to the rows locked before it.
WITH ours AS MATERIALIZED (
    SELECT e.tenant_id, e.user_id, e.id
      FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
      JOIN extractions e USING (tenant_id, user_id, id)
     WHERE e.state IS NOT DISTINCT FROM 'open' AND e.worker = %(worker)s
), free AS MATERIALIZED (
    SELECT e.tenant_id, e.user_id, e.id
      FROM ours JOIN extractions e USING (tenant_id, user_id, id)
     WHERE e.state IS NOT DISTINCT FROM 'open' AND e.worker = %(worker)s
       FOR UPDATE OF e SKIP LOCKED
), renewed AS (
    UPDATE extractions e SET lease_until = now() + %(lease)s * interval '1 second'
      FROM free WHERE e.tenant_id = free.tenant_id AND e.user_id = free.user_id AND e.id = free.id
)
SELECT id FROM ours;

-- name: release
-- Ends the leases of a worker that stops, and takes back that its attempts began.
UPDATE extractions e SET lease_until = '-infinity', attempts = e.attempts - 1
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE e.tenant_id = t.tenant_id AND e.user_id = t.user_id AND e.id = t.id
   AND e.state IS NOT DISTINCT FROM 'open' AND e.worker = %(worker)s;

-- name: newest_arrivals
-- Tells how long ago, in seconds, each session's newest waiting message arrived.
SELECT t.id, (SELECT extract(epoch FROM clock_timestamp() - max(c.recorded_at))::float8
                FROM chat_logs c
               WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id
                 AND c.session_id = t.session_id AND c.state IN ('received', 'extracting')
                 AND c.extraction_id IS NULL) AS seconds
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(ids)s::uuid[])
       AS t(tenant_id, user_id, session_id, id);

-- name: claim
-- Points waiting messages at their session's reservation, oldest first, up to the budget in bytes.
WITH held AS MATERIALIZED (
    SELECT t.*
      FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(ids)s::uuid[])
           AS t(tenant_id, user_id, session_id, id)
      JOIN extractions e ON e.tenant_id = t.tenant_id AND e.user_id = t.user_id AND e.id = t.id
                        AND e.state IS NOT DISTINCT FROM 'open' AND e.worker = %(worker)s
     ORDER BY t.tenant_id, t.user_id, t.id
       FOR UPDATE OF e
), chosen AS MATERIALIZED (
    SELECT held.tenant_id, held.user_id, held.id AS extraction_id, waiting.id
      FROM held CROSS JOIN LATERAL (
           SELECT c.id, row_number() OVER w AS place, sum(octet_length(c.content)) OVER w AS bytes
             FROM chat_logs c
            WHERE c.tenant_id = held.tenant_id AND c.user_id = held.user_id
              AND c.session_id = held.session_id AND c.state IN ('received', 'extracting')
              AND c.extraction_id IS NULL AND (c.retry_at IS NULL OR c.retry_at <= now())
           WINDOW w AS (ORDER BY c.said_at, c.message_key, c.id)) AS waiting
     WHERE waiting.place = 1 OR waiting.bytes <= %(budget)s
)
UPDATE chat_logs c
   SET state = 'extracting', extraction_id = chosen.extraction_id, rings = 0, retry_at = NULL
  FROM chosen
 WHERE c.tenant_id = chosen.tenant_id AND c.user_id = chosen.user_id AND c.id = chosen.id
   AND c.extraction_id IS NULL AND c.erased_at IS NULL
RETURNING c.tenant_id AS tenant, c.user_id AS "user", c.id, c.session_id AS session, c.role,
          c.content, c.said_at, c.recorded_at, c.message_key, c.agent_id, c.speaker, c.metadata,
          c.extraction_id;

-- name: messages_held
-- Reads what reservations taken over from dead workers hold.
SELECT c.tenant_id AS tenant, c.user_id AS "user", c.id, c.session_id AS session, c.role,
       c.content, c.said_at, c.recorded_at, c.message_key, c.agent_id, c.speaker, c.metadata,
       c.extraction_id
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(ids)s::uuid[])
       AS t(tenant_id, user_id, session_id, id)
 CROSS JOIN LATERAL (SELECT * FROM chat_logs c
                      WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id
                        AND c.session_id = t.session_id AND c.extraction_id = t.id
                        AND c.state = 'extracting'
                     OFFSET 0) AS c;

-- name: surroundings
-- Reads what each call is told beside its messages: generation, what is known, the turns before but
-- for those that are dead.
SELECT t.id,
       coalesce((SELECT generation FROM users u
                  WHERE u.tenant_id = t.tenant_id AND u.user_id = t.user_id), 1) AS generation,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('slot', k.slot, 'value', k.value)), '[]')
          FROM (SELECT f.slot, f.value FROM memory_facts f
                 WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id AND f.subject = 'user'
                   AND f.slot IS NOT NULL AND f.value IS NOT NULL AND f.standing = 'belief'
                   AND f.believed @> now()
                   AND f.generation IN (0, coalesce((SELECT generation FROM users u
                                                      WHERE u.tenant_id = t.tenant_id
                                                        AND u.user_id = t.user_id), 1))
                 ORDER BY f.slot, f.id LIMIT %(known)s) AS k) AS known,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'id', b.id, 'role', b.role, 'at', b.said_at, 'content', b.content,
                   'metadata', b.metadata)), '[]')
          FROM (SELECT c.id, c.role, c.said_at, c.content, c.metadata FROM chat_logs c
                 WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id
                   AND c.session_id = t.session_id AND c.said_at < t.before
                   AND c.erased_at IS NULL AND c.retry_at IS DISTINCT FROM 'infinity'
                 ORDER BY c.said_at DESC LIMIT %(context)s) AS b) AS context
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(ids)s::uuid[],
              %(befores)s::timestamptz[])
       AS t(tenant_id, user_id, session_id, id, before);

-- name: lock_open
-- Locks reservations for their commit; what has been closed (or is another's) is not returned. While
-- any is committed its user's generation stays: who promotes another one takes this lock for himself.
SELECT e.id, pg_advisory_xact_lock_shared(
           hashtextextended('generation' || chr(31) || e.tenant_id || chr(31) || e.user_id, 0))
  FROM extractions e
  JOIN unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
    ON e.tenant_id = t.tenant_id AND e.user_id = t.user_id AND e.id = t.id
 WHERE e.state IS NOT DISTINCT FROM 'open' AND (%(any_worker)s OR e.worker = %(worker)s)
 ORDER BY e.tenant_id, e.user_id, e.id
   FOR UPDATE OF e;

-- name: finish_messages
-- Moves what still points at its reservation to extracted, in the generation that counts now; tells
-- how long ago it came.
UPDATE chat_logs c
   SET state = 'extracted', extracted_at = now(), announced_at = coalesce(c.announced_at, now()),
       rings = 0, retry_at = NULL,
       generation = coalesce((SELECT u.generation FROM users u
                               WHERE u.tenant_id = c.tenant_id AND u.user_id = c.user_id), 1)
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(extractions)s::uuid[])
       AS t(tenant_id, user_id, id, extraction_id)
 WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id AND c.id = t.id
   AND c.extraction_id = t.extraction_id AND c.state IS NOT DISTINCT FROM 'extracting'
RETURNING c.id, c.generation,
          extract(epoch FROM clock_timestamp() - c.recorded_at)::float8 AS seconds;

-- name: close
-- Closes reservations and keeps what they were, with the paid answer.
UPDATE extractions e
   SET state = %(state)s, finished_at = now(), extractor = %(extractor)s, model = %(model)s,
       prompt = %(prompt)s, answer = t.answer, dropped = t.dropped,
       facts = t.facts, input_tokens = t.input_tokens, output_tokens = t.output_tokens
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(answers)s::jsonb[],
              %(facts)s::int[], %(dropped)s::jsonb[], %(input_tokens)s::int[],
              %(output_tokens)s::int[])
       AS t(tenant_id, user_id, id, answer, facts, dropped, input_tokens, output_tokens)
 WHERE e.tenant_id = t.tenant_id AND e.user_id = t.user_id AND e.id = t.id
   AND e.state IS NOT DISTINCT FROM 'open';

-- fragment: waiting_of_session
 CROSS JOIN LATERAL (SELECT w.id FROM chat_logs w
                      WHERE w.tenant_id = t.tenant_id AND w.user_id = t.user_id
                        AND w.session_id = t.session_id AND w.state IN ('received', 'extracting')
                     OFFSET 0) AS waiting
 WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id AND c.id = waiting.id
   AND c.state IS DISTINCT FROM 'extracted' AND c.extraction_id IS NULL

-- name: ring_again
-- Announces anew what waits in sessions that were held until now: its bells were answered "somebody is at
-- it". Whoever rings from here on waits for this transaction, and finds the session free.
UPDATE chat_logs c SET announced_at = now(), retry_at = NULL
  FROM (SELECT DISTINCT * FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[]))
       AS t(tenant_id, user_id, session_id)
-- with: waiting_of_session
   AND c.announced_at IS NOT NULL AND (c.retry_at IS NULL OR c.retry_at <= now())
RETURNING c.tenant_id, c.user_id, c.session_id, c.announced_at;

-- name: release_after_first
-- Gives back all but the first messages of a reservation, to find the one that poisons it.
WITH held AS (
    SELECT id, row_number() OVER (ORDER BY said_at, message_key, id) AS place
      FROM chat_logs
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
       AND extraction_id = %(id)s AND state = 'extracting'
)
UPDATE chat_logs c SET extraction_id = NULL
  FROM held
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = held.id AND held.place > %(keep)s
   AND EXISTS (SELECT FROM extractions e
                WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s AND e.id = %(id)s
                  AND e.worker = %(worker)s);

-- name: postpone
-- Gives a session's messages back and leaves those announced alone for a while; no attempt is counted.
UPDATE chat_logs
   SET retry_at = now() + %(seconds)s * interval '1 second', rings = 0, extraction_id = NULL,
       postponed_until = now() + %(seconds)s * interval '1 second'
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND state IN ('received', 'extracting') AND (retry_at IS NULL OR retry_at <= now())
   AND (extraction_id = %(id)s OR (extraction_id IS NULL AND announced_at IS NOT NULL))
   AND EXISTS (SELECT FROM extractions e
                WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s AND e.id = %(id)s
                  AND e.worker = %(worker)s);

-- name: postpone_sessions
-- Leaves what is announced in sessions alone for a while, unless somebody is at work on it.
UPDATE chat_logs c
   SET retry_at = now() + t.seconds * interval '1 second', rings = 0,
       postponed_until = now() + t.seconds * interval '1 second'
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[], %(seconds)s::float8[])
       AS t(tenant_id, user_id, session_id, seconds)
-- with: waiting_of_session
   AND c.announced_at IS NOT NULL AND (c.retry_at IS NULL OR c.retry_at <= now());

-- name: abandon_if_empty
-- Removes reservations that hold nothing.
DELETE FROM extractions e
 USING unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE e.tenant_id = t.tenant_id AND e.user_id = t.user_id AND e.id = t.id
   AND e.state IS NOT DISTINCT FROM 'open'
   AND NOT EXISTS (SELECT FROM chat_logs c
                    WHERE c.tenant_id = e.tenant_id AND c.user_id = e.user_id
                      AND c.session_id = e.session_id AND c.extraction_id = e.id
                      AND c.state = 'extracting');
