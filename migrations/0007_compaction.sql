-- Windows by the hour and by the day: copies of minutes, which outlive them. The same cells, the same counts.
create table windows_1h (
  service_id integer not null,
  hour timestamptz not null,
  region text not null,
  device_class text not null,
  working integer not null,
  degraded integer not null,
  down integer not null,
  seen_working integer not null,
  seen_degraded integer not null,
  seen_down integer not null,
  primary key (service_id, hour, region, device_class)
);
create index windows_1h_hour on windows_1h (hour);
create table windows_1d (
  service_id integer not null,
  day timestamptz not null,
  region text not null,
  device_class text not null,
  working integer not null,
  degraded integer not null,
  down integer not null,
  seen_working integer not null,
  seen_degraded integer not null,
  seen_down integer not null,
  primary key (service_id, day, region, device_class)
);

-- One row: how far it is. Hours before `hours_until` are in windows_1h, and so are days before `days_until` in windows_1d;
-- minutes before `minutes_from`, and hours before `hours_from`, are no more. In between each is there twice, for speed.
create table compacted (
  one boolean primary key default true check (one),
  minutes_from timestamptz not null default '-infinity',
  hours_until timestamptz not null default '-infinity',
  hours_from timestamptz not null default '-infinity',
  days_until timestamptz not null default '-infinity',
  check (minutes_from <= hours_until and hours_from <= days_until and days_until <= hours_until)
);
insert into compacted default values;

-- What was expected, the same in each watched minute of the hour or day: { scope: [m, m⁺, φ] }.
create table baselines_1h (service_id integer not null, hour timestamptz not null, scopes json not null, primary key (service_id, hour));
create index baselines_1h_hour on baselines_1h (hour);
create table baselines_1d (service_id integer not null, day timestamptz not null, scopes json not null, primary key (service_id, day));
create index baselines_hour on baselines (hour);

-- Minutes that were watched, [since, until), once their marks are old: nothing is lost, and a year is a handful of rows.
create table watched_stretches (since timestamptz primary key, until timestamptz not null check (until > since));

-- A day of minutes is a thirty-sixth of what is kept, each day: what it leaves behind is cleared within the day.
alter table windows set (autovacuum_vacuum_scale_factor = 0.02);
alter table baselines set (autovacuum_vacuum_scale_factor = 0.02);
create index withheld_minute on withheld (minute);
