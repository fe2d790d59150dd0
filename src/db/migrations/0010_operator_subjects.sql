-- Up Migration
-- Operators act on half messages too: an action names its subject, and says whether it may repeat the effect.

alter table settle.operator_action drop constraint if exists operator_action_saga_id_fkey;
alter table settle.operator_action rename column saga_id to subject_id;
alter index settle.operator_action_by_saga rename to operator_action_by_subject;
alter table settle.operator_action
  add column may_repeat boolean not null default false,
  drop constraint operator_action_action_check,
  add constraint operator_action_action_check
    check (action in ('retry', 'skip', 'compensate', 'resolve', 'edit', 'resend', 'confirm', 'discard'));

-- The subject keeps the name that it had, and what is new shows only where it is set: rows of before keep their hashes.
create or replace function settle.operator_action_hash(a settle.operator_action) returns text language sql stable as $$
  select encode(sha256(convert_to(a.previous_hash || (jsonb_build_object(
    'tenant', a.tenant_id, 'id', a.id, 'seq', a.seq, 'saga', a.subject_id, 'step', a.step, 'action', a.action,
    'actor', a.actor, 'reason', a.reason, 'request', a.request_id, 'requestHash', a.request_hash,
    'before', a.before, 'after', a.after, 'operation', a.operation, 'at', extract(epoch from a.at))
    || case when a.may_repeat then '{"mayRepeat": true}' else '{}' end::jsonb)::text, 'UTF8')), 'hex')
$$;

-- An operator may give the verdict that nobody else gave, and give up a message that nobody will ever take.
alter table settle.half_message
  drop constraint half_message_state_check,
  add constraint half_message_state_check
    check (state in ('prepared', 'confirmed', 'delivered', 'rolled-back', 'parked', 'discarded')),
  drop constraint half_message_decided_by_check,
  add constraint half_message_decided_by_check check (decided_by in ('producer', 'check-back', 'operator')),
  drop constraint half_message_finished,
  add constraint half_message_finished
    check ((finished_at is not null) = (state in ('delivered', 'rolled-back', 'discarded')));
create index half_message_parked on settle.half_message (tenant_id, id desc) where state = 'parked';
