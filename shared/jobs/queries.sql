-- name: request_job
-- Requests a job about a user, or finds the one that has not begun: it will see what is known by now.
WITH waiting AS (
    SELECT id FROM jobs
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND kind = %(kind)s AND state = 'requested'
       AND retry_at IS NULL AND started_at IS NULL
     ORDER BY requested_at LIMIT 1
), made AS (
    INSERT INTO jobs (tenant_id, user_id, id, kind, announced_at)
    SELECT %(tenant)s, %(user)s, %(id)s, %(kind)s, now() WHERE NOT EXISTS (SELECT FROM waiting)
    RETURNING tenant_id, user_id, id, announced_at
)
SELECT tenant_id, user_id, id, announced_at FROM made
UNION ALL
SELECT %(tenant)s, %(user)s, id, NULL FROM waiting;

-- name: lock_request
-- Lets one request for a user's job go at a time, so that two at once find the same.
SELECT pg_advisory_xact_lock(hashtextextended(
    'job' || chr(31) || %(kind)s::text || chr(31) || %(tenant)s::text || chr(31) || %(user)s::text, 0));

-- name: user_exists
-- Says whether anything was ever heard of a user.
SELECT EXISTS (SELECT FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s) AS known;

-- name: job
-- Reads what became of a job, and why its last attempt failed.
SELECT j.kind, j.state, j.requested_at, j.started_at, j.finished_at, j.result,
       coalesce(j.retry_at = 'infinity', false) AS dead, f.error
  FROM jobs j
  LEFT JOIN failures f ON f.stage = 'maintenance' AND f.tenant_id = j.tenant_id
                      AND f.subject_id = j.id::text
 WHERE j.tenant_id = %(tenant)s AND j.user_id = %(user)s AND j.id = %(id)s;

-- name: overview
-- Counts jobs by kind: those that wait, have begun, are done or were given up on, and the oldest open one.
SELECT k.kind, o.requested, o.running, o.failed, o.oldest_seconds, d.done, s.slot AS last_slot,
       s.finished_at AS last_finished_at, now() AS now
  FROM unnest(%(kinds)s::text[]) AS k(kind)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE started_at IS NULL AND NOT dead)::int AS requested,
              count(*) FILTER (WHERE started_at IS NOT NULL AND NOT dead)::int AS running,
              count(*) FILTER (WHERE dead)::int AS failed,
              round(extract(epoch FROM now() - min(requested_at) FILTER (WHERE NOT dead))::numeric,
                    1)::float8 AS oldest_seconds
         FROM (SELECT started_at, requested_at, coalesce(retry_at = 'infinity', false) AS dead
                 FROM jobs WHERE kind = k.kind AND state = 'requested') AS open) AS o
 CROSS JOIN LATERAL (
       SELECT count(*)::int AS done FROM jobs WHERE kind = k.kind AND state = 'done') AS d
  LEFT JOIN schedules s ON s.kind = k.kind;
