-- A model as judge of doubtful pairs of free-text facts.

-- One per answered call: what it was asked of which model, and what it cost.
CREATE TABLE judgements (
    tenant_id      text        NOT NULL,
    user_id        text        NOT NULL,
    id             uuid        NOT NULL,
    model          text        NOT NULL,
    prompt         text        NOT NULL,              -- version of the prompt, as in judge.v1
    pairs          integer     NOT NULL,              -- how many were asked about
    input_tokens   integer     NOT NULL,
    output_tokens  integer     NOT NULL,
    dropped        jsonb,                             -- verdicts refused, counted by reason
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id, id)
);

ALTER TABLE verdicts ADD COLUMN judgement_id uuid;    -- the call it came from; null: guards

-- What the guards left open while the model was away. Small: rows leave it when they are judged.
CREATE INDEX verdicts_undecided ON verdicts (recorded_at)
    WHERE verdict = 'doubtful' AND judge = 'guards';

-- Whoever asks a model about a user's facts, so that no pair is paid for twice; a lease, like an
-- extraction's: who died while asking is not waited for.
ALTER TABLE users
    ADD COLUMN judging_by text,
    ADD COLUMN judging_until timestamptz;
