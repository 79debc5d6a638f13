-- name: windows_of
-- Reads a tenant's own windows; nulls where it has none.
SELECT t.tenant_id, r.message_days, r.superseded_days
  FROM unnest(ARRAY[%(tenant)s::text]) AS t(tenant_id) LEFT JOIN retention r USING (tenant_id);

-- name: windows
-- Reads every tenant's own windows; nulls where it has none.
SELECT t.tenant_id, r.message_days, r.superseded_days
  FROM tenants t LEFT JOIN retention r USING (tenant_id)
 ORDER BY t.tenant_id;

-- name: set_windows
-- Gives a tenant windows of its own; null is as the settings say.
INSERT INTO retention AS r (tenant_id, message_days, superseded_days)
VALUES (%(tenant)s, %(message_days)s::int, %(superseded_days)s::int)
    ON CONFLICT (tenant_id) DO UPDATE
   SET message_days = excluded.message_days, superseded_days = excluded.superseded_days,
       updated_at = now();

-- name: removed_sources
-- Lists which of a user's messages retention has removed, and when.
SELECT id, removed_at FROM removed_messages
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
 ORDER BY removed_at, id;

-- name: count_removed
-- Counts a tenant's messages that retention has removed.
SELECT count(*) AS removed FROM removed_messages WHERE tenant_id = %(tenant)s;
