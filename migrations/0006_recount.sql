-- Reports lie in the order in which they came, so a summary of each megabyte's minutes (BRIN) finds those of the running
-- minute; the key alone leads a recount through all of its quarter of an hour, each second. It adds nearly nothing to an insert.
create index reports_minute on reports using brin (minute) with (autosummarize = on);
