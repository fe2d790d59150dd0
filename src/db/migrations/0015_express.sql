-- Up Migration
-- The express lane: until then the process that accepted a saga runs it by itself, and nobody else starts it. Given with the
-- acceptance and never again; whoever takes the saga over takes it away first. It stays where that process has settled the saga.
alter table settle.saga add column leased_until timestamptz;
