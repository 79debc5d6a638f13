-- name: add_spending
-- Adds what was counted since the last time.
INSERT INTO spending AS s (tenant_id, day, purpose, provider, model, calls, failed, input_tokens,
                           output_tokens, money)
SELECT * FROM unnest(%(tenants)s::text[], %(days)s::date[], %(purposes)s::text[], %(providers)s::text[],
                     %(models)s::text[], %(calls)s::bigint[], %(failed)s::bigint[],
                     %(input_tokens)s::bigint[], %(output_tokens)s::bigint[], %(money)s::numeric[])
 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (tenant_id, day, purpose, provider, model) DO UPDATE
   SET calls = s.calls + EXCLUDED.calls, failed = s.failed + EXCLUDED.failed,
       input_tokens = s.input_tokens + EXCLUDED.input_tokens,
       output_tokens = s.output_tokens + EXCLUDED.output_tokens, money = s.money + EXCLUDED.money;

-- name: usage
-- Reads a tenant's spending from one day to another, both included.
SELECT day, purpose, provider, model, calls, failed, input_tokens, output_tokens, money
  FROM spending
 WHERE tenant_id = %(tenant)s AND day BETWEEN %(from)s AND %(to)s
 ORDER BY day, purpose, model, provider;

-- name: own_budgets
-- Reads which tenants have limits of their own.
SELECT tenant_id, tokens_per_day, money_per_day FROM budgets;

-- name: open_days
-- Begins today's account of tenants, with what they have spent already before they had a budget.
INSERT INTO budget_days (tenant_id, day, tokens, money)
SELECT t.tenant_id, today.day, coalesce(s.tokens, 0), coalesce(s.money, 0)
  FROM unnest(%(tenants)s::text[]) AS t(tenant_id)
 CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS day) AS today
  LEFT JOIN LATERAL (SELECT sum(input_tokens + output_tokens) AS tokens, sum(money) AS money
                       FROM spending s
                      WHERE s.tenant_id = t.tenant_id AND s.day = today.day) AS s ON true
 ORDER BY t.tenant_id
    ON CONFLICT DO NOTHING;

-- name: reserve
-- Takes the most that calls may cost out of today's budgets, all of them or (the caller rolls back)
-- none; tenants whose budget has no room are not returned.
WITH asked AS MATERIALIZED (
    SELECT t.*, (now() AT TIME ZONE 'UTC')::date AS day,
           nullif(coalesce(b.tokens_per_day, %(tokens_per_day)s), 0) AS tokens_per_day,
           nullif(coalesce(b.money_per_day, %(money_per_day)s), 0) AS money_per_day
      FROM unnest(%(tenants)s::text[], %(tokens)s::bigint[], %(money)s::numeric[])
           AS t(tenant_id, tokens, money)
      LEFT JOIN budgets b USING (tenant_id)
), locked AS MATERIALIZED (
    SELECT d.tenant_id, d.day FROM budget_days d JOIN asked USING (tenant_id, day)
     ORDER BY d.tenant_id
       FOR UPDATE OF d
)
UPDATE budget_days d
   SET tokens = d.tokens + asked.tokens, money = d.money + asked.money
  FROM locked JOIN asked USING (tenant_id, day)
 WHERE d.tenant_id = locked.tenant_id AND d.day = locked.day
   AND (asked.tokens_per_day IS NULL OR d.tokens + asked.tokens <= asked.tokens_per_day)
   AND (asked.money_per_day IS NULL OR d.money + asked.money <= asked.money_per_day)
RETURNING d.tenant_id, d.day;

-- name: settle
-- Gives back what calls did not use, on the day it was reserved.
UPDATE budget_days d SET tokens = d.tokens + t.tokens, money = d.money + t.money
  FROM (SELECT d.tenant_id, d.day, t.tokens, t.money
          FROM unnest(%(tenants)s::text[], %(tokens)s::bigint[], %(money)s::numeric[])
               AS t(tenant_id, tokens, money)
          JOIN budget_days d ON d.tenant_id = t.tenant_id AND d.day = %(day)s
         ORDER BY d.tenant_id FOR UPDATE OF d) AS t
 WHERE d.tenant_id = t.tenant_id AND d.day = t.day;

-- name: note_refused
-- Notes that these tenants' budgets have no room, and tells how long the day still is.
WITH noted AS (
    UPDATE budget_days SET refused_at = now()
     WHERE tenant_id = ANY(%(tenants)s::text[]) AND day = (now() AT TIME ZONE 'UTC')::date
    RETURNING tenant_id
)
SELECT extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'
               - (now() AT TIME ZONE 'UTC'))::float8 AS left_seconds;

-- name: budget_of
-- Reads a tenant's own limits, and what is taken of today's budget.
SELECT b.tokens_per_day, b.money_per_day, coalesce(d.tokens, 0) AS tokens_today,
       coalesce(d.money, 0) AS money_today, d.refused_at
  FROM (SELECT %(tenant)s::text AS tenant_id) AS asked
  LEFT JOIN budgets b USING (tenant_id)
  LEFT JOIN budget_days d ON d.tenant_id = asked.tenant_id
                         AND d.day = (now() AT TIME ZONE 'UTC')::date;

-- name: set_budget
-- Gives a tenant limits of its own; null means the settings'.
INSERT INTO budgets AS b (tenant_id, tokens_per_day, money_per_day)
VALUES (%(tenant)s, %(tokens_per_day)s, %(money_per_day)s)
    ON CONFLICT (tenant_id) DO UPDATE
   SET tokens_per_day = EXCLUDED.tokens_per_day, money_per_day = EXCLUDED.money_per_day,
       updated_at = now();

-- name: over_budget
-- Lists tenants whose calls found no room in today's budget lately.
SELECT tenant_id FROM budget_days
 WHERE day = (now() AT TIME ZONE 'UTC')::date AND refused_at > now() - %(seconds)s * interval '1 second'
 ORDER BY tenant_id;

-- name: note_pause
-- Notes that a provider is left alone; since when stays what it was.
INSERT INTO provider_pauses AS p (purpose, provider, model, kind, reason, until)
VALUES (%(purpose)s, %(provider)s, %(model)s, %(kind)s, %(reason)s,
        now() + %(seconds)s * interval '1 second')
    ON CONFLICT (purpose, provider, model) DO UPDATE
   SET kind = EXCLUDED.kind, reason = EXCLUDED.reason, until = EXCLUDED.until,
       since = CASE WHEN p.until < now() - %(stale)s * interval '1 second' THEN now() ELSE p.since END;

-- name: note_back
-- Notes that a provider is asked again.
DELETE FROM provider_pauses
 WHERE purpose = %(purpose)s AND provider = %(provider)s AND model = %(model)s;

-- name: pauses
-- Lists the providers that are left alone.
SELECT purpose, provider, model, kind, reason, since, until
  FROM provider_pauses
 WHERE until > now() - %(stale)s * interval '1 second'
 ORDER BY purpose, provider, model;
