-- name: insert_messages
-- Inserts messages that are not there yet, and announces as many as their tenant's window has room for.
WITH incoming AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY ordinal) AS place,
           now() + (ordinal - 1) * interval '1 microsecond' AS arrived_at
      FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(sessions)s::text[],
                  %(keys)s::text[], %(digests)s::bytea[], %(roles)s::text[], %(contents)s::text[],
                  %(agents)s::text[], %(speakers)s::text[], %(metadata)s::jsonb[],
                  %(said)s::timestamptz[], %(traceparents)s::text[])
           WITH ORDINALITY AS t(tenant_id, user_id, id, session_id, message_key, content_sha256,
                                role, content, agent_id, speaker, metadata, said_at, traceparent,
                                ordinal)
), new_tenants AS (
    INSERT INTO tenants (tenant_id) SELECT DISTINCT tenant_id FROM incoming ORDER BY 1
    ON CONFLICT DO NOTHING
), new_users AS (
    INSERT INTO users (tenant_id, user_id) SELECT DISTINCT tenant_id, user_id FROM incoming ORDER BY 1, 2
    ON CONFLICT DO NOTHING
), new_sessions AS (
    INSERT INTO sessions (tenant_id, user_id, session_id)
    SELECT DISTINCT tenant_id, user_id, session_id FROM incoming ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING
), room AS MATERIALIZED (  -- once a tenant, never once a message
    SELECT tenant_id, %(window)s - (
               SELECT count(*) FROM (
                   SELECT FROM chat_logs c
                    WHERE c.tenant_id = t.tenant_id AND c.announced_at IS NOT NULL
                      AND c.extracted_at IS NULL
                      AND (c.retry_at IS NULL OR c.retry_at = c.postponed_until)
                    LIMIT %(window)s) AS announced) AS places
      FROM (SELECT DISTINCT tenant_id FROM incoming) AS t
)
INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256, role, content,
                       agent_id, speaker, metadata, said_at, recorded_at, announced_at, traceparent)
SELECT i.tenant_id, i.user_id, i.id, i.session_id, i.message_key, i.content_sha256, i.role, i.content,
       i.agent_id, i.speaker, i.metadata, coalesce(i.said_at, i.arrived_at), i.arrived_at,
       CASE WHEN i.place <= room.places THEN now() END, i.traceparent
  FROM incoming i JOIN room USING (tenant_id)
 WHERE NOT EXISTS (SELECT FROM removed_messages r  -- was here, and retention removed it
                    WHERE r.tenant_id = i.tenant_id AND r.user_id = i.user_id AND r.id = i.id)
   AND NOT EXISTS (SELECT FROM erased_ids x  -- was here, and was erased with its user
                    WHERE x.tenant_id = i.tenant_id AND x.id = i.id)
 ORDER BY i.tenant_id, i.user_id, i.id, i.ordinal
    ON CONFLICT (tenant_id, user_id, id) DO NOTHING
RETURNING tenant_id, user_id, id, session_id, announced_at;

-- name: digests_of
-- Reads what was said under ids that were already there.
SELECT c.id, c.content_sha256
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN chat_logs c USING (tenant_id, user_id, id);

-- name: known_ids
-- Finds which messages are there, or were before they were removed or erased.
SELECT t.id
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
 WHERE (SELECT true FROM chat_logs c
         WHERE c.tenant_id = t.tenant_id AND c.user_id = t.user_id AND c.id = t.id)
    OR (SELECT true FROM removed_messages r
         WHERE r.tenant_id = t.tenant_id AND r.user_id = t.user_id AND r.id = t.id)
    OR (SELECT true FROM erased_ids x WHERE x.tenant_id = t.tenant_id AND x.id = t.id LIMIT 1);

-- name: claim_idempotency_key
-- Takes the key for this request, or finds nothing if another request has it.
INSERT INTO idempotency_keys (tenant_id, key, body_sha256, ids)
VALUES (%(tenant)s, %(key)s, %(body_sha256)s, %(ids)s)
    ON CONFLICT DO NOTHING
RETURNING key;

-- name: idempotent_answer
-- Reads what the key's first request was, and which ids it was answered.
SELECT body_sha256, ids FROM idempotency_keys WHERE tenant_id = %(tenant)s AND key = %(key)s;
