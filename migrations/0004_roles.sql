-- Two roles: the owner migrates; the service reads and writes rows, and can neither drop, truncate nor alter. Which rights
-- it has on which table is granted after each migration (src/db/roles.ts), since only then is its name known.

-- One row: how many days of raw reports nobody but the owner may shorten.
create table retention (one boolean primary key default true check (one), report_days integer not null check (report_days > 0));

-- The partitions of the days in [first, last] that are missing. Attaching does not block who reads or writes.
create function ensure_days (parent text, first date, last date) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  day date;
  part text;
begin
  if parent not in ('reports', 'salts') then
    raise exception 'there is no table of days called %', parent using errcode = 'invalid_parameter_value';
  end if;
  if last - first > 100 then
    raise exception 'at most 100 days are made at once' using errcode = 'invalid_parameter_value';
  end if;
  -- LOCKS.partitions: two instances that make the same day.
  perform pg_advisory_xact_lock(7304);
  for day in select first + n from generate_series(0, last - first) n loop
    part := parent || '_' || to_char(day, 'YYYYMMDD');
    continue when exists (select from pg_inherits where inhparent = parent::regclass and inhrelid = to_regclass(part));
    execute format('create table %I (like %I including defaults including constraints)', part, parent);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)',
      parent, part, to_char(day, 'YYYY-MM-DD') || 'T00:00:00Z', to_char(day + 1, 'YYYY-MM-DD') || 'T00:00:00Z');
  end loop;
end $$;

-- Drops the partitions of days before `before`, never one inside the retention: salts of yesterday and today, reports as
-- the owner said. By the database's own clock, since the caller is not trusted with this.
create function drop_days (parent text, before date) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  today date := (now() at time zone 'UTC')::date;
  kept_from date;
  part text;
  dropped integer := 0;
begin
  if parent = 'salts' then
    kept_from := today - 1;
  elsif parent = 'reports' then
    kept_from := today - (select report_days from retention);
  else
    raise exception 'there is no table of days called %', parent using errcode = 'invalid_parameter_value';
  end if;
  if before > kept_from or kept_from is null then
    raise exception 'days of % from % on are kept', parent, kept_from using errcode = 'insufficient_privilege';
  end if;
  -- Materialized: the planner must not read a date from the names of other tables.
  for part in with parts as materialized (select inhrelid::regclass::text as name from pg_inherits where inhparent = parent::regclass)
    select name from parts where to_date(right(name, 8), 'YYYYMMDD') < before order by 1 loop
    execute format('drop table %I', part);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;

revoke execute on function ensure_days (text, date, date), drop_days (text, date) from public;
