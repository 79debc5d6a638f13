-- The trace (W3C `traceparent`) that a message, a stated fact or a job came with. It stays with the row,
-- not with the bell: whatever rings again later, the work is told under the same trace. A fact that was
-- extracted is told under its message's.
ALTER TABLE chat_logs ADD COLUMN traceparent text;
ALTER TABLE memory_facts ADD COLUMN traceparent text;
ALTER TABLE jobs ADD COLUMN traceparent text;
