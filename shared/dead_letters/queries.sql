-- name: list_dead
-- Lists one tenant's dead letters, newest first, behind a cursor.
SELECT id, stage, subject_id, user_id, error_class, error, attempts, payload, first_failed_at, dead_at
  FROM failures
 WHERE tenant_id = %(tenant)s AND dead_at IS NOT NULL AND dropped_at IS NULL
   AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
   AND (%(stage)s::text IS NULL OR stage = %(stage)s)
   AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
   AND (%(older)s::float8 IS NULL OR dead_at < now() - %(older)s * interval '1 second')
   AND (%(before_at)s::timestamptz IS NULL OR (dead_at, id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY dead_at DESC, id DESC
 LIMIT %(limit)s;

-- name: list_dropped
-- Lists what was dropped, by whom and why, the last first.
SELECT id, stage, subject_id, user_id, error_class, error, attempts, payload, first_failed_at, dead_at,
       dropped_at, dropped_by, drop_reason
  FROM failures
 WHERE tenant_id = %(tenant)s AND dropped_at IS NOT NULL
 ORDER BY dropped_at DESC, id DESC
 LIMIT %(limit)s;

-- name: summarize_dead
-- Counts one tenant's dead letters by stage and class, and how they grow.
SELECT stage, error_class, count(*)::int AS dead,
       count(*) FILTER (WHERE dead_at > now() - interval '1 hour')::int AS last_hour,
       min(dead_at) AS oldest, max(dead_at) AS newest, max(error) AS example
  FROM failures
 WHERE tenant_id = %(tenant)s AND dead_at IS NOT NULL AND dropped_at IS NULL
 GROUP BY stage, error_class
 ORDER BY dead DESC, stage, error_class;

-- name: count_dead
-- Counts the dead letters of every stage, of all tenants, and those of the last hour.
SELECT stage, count(*)::int AS dead,
       count(*) FILTER (WHERE dead_at > now() - interval '1 hour')::int AS last_hour
  FROM failures
 WHERE dead_at IS NOT NULL AND dropped_at IS NULL
 GROUP BY stage
 ORDER BY stage;

-- name: mend
-- Replaces the payload of one dead letter that has one; what was cut is whole again.
UPDATE failures SET payload = %(payload)s
 WHERE tenant_id = %(tenant)s AND id = %(id)s AND dead_at IS NOT NULL AND dropped_at IS NULL
   AND payload IS NOT NULL
RETURNING id, stage, subject_id, user_id, error_class, error, attempts, payload, first_failed_at, dead_at;

-- name: redrive
-- Gives dead letters of one tenant a fresh set of attempts; the sweep takes it from there.
WITH alive AS (
    UPDATE failures SET attempts = 0, dead_at = NULL, next_attempt_at = now()
     WHERE tenant_id = %(tenant)s AND dead_at IS NOT NULL AND dropped_at IS NULL
       AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
       AND (%(stage)s::text IS NULL OR stage = %(stage)s)
       AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
       AND (%(older)s::float8 IS NULL OR dead_at < now() - %(older)s * interval '1 second')
       AND NOT coalesce(payload ?| ARRAY['_cut', '_altered'], false)  -- no longer what was sent
    RETURNING tenant_id, user_id, subject_id, stage, payload
), rows AS (
    SELECT tenant_id, user_id, subject_id::uuid AS id, stage FROM alive WHERE payload IS NULL
), messages AS (
    UPDATE chat_logs c SET retry_at = now(), rings = 0 FROM rows
     WHERE rows.stage = 'extractor' AND c.tenant_id = rows.tenant_id AND c.user_id = rows.user_id
       AND c.id = rows.id AND c.state <> 'extracted'
), facts AS (
    UPDATE memory_facts f SET retry_at = now(), rings = 0 FROM rows
     WHERE rows.stage <> 'extractor' AND f.tenant_id = rows.tenant_id AND f.user_id = rows.user_id
       AND f.id = rows.id AND f.state <> 'settled'
), work AS (
    UPDATE jobs j SET retry_at = now(), rings = 0 FROM rows
     WHERE rows.stage = 'maintenance' AND j.tenant_id = rows.tenant_id AND j.user_id = rows.user_id
       AND j.id = rows.id AND j.state <> 'done'
)
SELECT count(*) FROM alive;

-- name: drop_dead
-- Gives dead letters up for good and keeps who did, and why; their rows, where there are any, stay parked.
WITH dropped AS (
    UPDATE failures
       SET dropped_at = now(), dropped_by = %(actor)s, drop_reason = %(reason)s, payload = NULL
     WHERE tenant_id = %(tenant)s AND dead_at IS NOT NULL AND dropped_at IS NULL
       AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
       AND (%(stage)s::text IS NULL OR stage = %(stage)s)
       AND (%(error_class)s::text IS NULL OR error_class = %(error_class)s)
       AND (%(older)s::float8 IS NULL OR dead_at < now() - %(older)s * interval '1 second')
    RETURNING 1
)
SELECT count(*) FROM dropped;
