-- The roles of docs/isolation.md, for a cluster that has none of them yet: where who migrates may not
-- make roles, and before a dump is restored, whose policies name them.
--
--   psql --set ON_ERROR_STOP=1 --set owner=memoire --file deploy/postgres/roles.sql "$ADMINISTRATORS_URL"
CREATE ROLE memoire_app NOLOGIN;
CREATE ROLE memoire_operator NOLOGIN;
CREATE ROLE memoire_gate NOLOGIN;
GRANT memoire_app, memoire_operator, memoire_gate TO :"owner";
