import { isMessageId, isSagaId } from './ids.js';

/** What can wait for an operator. */
export const SUBJECT_KINDS = ['saga', 'half-message'] as const;
export type SubjectKind = (typeof SUBJECT_KINDS)[number];

/** What an id stands for; undefined when it names nothing that can be parked. */
export function subjectKind(id: string): SubjectKind | undefined {
  if (isSagaId(id)) return 'saga';
  return isMessageId(id) ? 'half-message' : undefined;
}

/** The part of an id that is in order of time, whatever the id names. */
export function uuidOf(id: string): string {
  return id.slice(id.indexOf('_') + 1);
}

/** How long ago an id was made, in ms: the first 48 bits of a UUIDv7 are the time. */
export function ageMs(id: string, nowMs: number): number {
  return nowMs - Number.parseInt(uuidOf(id).slice(0, 13).replace('-', ''), 16);
}

/** How long after it was made something may be sent again without a person's word that it may repeat the effect: 14 days, in ms. */
export const MANUAL_WINDOW_MS = 14 * 86_400_000;

/**
 * Whether something is so old that participants may have forgotten its effects: sent again, one may be applied twice, and an
 * undo may find nothing to take back.
 */
export function mayBeForgotten(id: string, windowMs: number): boolean {
  return ageMs(id, Date.now()) > windowMs;
}
