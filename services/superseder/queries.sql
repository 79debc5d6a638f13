-- name: claim
-- Moves facts to settled; what somebody else moved first is not returned.
UPDATE memory_facts f
   SET state = 'settled', announced_at = now(), settled_at = now(), rings = 0, retry_at = NULL
  FROM (SELECT id FROM memory_facts
         WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
           AND state = 'compared' AND (retry_at IS NULL OR retry_at <= now())
         ORDER BY id FOR UPDATE) AS mine
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = mine.id
RETURNING f.id, f.subject, f.slot, f.source_message_ids;
