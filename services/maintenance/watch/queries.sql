-- name: waiting
-- Counts, per stage, the rows that wait for it or are worked on, and the age of the one that has waited
-- longest. Read along the indexes of open rows, however many are done.
SELECT stage, sum(open)::bigint AS open,
       greatest(0, extract(epoch FROM now() - min(since)))::float8 AS oldest_seconds
  FROM (SELECT 'extractor' AS stage, count(*) AS open, min(recorded_at) AS since FROM chat_logs
         WHERE state IN ('received', 'extracting') AND retry_at IS DISTINCT FROM 'infinity'
         UNION ALL
        SELECT CASE state WHEN 'extracted' THEN 'embedder' WHEN 'embedded' THEN 'deduper'
                          ELSE 'superseder' END,
               count(*),
               min(CASE state WHEN 'extracted' THEN created_at
                              WHEN 'embedded' THEN coalesce(embedded_at, created_at)
                              ELSE coalesce(compared_at, created_at) END)
          FROM memory_facts
         WHERE state <> 'settled' AND retry_at IS DISTINCT FROM 'infinity'
         GROUP BY state
         UNION ALL
        SELECT 'maintenance', count(*), min(requested_at) FROM jobs
         WHERE state = 'requested' AND retry_at IS DISTINCT FROM 'infinity') AS open
 GROUP BY stage;

-- name: dead
-- Counts the dead letters of every stage.
SELECT stage, count(*)::bigint AS dead FROM failures
 WHERE dead_at IS NOT NULL AND dropped_at IS NULL
 GROUP BY stage;

-- name: held_back
-- Counts, per tenant, the messages that wait, and of those the ones that its window holds back.
SELECT count(*)::bigint AS open, count(*) FILTER (WHERE announced_at IS NULL)::bigint AS held_back
  FROM chat_logs
 WHERE extracted_at IS NULL AND retry_at IS DISTINCT FROM 'infinity'
 GROUP BY tenant_id
 ORDER BY open DESC;

-- name: budgets
-- Reads what is left of today's budgets, as a share, of every tenant that has one and spent of it or
-- has one of its own; null where nothing limits it.
SELECT tenant_id, b.tenant_id IS NOT NULL AS own,
       CASE WHEN l.tokens > 0 THEN greatest(0, 1 - coalesce(d.tokens, 0) / l.tokens::float8) END
           AS tokens,
       CASE WHEN l.money > 0 THEN greatest(0, 1 - coalesce(d.money, 0)::float8 / l.money::float8) END
           AS money
  FROM budgets b
  FULL JOIN (SELECT tenant_id, tokens, money FROM budget_days
              WHERE day = (now() AT TIME ZONE 'UTC')::date) AS d USING (tenant_id)
 CROSS JOIN LATERAL (SELECT coalesce(b.tokens_per_day, %(tokens_per_day)s::bigint) AS tokens,
                            coalesce(b.money_per_day, %(money_per_day)s::numeric) AS money) AS l
 WHERE l.tokens > 0 OR l.money > 0
 ORDER BY least(CASE WHEN l.tokens > 0 THEN 1 - coalesce(d.tokens, 0) / l.tokens::float8 END,
                CASE WHEN l.money > 0 THEN 1 - coalesce(d.money, 0)::float8 / l.money::float8 END),
          tenant_id;

-- name: server
-- Reads what PostgreSQL says of itself: the oldest transaction in this database, and connections.
SELECT coalesce(greatest(0, max(extract(epoch FROM clock_timestamp() - xact_start))
                FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid())), 0)::float8
           AS oldest_seconds,
       count(*) FILTER (WHERE backend_type = 'client backend')::bigint AS connections,
       current_setting('max_connections')::bigint AS limit
  FROM pg_stat_activity;
