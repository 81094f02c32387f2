-- How often some of what was judged has been judged again: whoever remembers another number has judged without that.
alter table judging add column generation integer not null default 0;
