-- name: insert_facts
-- Inserts observations that are not there yet; their ids are derived, so a second time adds nothing.
-- What is suspicious is held from the first moment on.
INSERT INTO memory_facts (
    tenant_id, user_id, id, generation, content, category, subject, slot, value, value_key,
    cardinality, claim, temporal_state, occurred_at, occurred_precision, ended_at, ended_precision,
    said_at, recorded_at, message_key, ordinal, confidence, quote, source_message_ids,
    extraction_id, session_id, agent_id, speaker, metadata, source, suspicions, standing, canonical_id,
    evidence_count, announced_at)
SELECT t.tenant_id, t.user_id, t.id, generation, content, category, subject, slot, value, value_key,
       cardinality, claim, temporal_state, occurred_at, occurred_precision, ended_at, ended_precision,
       coalesce(said_at, now()), coalesce(recorded_at, now()), message_key, ordinal, confidence, quote,
       ARRAY(SELECT jsonb_array_elements_text(sources)::uuid),
       extraction_id, session_id, agent_id, speaker, metadata, trusted,
       CASE WHEN suspicions IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(suspicions)) END,
       CASE WHEN suspicions IS NOT NULL THEN 'quarantined' END,
       CASE WHEN suspicions IS NOT NULL THEN t.id END,
       CASE WHEN suspicions IS NOT NULL THEN 0 ELSE 1 END, now()
  FROM unnest(%(tenants)s::text[], %(users)s::text[], %(ids)s::uuid[], %(generations)s::int[],
              %(contents)s::text[], %(categories)s::text[], %(subjects)s::text[], %(slots)s::text[],
              %(values)s::text[], %(value_keys)s::text[], %(cardinalities)s::text[], %(claims)s::text[],
              %(temporal_states)s::text[], %(occurred)s::timestamptz[], %(occurred_precisions)s::text[],
              %(ended)s::timestamptz[], %(ended_precisions)s::text[], %(said)s::timestamptz[],
              %(recorded)s::timestamptz[], %(message_keys)s::text[], %(ordinals)s::int[],
              %(confidences)s::real[], %(quotes)s::text[], %(sources)s::jsonb[],
              %(extractions)s::uuid[], %(sessions)s::text[], %(agents)s::text[], %(speakers)s::text[],
              %(metadata)s::jsonb[], %(trusted)s::text[], %(suspicions)s::jsonb[])
       AS t(tenant_id, user_id, id, generation, content, category, subject, slot, value, value_key,
            cardinality, claim, temporal_state, occurred_at, occurred_precision, ended_at,
            ended_precision, said_at, recorded_at, message_key, ordinal, confidence, quote, sources,
            extraction_id, session_id, agent_id, speaker, metadata, trusted, suspicions)
 ORDER BY t.tenant_id, t.user_id, t.id
    ON CONFLICT (tenant_id, user_id, id) DO NOTHING
RETURNING tenant_id, user_id, id, announced_at;
