import type { Envelope } from '../src/saga/envelope.js';
import type { Answer } from '../src/saga/outcome.js';

/** What it is when nobody has answered in time: the message may have been applied. */
export function silence({ messageId }: Envelope, withinMs: number): Extract<Answer, { kind: 'unknown' }> {
  return { kind: 'unknown', detail: `message '${messageId}' has no reply within ${Math.round(withinMs)} ms` };
}
