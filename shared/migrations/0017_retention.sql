-- What is kept, for how long, and what is remembered of what was removed.

-- Who wrote a profile, and what a model was asked for it: the same is never asked twice. And when the
-- first of its facts ends by itself ("visiting until Friday"): from then on it says too much.
ALTER TABLE profiles
    ADD COLUMN written_by    text NOT NULL DEFAULT 'template',
    ADD COLUMN asked_sha256  bytea,
    ADD COLUMN holds_until   timestamptz;
CREATE INDEX profiles_ending ON profiles (holds_until) WHERE stale_since IS NULL;

-- A tenant's own windows, in days; 0 keeps for ever, null is as the settings say.
CREATE TABLE retention (
    tenant_id       text        PRIMARY KEY,
    message_days    integer     CHECK (message_days >= 0),
    superseded_days integer     CHECK (superseded_days >= 0),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

-- All that is left of a message that retention removed: that it was there. So the same message does not
-- come again with an old export, a fact's source can say where its words went, and forgetting a session
-- still finds the facts that came of it.
CREATE TABLE removed_messages (
    tenant_id   text        NOT NULL,
    user_id     text        NOT NULL,
    id          uuid        NOT NULL,
    session_id  text        NOT NULL,
    removed_at  timestamptz NOT NULL DEFAULT now(),
    erased_at   timestamptz,
    PRIMARY KEY (tenant_id, user_id, id)
);

-- How far the beginning of the events is gone: a reader that comes from before it has missed some.
CREATE TABLE event_horizons (
    tenant_id  text   PRIMARY KEY,
    xid        xid8   NOT NULL,
    seq        bigint NOT NULL
);

-- The oldest first, tenant by tenant. A message enters when it is extracted: its updates before cost
-- nothing here, and one that is still open can never be found.
CREATE INDEX chat_logs_by_age ON chat_logs (tenant_id, recorded_at) WHERE extracted_at IS NOT NULL;
CREATE INDEX memory_facts_superseded ON memory_facts (tenant_id, recorded_at)
 WHERE superseded_by IS NOT NULL;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
