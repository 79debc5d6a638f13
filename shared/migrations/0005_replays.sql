-- Replays: generations of facts made beside the one that counts, promoted or dropped as a whole.

-- The generation a message's facts were committed to; null before there were replays: the first.
ALTER TABLE chat_logs ADD COLUMN generation integer;

-- What a replay's call was asked about. Live calls are named by their messages (chat_logs.extraction_id).
ALTER TABLE extractions ADD COLUMN message_ids uuid[];

-- One row a generation that a replay made or replaced; numbers are never used twice.
CREATE TABLE replays (
    tenant_id    text        NOT NULL,
    user_id      text        NOT NULL,
    generation   integer     NOT NULL,
    state        text        NOT NULL
                 CHECK (state IN ('running', 'ready', 'promoted', 'replaced', 'dropping', 'dropped')),
    extractor    text,                                -- null: made by live extraction
    model        text,
    prompt       text,
    session_id   text,                                -- which messages were read again:
    since        timestamptz,                         -- said from then on,
    until        timestamptz,                         -- and before then
    created_at   timestamptz NOT NULL DEFAULT now(),
    promoted_at  timestamptz,
    replaced_at  timestamptz,
    replaced_by  integer,
    PRIMARY KEY (tenant_id, user_id, generation)
);
-- One undecided generation a user at a time.
CREATE UNIQUE INDEX replays_open ON replays (tenant_id, user_id)
    WHERE state IN ('running', 'ready', 'dropping');

-- Which messages a generation accounts for, beside those that were extracted into it as they came.
CREATE TABLE replay_messages (
    tenant_id      text     NOT NULL,
    user_id        text     NOT NULL,
    generation     integer  NOT NULL,
    chat_log_id    uuid     NOT NULL,
    extraction_id  uuid,                              -- the answer that was used; null: facts carried over
    PRIMARY KEY (tenant_id, user_id, generation, chat_log_id)
);
