-- name: begin_job
-- Begins (or resumes) a job that waits; whoever began it before may commit nothing any more. What it
-- has seen leaves out the facts that are compared and not settled: they count as new afterwards.
UPDATE jobs j
   SET attempt = j.attempt + 1, started_at = coalesce(j.started_at, now()),
       seen_version = coalesce(j.seen_version, (
           SELECT u.belief_version - EXISTS (SELECT FROM memory_facts f
                                              WHERE f.tenant_id = u.tenant_id AND f.user_id = u.user_id
                                                AND f.state <> 'settled' AND f.state = 'compared')::int
             FROM users u WHERE u.tenant_id = j.tenant_id AND u.user_id = j.user_id), 0),
       seen_news = coalesce(j.seen_news, (
           SELECT r.news FROM job_runs r
            WHERE r.tenant_id = j.tenant_id AND r.user_id = j.user_id AND r.kind = j.kind), 0)
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
-- Keeps where a batch came to and what was done so far. What it grew itself is nothing new to its kind.
UPDATE jobs SET cursor = %(cursor)s, result = %(result)s, rings = 0,
                seen_version = seen_version + %(grown)s::int
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s;

-- name: finish_job
-- Moves a job to done, with what it did, and notes what its kind has seen of the user, and when time alone
-- gives it work again. Of two that overlapped the one that saw more says when, or the earlier moment counts.
WITH done AS (
    UPDATE jobs SET state = 'done', finished_at = now(), result = %(result)s, cursor = NULL, rings = 0,
                    retry_at = NULL, seen_version = coalesce(seen_version, 0) + %(grown)s::int
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s
    RETURNING tenant_id, user_id, kind, seen_version, seen_news
)
INSERT INTO job_runs AS r (tenant_id, user_id, kind, last_version, seen_news, due_at, rules)
SELECT tenant_id, user_id, kind, seen_version, coalesce(seen_news, 0), %(due_at)s::timestamptz, %(rules)s FROM done
    ON CONFLICT (tenant_id, user_id, kind) DO UPDATE
   SET last_version = greatest(r.last_version, excluded.last_version), last_run_at = now(),
       seen_news = greatest(r.seen_news, excluded.seen_news), rules = excluded.rules,
       due_at = CASE WHEN excluded.last_version >= r.last_version AND excluded.seen_news >= r.seen_news
                     THEN excluded.due_at ELSE least(r.due_at, excluded.due_at) END;

-- name: requeue_job
-- Puts a job behind those that wait.
UPDATE jobs SET announced_at = now()
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s AND state = 'requested'
   AND attempt = %(attempt)s
RETURNING tenant_id, user_id, id, announced_at;
