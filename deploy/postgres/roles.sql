-- The roles of docs/isolation.md: where who migrates may not make roles, and before a dump is restored,
-- whose policies name them. What is there already is kept.
--
--   psql --set ON_ERROR_STOP=1 --set owner=memoire --file deploy/postgres/roles.sql "$ADMINISTRATORS_URL"
SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM unnest(ARRAY['memoire_app', 'memoire_operator', 'memoire_gate']) AS needed(name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
GRANT memoire_app, memoire_operator, memoire_gate TO :"owner";
