-- Of all who would report, the part for whom it began to fail, with its 95% interval; null where it cannot be told.
alter table outages add column affected_share json;
