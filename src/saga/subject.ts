import { isMessageId, isOutboxId, isSagaId } from './ids.js';

/** What can wait for an operator. */
export const SUBJECT_KINDS = ['saga', 'half-message', 'outbox-message'] as const;
export type SubjectKind = (typeof SUBJECT_KINDS)[number];

/** What an id stands for; undefined when it names nothing that can be parked. */
export function subjectKind(id: string): SubjectKind | undefined {
  if (isSagaId(id)) return 'saga';
  if (isMessageId(id)) return 'half-message';
  return isOutboxId(id) ? 'outbox-message' : undefined;
}

/** The part of an id that is in order of time, whatever the id names. */
export function uuidOf(id: string): string {
  return id.slice(id.indexOf('_') + 1);
}
