-- name: begin_job
-- Begins (or resumes) a job that waits; whoever began it before may commit nothing any more. What it
-- has seen leaves out the facts that are compared and not settled: they count as new afterwards.
UPDATE jobs j
   SET attempt = j.attempt + 1, started_at = coalesce(j.started_at, now()),
       seen_version = coalesce(j.seen_version, (
           SELECT u.belief_version - EXISTS (SELECT FROM memory_facts f
                                              WHERE f.tenant_id = u.tenant_id AND f.user_id = u.user_id
                                                AND f.state <> 'settled' AND f.state = 'compared')::int
             FROM users u WHERE u.tenant_id = j.tenant_id AND u.user_id = j.user_id), 0)
 WHERE j.tenant_id = %(tenant)s AND j.user_id = %(user)s AND j.id = %(id)s
   AND j.state = 'requested' AND (j.retry_at IS NULL OR j.retry_at <= now())
RETURNING j.kind, j.attempt, j.cursor, j.result;

-- name: hold_job
-- Takes a job for this transaction; finds nothing when it is done or another worker began it since.
SELECT j.id FROM jobs j
 WHERE j.tenant_id = %(tenant)s AND j.user_id = %(user)s AND j.id = %(id)s
   AND j.state = 'requested' AND j.attempt = %(attempt)s
   FOR UPDATE;

-- name: keep_progress
-- Keeps where a batch came to and what was done so far.
UPDATE jobs SET cursor = %(cursor)s, result = %(result)s, rings = 0
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s;

-- name: finish_job
-- Moves a job to done, with what it did, and notes what its kind has seen of the user.
WITH done AS (
    UPDATE jobs SET state = 'done', finished_at = now(), result = %(result)s, cursor = NULL, rings = 0,
                    retry_at = NULL
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s
    RETURNING tenant_id, user_id, kind, seen_version
)
INSERT INTO job_runs AS r (tenant_id, user_id, kind, last_version)
SELECT tenant_id, user_id, kind, coalesce(seen_version, 0) FROM done
    ON CONFLICT (tenant_id, user_id, kind) DO UPDATE
   SET last_version = greatest(r.last_version, excluded.last_version), last_run_at = now();

-- name: requeue_job
-- Puts a job behind those that wait.
UPDATE jobs SET announced_at = now()
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'requested'
   AND attempt = %(attempt)s
RETURNING tenant_id, user_id, id, announced_at;
