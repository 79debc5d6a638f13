-- name: own_limits
-- Lists the tenants that have limits of their own.
SELECT tenant_id, messages_per_day, facts_per_day FROM tenant_limits;

-- name: count_in_one
-- Counts in one of today's rows if its share has room for all of it; a row that somebody else counts in
-- is waited for.
UPDATE quota_days SET used = used + %(number)s
 WHERE tenant_id = %(tenant)s AND day = (now() AT TIME ZONE 'UTC')::date AND quota = %(quota)s
   AND shard = %(shard)s AND used + %(number)s <= %(share)s
RETURNING shard;

-- name: open_day
-- Makes today's rows of a quota, and clears those of days long gone.
WITH gone AS (
    DELETE FROM quota_days
     WHERE (tenant_id, day, quota, shard) IN (
           SELECT tenant_id, day, quota, shard FROM quota_days
            WHERE tenant_id = %(tenant)s AND day < (now() AT TIME ZONE 'UTC')::date - 7
              FOR UPDATE SKIP LOCKED)
)
INSERT INTO quota_days (tenant_id, day, quota, shard)
SELECT %(tenant)s, (now() AT TIME ZONE 'UTC')::date, %(quota)s, shard
  FROM generate_series(0, %(shards)s - 1) AS shard
 ORDER BY shard
    ON CONFLICT DO NOTHING;

-- name: hold_all
-- Reads today's counts of a quota and keeps others from counting until the transaction ends.
SELECT shard, used FROM quota_days
 WHERE tenant_id = %(tenant)s AND day = (now() AT TIME ZONE 'UTC')::date AND quota = %(quota)s
 ORDER BY shard
   FOR UPDATE;

-- name: add
-- Adds to today's counts; less than nothing gives back.
UPDATE quota_days q SET used = q.used + t.number
  FROM unnest(%(shards)s::integer[], %(numbers)s::bigint[]) AS t(shard, number)
 WHERE q.tenant_id = %(tenant)s AND q.day = (now() AT TIME ZONE 'UTC')::date AND q.quota = %(quota)s
   AND q.shard = t.shard;

-- name: limits_of
-- Reads a tenant's own limits, and what it used today.
SELECT l.requests_per_minute, l.key_requests_per_minute, l.messages_per_day, l.facts_per_day,
       coalesce(d.messages, 0)::bigint AS messages_today, coalesce(d.facts, 0)::bigint AS facts_today
  FROM (SELECT %(tenant)s::text AS tenant_id) AS asked
  LEFT JOIN tenant_limits l USING (tenant_id)
  LEFT JOIN LATERAL (
       SELECT sum(used) FILTER (WHERE quota = 'messages_per_day') AS messages,
              sum(used) FILTER (WHERE quota = 'facts_per_day') AS facts
         FROM quota_days q
        WHERE q.tenant_id = asked.tenant_id AND q.day = (now() AT TIME ZONE 'UTC')::date) AS d ON true;

-- name: set_limits
-- Gives a tenant limits of its own; null means the settings'.
INSERT INTO tenant_limits (tenant_id, requests_per_minute, key_requests_per_minute, messages_per_day,
                           facts_per_day)
VALUES (%(tenant)s, %(requests_per_minute)s, %(key_requests_per_minute)s, %(messages_per_day)s,
        %(facts_per_day)s)
    ON CONFLICT (tenant_id) DO UPDATE
   SET requests_per_minute = EXCLUDED.requests_per_minute,
       key_requests_per_minute = EXCLUDED.key_requests_per_minute,
       messages_per_day = EXCLUDED.messages_per_day, facts_per_day = EXCLUDED.facts_per_day,
       updated_at = now();
