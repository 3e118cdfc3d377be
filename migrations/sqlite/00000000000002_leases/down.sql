DROP TABLE logout_deliveries;
DROP INDEX sessions_upstream_confirmed_at;
DROP INDEX sessions_upstream_sid;
DROP TABLE leases;
