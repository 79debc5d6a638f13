-- name: decided_pairs
-- Reads which of these pairs need no model any more: decided, or one of the two was forgotten or is gone.
SELECT t.tenant_id, t.user_id, t.first_id, t.second_id
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(firsts)s::uuid[], %(seconds)s::uuid[])
       AS t(tenant_id, user_id, first_id, second_id)
  LEFT JOIN LATERAL (SELECT * FROM verdicts v
                      WHERE v.tenant_id = t.tenant_id AND v.user_id = t.user_id
                        AND v.first_id = t.first_id AND v.second_id = t.second_id
                     OFFSET 0) AS v ON true
 WHERE NOT coalesce(v.verdict = 'doubtful' AND v.judge = 'guards', true)
    OR 2 <> (SELECT count(*) FROM memory_facts f
              WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id
                AND f.id IN (t.first_id, t.second_id) AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined'));

-- name: take_judging
-- Takes a user to ask a model about, or takes him over from who died; finds nothing when he is held.
UPDATE users SET judging_by = %(worker)s, judging_until = now() + %(seconds)s * interval '1 second'
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s
   AND (judging_until IS NULL OR judging_until <= now())
RETURNING user_id;

-- name: renew_judging
-- Renews the hold on users; whom somebody else has taken since is not returned.
UPDATE users u SET judging_until = now() + %(seconds)s * interval '1 second'
  FROM unnest(%(tenants)s::text[], %(users)s::text[]) AS t(tenant_id, user_id)
 WHERE u.tenant_id = t.tenant_id AND u.user_id = t.user_id AND u.judging_by = %(worker)s
RETURNING u.tenant_id, u.user_id;

-- name: release_judging
-- Gives a user back.
UPDATE users SET judging_by = NULL, judging_until = NULL
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND judging_by = %(worker)s;

-- name: save_judgement
-- Keeps what a call was and cost; nothing about a user who was erased meanwhile.
INSERT INTO judgements (tenant_id, user_id, id, model, prompt, pairs, input_tokens, output_tokens, dropped)
SELECT tenant_id, user_id, %(id)s, %(model)s, %(prompt)s, %(pairs)s, %(input_tokens)s, %(output_tokens)s,
       %(dropped)s
  FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: save_judged
-- Stores what a model said of pairs, and tells which of them count at once. It replaces only that nobody
-- had decided; pairs whose facts are gone are passed over.
INSERT INTO verdicts AS v (tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine, judgement_id)
SELECT t.*, %(id)s
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(firsts)s::uuid[], %(seconds)s::uuid[],
              %(verdicts)s::text[], %(judges)s::text[], %(reasons)s::text[], %(cosines)s::real[])
       AS t(tenant_id, user_id, first_id, second_id, verdict, judge, reason, cosine)
 WHERE 2 = (SELECT count(*) FROM memory_facts f
             WHERE f.tenant_id = t.tenant_id AND f.user_id = t.user_id
               AND f.id IN (t.first_id, t.second_id))
 ORDER BY t.tenant_id, t.user_id, t.first_id, t.second_id
    ON CONFLICT (tenant_id, user_id, first_id, second_id) DO UPDATE
   SET verdict = EXCLUDED.verdict, judge = EXCLUDED.judge, reason = EXCLUDED.reason,
       judgement_id = EXCLUDED.judgement_id, recorded_at = now()
 WHERE v.verdict = 'doubtful' AND v.judge = 'guards'
RETURNING first_id, verdict IN ('duplicate', 'supersedes') AND 2 = (
              SELECT count(*) FROM memory_facts f
               WHERE f.tenant_id = v.tenant_id AND f.user_id = v.user_id
                 AND f.id IN (v.first_id, v.second_id) AND f.state = 'settled') AS settled;

-- name: attempts_at
-- Counts the failed attempts at comparing these facts.
SELECT subject_id::uuid AS id, attempts
  FROM failures
 WHERE stage = 'deduper' AND tenant_id = %(tenant)s AND subject_id = ANY(%(subjects)s::text[]);

-- name: users_undecided
-- Lists users with pairs that were left open while the model was away, the oldest first.
SELECT tenant_id, user_id
  FROM (SELECT v.tenant_id, v.user_id, v.recorded_at
          FROM verdicts v
         WHERE v.verdict = 'doubtful' AND v.judge = 'guards'
           AND v.recorded_at <= now() - %(patience)s * interval '1 second'
           AND v.tenant_id <> ALL(%(without)s::text[])
           AND 2 = (SELECT count(*) FROM memory_facts f
                     WHERE f.tenant_id = v.tenant_id AND f.user_id = v.user_id
                       AND f.id IN (v.first_id, v.second_id)
                       AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined'))
         ORDER BY v.recorded_at
         LIMIT 1000) AS oldest
 GROUP BY tenant_id, user_id
 ORDER BY min(recorded_at)
 LIMIT %(limit)s;

-- name: undecided_pairs
-- Reads a user's pairs that were left open, with their facts.
SELECT v.cosine, f.id, f.subject, f.content, f.generation, f.message_key, f.ordinal,
       least(f.said_at, f.recorded_at) AS said,
       g.id AS other_id, g.subject AS other_subject, g.content AS other_content,
       g.generation AS other_generation, g.message_key AS other_message_key,
       g.ordinal AS other_ordinal, least(g.said_at, g.recorded_at) AS other_said
  FROM verdicts v
  JOIN memory_facts f ON f.tenant_id = v.tenant_id AND f.user_id = v.user_id AND f.id = v.first_id
  JOIN memory_facts g ON g.tenant_id = v.tenant_id AND g.user_id = v.user_id AND g.id = v.second_id
 WHERE v.verdict = 'doubtful'
   AND v.judge IS NOT DISTINCT FROM 'guards'  -- along the user's verdicts, not all that are undecided
   AND v.tenant_id = %(tenant)s AND v.user_id = %(user)s
   AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined')
   AND coalesce(g.standing, '') NOT IN ('forgotten', 'quarantined')
 ORDER BY v.recorded_at, v.first_id, v.second_id
 LIMIT %(limit)s;
