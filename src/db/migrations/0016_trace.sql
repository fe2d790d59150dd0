-- Up Migration
-- The W3C trace context of the request that a saga was accepted with: it goes along with each of its messages.
alter table settle.saga add column traceparent text;
