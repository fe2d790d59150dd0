import type { Envelope } from '../src/saga/envelope.js';
import { messageEffectKey } from '../src/saga/ids.js';

/** A message that belongs to no saga. */
export interface PlainMessage {
  readonly messageId: string;
  readonly tenantId: string;
  readonly type: string;
  readonly payload: unknown;
  readonly revision: number;
  /** When it was first recorded. */
  readonly recordedAt: Date;
}

/**
 * What such a message travels in.
 *
 * @param source the CloudEvents `source`
 */
export function envelopeOf(source: string, message: PlainMessage): Envelope {
  const { messageId, tenantId, type, payload, revision, recordedAt } = message;
  return {
    ...{ source, messageId, tenantId, type, payload, revision },
    time: recordedAt.toISOString(),
    // it belongs to no saga: its own id stands where a saga's would
    sagaId: messageId,
    effectKey: messageEffectKey(messageId),
  };
}
