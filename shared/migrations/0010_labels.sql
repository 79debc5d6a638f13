-- Labels change without a word being said anew, and what a correction replaced has other words.

-- `labels`: a fact's own category and metadata are others from now on. `other_words`: part of a
-- correction, another statement that says what it replaced.
ALTER TABLE belief_acts
    DROP CONSTRAINT belief_acts_kind_check,
    ADD CONSTRAINT belief_acts_kind_check
        CHECK (kind IN ('correction', 'labels', 'other_words', 'tombstone', 'undo')),
    ADD COLUMN labels jsonb;                        -- what was asked for, and what there was before

-- A correction names the messages of what it replaced, so that these bring it back in no other words.
UPDATE belief_acts a
   SET source_message_ids = ARRAY(
           SELECT DISTINCT source FROM memory_facts f, unnest(f.source_message_ids) AS source
            WHERE f.tenant_id = a.tenant_id AND f.user_id = a.user_id
              AND (f.id = a.fact_id OR f.canonical_id = a.fact_id)
            ORDER BY source)
 WHERE a.kind = 'correction';
