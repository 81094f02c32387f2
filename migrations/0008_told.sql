-- When an entry was put on a timeline, where that is later than the instant it is dated by: what a vendor said, and what a
-- moderator says of what was judged, is told after it. Null: when it is dated.
alter table outage_events add column told_at timestamptz;
