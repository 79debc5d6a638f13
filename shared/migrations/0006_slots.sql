-- A tenant's own slots, laid over the built-in catalogue (shared/slots.toml) when facts are stored and
-- again whenever they are folded. Rows of memory_facts keep the name they were stored under.
CREATE TABLE slots (
    tenant_id    text        NOT NULL,
    name         text        NOT NULL,
    category     text        NOT NULL,
    cardinality  text        NOT NULL CHECK (cardinality IN ('one', 'many')),
    as_said      boolean     NOT NULL DEFAULT false,   -- the cardinality is what each statement says
    kind         text        NOT NULL,                 -- how two spellings of a value are compared
    synonyms     text[]      NOT NULL DEFAULT '{}',
    lasts_days   double precision CHECK (lasts_days > 0),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name)
);

-- A change of a tenant's slots that its users' beliefs have not followed yet: the sweeper goes from user
-- to user and asks for their consolidation. It begins when every transaction that may have folded by
-- the old catalogue has ended (xid), as readers of `events` do.
CREATE TABLE slot_refolds (
    tenant_id     text        PRIMARY KEY,
    names         text[]      NOT NULL,                -- names under which facts concerned may be stored
    after_user    text        NOT NULL DEFAULT '',
    xid           xid8        NOT NULL DEFAULT pg_current_xact_id(),
    requested_at  timestamptz NOT NULL DEFAULT now()
);
