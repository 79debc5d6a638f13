-- name: sight
-- Reads what tells whether a user's facts and messages are still those in memory, the query's terms with
-- what each may be found as in facts, and its words as messages have them, all at once.
SELECT u.generation,
       (SELECT sha256(string_agg(uuid_send(m.token), '' ORDER BY m.xid, m.fact_id))
          FROM recall_marks m
         WHERE m.tenant_id = u.tenant_id AND m.user_id = u.user_id) AS seal,
       (SELECT sha256(string_agg(uuid_send(m.token), '' ORDER BY m.token))
          FROM message_marks m
         WHERE m.tenant_id = u.tenant_id AND m.user_id = u.user_id) AS message_seal,
       asked.terms, asked.variants,
       (tsvector_to_array(to_tsvector('memoire', %(query)s)))[:%(terms)s] AS words
  FROM users u
  CROSS JOIN (SELECT array_agg(term) AS terms, array_agg(variant) AS variants
                FROM (SELECT term, variant, dense_rank() OVER (ORDER BY term) AS place
                        FROM memoire_asked(%(query)s)) AS variants
               WHERE place <= %(terms)s) AS asked
 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s;

-- name: marks
-- Reads a user's marks and the generation that counts.
SELECT u.generation, m.token, m.fact_id
  FROM users u JOIN recall_marks m USING (tenant_id, user_id)
 WHERE u.tenant_id = %(tenant)s AND u.user_id = %(user)s
 ORDER BY m.xid, m.fact_id;

-- name: rows
-- Reads what recall looks at in a user's facts, numbers packed; `until` is the first moment from which
-- `current` may no longer be so.
SELECT uuid_send(f.id) || coalesce(substring(halfvec_send(v.embedding) FROM 5), %(blank)s)
       || float8send(f.confidence::float8) || timestamptz_send(f.said_at)
       || timestamptz_send(coalesce(f.occurred_at, f.said_at))
       || timestamptz_send(f.recorded_at) || timestamptz_send(coalesce(changing.until, 'infinity'))
       || timestamptz_send(coalesce(f.fades_at, 'infinity'))
       || uuid_send(coalesce(f.source_message_ids[1], f.id))
       || int4send(f.evidence_count) || int4send(length(f.lexemes))
       || int4send(f.essential::int + 2 * (v.fact_id IS NOT NULL)::int
                   + 4 * coalesce((f.standing = 'belief' AND f.believed @> %(now)s::timestamptz)
                                  OR (f.standing = 'plan' AND f.planned_since <= %(now)s::timestamptz),
                                  false)::int
                   + 8 * (f.source_message_ids[1] IS NOT NULL)::int
                   + 16 * (array_position(%(sources)s::text[], f.source) - 1)) AS packed,
       f.category, f.slot, f.subject, f.session_id,
       coalesce(f.speaker, nullif(f.subject, 'user'),
                substring(f.content FROM '^([[:upper:]][^:.!?,]{0,40}):[[:space:]]')) AS who,
       f.content, tsvector_to_array(f.lexemes) AS terms,
       ARRAY(SELECT cardinality(l.positions)::int FROM unnest(f.lexemes) AS l) AS counts
  FROM memory_facts f
  LEFT JOIN fact_vectors v ON v.tenant_id = f.tenant_id AND v.user_id = f.user_id
                          AND v.model = %(model)s AND v.fact_id = f.id
                          -- a plain comparison is taken for one vector in two hundred, and compared with each fact
                          AND CASE WHEN vector_dims(v.embedding) = %(dimensions)s THEN true ELSE false END
  CROSS JOIN LATERAL (
        SELECT min(moment) AS until
          FROM (SELECT unnest(ARRAY[lower(stretch), upper(stretch)]) AS moment
                  FROM unnest(f.believed) AS stretch
                UNION ALL SELECT f.planned_since) AS moments
         WHERE moment >= %(now)s::timestamptz) AS changing
 WHERE f.tenant_id = %(tenant)s AND f.user_id = %(user)s AND f.generation IN (0, %(generation)s)
   AND f.state = 'settled' AND coalesce(f.standing, '') NOT IN ('forgotten', 'quarantined')
   AND (%(ids)s::uuid[] IS NULL OR f.id = ANY(%(ids)s));

-- name: meant
-- Finds the nearest word for each term that a user never used, as the lexical arm does.
SELECT DISTINCT ON (m.term) m.term, v.word
  FROM unnest(%(terms)s::text[], %(variants)s::text[]) AS m(term, variant)
  JOIN unnest(%(words)s::text[]) AS v(word)
    ON CASE WHEN m.variant = m.term AND abs(char_length(m.term) - char_length(v.word)) <= 3
                 AND similarity(m.term, v.word) >= %(similarity)s THEN true
            WHEN m.variant !~ '^[ -~]' OR char_length(m.variant) >= 6
            THEN strpos(v.word, m.variant) > 0
            ELSE false END
 ORDER BY m.term, similarity(m.term, v.word) DESC, v.word;

-- fragment: message_columns
uuid_send(c.id) || timestamptz_send(c.said_at) || timestamptz_send(c.recorded_at) AS packed,
       c.session_id, tsvector_to_array(c.lexemes) AS words,
       ARRAY(SELECT cardinality(l.positions)::int FROM unnest(c.lexemes) AS l) AS counts
  FROM chat_logs c
 WHERE c.tenant_id = %(tenant)s AND c.user_id = %(user)s AND c.erased_at IS NULL

-- name: message_marks
-- Reads the tokens of a user's marks.
SELECT token FROM message_marks WHERE tenant_id = %(tenant)s AND user_id = %(user)s;

-- name: messages
-- Reads what recall looks at in a user's messages, numbers packed.
SELECT
-- with: message_columns
;

-- name: messages_since
-- Reads a user's marks, in its first row, and of the messages that those not known yet name, as many as
-- are asked for: all of one moment.
WITH marks AS MATERIALIZED (
    SELECT token, ids, swept FROM message_marks WHERE tenant_id = %(tenant)s AND user_id = %(user)s
), named AS MATERIALIZED (
    SELECT DISTINCT id FROM marks CROSS JOIN unnest(ids) AS id
     WHERE NOT EXISTS (SELECT FROM unnest(%(known)s::uuid[]) AS seen(token) WHERE seen.token = marks.token)
     LIMIT %(most)s
)
SELECT ARRAY(SELECT token FROM marks) AS tokens,
       ARRAY(SELECT unnest(swept) FROM marks) AS swept,
       ARRAY(SELECT id FROM named) AS changed,
       NULL::bytea AS packed, NULL AS session_id, NULL::text[] AS words, NULL::int[] AS counts
UNION ALL
SELECT NULL, NULL, NULL,
-- with: message_columns
   AND c.id = ANY(ARRAY(SELECT id FROM named));
