-- What a gateway keeps of a user's messages in memory is right as long as it has seen exactly these marks,
-- as with facts (migration 0013). Messages come many at a time and then go through the pipeline without
-- a change that recall could see: so a mark is left by a statement, not by a row, and none by a state.
CREATE TABLE message_marks (
    tenant_id  text    NOT NULL,
    user_id    text    NOT NULL,
    token      uuid    NOT NULL DEFAULT gen_random_uuid(),
    xid        xid8    NOT NULL DEFAULT pg_current_xact_id(),
    ids        uuid[]  NOT NULL,    -- the messages that came, changed or went
    swept      uuid[],              -- the tokens of the marks that this one stands for
    PRIMARY KEY (tenant_id, user_id, token)
);
ALTER TABLE message_marks ALTER ids SET STORAGE EXTERNAL, ALTER swept SET STORAGE EXTERNAL;

-- Puts one mark in the place of all that others have left of a user, one sweeper at a time. It names their
-- messages and their tokens: who had seen them reads those messages again, and no others. Who had seen only
-- older ones, which an earlier sweep took away, misses them and reads everything. The sweeper's own stay:
-- whoever has not seen the new mark has seen one of those swept, or none at all.
CREATE FUNCTION sweep_message_marks(swept_tenant text, swept_user text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM message_marks
                               WHERE tenant_id = swept_tenant AND user_id = swept_user
                                 AND xid <> pg_current_xact_id()
                               LIMIT 65) AS found) > 64
       AND pg_try_advisory_xact_lock(
               hashtextextended('message_marks' || chr(31) || swept_tenant || chr(31) || swept_user, 0))
    THEN
        WITH gone AS (
            DELETE FROM message_marks
             WHERE tenant_id = swept_tenant AND user_id = swept_user AND xid <> pg_current_xact_id()
            RETURNING token, ids, swept
        ), named AS (
            SELECT DISTINCT id FROM gone CROSS JOIN unnest(gone.ids) AS id WHERE gone.swept IS NULL LIMIT 2001
        ), counted AS (
            SELECT count(*) <= 2000 AS few FROM named
        )
        INSERT INTO message_marks (tenant_id, user_id, ids, swept)
        SELECT swept_tenant, swept_user, CASE WHEN few THEN ARRAY(SELECT id FROM named) ELSE '{}' END,
               CASE WHEN few THEN ARRAY(SELECT token FROM gone) ELSE '{}' END
          FROM counted;
    END IF;
END $$;

-- Leaves a mark for each user whose messages a statement adds or removes. Now and then whoever does sweeps.
CREATE FUNCTION mark_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO message_marks (tenant_id, user_id, ids)
    SELECT tenant_id, user_id, array_agg(id) FROM marked GROUP BY tenant_id, user_id;
    IF random() < 0.0625 THEN
        PERFORM sweep_message_marks(tenant_id, user_id)
           FROM (SELECT DISTINCT tenant_id, user_id FROM marked) AS users;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER message_mark_inserted AFTER INSERT ON chat_logs REFERENCING NEW TABLE AS marked
    FOR EACH STATEMENT EXECUTE FUNCTION mark_messages();
CREATE TRIGGER message_mark_deleted AFTER DELETE ON chat_logs REFERENCING OLD TABLE AS marked
    FOR EACH STATEMENT EXECUTE FUNCTION mark_messages();

-- Leaves a mark for a message whose words or place changed: erasures do that. States are no such columns,
-- and a statement that sets none of these asks for nothing. It sweeps nothing: one statement may leave a
-- hundred thousand, and would look through its own each time.
CREATE FUNCTION mark_changed_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO message_marks (tenant_id, user_id, ids) VALUES (NEW.tenant_id, NEW.user_id, ARRAY[NEW.id]);
    RETURN NULL;
END $$;

CREATE TRIGGER message_mark_updated
    AFTER UPDATE OF content, speaker, session_id, said_at, recorded_at, erased_at ON chat_logs
    FOR EACH ROW EXECUTE FUNCTION mark_changed_message();

-- Everybody begins with a mark.
INSERT INTO message_marks (tenant_id, user_id, ids) SELECT tenant_id, user_id, '{}' FROM users;

-- Who is at work meanwhile leaves marks from now on, and must be let.
SELECT memoire_isolate();
