-- name: reserve
-- Takes a session for one worker: a dead worker's open reservation, else a new one if work waits.
WITH taken AS (
    UPDATE extractions
       SET lease_until = now() + %(lease)s * interval '1 second', worker = %(worker)s,
           attempts = attempts + 1
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
       AND state = 'open' AND lease_until < now()
    RETURNING id, attempts
), made AS (
    INSERT INTO extractions (tenant_id, user_id, id, session_id, lease_until, worker)
    SELECT %(tenant)s, %(user)s, %(id)s, %(session)s, now() + %(lease)s * interval '1 second', %(worker)s
     WHERE NOT EXISTS (SELECT FROM taken)
       AND EXISTS (SELECT FROM chat_logs
                    WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
                      AND state IN ('received', 'extracting') AND extraction_id IS NULL
                      AND (retry_at IS NULL OR retry_at <= now()))
        ON CONFLICT (tenant_id, user_id, session_id) WHERE state = 'open' DO NOTHING
    RETURNING id, attempts
)
SELECT id, attempts FROM taken UNION ALL SELECT id, attempts FROM made;

-- name: renew
-- Keeps a living worker's reservation; finds nothing when somebody else has taken it.
UPDATE extractions SET lease_until = now() + %(lease)s * interval '1 second'
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open'
   AND worker = %(worker)s
RETURNING id;

-- name: newest_arrival
-- Tells how long ago, in seconds, the session's newest waiting message arrived.
SELECT extract(epoch FROM clock_timestamp() - max(recorded_at))::float8 AS seconds
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND state IN ('received', 'extracting') AND extraction_id IS NULL;

-- name: claim
-- Points the session's waiting messages at the reservation, oldest first, up to the budget in bytes.
WITH waiting AS (
    SELECT id, row_number() OVER w AS place, sum(octet_length(content)) OVER w AS bytes
      FROM chat_logs
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
       AND state IN ('received', 'extracting') AND extraction_id IS NULL
       AND (retry_at IS NULL OR retry_at <= now())
    WINDOW w AS (ORDER BY said_at, message_key, id)
), chosen AS (
    SELECT c.id FROM chat_logs c JOIN waiting USING (id)
     WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s
       AND (waiting.place = 1 OR waiting.bytes <= %(budget)s) AND c.extraction_id IS NULL
       AND EXISTS (SELECT FROM extractions e
                    WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s AND e.id = %(id)s
                      AND e.state = 'open' AND e.worker = %(worker)s)
     ORDER BY c.id
       FOR UPDATE OF c SKIP LOCKED
)
UPDATE chat_logs c SET state = 'extracting', extraction_id = %(id)s, rings = 0, retry_at = NULL
  FROM chosen
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = chosen.id;

-- name: messages_of
-- Reads what a reservation holds, in order.
SELECT tenant_id AS tenant, user_id AS "user", id, session_id AS session, role, content, said_at,
       recorded_at, message_key, agent_id, speaker, metadata
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND extraction_id = %(id)s AND state = 'extracting'
   AND session_id = %(session)s
 ORDER BY said_at, message_key, id;

-- name: context_before
-- Reads the last messages of the session before a moment, newest first.
SELECT id, role, content, said_at
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND said_at < %(before)s
 ORDER BY said_at DESC
 LIMIT %(limit)s;

-- name: known
-- Reads the attributes that are believed of the user now, so that the model need not repeat them.
SELECT slot, value
  FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND slot IS NOT NULL AND value IS NOT NULL
   AND subject = 'user' AND standing = 'belief' AND believed @> now()
 ORDER BY slot, id
 LIMIT %(limit)s;

-- name: generation_of
-- Reads which generation of the user's facts counts.
SELECT generation FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

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
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = held.id AND held.place > %(keep)s;

-- name: postpone
-- Leaves a session's messages alone for a while, without counting an attempt.
UPDATE chat_logs
   SET retry_at = now() + %(seconds)s * interval '1 second', extraction_id = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND state IN ('received', 'extracting') AND (retry_at IS NULL OR retry_at <= now())
   AND (extraction_id IS NULL OR extraction_id = %(id)s);

-- name: saved_answer
-- Reads the answer a reservation already has, if any.
SELECT answer FROM extractions
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open';

-- name: save_answer
-- Keeps the paid answer; the first one wins. Finds nothing when the reservation is closed.
UPDATE extractions
   SET answer = coalesce(answer, %(answer)s), model = coalesce(model, %(model)s),
       input_tokens = coalesce(input_tokens, 0) + %(input_tokens)s,
       output_tokens = coalesce(output_tokens, 0) + %(output_tokens)s
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open'
RETURNING answer;

-- name: lock_open
-- Locks the reservation for its commit; finds nothing when it has been closed (or is another's).
SELECT id FROM extractions
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open'
   AND (%(any_worker)s OR worker = %(worker)s)
   FOR UPDATE;

-- name: finish_messages
-- Moves what still points at the reservation to extracted.
UPDATE chat_logs
   SET state = 'extracted', extracted_at = now(), announced_at = coalesce(announced_at, now()),
       rings = 0, retry_at = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
   AND extraction_id = %(id)s AND state = 'extracting'
RETURNING id;

-- name: close
-- Closes the reservation and keeps what it was.
UPDATE extractions
   SET state = %(state)s, finished_at = now(), extractor = %(extractor)s,
       model = coalesce(model, %(model)s), prompt = %(prompt)s, dropped = %(dropped)s
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open';

-- name: abandon_if_empty
-- Removes a reservation that holds nothing.
DELETE FROM extractions e
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'open'
   AND NOT EXISTS (SELECT FROM chat_logs c
                    WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s
                      AND c.session_id = e.session_id AND c.extraction_id = e.id
                      AND c.state = 'extracting');
