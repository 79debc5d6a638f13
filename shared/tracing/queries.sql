-- name: contexts_of_chat_logs
-- Reads the traces that messages came with.
SELECT DISTINCT c.traceparent
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN chat_logs c USING (tenant_id, user_id, id)
 WHERE c.traceparent IS NOT NULL;

-- name: contexts_of_facts
-- Reads the traces that facts came with, or the messages they rest on.
SELECT DISTINCT coalesce(f.traceparent, c.traceparent) AS traceparent
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN memory_facts f USING (tenant_id, user_id, id)
  LEFT JOIN chat_logs c ON c.tenant_id = f.tenant_id AND c.user_id = f.user_id
                       AND c.id = f.source_message_ids[1]
 WHERE coalesce(f.traceparent, c.traceparent) IS NOT NULL;

-- name: contexts_of_jobs
-- Reads the traces that jobs were asked for under.
SELECT DISTINCT j.traceparent
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN jobs j USING (tenant_id, user_id, id)
 WHERE j.traceparent IS NOT NULL;

-- name: contexts_of_sessions
-- Reads the traces of what waits in sessions.
SELECT DISTINCT c.traceparent
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(sessions)s::text[])
       AS t(tenant_id, user_id, session_id)
 CROSS JOIN LATERAL (SELECT c.traceparent FROM chat_logs c
                      WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id
                        AND c.session_id = t.session_id AND c.state IN ('received', 'extracting')
                     OFFSET 0) AS c  -- one by one, however few seem to be open
 WHERE c.traceparent IS NOT NULL
 LIMIT 100;

-- name: keep_for_facts
-- Keeps the trace that facts were stated under.
UPDATE memory_facts f SET traceparent = %(traceparent)s
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id AND f.id = t.id AND f.traceparent IS NULL;

-- name: keep_for_jobs
-- Keeps the trace that jobs were asked for under.
UPDATE jobs j SET traceparent = %(traceparent)s
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE j.tenant_id = t.tenant_id AND j.user_id = t.user_id AND j.id = t.id AND j.traceparent IS NULL;
