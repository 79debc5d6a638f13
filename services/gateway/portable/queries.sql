-- name: export_user
-- Reads who is exported; nothing where there is nobody.
SELECT u.user_id, u.generation, u.created_at, clock_timestamp() AS exported_at,
       (SELECT model FROM embedding_spaces WHERE state = 'active') AS embedding_model
  FROM users u WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s;

-- name: export_session
-- Reads the next sessions.
SELECT session_id AS place, to_jsonb(s) - '{tenant_id,user_id}'::text[] AS line FROM sessions s
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id > coalesce(%(after)s::text, '')
 ORDER BY session_id LIMIT %(limit)s;

-- name: export_message
-- Reads the next messages; of those that were erased, that they were there.
SELECT id::text AS place, to_jsonb(c) - '{tenant_id,user_id,lexemes,announced_at,rings,retry_at,postponed_until,traceparent}'::text[] AS line
  FROM chat_logs c
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: export_removed
-- Reads the next messages that retention removed.
SELECT id::text AS place, to_jsonb(r) - '{tenant_id,user_id}'::text[] AS line FROM removed_messages r
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: export_extraction
-- Reads the next calls that read messages, with what they answered.
SELECT id::text AS place, to_jsonb(e) - '{tenant_id,user_id,lease_until,worker,attempts}'::text[] AS line
  FROM extractions e
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state <> 'open'
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: export_judgement
-- Reads the next calls that judged pairs.
SELECT id::text AS place, to_jsonb(j) - '{tenant_id,user_id}'::text[] AS line FROM judgements j
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: export_replay
-- Reads the next generations that were promoted, or replaced.
SELECT generation::text AS place, to_jsonb(r) - '{tenant_id,user_id}'::text[] AS line FROM replays r
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state IN ('promoted', 'replaced', 'dropped')
   AND generation > coalesce(%(after)s::text, '-1')::int
 ORDER BY generation LIMIT %(limit)s;

-- name: export_act
-- Reads the next acts of operators.
SELECT id::text AS place, to_jsonb(a) - '{tenant_id,user_id}'::text[] AS line FROM belief_acts a
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: export_verdict
-- Reads the next decisions about pairs.
SELECT first_id::text || ' ' || second_id::text AS place, to_jsonb(v) - '{tenant_id,user_id}'::text[] AS line
  FROM verdicts v
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND (first_id, second_id) >
       (split_part(coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000 '), ' ', 1)::uuid,
        coalesce(nullif(split_part(%(after)s::text, ' ', 2), ''), '00000000-0000-0000-0000-000000000000')::uuid)
 ORDER BY first_id, second_id LIMIT %(limit)s;

-- name: export_fact
-- Reads the next facts that count, with how they stand; without those whose words were erased.
SELECT f.id::text AS place,
       to_jsonb(f) - '{tenant_id,user_id,lexemes,announced_at,rings,retry_at,traceparent}'::text[] AS line
  FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.content <> ''
   AND f.generation IN (0, (SELECT u.generation FROM users u
                             WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s))
   AND f.id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY f.id LIMIT %(limit)s;

-- name: export_use
-- Reads how often facts were used.
SELECT fact_id::text AS place, to_jsonb(x) - '{tenant_id,user_id}'::text[] AS line FROM fact_uses x
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND fact_id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY fact_id LIMIT %(limit)s;

-- name: export_profile
-- Reads the profile with what it rests on.
SELECT 'profile' AS place,
       to_jsonb(p) - '{tenant_id,user_id}'::text[] || jsonb_build_object('rests_on', ARRAY(
           SELECT e.fact_id FROM profile_edges e
            WHERE e.tenant_id = p.tenant_id AND e.user_id = p.user_id ORDER BY e.place)) AS line
  FROM profiles p
 WHERE p.tenant_id = %(tenant)s AND p.user_id = %(user)s AND %(after)s::text IS NULL
 LIMIT %(limit)s;

-- name: export_event
-- Reads what happened to the next facts.
SELECT fact_id::text || ' ' || seq::text AS place, to_jsonb(e) - '{tenant_id,user_id,xid}'::text[] AS line
  FROM events e
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND (fact_id, seq) >
       (split_part(coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000 '), ' ', 1)::uuid,
        coalesce(nullif(split_part(%(after)s::text, ' ', 2), ''), '0')::bigint)
 ORDER BY fact_id, seq LIMIT %(limit)s;

-- name: export_failure
-- Reads what failed, with its payload where that is the only copy.
SELECT id::text AS place, to_jsonb(x) - '{tenant_id,user_id}'::text[] AS line FROM failures x
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND id > coalesce(%(after)s::text, '00000000-0000-0000-0000-000000000000')::uuid
 ORDER BY id LIMIT %(limit)s;

-- name: import_user
-- Brings the user into being with the generation that counted; finds nothing when there is one.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO users (tenant_id, user_id, generation, created_at)
SELECT %(tenant)s, %(user)s, u.generation, coalesce(u.created_at, now())
  FROM jsonb_populate_recordset(NULL::users, %(rows)s::jsonb) AS u
    ON CONFLICT DO NOTHING
RETURNING user_id;

-- name: generation_of
-- Reads which generation of a user's facts counts; nothing for nobody.
SELECT generation FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: import_session
-- Adds sessions.
INSERT INTO sessions (tenant_id, user_id, session_id, created_at)
SELECT %(tenant)s, %(user)s, s.session_id, coalesce(s.created_at, now())
  FROM jsonb_populate_recordset(NULL::sessions, %(rows)s::jsonb) AS s
    ON CONFLICT DO NOTHING;

-- name: import_message
-- Adds messages; those that were not extracted wait to be. What comes back is remembered as erased no more.
WITH incoming AS MATERIALIZED (
    SELECT * FROM jsonb_populate_recordset(NULL::chat_logs, %(rows)s::jsonb)
), back AS (
    DELETE FROM erased_ids x USING incoming i WHERE x.tenant_id = %(tenant)s AND x.id = i.id
)
INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256, role, content, agent_id,
                       speaker, metadata, said_at, recorded_at, state, extraction_id, announced_at,
                       extracted_at, erased_at, generation)
SELECT %(tenant)s, %(user)s, id, session_id, message_key, content_sha256, role, content, agent_id, speaker,
       metadata, said_at, recorded_at, CASE state WHEN 'extracted' THEN state ELSE 'received' END,
       CASE state WHEN 'extracted' THEN extraction_id END,
       CASE state WHEN 'extracted' THEN recorded_at END, extracted_at, erased_at, generation
  FROM incoming
    ON CONFLICT DO NOTHING;

-- name: import_removed
-- Adds what is known of messages that retention removed.
INSERT INTO removed_messages (tenant_id, user_id, id, session_id, removed_at, erased_at)
SELECT %(tenant)s, %(user)s, id, session_id, removed_at, erased_at
  FROM jsonb_populate_recordset(NULL::removed_messages, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_extraction
-- Adds calls that read messages.
INSERT INTO extractions (tenant_id, user_id, id, session_id, state, lease_until, worker, extractor, model, prompt,
                         answer, input_tokens, output_tokens, dropped, created_at, finished_at, facts, message_ids)
SELECT %(tenant)s, %(user)s, id, session_id, CASE state WHEN 'done' THEN state ELSE 'failed' END, created_at,
       'import', extractor, model, prompt, answer, input_tokens, output_tokens, dropped, created_at, finished_at,
       facts, message_ids
  FROM jsonb_populate_recordset(NULL::extractions, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_judgement
-- Adds calls that judged pairs.
INSERT INTO judgements (tenant_id, user_id, id, model, prompt, pairs, input_tokens, output_tokens, dropped, created_at)
SELECT %(tenant)s, %(user)s, id, model, prompt, pairs, input_tokens, output_tokens, dropped, created_at
  FROM jsonb_populate_recordset(NULL::judgements, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_replay
-- Adds generations that once counted, or do.
INSERT INTO replays (tenant_id, user_id, generation, state, extractor, model, prompt, session_id, since, until,
                     created_at, promoted_at, replaced_at, replaced_by)
SELECT %(tenant)s, %(user)s, generation, state, extractor, model, prompt, session_id, since, until, created_at,
       promoted_at, replaced_at, replaced_by
  FROM jsonb_populate_recordset(NULL::replays, %(rows)s::jsonb)
 WHERE state IN ('promoted', 'replaced', 'dropped')
    ON CONFLICT DO NOTHING;

-- name: import_act
-- Adds acts of operators.
INSERT INTO belief_acts (tenant_id, user_id, id, kind, fact_id, subject, slot, value, value_key, old_value_key,
                         valid_from, valid_to, source_message_ids, acted_at, actor, reason, deed, undoes, labels,
                         review_key, origin, learnt_since, sweeping)
SELECT %(tenant)s, %(user)s, id, kind, fact_id, subject, slot, value, value_key, old_value_key, valid_from,
       valid_to, source_message_ids, acted_at, actor, reason, deed, undoes, labels, review_key, origin,
       learnt_since, coalesce(sweeping, false)
  FROM jsonb_populate_recordset(NULL::belief_acts, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_verdict
-- Adds decisions about pairs; what is decided here stands.
INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine, recorded_at,
                      judgement_id)
SELECT %(tenant)s, %(user)s, first_id, second_id, verdict, judge, reason, cosine, recorded_at, judgement_id
  FROM jsonb_populate_recordset(NULL::verdicts, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_fact
-- Adds facts at the beginning of their way: the stages bring each to where the law puts it. What is
-- suspicious is held until then, as when it was first written.
WITH incoming AS MATERIALIZED (
    SELECT * FROM jsonb_populate_recordset(NULL::memory_facts, %(rows)s::jsonb)
), back AS (
    DELETE FROM erased_ids x USING incoming i WHERE x.tenant_id = %(tenant)s AND x.id = i.id
)
INSERT INTO memory_facts (
    tenant_id, user_id, id, generation, content, category, subject, slot, value, value_key, cardinality, claim,
    temporal_state, occurred_at, occurred_precision, ended_at, ended_precision, said_at, recorded_at, message_key,
    ordinal, confidence, quote, source_message_ids, extraction_id, session_id, agent_id, speaker, metadata,
    essential, created_at, announced_at, pinned, fades_at, faded, source, suspicions, standing, canonical_id,
    evidence_count)
SELECT %(tenant)s, %(user)s, id, generation, content, category, subject, slot, value, value_key, cardinality, claim,
       temporal_state, occurred_at, occurred_precision, ended_at, ended_precision, said_at, recorded_at, message_key,
       ordinal, confidence, quote, source_message_ids, extraction_id, session_id, agent_id, speaker, metadata,
       coalesce(essential, false), coalesce(created_at, now()), now(), coalesce(pinned, false), fades_at,
       coalesce(faded, false), coalesce(source, 'user'), suspicions,
       CASE WHEN suspicions IS NOT NULL THEN 'quarantined' END, CASE WHEN suspicions IS NOT NULL THEN id END,
       CASE WHEN suspicions IS NOT NULL THEN 0 ELSE 1 END
  FROM incoming
    ON CONFLICT DO NOTHING
RETURNING tenant_id, user_id, id, announced_at;

-- name: import_use
-- Adds how often facts were used, and counts that there is news for the decay job.
WITH told AS (
    INSERT INTO job_runs AS r (tenant_id, user_id, kind, last_version, news)
    VALUES (%(tenant)s, %(user)s, 'decay', 0, 1)
        ON CONFLICT (tenant_id, user_id, kind) DO UPDATE SET news = r.news + 1
)
INSERT INTO fact_uses (tenant_id, user_id, fact_id, last_used_at, uses)
SELECT %(tenant)s, %(user)s, fact_id, last_used_at, uses
  FROM jsonb_populate_recordset(NULL::fact_uses, %(rows)s::jsonb)
    ON CONFLICT DO NOTHING;

-- name: import_profile
-- Adds the profile, with an edge to each fact it rests on, unless there is one.
WITH incoming AS (
    SELECT p.*, line.rests_on
      FROM jsonb_array_elements(%(rows)s::jsonb) AS t(line)
     CROSS JOIN LATERAL jsonb_populate_record(NULL::profiles, t.line) AS p
     CROSS JOIN LATERAL jsonb_to_record(t.line) AS line(rests_on uuid[])
     LIMIT 1
), written AS (
    INSERT INTO profiles (tenant_id, user_id, content, written_at, stale_since, stale_fact, written_by, asked_sha256,
                          holds_until)
    SELECT %(tenant)s, %(user)s, content, written_at, stale_since, stale_fact, coalesce(written_by, 'template'),
           asked_sha256, holds_until
      FROM incoming
        ON CONFLICT DO NOTHING
    RETURNING user_id
), edges AS (
    INSERT INTO profile_edges (tenant_id, user_id, fact_id, place)
    SELECT %(tenant)s, %(user)s, e.fact_id, e.place
      FROM incoming, unnest(incoming.rests_on) WITH ORDINALITY AS e(fact_id, place)
     WHERE EXISTS (SELECT FROM written)
        ON CONFLICT DO NOTHING
)
SELECT user_id FROM written;
