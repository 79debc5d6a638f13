-- Operators' acts can be taken back, messages can be erased, and what is derived knows its sources.

-- The acts of one request are one deed; an undo is an act of its own that names the deed it takes back.
-- A tombstone that names messages names no subject.
ALTER TABLE belief_acts
    ALTER COLUMN subject DROP NOT NULL,
    DROP CONSTRAINT belief_acts_kind_check,
    ADD CONSTRAINT belief_acts_kind_check CHECK (kind IN ('correction', 'tombstone', 'undo')),
    ADD COLUMN deed uuid,
    ADD COLUMN undoes uuid;
UPDATE belief_acts SET deed = id;
ALTER TABLE belief_acts ALTER COLUMN deed SET NOT NULL;
CREATE UNIQUE INDEX belief_acts_undone_once ON belief_acts (undoes, user_id, tenant_id)
    WHERE undoes IS NOT NULL;

-- The row stays, so that a second delivery of the message finds it; its words do not.
ALTER TABLE chat_logs ADD COLUMN erased_at timestamptz;

-- What a user's current facts come to, in a few lines; stale as soon as one of its sources changes.
CREATE TABLE profiles (
    tenant_id    text         NOT NULL,
    user_id      text         NOT NULL,
    content      text         NOT NULL,
    written_at   timestamptz  NOT NULL DEFAULT now(),
    stale_since  timestamptz,
    stale_fact   uuid,                                -- the first source that changed
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE profile_edges (
    tenant_id  text     NOT NULL,
    user_id    text     NOT NULL,
    fact_id    uuid     NOT NULL,
    place      integer  NOT NULL,                     -- in the order of the text
    PRIMARY KEY (tenant_id, user_id, fact_id)
);
