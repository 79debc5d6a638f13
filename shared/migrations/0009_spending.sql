-- What calls of models cost, by tenant and day (UTC). Counted for people: written every second or so.
CREATE TABLE spending (
    tenant_id      text           NOT NULL,
    day            date           NOT NULL,
    purpose        text           NOT NULL,            -- extraction, judging, embedding, recall, replay
    provider       text           NOT NULL,            -- the server's host
    model          text           NOT NULL,
    calls          bigint         NOT NULL DEFAULT 0,
    failed         bigint         NOT NULL DEFAULT 0,  -- of these calls
    input_tokens   bigint         NOT NULL DEFAULT 0,
    output_tokens  bigint         NOT NULL DEFAULT 0,
    money          numeric(20, 6) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, day, purpose, provider, model)
);

-- A tenant's own limits; null: the settings' limit. 0: none.
CREATE TABLE budgets (
    tenant_id       text           PRIMARY KEY,
    tokens_per_day  bigint         CHECK (tokens_per_day >= 0),
    money_per_day   numeric(20, 6) CHECK (money_per_day >= 0),
    updated_at      timestamptz    NOT NULL DEFAULT now()
);

-- What of a day's budget is taken: settled calls, and reservations at the most they may cost. Only
-- for tenants that have a budget. A reservation that nobody settled stays counted.
CREATE TABLE budget_days (
    tenant_id   text           NOT NULL,
    day         date           NOT NULL,
    tokens      bigint         NOT NULL DEFAULT 0,
    money       numeric(20, 6) NOT NULL DEFAULT 0,
    refused_at  timestamptz,                           -- when a call last found no room
    PRIMARY KEY (tenant_id, day)
);

-- Which providers are left alone at the moment, for people to see; processes decide by what they
-- know themselves. A row whose pause ended a while ago says nothing any more.
CREATE TABLE provider_pauses (
    purpose     text        NOT NULL,
    provider    text        NOT NULL,
    model       text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('away', 'configuration')),
    reason      text        NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    until       timestamptz NOT NULL,
    PRIMARY KEY (purpose, provider, model)
);

-- A message that waits because nobody could be asked, not because it failed: its retry_at is this. It
-- goes on counting in its tenant's window, so that the rest of the backlog stays where it is.
ALTER TABLE chat_logs ADD COLUMN postponed_until timestamptz;
