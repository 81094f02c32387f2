-- Vendors' own pages, one row for each service that a page tells of; nobody is called until one is switched on.
create table sources (
  id uuid primary key,
  service_id integer not null references services,
  format text not null check (format in ('statuspage', 'apple', 'google-cloud', 'slack', 'feed')),
  url text not null,
  -- What the page calls the service; none: the whole page is about it.
  names text[] not null default '{}',
  enabled boolean not null default false,
  created_at timestamptz not null,
  retired_at timestamptz
);
-- How reading each page went: read once however many services it tells of.
create table source_pages (
  url text not null,
  format text not null,
  etag text,
  last_modified text,
  -- The last reading that was understood; a 304 is one.
  read_at timestamptz,
  -- When the page says that it was last changed.
  updated_at timestamptz,
  failures integer not null default 0,
  error text,
  primary key (url, format)
);
-- Every word of a vendor on an incident, as we first saw it: nothing here is ever changed, a correction is a further word.
create table vendor_words (
  service_id integer not null,
  id uuid not null,
  source_id uuid not null,
  incident text not null,
  status text not null check (status in ('up', 'degraded', 'down')),
  -- Slugs of our components that it names.
  components text[] not null,
  title text not null,
  text text not null,
  url text,
  -- When it was said, as far as we can know.
  published_at timestamptz not null,
  seen_at timestamptz not null,
  -- Of what the page said, so that reading it again adds nothing.
  digest text not null,
  primary key (service_id, id),
  unique (service_id, source_id, incident, digest)
);
create index vendor_words_newest on vendor_words (service_id, seen_at);

-- Of a source's: which incident it admits. One incident may cover several outages, a row each.
alter table acknowledgements add column source_id uuid, add column incident text;
create index outages_onset on outages (onset_at);
-- Since when the vendor says that it works and people say that it does not; it counts while the outage is open.
alter table outages add column disputed_since timestamptz;

-- Which other services a service depends on, as far as is publicly known.
create table dependencies (
  service_id integer not null references services,
  depends_on_id integer not null references services,
  primary key (service_id, depends_on_id),
  check (service_id <> depends_on_id)
);

-- What changed, for those who listen. Whoever adds holds the head's row until the commit, so numbers commit in order.
create table outbox (
  number bigint primary key,
  id uuid not null,
  at timestamptz not null,
  written_at timestamptz not null default now(),
  type text not null,
  service_id integer not null,
  outage_id uuid not null,
  -- json, not jsonb: told as it was written.
  data json not null
);
create index outbox_written on outbox (written_at);
create table outbox_head (one boolean primary key default true check (one), number bigint not null);
insert into outbox_head (number) values (0);

create table webhooks (
  id uuid primary key,
  url text not null,
  events text[] not null,
  -- Slugs; null: of all services.
  services text[],
  -- Signs what is sent, so it is kept as it is; forgotten when the webhook is retired.
  secret text,
  -- Signs as well until then, while receivers change over.
  previous_secret text,
  previous_until timestamptz,
  enabled boolean not null,
  -- Why the service itself switched it off.
  disabled_reason text,
  created_at timestamptz not null,
  retired_at timestamptz,
  -- Up to this number of the outbox it has its deliveries.
  outbox_number bigint not null,
  check (secret is not null or retired_at is not null)
);
create table deliveries (
  webhook_id uuid not null references webhooks,
  number bigint not null,
  service_id integer not null,
  outage_id uuid not null,
  type text not null,
  message_id uuid not null,
  body text not null,
  state text not null check (state in ('pending', 'delivered', 'failed')),
  attempts integer not null default 0,
  -- Attempts since it was last queued, which is where on the ladder it stands.
  rung integer not null default 0,
  -- When it is tried next; null when it has ended.
  next_at timestamptz,
  -- An instance sends it now, and is believed to until then.
  leased_until timestamptz,
  created_at timestamptz not null,
  ended_at timestamptz,
  primary key (webhook_id, number),
  unique (webhook_id, message_id)
);
create index deliveries_due on deliveries (webhook_id, next_at, number) where state = 'pending';
create index deliveries_line on deliveries (webhook_id, outage_id, number) where state = 'pending';
create index deliveries_ended on deliveries (ended_at) where state <> 'pending';
create table delivery_attempts (
  webhook_id uuid not null,
  number bigint not null,
  attempt integer not null,
  at timestamptz not null,
  -- What was answered; null: nothing came back.
  status integer,
  error text,
  took_ms integer not null,
  primary key (webhook_id, number, attempt),
  foreign key (webhook_id, number) references deliveries on delete cascade
);
