-- The only table without a key: by logical replication, as Citus moves parts while reports come in, its deletions could not
-- be told. Where the table is distributed already and Citus does not know how, it stays as it was.
do $$
begin
  alter table stale_minutes replica identity full;
exception when feature_not_supported then
  null;
end
$$;
