-- Up Migration
-- Which run of a workflow waits: activities are numbered anew in the next one.
alter table settle.message_log add column awaiting_run text;
alter table settle.half_message add column awaiting_run text;
