-- fragment: in_scope
-- Whether a message is to be read again.
(%(session)s::text IS NULL OR c.session_id = %(session)s)
AND (%(since)s::timestamptz IS NULL OR c.said_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR c.said_at < %(until)s)

-- name: try_hold
-- Takes a user's replays for this connection, until it ends.
SELECT pg_try_advisory_lock(hashtextextended('replay' || chr(31) || %(tenant)s || chr(31) || %(user)s, 0)) AS held;

-- name: release
-- Gives a user's replays back.
SELECT pg_advisory_unlock(hashtextextended('replay' || chr(31) || %(tenant)s || chr(31) || %(user)s, 0)) AS released;

-- name: still_held
-- Fails when the connection that holds a user has gone.
SELECT true AS alive;

-- name: users_with_messages
-- Lists a tenant's users who have anything to be read again.
SELECT u.user_id FROM users u
 WHERE u.tenant_id = %(tenant)s
   AND EXISTS (SELECT FROM chat_logs c WHERE c.tenant_id = u.tenant_id AND c.user_id = u.user_id)
 ORDER BY u.user_id;

-- name: generation_in_use
-- Reads whose facts count; null for a user nobody knows.
SELECT generation FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: undecided
-- Finds the generation that is neither promoted nor dropped yet.
SELECT generation, state, extractor, model, prompt, session_id, since, until FROM replays
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND state IN ('running', 'ready', 'dropping');

-- name: create
-- Opens a new generation, with a number nobody had before.
INSERT INTO replays (tenant_id, user_id, generation, state, extractor, model, prompt, session_id, since, until)
SELECT u.tenant_id, u.user_id,
       1 + greatest(u.generation,
                    (SELECT max(r.generation) FROM replays r
                      WHERE r.tenant_id = u.tenant_id AND r.user_id = u.user_id),
                    (SELECT max(f.generation) FROM memory_facts f
                      WHERE f.tenant_id = u.tenant_id AND f.user_id = u.user_id)),
       'running', %(extractor)s, %(model)s, %(prompt)s, %(session)s, %(since)s, %(until)s
  FROM users u
 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s
RETURNING generation;

-- name: set_state
-- Moves a generation on.
UPDATE replays SET state = %(state)s
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s;

-- name: generations
-- Lists a user's generations with what they hold; the first one has no row before it is replaced.
SELECT coalesce(r.generation, f.generation) AS generation, r.state, r.extractor, r.model, r.prompt,
       r.created_at, r.promoted_at, r.replaced_at, r.replaced_by, coalesce(f.facts, 0)::int AS facts
  FROM (SELECT * FROM replays WHERE tenant_id = %(tenant)s AND user_id = %(user)s) AS r
  FULL JOIN (SELECT generation, count(*) AS facts FROM memory_facts
              WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation > 0
              GROUP BY generation) AS f USING (generation)
 ORDER BY 1;

-- name: heard
-- Lists the extracted messages that a generation does not account for yet, and whether each is to be read again.
SELECT c.id, c.session_id AS session, c.role, c.said_at, c.message_key,
       octet_length(c.content) AS size, (
-- with: in_scope
       ) AS in_scope
  FROM chat_logs c
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.state = 'extracted'
   AND c.erased_at IS NULL AND coalesce(c.generation, 1) <> %(generation)s
   AND NOT EXISTS (SELECT FROM replay_messages m
                    WHERE m.tenant_id = c.tenant_id AND m.user_id = c.user_id
                      AND m.generation = %(generation)s AND m.chat_log_id = c.id);

-- name: answers
-- Lists the paid answers of one prompt and model with what they were asked about, the newest first.
SELECT e.id, coalesce(e.message_ids,
                      ARRAY(SELECT c.id FROM chat_logs c
                             WHERE c.tenant_id = e.tenant_id AND c.user_id = e.user_id
                               AND c.session_id = e.session_id AND c.extraction_id = e.id)) AS messages
  FROM extractions e
 WHERE e.tenant_id = %(tenant)s AND e.user_id = %(user)s AND e.state = 'done'
   AND e.answer IS NOT NULL AND e.extractor = %(extractor)s AND e.model = %(model)s
   AND e.prompt = %(prompt)s
 ORDER BY e.finished_at DESC, e.id;

-- name: answer
-- Reads what a model answered.
SELECT answer FROM extractions
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = %(id)s;

-- name: messages
-- Reads messages as the extractor does.
SELECT c.tenant_id AS tenant, c.user_id AS "user", c.id, c.session_id AS session, c.role,
       c.content, c.said_at, c.recorded_at, c.message_key, c.agent_id, c.speaker, c.metadata
  FROM chat_logs c
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.id = ANY(%(ids)s)
 ORDER BY c.said_at, c.message_key, c.id;

-- name: turns_before
-- Reads the turns of a session before a moment, the last first; not those that are dead.
SELECT id, role, said_at, content, metadata FROM chat_logs
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND session_id = %(session)s
   AND said_at < %(before)s AND retry_at IS DISTINCT FROM 'infinity'
 ORDER BY said_at DESC
 LIMIT %(limit)s;

-- name: erased_among
-- Tells which of these messages are erased; the others are not until this transaction ends.
SELECT id FROM (SELECT id, erased_at FROM chat_logs
                 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s)
                 ORDER BY id FOR SHARE) AS read
 WHERE erased_at IS NOT NULL;

-- name: save_answer
-- Keeps a replay's call, with what was paid for, as the extractor keeps its own.
INSERT INTO extractions (tenant_id, user_id, id, session_id, state, lease_until, worker, extractor,
                         model, prompt, answer, input_tokens, output_tokens, dropped, message_ids,
                         finished_at)
VALUES (%(tenant)s, %(user)s, %(id)s, %(session)s, 'done', now(), 'replay', %(extractor)s, %(model)s,
        %(prompt)s, %(answer)s, %(input_tokens)s, %(output_tokens)s, %(dropped)s, %(ids)s, now());

-- name: account_for
-- Notes by which answer messages were read; those already accounted for are not returned.
INSERT INTO replay_messages (tenant_id, user_id, generation, chat_log_id, extraction_id)
SELECT %(tenant)s, %(user)s, %(generation)s, id, %(extraction)s::uuid
  FROM unnest(%(ids)s::uuid[]) AS t(id) ORDER BY id
    ON CONFLICT DO NOTHING
RETURNING chat_log_id;

-- name: account_for_carried
-- Notes extracted messages whose facts are carried over: the named ones, those not to be read again, or all.
INSERT INTO replay_messages (tenant_id, user_id, generation, chat_log_id)
SELECT c.tenant_id, c.user_id, %(generation)s, c.id
  FROM chat_logs c
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.state = 'extracted'
   AND coalesce(c.generation, 1) <> %(generation)s
   AND (%(ids)s::uuid[] IS NULL OR c.id = ANY(%(ids)s))
   AND (%(everything)s OR NOT (
-- with: in_scope
   ))
    ON CONFLICT DO NOTHING
RETURNING chat_log_id;

-- name: facts_to_carry
-- Lists the facts in use that begin with these messages, and those whose message is not kept here.
SELECT f.id, f.generation, f.ordinal, f.source_message_ids[1] AS first
  FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.standing IS DISTINCT FROM 'forgotten'
   AND f.generation = (SELECT generation FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s)
   AND (f.source_message_ids[1] = ANY(%(ids)s::uuid[])
        OR NOT EXISTS (SELECT FROM chat_logs c
                        WHERE c.tenant_id = f.tenant_id AND c.user_id = f.user_id
                          AND c.id = f.source_message_ids[1]));

-- name: carry_facts
-- Copies facts into a generation with all they rest on. What is embedded is not embedded again, but
-- compared within its new generation; what is carried while it is promoted stays settled.
INSERT INTO memory_facts (
       tenant_id, user_id, id, generation, content, category, subject, slot, value, value_key,
       cardinality, claim, temporal_state, occurred_at, occurred_precision, ended_at, ended_precision,
       said_at, recorded_at, message_key, ordinal, confidence, quote, source_message_ids,
       extraction_id, session_id, agent_id, speaker, metadata, essential, pinned, announced_at, embedded_at,
       compared_at, settled_at, state, source, suspicions, standing, canonical_id, evidence_count)
SELECT f.tenant_id, f.user_id, t.new_id, %(generation)s, content, category, subject, slot, value, value_key,
       cardinality, claim, temporal_state, occurred_at, occurred_precision, ended_at, ended_precision,
       said_at, recorded_at, message_key, ordinal, confidence, quote, source_message_ids,
       extraction_id, session_id, agent_id, speaker, metadata, essential, pinned, now(), embedded_at,
       CASE WHEN %(settled)s THEN compared_at END, CASE WHEN %(settled)s THEN settled_at END,
       CASE WHEN f.state = 'extracted' THEN 'extracted'
            WHEN %(settled)s AND f.state = 'settled' THEN 'settled' ELSE 'embedded' END,
       source, suspicions, CASE WHEN suspicions IS NOT NULL THEN 'quarantined' END,
       CASE WHEN suspicions IS NOT NULL THEN t.new_id END,
       CASE WHEN suspicions IS NOT NULL THEN 0 ELSE 1 END
  FROM unnest(%(old_ids)s::uuid[], %(new_ids)s::uuid[]) AS t(old_id, new_id)
  JOIN memory_facts f ON f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = t.old_id
    ON CONFLICT (tenant_id, user_id, id) DO NOTHING
RETURNING tenant_id, user_id, id, announced_at, state;

-- name: hold_active_space
-- Keeps the active embedding space from changing until what is carried is committed.
SELECT model FROM embedding_spaces WHERE state = 'active' FOR SHARE;

-- name: left_out
-- Tells a space that is being filled that facts came which it may lack.
UPDATE embedding_spaces SET skipped = skipped + 1 WHERE state = 'filling';

-- name: carry_vectors
-- Copies the vectors of carried facts.
INSERT INTO fact_vectors (tenant_id, user_id, fact_id, model, embedding)
SELECT v.tenant_id, v.user_id, t.new_id, v.model, v.embedding
  FROM unnest(%(old_ids)s::uuid[], %(new_ids)s::uuid[]) AS t(old_id, new_id)
  JOIN fact_vectors v ON v.tenant_id = %(tenant)s AND v.user_id = %(user)s AND v.fact_id = t.old_id
    ON CONFLICT DO NOTHING;

-- name: verdicts_to_carry
-- Reads what was decided about pairs that any of these facts is in, and which of each are stated directly.
SELECT v.first_id, v.second_id, v.verdict, v.judge, v.reason, v.cosine,
       (SELECT f.generation = 0 FROM memory_facts f WHERE f.tenant_id = v.tenant_id
           AND f.user_id = v.user_id AND f.id = v.first_id) AS first_stated,
       (SELECT f.generation = 0 FROM memory_facts f WHERE f.tenant_id = v.tenant_id
           AND f.user_id = v.user_id AND f.id = v.second_id) AS second_stated
  FROM (SELECT * FROM verdicts
         WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND first_id = ANY(%(ids)s)
         UNION
        SELECT * FROM verdicts
         WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND second_id = ANY(%(ids)s)) AS v;

-- name: carry_verdicts
-- Stores what was decided about facts for their copies.
INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
SELECT %(tenant)s, %(user)s, t.*
  FROM unnest(%(firsts)s::uuid[], %(seconds)s::uuid[], %(verdicts)s::text[], %(judges)s::text[],
              %(reasons)s::text[], %(cosines)s::real[]) AS t
    ON CONFLICT DO NOTHING;

-- name: settling
-- Counts a generation's facts: all, settled, and given up.
SELECT count(*)::int AS facts, count(*) FILTER (WHERE state = 'settled')::int AS settled,
       count(*) FILTER (WHERE state <> 'settled' AND retry_at = 'infinity')::int AS dead
  FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s;

-- name: beliefs
-- Reads what is believed or planned in the generation in use, and its evidence.
SELECT f.id, f.subject, f.slot, f.value, f.value_key, f.content, f.cardinality, f.standing,
       f.believed, f.planned_for, f.canonical_id, f.planned_since, f.superseded_by, f.evidence_count,
       f.source_message_ids
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.state = 'settled' AND f.standing IN ('belief', 'plan', 'merged');

-- name: forgotten
-- Reads from which messages a statement was forgotten, when and by which deed; not what was undone.
SELECT a.source_message_ids, a.acted_at, a.deed FROM belief_acts a
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.kind = 'tombstone'
   AND a.value_key IS NOT NULL AND a.source_message_ids <> '{}'
   AND NOT EXISTS (SELECT FROM belief_acts u WHERE u.tenant_id = a.tenant_id
                      AND u.user_id = a.user_id AND u.undoes = a.deed)
 ORDER BY a.acted_at;

-- name: forget_again
-- Forgets what a fact says, as of the time at which something of its messages was forgotten, and as
-- part of that deed: an undo takes back both.
INSERT INTO belief_acts (tenant_id, user_id, id, deed, kind, fact_id, subject, slot, value, value_key,
                         source_message_ids, acted_at, actor, reason)
SELECT f.tenant_id, f.user_id, %(id)s, %(deed)s, 'tombstone', f.id, f.subject, f.slot, f.value,
       f.value_key, f.source_message_ids, %(at)s, 'replay', 'other words for what was forgotten'
  FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = %(fact)s
   AND f.value_key IS NOT NULL AND f.said_at <= %(at)s;

-- name: corrected
-- Reads which facts were corrected, with the messages of what was replaced; not what was undone.
SELECT a.id, a.deed, a.acted_at, a.source_message_ids, f.slot, f.value, f.content
  FROM belief_acts a
  JOIN memory_facts f ON f.tenant_id = a.tenant_id AND f.user_id = a.user_id AND f.id = a.fact_id
 WHERE a.tenant_id = %(tenant)s AND a.user_id = %(user)s AND a.kind = 'correction'
   AND a.source_message_ids <> '{}'
   AND NOT EXISTS (SELECT FROM belief_acts u WHERE u.tenant_id = a.tenant_id
                      AND u.user_id = a.user_id AND u.undoes = a.deed)
 ORDER BY a.acted_at, a.id;

-- name: correct_again
-- Notes what a fact says as other words for what a correction replaced, as part of its deed: an undo
-- takes back both.
INSERT INTO belief_acts (tenant_id, user_id, id, deed, kind, fact_id, subject, slot, value, value_key,
                         source_message_ids, acted_at, actor, reason)
SELECT f.tenant_id, f.user_id, %(id)s, %(deed)s, 'other_words', f.id, f.subject, f.slot, f.value,
       f.value_key, f.source_message_ids, %(at)s, 'replay', 'other words for what was corrected'
  FROM memory_facts f
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.id = %(fact)s
   AND f.value_key IS NOT NULL AND f.said_at <= %(at)s;

-- name: carry_labels
-- Gives the facts of a generation the labels that an operator gave to what says the same in another,
-- from a common message; the labels given last count.
UPDATE memory_facts n
   SET category = CASE WHEN l.names_category THEN l.category ELSE n.category END,
       metadata = CASE WHEN l.names_metadata THEN l.metadata ELSE n.metadata END,
       pinned = CASE WHEN l.names_pinned THEN l.pinned ELSE n.pinned END
  FROM (SELECT DISTINCT ON (same.id) same.id, o.category, o.metadata, o.pinned, a.names_category,
               a.names_metadata, a.names_pinned
          FROM (SELECT fact_id, max(acted_at) AS acted_at,
                       bool_or(labels -> 'asked' ? 'category') AS names_category,
                       bool_or(labels -> 'asked' ? 'metadata') AS names_metadata,
                       bool_or(labels -> 'asked' ? 'pinned') AS names_pinned
                  FROM belief_acts given
                 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND kind = 'labels'
                   AND NOT EXISTS (SELECT FROM belief_acts u WHERE u.tenant_id = given.tenant_id
                                      AND u.user_id = given.user_id AND u.undoes = given.deed)
                 GROUP BY fact_id) AS a
          JOIN memory_facts o ON o.tenant_id = %(tenant)s AND o.user_id = %(user)s AND o.id = a.fact_id
          JOIN memory_facts same
            ON same.tenant_id = %(tenant)s AND same.user_id = %(user)s
           AND same.generation = %(generation)s AND same.generation <> o.generation
           AND same.subject = o.subject AND same.slot IS NOT DISTINCT FROM o.slot
           AND same.value_key = o.value_key AND same.source_message_ids && o.source_message_ids
         ORDER BY same.id, a.acted_at DESC) AS l
 WHERE n.tenant_id = %(tenant)s AND n.user_id = %(user)s AND n.id = l.id;

-- name: carry_uses
-- Counts for the facts of a generation how often what says the same in another was recalled, where a common
-- message says so; again changes nothing.
INSERT INTO fact_uses AS u (tenant_id, user_id, fact_id, uses, last_used_at)
SELECT same.tenant_id, same.user_id, same.id, max(s.uses), max(s.last_used_at)
  FROM fact_uses s
  JOIN memory_facts o ON o.tenant_id = s.tenant_id AND o.user_id = s.user_id AND o.id = s.fact_id
  JOIN memory_facts same
    ON same.tenant_id = o.tenant_id AND same.user_id = o.user_id
   AND same.generation = %(generation)s AND same.generation <> o.generation
   AND same.subject = o.subject AND same.slot IS NOT DISTINCT FROM o.slot
   AND same.value_key IS NOT DISTINCT FROM o.value_key AND same.source_message_ids && o.source_message_ids
   AND (o.value_key IS NOT NULL OR same.content = o.content)
 WHERE s.tenant_id = %(tenant)s AND s.user_id = %(user)s
 GROUP BY same.tenant_id, same.user_id, same.id
    ON CONFLICT (tenant_id, user_id, fact_id) DO UPDATE
   SET uses = greatest(u.uses, excluded.uses), last_used_at = greatest(u.last_used_at, excluded.last_used_at);

-- name: lock_generation
-- Waits until no message is being committed to the user's generation, and keeps it so.
SELECT pg_advisory_xact_lock(hashtextextended('generation' || chr(31) || %(tenant)s || chr(31) || %(user)s, 0)) AS locked;

-- name: promotable
-- Reads a generation that can be promoted, beside the one in use.
SELECT r.generation, r.state, r.extractor, r.model, r.prompt, u.generation AS in_use
  FROM users u
  LEFT JOIN replays r ON r.tenant_id = u.tenant_id AND r.user_id = u.user_id
                     AND r.generation = %(generation)s
 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s
   FOR UPDATE OF u;

-- name: mark_replaced
-- Notes that a generation made room for another.
INSERT INTO replays (tenant_id, user_id, generation, state, replaced_at, replaced_by)
VALUES (%(tenant)s, %(user)s, %(in_use)s, 'replaced', now(), %(generation)s)
    ON CONFLICT (tenant_id, user_id, generation)
    DO UPDATE SET state = 'replaced', replaced_at = now(), replaced_by = EXCLUDED.replaced_by;

-- name: mark_promoted
-- Notes that a generation is the one in use.
UPDATE replays SET state = 'promoted', promoted_at = now(), replaced_at = NULL, replaced_by = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s;

-- name: use_generation
-- Lets another generation count, and has whatever was read for comparison read again.
UPDATE users SET generation = %(generation)s, belief_version = belief_version + 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: facts_of_generation
-- Lists a generation's settled facts that nobody forgot.
SELECT tenant_id, user_id, id, source_message_ids FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s
   AND state = 'settled' AND coalesce(standing, '') NOT IN ('forgotten', 'quarantined')
 ORDER BY said_at, id;

-- name: free_text_in_use
-- Lists a user's settled free-text facts of the generation in use.
SELECT f.id FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.slot IS NULL AND f.state = 'settled'
   AND f.generation IN (0, u.generation);

-- name: retire_generation
-- Lets the facts of a replaced generation hold nowhere, until it is promoted again.
UPDATE memory_facts
   SET standing = 'retired', canonical_id = id, believed = '{}', planned_for = NULL,
       planned_since = NULL, superseded_by = NULL, evidence_count = 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s
   AND state = 'settled' AND coalesce(standing, '') NOT IN ('forgotten', 'quarantined');

-- name: outdate_comparisons
-- Keeps whoever compares a user's facts just now from writing about facts that go; waits for him.
UPDATE users SET belief_version = belief_version + 1
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: some_facts
-- Names some of a generation's facts.
SELECT id FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s
 LIMIT %(limit)s;

-- name: drop_facts
-- Deletes facts of a dropped generation.
DELETE FROM memory_facts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND id = ANY(%(ids)s);

-- name: drop_vectors
-- Deletes the vectors of deleted facts.
DELETE FROM fact_vectors
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND fact_id = ANY(%(ids)s);

-- name: drop_first_verdicts
-- Deletes what was decided about pairs that begin with a deleted fact.
DELETE FROM verdicts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND first_id = ANY(%(ids)s);

-- name: drop_second_verdicts
-- Deletes what was decided about pairs that end with a deleted fact.
DELETE FROM verdicts
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND second_id = ANY(%(ids)s);

-- name: drop_failures
-- Deletes the dead letters of deleted facts.
DELETE FROM failures
 WHERE stage IN ('embedder', 'deduper', 'superseder') AND tenant_id = %(tenant)s
   AND subject_id = ANY(%(subjects)s);

-- name: drop_messages
-- Deletes what a dropped generation accounted for.
DELETE FROM replay_messages
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND generation = %(generation)s;
