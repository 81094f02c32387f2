-- The only table without a key: by logical replication, as Citus moves parts while reports come in, its deletions could not
-- be told. Where the table is distributed already and Citus does not know how, it stays as it was.
-- An import's recount may hold the table for long, and every report would wait behind this: better that it is run again.
set local lock_timeout = '2s';
do $$
begin
  alter table stale_minutes replica identity full;
exception when feature_not_supported then
  null;
end
$$;
