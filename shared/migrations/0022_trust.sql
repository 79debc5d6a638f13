-- Whose words a fact rests on, what makes it suspicious, and what was decided about it.

-- `suspicions` are found when a row is written and never change, like its content. A fact that has any
-- is `quarantined` until an operator approves it. `source`: what was stated or corrected before this
-- migration counts as the user's, which is trusted as much.
ALTER TABLE memory_facts
    ADD COLUMN source text NOT NULL DEFAULT 'user'
        CHECK (source IN ('user', 'operator', 'assistant', 'tool', 'document')),
    ADD COLUMN suspicions text[] CHECK (cardinality(suspicions) > 0),
    DROP CONSTRAINT memory_facts_standing_check,
    ADD CONSTRAINT memory_facts_standing_check
        CHECK (standing IN ('belief', 'merged', 'plan', 'retired', 'forgotten', 'quarantined'));

-- What waits for review, and the messages that are not to be quoted meanwhile.
CREATE INDEX memory_facts_quarantined ON memory_facts (tenant_id, user_id, recorded_at, id)
    WHERE standing = 'quarantined';

-- `approval`, `rejection`: a decision about what is held, which names its words and messages by
-- `review_key`. A `sweeping` deed forgets what was learnt from messages, from words of a source
-- (`origin`) or since a moment, and can be undone.
ALTER TABLE belief_acts
    DROP CONSTRAINT belief_acts_kind_check,
    ADD CONSTRAINT belief_acts_kind_check
        CHECK (kind IN ('approval', 'correction', 'labels', 'other_words', 'rejection', 'tombstone', 'undo')),
    ADD COLUMN review_key text,
    ADD COLUMN origin text,
    ADD COLUMN learnt_since timestamptz,
    ADD COLUMN sweeping boolean NOT NULL DEFAULT false;
