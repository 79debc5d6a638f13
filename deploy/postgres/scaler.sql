-- What KEDA asks PostgreSQL with: a name that can count what waits, and read no message or fact.
--
--   psql --set password="'…'" --file deploy/postgres/scaler.sql "$URL"
CREATE ROLE memoire_scaler LOGIN PASSWORD :password CONNECTION LIMIT 20;
ALTER ROLE memoire_scaler SET statement_timeout = '5s';
ALTER ROLE memoire_scaler SET default_transaction_read_only = on;
GRANT SELECT (extracted_at, retry_at) ON chat_logs TO memoire_scaler;
GRANT SELECT (state, retry_at) ON memory_facts TO memoire_scaler;
GRANT SELECT (state, retry_at) ON jobs TO memoire_scaler;
-- Whose rows they are does not matter for counting them (docs/isolation.md).
CREATE POLICY of_scaler ON chat_logs FOR SELECT TO memoire_scaler USING (true);
CREATE POLICY of_scaler ON memory_facts FOR SELECT TO memoire_scaler USING (true);
CREATE POLICY of_scaler ON jobs FOR SELECT TO memoire_scaler USING (true);
