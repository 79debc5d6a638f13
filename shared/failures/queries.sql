-- name: record
-- Counts one more failed attempt at each subject, decides when it is tried again or that it is dead.
INSERT INTO failures (id, stage, subject_id, tenant_id, user_id, attempts, error_class, error,
                      payload, next_attempt_at, dead_at)
SELECT id, %(stage)s, subject_id, tenant_id, user_id, 1, %(error_class)s, %(error)s, payload,
       CASE WHEN NOT %(dead)s AND %(max_attempts)s > 1
            THEN now() + greatest(%(base)s::float8, %(least)s::float8) * interval '1 second' END,
       CASE WHEN %(dead)s OR %(max_attempts)s <= 1 THEN now() END
  FROM unnest(%(ids)s::uuid[], %(tenants)s::text[], %(users)s::text[], %(subjects)s::text[],
              %(payloads)s::jsonb[]) AS t(id, tenant_id, user_id, subject_id, payload)
 ORDER BY tenant_id, subject_id
    ON CONFLICT (stage, tenant_id, subject_id) DO UPDATE
   SET attempts = failures.attempts + 1,
       error_class = EXCLUDED.error_class,
       error = EXCLUDED.error,
       payload = coalesce(EXCLUDED.payload, failures.payload),
       next_attempt_at = CASE WHEN NOT %(dead)s AND failures.attempts + 1 < %(max_attempts)s
           THEN now() + greatest(%(least)s::float8, least(%(cap)s::float8,
                %(base)s::float8 * 2 ^ failures.attempts) * (0.75 + random() / 4)) * interval '1 second' END,
       dropped_at = NULL, dropped_by = NULL, drop_reason = NULL,
       dead_at = CASE WHEN %(dead)s OR failures.attempts + 1 >= %(max_attempts)s THEN now() END
RETURNING subject_id, attempts, next_attempt_at, dead_at;

-- name: park_facts
-- Keeps facts that failed in this state from being worked on until their next attempt.
UPDATE memory_facts f
   SET retry_at = coalesce(x.next_attempt_at, 'infinity')
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN failures x ON x.stage = %(stage)s AND x.tenant_id = t.tenant_id AND x.subject_id = t.id::text
 WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id AND f.id = t.id AND f.state = %(state)s;

-- name: park_jobs
-- Keeps jobs that failed from being worked on until their next attempt.
UPDATE jobs j
   SET retry_at = coalesce(x.next_attempt_at, 'infinity')
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN failures x ON x.stage = %(stage)s AND x.tenant_id = t.tenant_id AND x.subject_id = t.id::text
 WHERE j.tenant_id = t.tenant_id AND j.user_id = t.user_id AND j.id = t.id AND j.state = %(state)s;

-- name: park_chat_logs
-- Gives messages back from their reservation and keeps them from being taken until their next attempt.
UPDATE chat_logs c
   SET retry_at = coalesce(x.next_attempt_at, 'infinity'), extraction_id = NULL
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN failures x ON x.stage = %(stage)s AND x.tenant_id = t.tenant_id AND x.subject_id = t.id::text
 WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id AND c.id = t.id AND c.state <> 'extracted';
