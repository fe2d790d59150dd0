-- Up Migration
-- Since when a running saga waits for the workflow that is to take it over from the express lane; null once that has begun a step.
-- One that goes on to another state waits no longer either.
alter table settle.saga add column handed_over_at timestamptz;
create index saga_handed_over on settle.saga (handed_over_at) where handed_over_at is not null and state = 'running';
