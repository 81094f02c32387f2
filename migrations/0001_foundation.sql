-- The catalog: small, read by every statement's caller, never joined by slug in a statement on large tables.
create table services (
  id integer primary key,
  slug text not null unique check (slug ~ '^[a-z0-9-]{1,64}$'),
  name text not null,
  "group" text,
  expected_per_hour double precision not null check (expected_per_hour > 0),
  -- Null until an instance first serves: all that is imported before is history.
  live_since timestamptz,
  history_from timestamptz,
  history_to timestamptz
);
create table components (
  service_id integer not null references services,
  slug text not null,
  name text not null,
  primary key (service_id, slug)
);
create table device_classes (slug text primary key, name text not null);
create table symptoms (slug text primary key, name text not null);
create table fallbacks (
  service_id integer not null references services,
  device_class text not null references device_classes,
  -- Null is a fact as well: this kind of device has no fallback.
  fallback text,
  primary key (service_id, device_class)
);

-- Reports. Every key of a large table starts with service_id; days are attached as partitions.
create table reports (
  service_id integer not null,
  interval_at timestamptz not null,
  id uuid not null,
  minute timestamptz not null,
  region text not null,
  device_class text not null,
  verdict smallint not null,
  symptom text,
  impact smallint,
  network bytea,
  disposition smallint not null,
  late boolean not null,
  primary key (service_id, interval_at, id)
) partition by range (interval_at);

create table comments (
  service_id integer not null,
  interval_at timestamptz not null,
  report_id uuid not null,
  id uuid not null,
  text text not null,
  state text not null default 'pending',
  created_at timestamptz not null,
  primary key (service_id, interval_at, report_id)
);

-- No key, so that no writer waits for another: a mark may stand many times.
create table stale_minutes (service_id integer not null, minute timestamptz not null);
create table watched (minute timestamptz primary key);

create table windows (
  service_id integer not null,
  minute timestamptz not null,
  region text not null,
  device_class text not null,
  working integer not null,
  degraded integer not null,
  down integer not null,
  seen_working integer not null,
  seen_degraded integer not null,
  seen_down integer not null,
  primary key (service_id, minute, region, device_class)
);
create index windows_minute on windows (minute);

-- What was expected of every scope in one hour, so that a curve needs no detector.
create table baselines (
  service_id integer not null,
  hour timestamptz not null,
  learnt_hours integer not null,
  scopes json not null,
  primary key (service_id, hour)
);
create table detector_states (
  service_id integer not null,
  judged_until timestamptz not null,
  -- json, not jsonb: the text comes back as it was written.
  state json not null,
  primary key (service_id, judged_until)
);
create table withheld (
  service_id integer not null,
  minute timestamptz not null,
  scope text not null,
  networks integer not null,
  primary key (service_id, minute, scope)
);
create table rejudge (service_id integer primary key, requested_at timestamptz not null);
-- One row: up to where every service is judged. Whoever judges moves it, so two at once cannot both.
create table judging (one boolean primary key default true check (one), judged_until timestamptz not null);

create table outages (
  service_id integer not null,
  id uuid not null,
  region text not null,
  device_class text not null,
  state text not null check (state in ('suspected', 'confirmed', 'recovering', 'resolved', 'dismissed')),
  severity double precision not null,
  onset_at timestamptz not null,
  onset_from timestamptz not null,
  onset_to timestamptz not null,
  detected_at timestamptz not null,
  confirmed_at timestamptz,
  recovering_at timestamptz,
  resolved_at timestamptz,
  dismissed_at timestamptz,
  peak_start timestamptz not null,
  peak_down double precision not null,
  peak_expected double precision not null,
  -- [{ device_class, down, expected_down }], of the outage so far.
  device_impact json not null,
  retrospective boolean not null,
  primary key (service_id, id)
);
create unique index outages_one_open on outages (service_id) where state in ('suspected', 'confirmed', 'recovering');
create index outages_newest on outages (detected_at, id);
create index outages_id on outages (id);
create table outage_events (
  service_id integer not null,
  outage_id uuid not null,
  id uuid not null,
  at timestamptz not null,
  type text not null,
  state text not null,
  actor text not null check (actor in ('detector', 'moderator', 'vendor')),
  text text not null,
  reading json,
  primary key (service_id, outage_id, id),
  foreign key (service_id, outage_id) references outages
);

create table tokens (
  id text primary key,
  name text not null,
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);

-- One random salt a day, its partition dropped whole; rows of a dropped table are not left in dead tuples.
create table salts (day date primary key, salt bytea not null) partition by range (day);
-- One row: what makes the ids of imported reports, for as long as this installation lives.
create table installation (one boolean primary key default true check (one), import_key bytea not null);
