-- What a gateway keeps of a user in memory is right as long as it has seen exactly these marks. Every
-- transaction that changes something recall can see of a user's facts leaves a mark for each: only
-- inserts, so nobody waits for anybody. Tokens are random: ids of transactions come twice after a crash.
CREATE TABLE recall_marks (
    tenant_id  text  NOT NULL,
    user_id    text  NOT NULL,
    xid        xid8  NOT NULL DEFAULT pg_current_xact_id(),
    fact_id    uuid  NOT NULL,
    token      uuid  NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (tenant_id, user_id, xid, fact_id)
);

-- Sweeps a user's older marks away, all that it sees, one sweeper at a time: what is left then shares no
-- mark with what anybody saw before.
CREATE FUNCTION sweep_recall_marks(swept_tenant text, swept_user text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM recall_marks
                               WHERE tenant_id = swept_tenant AND user_id = swept_user
                               LIMIT 201) AS found) > 200
       AND pg_try_advisory_xact_lock(
               hashtextextended('recall_marks' || chr(31) || swept_tenant || chr(31) || swept_user, 0))
    THEN
        DELETE FROM recall_marks
         WHERE tenant_id = swept_tenant AND user_id = swept_user AND xid <> pg_current_xact_id();
    END IF;
END $$;

-- Leaves a mark, once a transaction and fact. Now and then whoever does sweeps.
CREATE FUNCTION mark_changed_fact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        NEW := OLD;
    END IF;
    INSERT INTO recall_marks (tenant_id, user_id, fact_id)
    VALUES (NEW.tenant_id, NEW.user_id, NEW.id)
        ON CONFLICT DO NOTHING;
    IF FOUND AND random() < 0.0625 THEN
        PERFORM sweep_recall_marks(NEW.tenant_id, NEW.user_id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER recall_mark_inserted AFTER INSERT ON memory_facts
    FOR EACH ROW WHEN (NEW.state = 'settled') EXECUTE FUNCTION mark_changed_fact();
CREATE TRIGGER recall_mark_updated AFTER UPDATE ON memory_facts
    FOR EACH ROW WHEN (NEW.state = 'settled' OR OLD.state = 'settled')
    EXECUTE FUNCTION mark_changed_fact();
CREATE TRIGGER recall_mark_deleted AFTER DELETE ON memory_facts
    FOR EACH ROW WHEN (OLD.state = 'settled') EXECUTE FUNCTION mark_changed_fact();

-- A vector usually comes before its fact is settled, and is nothing recall could see.
CREATE FUNCTION mark_changed_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        NEW := OLD;
    END IF;
    INSERT INTO recall_marks (tenant_id, user_id, fact_id)
    SELECT f.tenant_id, f.user_id, f.id FROM memory_facts f
     WHERE f.tenant_id = NEW.tenant_id AND f.user_id = NEW.user_id AND f.id = NEW.fact_id
       AND f.state IS NOT DISTINCT FROM 'settled'
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER recall_mark AFTER INSERT OR UPDATE OR DELETE ON fact_vectors
    FOR EACH ROW EXECUTE FUNCTION mark_changed_vector();

-- A user without any mark is not kept in memory: those of today begin with one.
INSERT INTO recall_marks (tenant_id, user_id, fact_id)
SELECT DISTINCT tenant_id, user_id, '00000000-0000-0000-0000-000000000000'::uuid FROM memory_facts;
