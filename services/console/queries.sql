-- name: open_rows
-- Counts, per stage, the rows that wait for it, and the age of the one that waits longest; dead rows wait for nobody.
SELECT stage, count(*)::int AS open,
       round(extract(epoch FROM now() - min(since))::numeric, 1)::float8 AS oldest_seconds
  FROM (SELECT 'extractor' AS stage, recorded_at AS since FROM chat_logs
         WHERE state IN ('received', 'extracting')
           AND retry_at IS DISTINCT FROM 'infinity'
         UNION ALL
        SELECT CASE state WHEN 'extracted' THEN 'embedder'
                          WHEN 'embedded' THEN 'deduper' ELSE 'superseder' END,
               CASE state WHEN 'extracted' THEN created_at
                          WHEN 'embedded' THEN coalesce(embedded_at, created_at)
                          ELSE coalesce(compared_at, created_at) END
          FROM memory_facts
         WHERE state <> 'settled' AND retry_at IS DISTINCT FROM 'infinity'
         UNION ALL
        SELECT 'maintenance', requested_at FROM jobs
         WHERE state = 'requested' AND retry_at IS DISTINCT FROM 'infinity') AS waiting
 GROUP BY stage;

