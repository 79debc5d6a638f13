-- What fades while nobody speaks of it, what is used, and what is always known.

-- A fact's effective confidence is worked out, never stored; stored is the moment from which it is too
-- small. It is null until the decay job has looked, and again as soon as the fact is said anew, used
-- while it was faded, pinned or made essential: what is null does not fade.
ALTER TABLE memory_facts
    ADD COLUMN pinned    boolean NOT NULL DEFAULT false,   -- an operator's word that it never fades
    ADD COLUMN fades_at  timestamptz,
    ADD COLUMN faded     boolean NOT NULL DEFAULT false;   -- its history says that it has faded

-- How often and when last a fact was recalled: counted in batches, a few seconds late.
CREATE TABLE fact_uses (
    tenant_id     text        NOT NULL,
    user_id       text        NOT NULL,
    fact_id       uuid        NOT NULL,
    last_used_at  timestamptz NOT NULL DEFAULT now(),
    uses          bigint      NOT NULL,
    PRIMARY KEY (tenant_id, user_id, fact_id)
);

-- A model's last answer about what is essential for a user, and a digest of all that it depends on: the
-- same is never asked twice. Without `ranked` the answer was of no use.
CREATE TABLE essential_rankings (
    tenant_id      text        NOT NULL,
    user_id        text        NOT NULL,
    inputs_sha256  bytea       NOT NULL,
    ranked         uuid[],
    model          text        NOT NULL,
    prompt         text        NOT NULL,
    input_tokens   integer     NOT NULL,
    output_tokens  integer     NOT NULL,
    ranked_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
