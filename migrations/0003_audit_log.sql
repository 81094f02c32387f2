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
