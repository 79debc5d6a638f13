-- name: users_page
-- Lists a tenant's users by id, behind a cursor.
SELECT user_id, created_at FROM users
 WHERE tenant_id = %(tenant)s AND (%(after)s::text IS NULL OR user_id > %(after)s)
 ORDER BY user_id
 LIMIT %(limit)s;

-- name: upsert_user
-- Brings a user, and the tenant, into being on first use.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO users (tenant_id, user_id) VALUES (%(tenant)s, %(user)s) ON CONFLICT DO NOTHING;

-- name: facts_page
-- Lists a user's facts, last said first, behind a cursor; `current` shows what is believed or planned.
SELECT f.id
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND CASE %(view)s::text
       WHEN 'current' THEN f.state = 'settled'
            AND ((f.standing = 'belief' AND f.believed @> %(now)s::timestamptz)
                 OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz))
       ELSE f.standing IS DISTINCT FROM 'forgotten' END
   AND (%(category)s::text IS NULL OR f.category = %(category)s)
   AND (%(slots)s::text[] IS NULL OR f.slot = ANY(%(slots)s))
   AND (%(before_at)s::timestamptz IS NULL OR (f.said_at, f.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY f.said_at DESC, f.id DESC
 LIMIT %(limit)s;

-- name: facts_by_ids
-- Reads all that is public of a user's facts, and what their standing is worked out from.
SELECT tenant_id, user_id, id, content, category, subject, slot, value, cardinality, claim,
       temporal_state, occurred_at, occurred_precision, ended_at, ended_precision, said_at,
       recorded_at, confidence::float8 AS confidence, quote, source_message_ids, extraction_id,
       session_id, agent_id, speaker, metadata, essential, state, created_at, embedded_at,
       compared_at, settled_at, coalesce(retry_at = 'infinity', false) AS dead, standing,
       canonical_id, believed, planned_for, planned_since, superseded_by, evidence_count, generation,
       generation IN (0, (SELECT u.generation FROM users u
                           WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s)) AS counts
  FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s);

-- name: user_of_fact
-- Finds whose a fact is.
SELECT user_id FROM memory_facts WHERE id = %(id)s AND tenant_id = %(tenant)s;

-- name: session_page
-- Lists a session's messages in the order they were said, behind a cursor.
SELECT id, session_id, role, content, said_at, recorded_at, message_key, agent_id, speaker, metadata,
       state
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND (%(after_said)s::timestamptz IS NULL
        OR (said_at, recorded_at, id) > (%(after_said)s, %(after_recorded)s::timestamptz, %(after_id)s::uuid))
 ORDER BY said_at, recorded_at, id
 LIMIT %(limit)s;

-- name: messages_by_ids
-- Reads the messages a fact rests on.
SELECT id, session_id, role, content, said_at, recorded_at, message_key, agent_id, speaker, metadata,
       state
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
 ORDER BY said_at, recorded_at, id;

-- name: extraction_by_id
-- Reads who extracted, with which model and prompt.
SELECT id, extractor, model, prompt, created_at FROM extractions
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s;

-- name: events_of_fact
-- Reads what happened to a fact, in order.
SELECT event, at, data FROM events
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND fact_id = %(id)s
 ORDER BY seq;

-- name: evidence_of_fact
-- Lists the facts that say the same: the canonical one and what was merged into it.
SELECT id FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state = 'settled'
   AND (id = %(canonical)s OR canonical_id = %(canonical)s) AND standing <> 'forgotten'
 ORDER BY said_at, id;

-- name: verdicts_of_fact
-- Reads what was decided about a fact and its neighbours.
SELECT CASE WHEN first_id = %(id)s THEN second_id ELSE first_id END AS fact_id, verdict, judge, reason
  FROM verdicts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND (first_id = %(id)s OR second_id = %(id)s)
 ORDER BY recorded_at, first_id, second_id;

-- name: key_by_id
-- Reads a key to verify its secret.
SELECT id, tenant_id, scope, secret_sha256, expires_at, revoked_at FROM api_keys WHERE id = %(id)s;

-- name: create_key
-- Stores a key, and its tenant if it is the first one.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO api_keys (id, tenant_id, name, scope, secret_sha256, expires_at)
VALUES (%(id)s, %(tenant)s, %(name)s, %(scope)s, %(secret_sha256)s, %(expires_at)s)
RETURNING id, name, scope, created_at, expires_at, revoked_at;

-- name: keys_page
-- Lists a tenant's keys, oldest first, behind a cursor.
SELECT id, name, scope, created_at, expires_at, revoked_at FROM api_keys
 WHERE tenant_id = %(tenant)s
   AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) > (%(after_at)s, %(after_id)s::uuid))
 ORDER BY created_at, id
 LIMIT %(limit)s;

-- name: lock_key
-- Reads a key and keeps it from being changed until the transaction ends.
SELECT id, name, scope, created_at, expires_at, revoked_at FROM api_keys
 WHERE id = %(id)s AND tenant_id = %(tenant)s
   FOR UPDATE;

-- name: revoke_key
-- Ends a key after the overlap; one that was revoked before stays as it was.
UPDATE api_keys
   SET revoked_at = least(revoked_at, now() + %(overlap)s * interval '1 second')
 WHERE id = %(id)s AND tenant_id = %(tenant)s
RETURNING id, name, scope, created_at, expires_at, revoked_at;

-- name: traced_message
-- Finds the message of a trace.
SELECT tenant_id, user_id, id, state, recorded_at, extracted_at,
       coalesce(retry_at = 'infinity', false) AS dead
  FROM chat_logs WHERE id = %(id)s AND tenant_id = %(tenant)s;

-- name: traced_fact
-- Finds the fact of a trace.
SELECT tenant_id, user_id, id FROM memory_facts WHERE id = %(id)s AND tenant_id = %(tenant)s;

-- name: traced_job
-- Finds the job of a trace.
SELECT tenant_id, user_id, id, kind, state, finished_at, coalesce(retry_at = 'infinity', false) AS dead
  FROM jobs WHERE id = %(id)s AND tenant_id = %(tenant)s;

-- name: extraction_of_message
-- Reads by whom and how a message was extracted, and what became of the call's facts.
SELECT e.extractor, e.model, e.prompt, coalesce(e.facts, 0) AS facts,
       coalesce(e.dropped, '{}') AS dropped
  FROM chat_logs c
  JOIN extractions e ON e.tenant_id = c.tenant_id AND e.user_id = c.user_id AND e.id = c.extraction_id
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = %(id)s AND e.state = 'done';

-- name: facts_of_message
-- Lists the facts that rest on a message, in the generation that counts.
SELECT f.id
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.source_message_ids @> ARRAY[%(id)s::uuid]
 ORDER BY f.message_key, f.ordinal, f.id;

-- name: progress_of_chat_logs
-- Reads which of these messages are extracted, and which are dead.
SELECT c.id, c.state = 'extracted' AS done, coalesce(c.retry_at = 'infinity', false) AS dead
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN chat_logs c USING (tenant_id, user_id, id);

-- name: progress_of_facts
-- Reads which of these facts are settled, and which are dead.
SELECT f.id, f.state = 'settled' AS done, coalesce(f.retry_at = 'infinity', false) AS dead
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN memory_facts f USING (tenant_id, user_id, id);

-- name: progress_of_jobs
-- Reads which of these jobs are done, and which are dead.
SELECT j.id, j.state = 'done' AS done, coalesce(j.retry_at = 'infinity', false) AS dead
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
  JOIN jobs j USING (tenant_id, user_id, id);

-- name: failures_of
-- Reads what failed about these rows, at any stage.
SELECT subject_id, stage, error_class, error, attempts, next_attempt_at, dead_at
  FROM failures
 WHERE stage IN ('extractor', 'embedder', 'deduper', 'superseder', 'maintenance')
   AND tenant_id = %(tenant)s AND subject_id = ANY(%(subjects)s)
 ORDER BY first_failed_at, id;

-- fragment: recall_scope
-- The beginning of both arms: the user's facts that pass every filter.
WITH mine AS NOT MATERIALIZED (
    SELECT f.tenant_id, f.user_id, f.id, f.lexemes, f.confidence::float8 AS confidence, f.said_at, f.essential, f.evidence_count
      FROM memory_facts f
      JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
     WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
       AND f.state = 'settled'
       AND CASE %(view)s::text
           WHEN 'current' THEN (f.standing = 'belief' AND f.believed @> %(now)s::timestamptz)
                            OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz)
           ELSE f.standing IS DISTINCT FROM 'forgotten' END
       AND (%(categories)s::text[] IS NULL OR f.category = ANY(%(categories)s))
       AND (%(slots)s::text[] IS NULL OR f.slot = ANY(%(slots)s))
       AND (%(metadata)s::jsonb IS NULL OR f.metadata @> %(metadata)s)
       AND (%(since)s::timestamptz IS NULL OR coalesce(f.occurred_at, f.said_at) >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR coalesce(f.occurred_at, f.said_at) < %(until)s)
)

-- name: vector_arm
-- Scans the vectors of all that passed, exactly: a materialized list leaves no index to be tempted by.
-- with: recall_scope
, near AS MATERIALIZED (
    SELECT mine.id, mine.confidence, mine.said_at, mine.essential, mine.evidence_count,
           1 - (v.embedding <=> %(vector)s::halfvec) AS cosine
      FROM mine
      JOIN fact_vectors v ON v.tenant_id = mine.tenant_id AND v.user_id = mine.user_id
                         AND v.model = %(model)s AND v.fact_id = mine.id
     WHERE vector_dims(v.embedding) = %(dimensions)s
)
SELECT id, cosine, confidence, said_at, essential, evidence_count
  FROM near
 ORDER BY cosine DESC, id
 LIMIT %(candidates)s;

-- name: lexical_arm
-- Counts the query's terms in all that passed (documents' and terms' frequencies in one statement),
-- replaces terms the user never used by the nearest ones, and reads the best by BM25 (k1 1.2, b 0.75).
-- No list is joined with another by its planner's guess: those guesses are far off.
-- with: recall_scope
, documents AS MATERIALIZED (
    SELECT id, lexemes FROM mine
), corpus AS MATERIALIZED (
    SELECT count(*)::int AS documents, coalesce(avg(length(lexemes)), 0)::float8 AS average
      FROM documents
), asked AS MATERIALIZED (
    SELECT term FROM unnest(tsvector_to_array(to_tsvector('memoire', %(query)s))) AS term
     LIMIT %(terms)s
), direct AS MATERIALIZED (
    SELECT d.id, length(d.lexemes) AS length, l.lexeme AS term, cardinality(l.positions) AS tf
      FROM documents d CROSS JOIN LATERAL unnest(d.lexemes) AS l
     WHERE d.lexemes @@ (SELECT string_agg('''' || replace(replace(term, '\', '\\'), '''', '''''') || '''',
                                           ' | ')::tsquery FROM asked)
       AND l.lexeme = ANY(ARRAY(SELECT term FROM asked))
), missing AS MATERIALIZED (
    SELECT term FROM asked WHERE char_length(term) >= 4 AND term NOT IN (SELECT term FROM direct)
), vocabulary AS MATERIALIZED (
    SELECT DISTINCT word FROM documents, unnest(tsvector_to_array(lexemes)) AS word
     WHERE EXISTS (SELECT FROM missing) AND (SELECT documents FROM corpus) <= %(vocabulary_limit)s
), meant AS MATERIALIZED (
    SELECT DISTINCT ON (m.term) m.term, v.word
      FROM missing m JOIN vocabulary v ON abs(char_length(m.term) - char_length(v.word)) <= 3
     WHERE similarity(m.term, v.word) >= %(similarity)s
     ORDER BY m.term, similarity(m.term, v.word) DESC, v.word
), hits AS MATERIALIZED (
    SELECT * FROM direct
    UNION ALL
    SELECT d.id, length(d.lexemes), l.lexeme, cardinality(l.positions)
      FROM documents d CROSS JOIN LATERAL unnest(d.lexemes) AS l
     WHERE EXISTS (SELECT FROM meant) AND l.lexeme = ANY(ARRAY(SELECT word FROM meant EXCEPT SELECT term FROM asked))
), frequencies AS MATERIALIZED (
    SELECT term, count(*)::int AS df FROM hits GROUP BY term
), weights AS MATERIALIZED (
    SELECT term, ln(1 + (c.documents - df + 0.5::float8) / (df + 0.5::float8)) AS idf, c.average
      FROM frequencies CROSS JOIN corpus c
), best AS MATERIALIZED (
    SELECT h.id, h.length, jsonb_object_agg(h.term, h.tf) AS terms,
           sum(w.idf * h.tf * 2.2::float8
               / (h.tf + 1.2::float8 * (0.25::float8 + 0.75::float8 * h.length / w.average))) AS weight
      FROM hits h JOIN weights w USING (term)
     GROUP BY h.id, h.length
     ORDER BY weight DESC, h.id
     LIMIT %(candidates)s
)
SELECT corpus.documents, corpus.average,
       coalesce((SELECT jsonb_object_agg(term, coalesce(df, 0))
                   FROM (SELECT term FROM asked UNION SELECT word FROM meant) AS t
                   LEFT JOIN frequencies USING (term)), '{}') AS frequencies,
       coalesce((SELECT jsonb_object_agg(term, word) FROM meant), '{}') AS meant,
       best.id, best.length, best.terms, f.confidence::float8 AS confidence, f.said_at, f.essential,
       f.evidence_count
  FROM corpus
  LEFT JOIN best ON true
  LEFT JOIN memory_facts f ON f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = best.id
 ORDER BY best.weight DESC, best.id;

-- name: pending
-- Counts what a user said that does not count yet, up to a bound, and how long the oldest waits.
SELECT count(*)::int AS pending,
       extract(epoch FROM %(now)s::timestamptz - min(recorded_at))::float8 AS oldest_seconds
  FROM ((SELECT recorded_at FROM chat_logs
          WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state IN ('received', 'extracting')
            AND retry_at IS DISTINCT FROM 'infinity'
          LIMIT %(bound)s)
        UNION ALL
        (SELECT recorded_at FROM memory_facts
          WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state <> 'settled'
            AND retry_at IS DISTINCT FROM 'infinity'
            AND generation IN (0, (SELECT generation FROM users
                                    WHERE tenant_id = %(tenant)s AND user_id = %(user)s))
          LIMIT %(bound)s)) AS waiting;

-- name: events_after
-- Reads what happened after a position, in the order in which nothing can appear before what was read.
SELECT e.xid::text AS xid, e.seq, e.event, e.user_id, e.fact_id, e.trace_id, e.at, e.data,
       f.content, f.subject, f.slot, f.value
  FROM events e
  LEFT JOIN memory_facts f ON f.tenant_id = e.tenant_id AND f.user_id = e.user_id AND f.id = e.fact_id
                          AND f.standing IS DISTINCT FROM 'forgotten'
 WHERE e.tenant_id = %(tenant)s AND (e.xid, e.seq) > (%(xid)s::text::xid8, %(seq)s)
   AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
   AND (%(user)s::text IS NULL OR e.user_id = %(user)s)
 ORDER BY e.xid, e.seq
 LIMIT %(limit)s;

-- name: events_now
-- Tells the position behind everything that has ended by now.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text;
