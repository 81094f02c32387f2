-- Append-only: each row carries the hash of the one before. The head is kept apart, so that missing last rows show.
create table audit_log (
  number bigint primary key,
  id uuid not null unique,
  at timestamptz not null,
  actor text not null,
  action text not null,
  target text not null,
  -- json, not jsonb: the text that was hashed.
  before json,
  after json,
  reason text,
  hash bytea not null,
  previous bytea not null
);
create table audit_head (one boolean primary key default true check (one), number bigint not null, hash bytea not null);
insert into audit_head (number, hash) values (0, '\x0000000000000000000000000000000000000000000000000000000000000000');

-- What is retired stays, for the reports that name it, and takes no new ones.
alter table services add column proof_required boolean not null default false, add column retired_at timestamptz;
alter table components add column retired_at timestamptz;
alter table device_classes add column retired_at timestamptz;
alter table symptoms add column retired_at timestamptz;
create table workarounds (
  id uuid primary key,
  service_id integer not null references services,
  -- Null: it helps on every kind of device.
  device_class text references device_classes,
  title text not null,
  url text,
  created_at timestamptz not null,
  retired_at timestamptz
);

-- Why a report is quarantined: the code of QUARANTINE_REASONS.
alter table reports add column reason smallint;

-- A comment's tie to its report goes when it is approved, or after two days.
alter table comments drop constraint comments_pkey;
alter table comments alter column interval_at drop not null, alter column report_id drop not null;
alter table comments add primary key (service_id, id), add unique (service_id, interval_at, report_id),
  add check (state in ('pending', 'approved', 'rejected'));
create index comments_id on comments (id);

create table blocks (
  id uuid primary key,
  -- A CIDR as the moderator gave it, or a network key, 32 hex digits.
  cidr text,
  network text,
  reason text not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  lifted_at timestamptz,
  check ((cidr is null) <> (network is null))
);

create table moderation_actions (
  id uuid primary key,
  action text not null check (action in ('exclude', 'restore', 'release')),
  reason text not null,
  actor text not null,
  created_at timestamptz not null,
  -- What was asked for, as it was sent, and what was answered.
  selection json not null,
  result json not null,
  -- The rows of `outages` that the action may change, as they stood before.
  kept_outages json not null,
  reverted_at timestamptz
);
create index moderation_actions_newest on moderation_actions (created_at, id);
-- Every report that an action changed, as it was before.
create table moderated_reports (
  service_id integer not null,
  action_id uuid not null,
  interval_at timestamptz not null,
  report_id uuid not null,
  disposition smallint not null,
  reason smallint,
  primary key (service_id, interval_at, report_id, action_id)
);
create index moderated_reports_action on moderated_reports (action_id);
-- What a preview found, so that its action means the same reports whatever has come in since.
create table previewed_reports (
  service_id integer not null,
  until timestamptz not null,
  interval_at timestamptz not null,
  report_id uuid not null,
  primary key (service_id, until, interval_at, report_id)
);

-- A moderator's word in the lifecycle: an input of judging, right before the window that begins at `minute`.
create table rulings (
  service_id integer not null,
  minute timestamptz not null,
  id uuid not null,
  outage_id uuid not null,
  type text not null check (type in ('open', 'confirm', 'resolve', 'dismiss')),
  -- Of 'open' alone.
  region text,
  device_class text,
  onset_at timestamptz,
  primary key (service_id, minute, id)
);
-- Null: the whole history; else only what was judged from the checkpoint before this minute on. One request of each a service.
alter table rejudge drop constraint rejudge_pkey, add column from_minute timestamptz;
create unique index rejudge_once on rejudge (service_id, (from_minute is null));
-- Withdrawn: dismissed since judging again no longer finds it; it may be found again.
alter table outages add column merged_into uuid, add column withdrawn boolean not null default false;

create table acknowledgements (
  service_id integer not null,
  id uuid not null,
  -- Null: none of ours goes with it.
  outage_id uuid,
  source text not null,
  published_at timestamptz not null,
  url text,
  text text,
  created_at timestamptz not null,
  primary key (service_id, id),
  foreign key (service_id, outage_id) references outages
);
create index acknowledgements_outage on acknowledgements (service_id, outage_id);

-- Each proof of work is good for one report.
create table spent_proofs (proof bytea primary key, expires_at timestamptz not null);
