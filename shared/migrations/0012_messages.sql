-- Messages are found by their words: what was said a second ago, or never became a fact. A very long one
-- is found by its beginning. The table is rewritten once; an erased message's words go with its content.
ALTER TABLE chat_logs
    ADD COLUMN lexemes tsvector GENERATED ALWAYS AS
        (to_tsvector('memoire', coalesce(speaker || ' ', '') || left(content, 20000))) STORED;

-- From a message to the facts that rest on it, and among facts that were stated without one to what
-- was stated just before and after. Every fact is in exactly one of the two.
CREATE INDEX memory_facts_of_message ON memory_facts ((source_message_ids[1]))
 WHERE session_id IS NOT NULL;
CREATE INDEX memory_facts_stated ON memory_facts (user_id, tenant_id, said_at, recorded_at)
 WHERE session_id IS NULL;
