-- name: known_facts
-- Reads what is believed now about a user themself, when it was last said and how often it was recalled.
WITH confirmed AS (
    SELECT o.canonical_id AS id, max(least(o.said_at, o.recorded_at)) AS at,
           max(s.last_used_at) AS used_at, sum(s.uses)::bigint AS uses
      FROM memory_facts o
      LEFT JOIN fact_uses s ON s.tenant_id = o.tenant_id AND s.user_id = o.user_id AND s.fact_id = o.id
     WHERE o.tenant_id = %(tenant)s AND o.user_id = %(user)s AND o.state = 'settled'
       AND o.standing IN ('belief', 'merged')
     GROUP BY o.canonical_id
)
SELECT f.id, f.slot, f.category, f.content, f.evidence_count, f.confidence::float8 AS confidence,
       f.essential, coalesce(c.at, least(f.said_at, f.recorded_at)) AS said_at,
       greatest(coalesce(c.at, least(f.said_at, f.recorded_at)), c.used_at) AS last_at,
       coalesce(c.uses, 0) AS uses, now() AS now
  FROM memory_facts f
  JOIN users u ON u.tenant_id = f.tenant_id AND u.user_id = f.user_id
  LEFT JOIN confirmed c ON c.id = f.id
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, u.generation)
   AND f.subject = 'user' AND f.claim = 'holds' AND f.state = 'settled'
   AND f.standing = 'belief' AND f.believed @> now() AND NOT f.faded;

-- name: stored_ranking
-- Reads what a model last answered about a user, if that was about these inputs.
SELECT ranked FROM essential_rankings
 WHERE tenant_id = %(tenant)s AND user_id = %(user)s AND inputs_sha256 = %(inputs)s;

-- name: save_ranking
-- Keeps what a call was about, answered and cost; nothing about a user who was erased meanwhile.
INSERT INTO essential_rankings (tenant_id, user_id, inputs_sha256, ranked, model, prompt, input_tokens,
                                output_tokens)
SELECT tenant_id, user_id, %(inputs)s, %(ranked)s::uuid[], %(model)s, %(prompt)s, %(input_tokens)s,
       %(output_tokens)s
  FROM users WHERE tenant_id = %(tenant)s AND user_id = %(user)s
    ON CONFLICT (tenant_id, user_id) DO UPDATE
   SET inputs_sha256 = excluded.inputs_sha256, ranked = excluded.ranked, model = excluded.model,
       prompt = excluded.prompt, input_tokens = excluded.input_tokens,
       output_tokens = excluded.output_tokens, ranked_at = now();

-- name: mark_essential
-- Has these be a user's essential facts and no others; tells which changed. None of them fades until the
-- decay job has looked.
UPDATE memory_facts f
   SET essential = NOT f.essential, fades_at = NULL
  FROM users u
 WHERE u.tenant_id = f.tenant_id AND u.user_id = f.user_id AND f.generation IN (0, u.generation)
   AND f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.essential <> (f.id = ANY(%(ids)s::uuid[]))
RETURNING f.id, f.essential, f.source_message_ids;

-- name: look_again_at
-- Tells which moment it will be in so many days.
SELECT now() + make_interval(days => %(days)s) AS at;
