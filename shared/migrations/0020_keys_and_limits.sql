-- A key may open one user's memory alone: for a client on that user's device. Such a key is no admin.
ALTER TABLE api_keys
    ADD COLUMN user_id      text,
    ADD COLUMN last_used_at timestamptz,              -- to the minute; written in batches
    ADD CONSTRAINT api_keys_bound CHECK (user_id IS NULL OR scope <> 'admin');

-- What a tenant may do, where that differs from the settings; null: the settings' limit. 0: none.
CREATE TABLE tenant_limits (
    tenant_id                text        PRIMARY KEY,
    requests_per_minute      integer     CHECK (requests_per_minute >= 0),
    key_requests_per_minute  integer     CHECK (key_requests_per_minute >= 0),
    messages_per_day         bigint      CHECK (messages_per_day >= 0),
    facts_per_day            bigint      CHECK (facts_per_day >= 0),
    updated_at               timestamptz NOT NULL DEFAULT now()
);

-- What of a day's quotas (UTC) is used, in several rows a tenant, each with its share of the quota: who
-- counts in one holds up nobody who counts in another. Only for tenants that have a quota.
CREATE TABLE quota_days (
    tenant_id  text    NOT NULL,
    day        date    NOT NULL,
    quota      text    NOT NULL CHECK (quota IN ('messages_per_day', 'facts_per_day')),
    shard      integer NOT NULL,
    used       bigint  NOT NULL DEFAULT 0 CHECK (used >= 0),
    PRIMARY KEY (tenant_id, day, quota, shard)
);
