-- name: users_page
-- Lists a tenant's users by id, behind a cursor; `only` one where the key opens no other.
SELECT user_id, created_at FROM users
 WHERE tenant_id = %(tenant)s AND (%(after)s::text IS NULL OR user_id > %(after)s)
   AND (%(only)s::text IS NULL OR user_id = %(only)s)
 ORDER BY user_id
 LIMIT %(limit)s;

-- name: upsert_user
-- Brings a user, and the tenant, into being on first use.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO users (tenant_id, user_id) VALUES (%(tenant)s, %(user)s) ON CONFLICT DO NOTHING;

-- name: facts_page
-- Lists a user's facts, last said first, behind a cursor; `current` shows what is believed or planned and
-- not faded by `fading_at`, `named` what a fold in memory found.
SELECT f.id
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND CASE %(view)s::text
       WHEN 'current' THEN f.state = 'settled'
            AND (%(fading_at)s::timestamptz IS NULL OR f.fades_at IS NULL OR f.fades_at > %(fading_at)s)
            AND ((f.standing = 'belief' AND f.believed @> %(now)s::timestamptz)
                 OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz))
       WHEN 'named' THEN f.id = ANY(%(named)s::uuid[])
       ELSE coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined') END
   AND (%(category)s::text IS NULL OR f.category = %(category)s)
   AND (%(slots)s::text[] IS NULL OR f.slot = ANY(%(slots)s))
   AND (%(before_at)s::timestamptz IS NULL OR (f.said_at, f.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY f.said_at DESC, f.id DESC
 LIMIT %(limit)s;

-- name: facts_by_ids
-- Reads all that is public of a user's facts, and what their standing is worked out from.
SELECT tenant_id, user_id, id, content, category, subject, slot, value, value_key, cardinality, claim,
       temporal_state, occurred_at, occurred_precision, ended_at, ended_precision, said_at,
       recorded_at, confidence::float8 AS confidence, quote, source_message_ids, extraction_id,
       session_id, agent_id, speaker, metadata, source, suspicions, essential, pinned, fades_at, state, created_at, embedded_at,
       compared_at, settled_at, coalesce(retry_at = 'infinity', false) AS dead, standing,
       canonical_id, believed, planned_for, planned_since, superseded_by, evidence_count, generation,
       generation IN (0, (SELECT u.generation FROM users u
                           WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s)) AS counts
  FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s);

-- name: user_of_fact
-- Finds whose a fact is, among those that the key opens.
SELECT user_id FROM memory_facts
 WHERE id = %(id)s AND tenant_id = %(tenant)s AND (%(only)s::text IS NULL OR user_id = %(only)s);

-- name: session_page
-- Lists a session's messages in the order they were said, behind a cursor.
SELECT id, session_id, role, content, said_at, recorded_at, message_key, agent_id, speaker, metadata,
       state
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND erased_at IS NULL
   AND (%(after_said)s::timestamptz IS NULL
        OR (said_at, recorded_at, id) > (%(after_said)s, %(after_recorded)s::timestamptz, %(after_id)s::uuid))
 ORDER BY said_at, recorded_at, id
 LIMIT %(limit)s;

-- name: messages_by_ids
-- Reads the messages a fact rests on, as far as they have not been erased.
SELECT id, session_id, role, content, said_at, recorded_at, message_key, agent_id, speaker, metadata,
       state
  FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s) AND erased_at IS NULL
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
   AND (id = %(canonical)s OR canonical_id = %(canonical)s) AND standing NOT IN ('forgotten', 'quarantined')
 ORDER BY said_at, id;

-- name: verdicts_of_fact
-- Reads what was decided about a fact and its neighbours; a model's reason may say again what was
-- forgotten, and is withheld then.
SELECT CASE WHEN v.first_id = %(id)s THEN v.second_id ELSE v.first_id END AS fact_id, v.verdict, v.judge,
       CASE WHEN EXISTS (SELECT FROM memory_facts f
                          WHERE f.tenant_id = v.tenant_id AND f.user_id = v.user_id
                            AND f.id IN (v.first_id, v.second_id) AND f.standing = 'forgotten')
            THEN '' ELSE v.reason END AS reason,
       v.recorded_at AS at
  FROM verdicts v
 WHERE v.tenant_id = %(tenant)s AND v.user_id = %(user)s
   AND (v.first_id = %(id)s OR v.second_id = %(id)s)
 ORDER BY v.recorded_at, v.first_id, v.second_id;

-- name: acts_of_fact
-- Lists what operators did about a fact, last first, one row a deed: corrections it was part of, what
-- was told of it, and what forgot it. `erased` deeds named messages alone; `undone` ones were taken back.
SELECT DISTINCT ON (a.acted_at, a.deed)
       a.deed, a.id, a.kind, a.fact_id, a.acted_at, a.actor, a.reason,
       a.kind = 'tombstone' AND a.fact_id IS NULL AND NOT a.sweeping AS erased, a.sweeping,
       u.id AS undo_id, u.acted_at AS undone_at, u.actor AS undone_by, u.reason AS undone_because
  FROM belief_acts a
  LEFT JOIN belief_acts u ON u.tenant_id = a.tenant_id AND u.user_id = a.user_id AND u.undoes = a.deed
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.kind NOT IN ('undo', 'other_words')
   AND (a.fact_id = ANY(%(ids)s) OR a.id = ANY(%(ids)s)
        OR a.deed IN (SELECT (e.data ->> 'act')::uuid FROM events e
                       WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s
                         AND e.fact_id = ANY(%(ids)s) AND e.data ? 'act')
        OR (a.kind = 'tombstone' AND a.acted_at >= %(said_at)s::timestamptz
            AND ((coalesce(a.origin, %(source)s::text) = %(source)s
                  AND coalesce(a.learnt_since, %(recorded_at)s::timestamptz) <= %(recorded_at)s
                  AND (a.origin IS NOT NULL OR a.learnt_since IS NOT NULL))
                 OR (a.subject = %(subject)s AND a.slot IS NOT DISTINCT FROM %(slot)s::text
                  AND a.value_key = %(value_key)s::text)
                 OR (a.value_key IS NULL AND a.slot IS NULL AND a.source_message_ids && %(sources)s::uuid[]
                     AND (a.fact_id IS NULL OR a.source_message_ids @> %(sources)s::uuid[])))))
 ORDER BY a.acted_at DESC, a.deed DESC, a.id;

-- name: record_acts
-- Records the acts of one deed.
INSERT INTO belief_acts (tenant_id, user_id, id, deed, kind, fact_id, subject, slot, value, value_key,
                         old_value_key, valid_from, valid_to, source_message_ids, undoes, actor, reason,
                         review_key, origin, learnt_since, sweeping)
SELECT %(tenant)s, %(user)s, t.id, %(deed)s, %(kind)s, %(fact)s::uuid, t.subject, t.slot, t.value,
       t.value_key, t.old_value_key, %(valid_from)s::timestamptz, %(valid_to)s::timestamptz,
       ARRAY(SELECT jsonb_array_elements_text(t.sources)::uuid), %(undoes)s::uuid, %(actor)s,
       %(reason)s::text, %(review_key)s::text, %(origin)s::text, %(learnt_since)s::timestamptz,
       %(sweeping)s::boolean
  FROM unnest(%(ids)s::uuid[], %(subjects)s::text[], %(slots)s::text[], %(values)s::text[],
              %(value_keys)s::text[], %(old_value_keys)s::text[], %(sources)s::jsonb[])
       AS t(id, subject, slot, value, value_key, old_value_key, sources)
RETURNING acted_at;

-- name: record_labels
-- Records other labels of a fact, with those that it had, and keeps its row from changing meanwhile.
WITH fact AS (
    SELECT category, metadata, pinned FROM memory_facts
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(fact)s FOR UPDATE
)
INSERT INTO belief_acts (tenant_id, user_id, id, deed, kind, fact_id, actor, reason, acted_at, labels)
SELECT %(tenant)s, %(user)s, %(deed)s, %(deed)s, 'labels', %(fact)s, %(actor)s, %(reason)s::text,
       clock_timestamp(),
       jsonb_build_object('asked', %(asked)s::jsonb,
                          'before', jsonb_build_object('category', category, 'metadata', metadata,
                                                       'pinned', pinned))
  FROM fact;

-- name: labels_of_fact
-- Reads which labels a fact was given, in order, and which of them were taken back.
SELECT a.labels,
       EXISTS (SELECT FROM belief_acts u WHERE u.tenant_id = a.tenant_id AND u.user_id = a.user_id
                  AND u.undoes = a.deed) AS undone
  FROM belief_acts a
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.kind = 'labels' AND a.fact_id = %(fact)s
 ORDER BY a.acted_at, a.id;

-- name: label_fact
-- Gives a fact its labels; another category fades otherwise, and a pinned fact not at all.
UPDATE memory_facts
   SET category = %(category)s, metadata = %(metadata)s::jsonb, pinned = %(pinned)s, fades_at = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(fact)s;

-- name: grow_version
-- Tells the deduper that what there is to compare with has changed.
UPDATE users SET belief_version = belief_version + 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: facts_like
-- Reads a fact and all that is one belief with it, in any state.
SELECT id, subject, slot, value_key, source_message_ids, state FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND standing IS DISTINCT FROM 'forgotten'
   AND (id = ANY(%(ids)s) OR canonical_id = %(canonical)s)
 ORDER BY id;

-- name: spent_messages
-- Of these messages, lists those on which nothing rests but the given facts.
SELECT m.id FROM unnest(%(messages)s::uuid[]) AS m(id)
 WHERE NOT EXISTS (SELECT FROM memory_facts f JOIN users u USING (tenant_id, user_id)
                    WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s
                      AND f.generation IN (0, u.generation) AND f.source_message_ids @> ARRAY[m.id]
                      AND NOT f.id = ANY(%(facts)s) AND f.standing IS DISTINCT FROM 'forgotten');

-- name: facts_of_deed
-- Lists the facts that a deed's tombstones, and other words, name by statement or messages.
SELECT DISTINCT f.id, f.subject, f.slot, f.state, f.standing, f.source_message_ids
  FROM belief_acts a JOIN memory_facts f USING (tenant_id, user_id)
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.deed = %(deed)s
   AND a.kind IN ('tombstone', 'other_words')
   AND CASE WHEN a.origin IS NOT NULL OR a.learnt_since IS NOT NULL
            THEN left(f.message_key, 2) <> 'a:' AND coalesce(a.origin, f.source) = f.source
             AND coalesce(a.learnt_since, f.recorded_at) <= f.recorded_at
             AND least(f.said_at, f.recorded_at) <= a.acted_at
            WHEN a.value_key IS NOT NULL
            THEN f.subject = a.subject AND f.slot IS NOT DISTINCT FROM a.slot AND f.value_key = a.value_key
            ELSE (a.slot IS NULL OR (f.subject = a.subject AND f.slot = a.slot AND f.value_key IS NULL))
             AND CASE WHEN f.source_message_ids = '{}' THEN f.id = ANY(a.source_message_ids)
                      ELSE f.source_message_ids <@ a.source_message_ids END END
 ORDER BY f.id;

-- name: hide_unfolded_facts
-- Shows facts that no fold reaches now, those on their way and those of generations not in use, as
-- forgotten; when they settle, or count again, the law says the same.
UPDATE memory_facts f
   SET standing = 'forgotten', canonical_id = f.id, evidence_count = 0
  FROM users u
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = ANY(%(ids)s)
   AND u.tenant_id = f.tenant_id AND u.user_id = f.user_id
   AND (f.state <> 'settled' OR f.generation NOT IN (0, u.generation));

-- name: show_unfolded_facts
-- Shows such facts again, those that are held as held; those of a generation not in use hold nowhere.
UPDATE memory_facts f
   SET standing = CASE WHEN f.id = ANY(%(held)s::uuid[]) THEN 'quarantined'
                       WHEN f.state = 'settled' THEN 'retired' END,
       canonical_id = CASE WHEN f.state = 'settled' OR f.id = ANY(%(held)s::uuid[]) THEN f.id END,
       evidence_count = CASE WHEN f.id = ANY(%(held)s::uuid[]) THEN 0 ELSE 1 END
  FROM users u
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = ANY(%(ids)s)
   AND u.tenant_id = f.tenant_id AND u.user_id = f.user_id
   AND (f.state <> 'settled' OR f.generation NOT IN (0, u.generation))
   AND coalesce(f.standing, 'forgotten') IN ('forgotten', 'quarantined');

-- name: session_exists
-- Tells whether a user ever had this session.
SELECT EXISTS (SELECT FROM sessions
                WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s) AS known;

-- name: lock_open_extractions
-- Keeps a session's open reservation from being committed.
SELECT id FROM extractions
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s AND state = 'open'
   FOR UPDATE;

-- name: erase_messages
-- Takes the words of a session's messages, or of one; what was on its way counts as extracted.
UPDATE chat_logs c
   SET content = '', metadata = NULL, speaker = NULL, erased_at = now(), state = 'extracted',
       extracted_at = coalesce(c.extracted_at, now()), announced_at = coalesce(c.announced_at, now()),
       rings = 0, retry_at = NULL
  FROM (SELECT id FROM chat_logs
         WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
           AND (%(message)s::uuid IS NULL OR id = %(message)s) AND erased_at IS NULL
         ORDER BY id FOR UPDATE) AS mine
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = mine.id
RETURNING c.id, c.extraction_id;

-- name: erased_message
-- Tells whether a message was there and has been erased before.
SELECT erased_at FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s AND id = %(message)s
UNION ALL
SELECT erased_at FROM removed_messages
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s AND id = %(message)s;

-- name: erase_removed_messages
-- Notes of messages that retention removed, of a session or one, that they are erased.
UPDATE removed_messages SET erased_at = now()
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND (%(message)s::uuid IS NULL OR id = %(message)s) AND erased_at IS NULL
RETURNING id;

-- name: break_reservations
-- Fails the open reservations that held erased words: whatever their holder answers is not committed.
UPDATE extractions SET state = 'failed', finished_at = now()
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s) AND state = 'open'
RETURNING id;

-- name: release_messages
-- Gives back the other messages of broken reservations, to be extracted without what was erased.
UPDATE chat_logs SET extraction_id = NULL, announced_at = now(), rings = 0
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND extraction_id = ANY(%(ids)s) AND state = 'extracting'
RETURNING tenant_id, user_id, session_id, announced_at;

-- name: scrub_answers
-- Takes out of what models answered, replays' calls included, and of why their calls failed, whatever
-- rests on these messages.
WITH answers AS (
    UPDATE extractions e
       SET answer = jsonb_build_object('facts', coalesce(
               (SELECT jsonb_agg(fact) FROM jsonb_array_elements(e.answer -> 'facts') AS fact
                 WHERE NOT coalesce(fact -> 'source_message_ids' ?| %(texts)s::text[], true)), '[]'))
     WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s
       AND (e.id = ANY(%(ids)s) OR e.message_ids && %(texts)s::text[]::uuid[])
       AND jsonb_typeof(e.answer -> 'facts') = 'array'
)
DELETE FROM failures WHERE tenant_id = %(tenant)s AND subject_id = ANY(%(texts)s);

-- name: erase_letters
-- Deletes entries of a session that never became messages.
DELETE FROM failures
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND payload IS NOT NULL
   AND coalesce(payload ->> 'session_id', 'default') = %(session)s;

-- name: facts_resting_on
-- Lists, in every generation, the facts all of whose messages are erased, some of them just now.
SELECT f.id, f.subject, f.slot, f.state, f.standing, f.source_message_ids FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.source_message_ids && %(messages)s::uuid[]
   AND NOT EXISTS (SELECT FROM unnest(f.source_message_ids) AS s(id)
                    WHERE NOT EXISTS (SELECT FROM chat_logs c
                                       WHERE c.tenant_id = f.tenant_id AND c.user_id = f.user_id
                                         AND c.id = s.id AND c.erased_at IS NOT NULL)
                      AND NOT EXISTS (SELECT FROM removed_messages r
                                       WHERE r.tenant_id = f.tenant_id AND r.user_id = f.user_id
                                         AND r.id = s.id AND r.erased_at IS NOT NULL))
 ORDER BY f.id
   FOR UPDATE;

-- name: erase_facts
-- Takes the words and vectors of forgotten facts; those on their way are done with.
WITH vectors AS (
    DELETE FROM fact_vectors
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND fact_id = ANY(%(ids)s)
), reasons AS (
    UPDATE verdicts SET reason = ''
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s
       AND (first_id = ANY(%(ids)s) OR second_id = ANY(%(ids)s))
), labels AS (
    UPDATE belief_acts SET labels = NULL
     WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND kind = 'labels' AND fact_id = ANY(%(ids)s)
)
UPDATE memory_facts
   SET content = '', value = NULL, value_key = NULL, quote = NULL, metadata = NULL, speaker = NULL,
       suspicions = NULL, essential = false, standing = 'forgotten', canonical_id = id, believed = '{}', planned_for = NULL,
       planned_since = NULL, superseded_by = NULL, evidence_count = 0, state = 'settled',
       settled_at = coalesce(settled_at, now()), rings = 0, retry_at = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s);

-- name: essential_facts
-- Lists the facts an application should always know, as far as they hold now.
SELECT f.id
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.state = 'settled' AND f.essential
   AND ((f.standing = 'belief' AND f.believed @> %(now)s::timestamptz)
        OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz))
 ORDER BY f.slot IS NULL, f.slot, f.said_at, f.id
 LIMIT %(limit)s;

-- name: conscious_version
-- Reads what tells one state of the essential facts and the profile from any other: which rows, by which
-- transactions, and how many of their bounds now is past.
SELECT md5(concat_ws('|', u.generation,
           (SELECT string_agg(concat_ws(' ', f.id, f.xmin, f.planned_since <= %(now)s::timestamptz,
                                        f.planned_for <= %(now)s::timestamptz,
                                        (SELECT count(*) FILTER (WHERE lower(r) <= %(now)s::timestamptz)
                                              + count(*) FILTER (WHERE upper(r) <= %(now)s::timestamptz)
                                           FROM unnest(f.believed) AS r)), ',' ORDER BY f.id)
              FROM memory_facts f
             WHERE f.tenant_id = u.tenant_id AND f.user_id = u.user_id AND f.essential),
           (SELECT p.xmin::text FROM profiles p
             WHERE p.tenant_id = u.tenant_id AND p.user_id = u.user_id),
           (SELECT string_agg(e.fact_id::text, ',' ORDER BY e.place) FROM profile_edges e
             WHERE e.tenant_id = u.tenant_id AND e.user_id = u.user_id))) AS version
  FROM users u
 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s;

-- name: profile
-- Reads a user's profile with what it rests on, in the order of its text.
SELECT p.content, p.written_at, p.stale_since, p.stale_fact,
       ARRAY(SELECT e.fact_id FROM profile_edges e
              WHERE e.tenant_id = p.tenant_id AND e.user_id = p.user_id ORDER BY e.place) AS rests_on
  FROM profiles p
 WHERE p.tenant_id = %(tenant)s AND p.user_id = %(user)s;

-- name: key_by_id
-- Reads a key to verify its secret, whether it has ended (by PostgreSQL's clock, which set the end), and
-- what its tenant may do.
SELECT k.id, k.tenant_id, k.name, k.scope, k.user_id, k.secret_sha256,
       least(k.expires_at, k.revoked_at) AS ends_at,
       coalesce(least(k.expires_at, k.revoked_at) <= now(), false) AS ended,
       l.requests_per_minute, l.key_requests_per_minute
  FROM api_keys k
  LEFT JOIN tenant_limits l USING (tenant_id)
 WHERE k.id = %(id)s;

-- name: rates_of_tenant
-- Reads how many requests a tenant of its own may send.
SELECT requests_per_minute, key_requests_per_minute FROM tenant_limits WHERE tenant_id = %(tenant)s;

-- name: note_uses
-- Notes when keys were last used, at most once a minute each, whoever noted it before.
UPDATE api_keys k SET last_used_at = t.at
  FROM (SELECT k.id, t.at
          FROM unnest(%(ids)s::uuid[], %(moments)s::timestamptz[]) AS t(id, at)
          JOIN api_keys k USING (id)
         WHERE k.last_used_at IS NULL OR k.last_used_at <= t.at - interval '1 minute'
         ORDER BY k.id FOR NO KEY UPDATE OF k) AS t
 WHERE k.id = t.id;

-- name: create_key
-- Stores a key, and its tenant if it is the first one.
WITH new_tenant AS (
    INSERT INTO tenants (tenant_id) VALUES (%(tenant)s) ON CONFLICT DO NOTHING
)
INSERT INTO api_keys (id, tenant_id, name, scope, user_id, secret_sha256, expires_at)
VALUES (%(id)s, %(tenant)s, %(name)s, %(scope)s, %(user)s, %(secret_sha256)s, %(expires_at)s)
RETURNING id, name, scope, user_id, created_at, expires_at, revoked_at, last_used_at;

-- name: keys_page
-- Lists a tenant's keys, oldest first, behind a cursor.
SELECT id, name, scope, user_id, created_at, expires_at, revoked_at, last_used_at FROM api_keys
 WHERE tenant_id = %(tenant)s
   AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) > (%(after_at)s, %(after_id)s::uuid))
 ORDER BY created_at, id
 LIMIT %(limit)s;

-- name: lock_key
-- Reads a key and keeps it from being changed until the transaction ends.
SELECT id, name, scope, user_id, created_at, expires_at, revoked_at, last_used_at FROM api_keys
 WHERE id = %(id)s AND tenant_id = %(tenant)s
   FOR UPDATE;

-- name: revoke_key
-- Ends a key after the overlap; one that was revoked before stays as it was.
UPDATE api_keys
   SET revoked_at = least(revoked_at, now() + %(overlap)s * interval '1 second')
 WHERE id = %(id)s AND tenant_id = %(tenant)s
RETURNING id, name, scope, user_id, created_at, expires_at, revoked_at, last_used_at;

-- name: traced_message
-- Finds the message of a trace.
SELECT tenant_id, user_id, id, state, recorded_at, extracted_at,
       coalesce(retry_at = 'infinity', false) AS dead
  FROM chat_logs
 WHERE id = %(id)s AND tenant_id = %(tenant)s AND (%(only)s::text IS NULL OR user_id = %(only)s);

-- name: traced_fact
-- Finds the fact of a trace.
SELECT tenant_id, user_id, id FROM memory_facts
 WHERE id = %(id)s AND tenant_id = %(tenant)s AND (%(only)s::text IS NULL OR user_id = %(only)s);

-- name: traced_job
-- Finds the job of a trace.
SELECT tenant_id, user_id, id, kind, state, requested_at, started_at, finished_at, due_slot, result,
       coalesce(retry_at = 'infinity', false) AS dead
  FROM jobs
 WHERE id = %(id)s AND tenant_id = %(tenant)s AND (%(only)s::text IS NULL OR user_id = %(only)s);

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
-- The beginning of both arms: the user's facts that pass every filter; `named` is a view of its own,
-- of what a fold in memory found.
WITH mine AS NOT MATERIALIZED (
    SELECT f.tenant_id, f.user_id, f.id, f.lexemes, f.confidence::float8 AS confidence, f.said_at, f.essential, f.evidence_count,
           f.slot, f.category, f.subject, coalesce(f.occurred_at, f.said_at) AS at
      FROM memory_facts f
     WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s
       AND f.generation IN (0, (SELECT u.generation FROM users u
                                 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s))
       AND f.state = 'settled'
       AND CASE %(view)s::text
           WHEN 'current' THEN (f.standing = 'belief'
                                AND f.believed && tstzrange(%(held_since)s::timestamptz, %(now)s::timestamptz, '[]'))
                            OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz)
           WHEN 'named' THEN f.id = ANY(%(named)s::uuid[])
           ELSE coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined') END
       AND (%(fading_at)s::timestamptz IS NULL OR f.fades_at IS NULL OR f.fades_at > %(fading_at)s)
       AND (%(categories)s::text[] IS NULL OR f.category = ANY(%(categories)s))
       AND (%(slots)s::text[] IS NULL OR f.slot = ANY(%(slots)s))
       AND (%(metadata)s::jsonb IS NULL OR f.metadata @> %(metadata)s)
       AND (%(since)s::timestamptz IS NULL OR coalesce(f.occurred_at, f.said_at) >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR coalesce(f.occurred_at, f.said_at) < %(until)s)
)

-- name: faded_among
-- Lists which of these facts were faded at a moment.
SELECT id FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s) AND fades_at <= %(at)s;

-- name: save_uses
-- Counts uses of facts that are still there.
INSERT INTO fact_uses AS u (tenant_id, user_id, fact_id, uses)
SELECT f.tenant_id, f.user_id, f.id, t.uses
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(uses)s::bigint[])
       AS t(tenant_id, user_id, id, uses)
  JOIN memory_facts f USING (tenant_id, user_id, id)
 ORDER BY f.tenant_id, f.user_id, f.id
    ON CONFLICT (tenant_id, user_id, fact_id) DO UPDATE
   SET uses = u.uses + excluded.uses, last_used_at = greatest(u.last_used_at, excluded.last_used_at);

-- name: keep_used
-- Keeps used facts from being faded, now or before the decay job comes by, which works it out anew.
UPDATE memory_facts f SET fades_at = NULL
  FROM (SELECT f.tenant_id, f.user_id, f.id
          FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[]) AS t(tenant_id, user_id, id)
          JOIN memory_facts f USING (tenant_id, user_id, id)
         WHERE f.fades_at < now() + interval '7 days'
         ORDER BY f.tenant_id, f.user_id, f.id FOR UPDATE OF f) AS mine
 WHERE f.tenant_id = mine.tenant_id AND f.user_id = mine.user_id AND f.id = mine.id;

-- name: tell_decay
-- Counts that there is news for the decay job of users whose facts were used: it reckons from the last use.
-- Always, since a run that is under way may not have seen these.
INSERT INTO job_runs AS r (tenant_id, user_id, kind, last_version, news)
SELECT DISTINCT u.tenant_id, u.user_id, 'decay', 0, 1
  FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)
  JOIN users u USING (tenant_id, user_id)
 ORDER BY u.tenant_id, u.user_id
    ON CONFLICT (tenant_id, user_id, kind) DO UPDATE SET news = r.news + 1;

-- name: vector_arm
-- Scans all the user's vectors, exactly (a materialized list leaves no index to be tempted by), and
-- looks from the nearest on which facts pass, until there are enough.
-- with: recall_scope
, near AS MATERIALIZED (
    SELECT v.fact_id, 1 - (v.embedding <=> %(vector)s::halfvec) AS cosine
      FROM fact_vectors v
     WHERE v.tenant_id = %(tenant)s AND v.user_id = %(user)s AND v.model = %(model)s
       AND vector_dims(v.embedding) = %(dimensions)s
)
SELECT mine.id, v.cosine
  FROM (SELECT fact_id, cosine FROM near ORDER BY cosine DESC, fact_id OFFSET 0) AS v
  JOIN mine ON mine.id = v.fact_id
 ORDER BY v.cosine DESC, v.fact_id
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
), variants AS MATERIALIZED (
    SELECT term, variant, dense_rank() OVER (ORDER BY term) AS place FROM memoire_asked(%(query)s)
), asked AS MATERIALIZED (
    SELECT DISTINCT term FROM variants WHERE place <= %(terms)s
), read_as AS MATERIALIZED (
    SELECT jsonb_object_agg(variant, term) AS terms,
           string_agg('''' || replace(replace(variant, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS any_of
      FROM variants WHERE place <= %(terms)s
), direct AS MATERIALIZED (
    SELECT d.id, length(d.lexemes) AS length, r.terms ->> l.lexeme AS term,
           sum(cardinality(l.positions))::int AS tf
      FROM read_as r JOIN documents d ON d.lexemes @@ r.any_of CROSS JOIN LATERAL unnest(d.lexemes) AS l
     WHERE r.terms ? l.lexeme
     GROUP BY d.id, d.lexemes, r.terms ->> l.lexeme
), missing AS MATERIALIZED (
    SELECT term, variant FROM variants
     WHERE place <= %(terms)s AND char_length(term) >= CASE WHEN term ~ '^[ -~]' THEN 4 ELSE 3 END
       AND term NOT IN (SELECT term FROM direct)
), vocabulary AS MATERIALIZED (
    SELECT DISTINCT word FROM documents, unnest(tsvector_to_array(lexemes)) AS word
     WHERE EXISTS (SELECT FROM missing) AND (SELECT documents FROM corpus) <= %(vocabulary_limit)s
), meant AS MATERIALIZED (
    SELECT DISTINCT ON (m.term) m.term, v.word
      FROM missing m
      JOIN vocabulary v ON CASE WHEN m.variant = m.term AND abs(char_length(m.term) - char_length(v.word)) <= 3
                                 AND similarity(m.term, v.word) >= %(similarity)s THEN true
                                WHEN m.variant !~ '^[ -~]' OR char_length(m.variant) >= 6
                                THEN strpos(v.word, m.variant) > 0  -- a part of a compound
                                ELSE false END
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
SELECT corpus.documents, corpus.average, told.frequencies, told.meant, best.id, best.length, best.terms
  FROM corpus
  LEFT JOIN (SELECT *, row_number() OVER (ORDER BY weight DESC, id) AS place FROM best) AS best ON true
  LEFT JOIN (SELECT coalesce((SELECT jsonb_object_agg(term, coalesce(df, 0))
                                FROM (SELECT term FROM asked UNION SELECT word FROM meant) AS t
                                LEFT JOIN frequencies USING (term)), '{}') AS frequencies,
                    coalesce((SELECT jsonb_object_agg(term, word) FROM meant), '{}') AS meant) AS told
         ON coalesce(best.place, 1) = 1  -- once, in the first row
 ORDER BY best.place;

-- name: message_arm
-- Reads the messages that match best by BM25 (k1 0.9, b 0.4), each with its share of the query's words
-- and with its neighbours in the session; nothing said or recorded after the moment asked about. How often
-- a message has a word is counted only in those that would be best if each had it once.
WITH asked AS MATERIALIZED (
    SELECT term, ('''' || replace(replace(term, '\', '\\'), '''', '''''') || '''')::tsquery AS query
      FROM unnest(tsvector_to_array(to_tsvector('memoire', %(query)s))) AS term
     LIMIT %(terms)s
), documents AS MATERIALIZED (
    SELECT c.id, length(c.lexemes) AS length,
           CASE WHEN c.lexemes @@ (SELECT string_agg(query::text, ' | ')::tsquery FROM asked)
                THEN ARRAY(SELECT term FROM asked WHERE c.lexemes @@ query) END AS terms
      FROM chat_logs c
     WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.erased_at IS NULL
       AND (%(as_of)s::timestamptz IS NULL OR least(c.said_at, c.recorded_at) <= %(as_of)s)
       AND (%(known_at)s::timestamptz IS NULL OR c.recorded_at <= %(known_at)s)
), corpus AS MATERIALIZED (
    SELECT count(*)::int AS documents, coalesce(avg(length), 0)::float8 AS average
      FROM documents
), found AS MATERIALIZED (
    SELECT d.id, d.length, t.term FROM documents d CROSS JOIN LATERAL unnest(d.terms) AS t(term)
     WHERE d.terms IS NOT NULL
), weights AS MATERIALIZED (
    SELECT term, ln(1 + (c.documents - coalesce(df, 0) + 0.5::float8) / (coalesce(df, 0) + 0.5::float8)) AS idf,
           c.average
      FROM asked LEFT JOIN (SELECT term, count(*)::int AS df FROM found GROUP BY term) f USING (term)
           CROSS JOIN corpus c
), likely AS MATERIALIZED (
    SELECT f.id, f.length, sum(w.idf) / (SELECT sum(idf) FROM weights) AS matched_share
      FROM found f JOIN weights w USING (term)
     GROUP BY f.id, f.length, w.average
     ORDER BY sum(w.idf) / (1 + 0.9::float8 * (0.6::float8 + 0.4::float8 * f.length / w.average)) DESC, f.id
     LIMIT 2 * %(candidates)s
), best AS MATERIALIZED (
    SELECT c.id, c.session_id, c.said_at, c.recorded_at, m.matched_share,
           sum(w.idf * cardinality(l.positions) * 1.9::float8
               / (cardinality(l.positions) + 0.9::float8 * (0.6::float8 + 0.4::float8 * m.length / w.average))) AS weight
      FROM likely m
      JOIN chat_logs c ON c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = m.id
     CROSS JOIN LATERAL unnest(c.lexemes) AS l
      JOIN weights w ON w.term = l.lexeme
     GROUP BY c.tenant_id, c.user_id, c.id, m.matched_share
     ORDER BY weight DESC, c.id
     LIMIT %(candidates)s
)
SELECT d.id, d.matched_share, d.weight, beside.before, beside.after
  FROM best d
  CROSS JOIN LATERAL (
    SELECT (SELECT n.id FROM chat_logs n
             WHERE n.session_id = d.session_id AND n.user_id = %(user)s AND n.tenant_id = %(tenant)s
               AND n.said_at <= d.said_at AND (n.said_at, n.recorded_at) < (d.said_at, d.recorded_at)
               AND n.erased_at IS NULL
             ORDER BY n.said_at DESC, n.recorded_at DESC, n.id LIMIT 1) AS before,
           (SELECT n.id FROM chat_logs n
             WHERE n.session_id = d.session_id AND n.user_id = %(user)s AND n.tenant_id = %(tenant)s
               AND n.said_at >= d.said_at AND (n.said_at, n.recorded_at) > (d.said_at, d.recorded_at)
               AND n.erased_at IS NULL
               AND (%(as_of)s::timestamptz IS NULL OR least(n.said_at, n.recorded_at) <= %(as_of)s)
               AND (%(known_at)s::timestamptz IS NULL OR n.recorded_at <= %(known_at)s)
             ORDER BY n.said_at, n.recorded_at, n.id LIMIT 1) AS after
  ) AS beside
 ORDER BY d.weight DESC, d.id;

-- name: gathered
-- Reads what ranking needs to know of the facts that were found, and adds those that rest on found
-- messages and those stated within the hour just before or after the best stated ones.
-- with: recall_scope
, beside AS MATERIALIZED (
    SELECT a.id,
           (SELECT n.id FROM memory_facts n
             WHERE n.user_id = %(user)s AND n.tenant_id = %(tenant)s AND n.session_id IS NULL
               AND n.state = 'settled' AND coalesce(n.standing, '') NOT IN ('forgotten', 'quarantined')
               AND n.generation IN (0, (SELECT generation FROM users
                                         WHERE tenant_id = %(tenant)s AND user_id = %(user)s))
               AND (n.said_at, n.recorded_at) < (a.said_at, a.recorded_at)
               AND n.said_at >= a.said_at - interval '1 hour'
             ORDER BY n.said_at DESC, n.recorded_at DESC, n.id LIMIT 1) AS before,
           (SELECT n.id FROM memory_facts n
             WHERE n.user_id = %(user)s AND n.tenant_id = %(tenant)s AND n.session_id IS NULL
               AND n.state = 'settled' AND coalesce(n.standing, '') NOT IN ('forgotten', 'quarantined')
               AND n.generation IN (0, (SELECT generation FROM users
                                         WHERE tenant_id = %(tenant)s AND user_id = %(user)s))
               AND (n.said_at, n.recorded_at) > (a.said_at, a.recorded_at)
               AND n.said_at <= a.said_at + interval '1 hour'
             ORDER BY n.said_at, n.recorded_at, n.id LIMIT 1) AS after
      FROM memory_facts a
     WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.id = ANY(%(anchors)s::uuid[])
       AND a.session_id IS NULL
), wanted AS MATERIALIZED (
    SELECT unnest(%(ids)s::uuid[]) AS id
    UNION SELECT before FROM beside
    UNION SELECT after FROM beside
    UNION SELECT s.id FROM memory_facts s
           WHERE s.source_message_ids[1] = ANY(%(messages)s::uuid[]) AND s.session_id IS NOT NULL
             AND s.user_id = %(user)s AND s.tenant_id = %(tenant)s
)
SELECT m.id, m.confidence, m.said_at, m.essential, m.evidence_count, m.slot, m.category, m.subject, m.at,
       f.source, f.content, f.session_id, f.source_message_ids[1] AS message, beside.before, beside.after,
       coalesce(f.speaker, nullif(f.subject, 'user'),
                substring(f.content FROM '^([[:upper:]][^:.!?,]{0,40}):[[:space:]]')) AS who
  FROM mine m
  JOIN memory_facts f ON f.tenant_id = m.tenant_id AND f.user_id = m.user_id AND f.id = m.id
  LEFT JOIN beside ON beside.id = m.id
 WHERE m.id = ANY(ARRAY(SELECT id FROM wanted)) AND f.id = ANY(ARRAY(SELECT id FROM wanted))
   AND f.tenant_id = %(tenant)s AND f.user_id = %(user)s;

-- name: likeness
-- Compares candidates with the query and with the best of them, exactly.
SELECT v.fact_id AS id, 1 - (v.embedding <=> %(vector)s::halfvec) AS cosine,
       (SELECT avg(1 - (v.embedding <=> b.embedding)) FROM fact_vectors b
         WHERE b.tenant_id = %(tenant)s AND b.user_id = %(user)s AND b.model = %(model)s
           AND b.fact_id = ANY(%(best)s::uuid[]) AND vector_dims(b.embedding) = %(dimensions)s) AS likeness
  FROM fact_vectors v
 WHERE v.tenant_id = %(tenant)s AND v.user_id = %(user)s AND v.model = %(model)s
   AND v.fact_id = ANY(%(ids)s::uuid[]) AND vector_dims(v.embedding) = %(dimensions)s;

-- name: hinted_arm
-- Lists what passed and is of the slots that a question names, however little its words say so.
-- with: recall_scope
SELECT id
  FROM mine
 WHERE slot = ANY(%(hinted)s::text[])
 ORDER BY said_at DESC, id
 LIMIT %(candidates)s;

-- name: at_large_arm
-- Lists what passed and says most about the user as a whole: the essential facts, what the profile
-- rests on in its order, then attributes and what is best attested.
-- with: recall_scope
SELECT mine.id, essential OR e.place IS NOT NULL AS conscious
  FROM mine
  LEFT JOIN profile_edges e ON e.tenant_id = mine.tenant_id AND e.user_id = mine.user_id
                           AND e.fact_id = mine.id
 WHERE subject = 'user'
 ORDER BY essential DESC, e.place, slot IS NULL, evidence_count DESC, said_at DESC, mine.id
 LIMIT %(candidates)s;

-- name: conscious
-- Lists what passed of the facts that an application should always know, and of those in the profile.
-- with: recall_scope
SELECT mine.id
  FROM mine
  LEFT JOIN profile_edges e ON e.tenant_id = mine.tenant_id AND e.user_id = mine.user_id
                           AND e.fact_id = mine.id
 WHERE mine.essential OR e.place IS NOT NULL
 ORDER BY mine.essential DESC, e.place, mine.slot, mine.said_at, mine.id
 LIMIT %(candidates)s;

-- name: slot_places
-- Tells, of facts with a slot, which stretch of their slot's timeline they are, and of how many.
SELECT a.id, 1 + count(*) FILTER (WHERE (o.begins, o.id) < (a.begins, a.id))::int AS place,
       count(*)::int AS stretches
  FROM (SELECT f.id, f.subject, f.slot, f.cardinality, f.value_key, lower(f.believed) AS begins
          FROM memory_facts f
         WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = ANY(%(ids)s::uuid[])
           AND f.slot IS NOT NULL AND NOT isempty(f.believed)) AS a
  JOIN LATERAL (
       SELECT f.id, lower(f.believed) AS begins
         FROM memory_facts f JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
        WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
          AND f.slot = a.slot AND f.subject = a.subject AND f.state = 'settled'
          AND (a.cardinality = 'one' OR f.value_key = a.value_key)
          AND f.standing = 'belief' AND NOT isempty(f.believed)) AS o ON true
 GROUP BY a.id;

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
                          AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined')
 WHERE e.tenant_id = %(tenant)s AND (e.xid, e.seq) > (%(xid)s::text::xid8, %(seq)s)
   AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
   AND (%(user)s::text IS NULL OR e.user_id = %(user)s)
 ORDER BY e.xid, e.seq
 LIMIT %(limit)s;

-- name: missed_events
-- Says whether events behind a position have been removed.
SELECT EXISTS (SELECT FROM event_horizons
                WHERE tenant_id = %(tenant)s AND (xid, seq) > (%(xid)s::xid8, %(seq)s::bigint)) AS missed;

-- name: events_now
-- Tells the position behind everything that has ended by now.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text;

-- name: held_facts
-- Lists what waits for review, of a user or of all, the longest waiting first, behind a cursor.
SELECT f.user_id, f.id
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.standing = 'quarantined' AND f.generation IN (0, u.generation)
   AND (%(user)s::text IS NULL OR f.user_id = %(user)s)
   AND (%(reason)s::text IS NULL OR %(reason)s = ANY(f.suspicions))
   AND (%(after_at)s::timestamptz IS NULL OR (f.recorded_at, f.id) > (%(after_at)s, %(after_id)s::uuid))
 ORDER BY f.recorded_at, f.id
 LIMIT %(limit)s;

-- name: held_alike
-- Reads what was suspicious when it was written and has these words, in every generation.
SELECT id, subject, slot, state, standing, content, value, suspicions, source_message_ids, said_at, recorded_at
  FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND subject = %(subject)s AND content = %(content)s
   AND suspicions IS NOT NULL
 ORDER BY id;

-- name: held_messages
-- Of these messages, lists those on which something rests that is held: they are not quoted meanwhile.
SELECT DISTINCT m.id
  FROM unnest(%(messages)s::uuid[]) AS m(id)
  JOIN memory_facts f ON f.tenant_id = %(tenant)s AND f.user_id = %(user)s
                     AND f.standing = 'quarantined' AND f.source_message_ids @> ARRAY[m.id];

-- name: learnt_from
-- Lists the messages, and facts stated without one, that a caller's id or a session names.
SELECT c.id FROM chat_logs c
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s
   AND (c.id = %(chat_log)s::uuid OR c.message_key = 'm:' || %(message)s::text
        OR c.session_id = %(session)s::text)
UNION
SELECT r.id FROM removed_messages r
 WHERE r.tenant_id = %(tenant)s AND r.user_id = %(user)s
   AND (r.id = %(chat_log)s OR r.session_id = %(session)s)
UNION
SELECT f.id FROM memory_facts f
 WHERE f.user_id = %(user)s AND f.tenant_id = %(tenant)s AND f.session_id IS NULL
   AND f.generation = 0 AND f.message_key = 'm:' || %(message)s;

-- name: sweeping_deed
-- Reads a deed that forgot what was learnt, and whether it was taken back.
SELECT EXISTS (SELECT FROM belief_acts u WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s
                  AND u.undoes = %(deed)s::uuid) AS undone
  FROM belief_acts a
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.deed = %(deed)s AND a.sweeping
 LIMIT 1;
