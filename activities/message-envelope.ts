import type { Envelope } from '../src/saga/envelope.js';
import { messageEffectKey } from '../src/saga/ids.js';

/** A message that belongs to no saga. */
export interface PlainMessage {
  readonly messageId: string;
  readonly tenantId: string;
  readonly type: string;
  readonly payload: unknown;
  readonly revision: number;
  /** Whether an operator has confirmed that this revision may repeat its effect. @default false */
  readonly mayRepeat?: boolean;
  /** When it was first recorded. */
  readonly recordedAt: Date;
  /** What its producer wants kept in order. @default its own id: in no order with others */
  readonly orderKey?: string | null;
}

/**
 * What such a message travels in.
 *
 * @param source the CloudEvents `source`
 */
export function envelopeOf(source: string, message: PlainMessage): Envelope {
  return {
    messageId: message.messageId,
    source,
    type: message.type,
    time: message.recordedAt.toISOString(),
    // it belongs to no saga: its own id stands where a saga's would
    sagaId: message.messageId,
    tenantId: message.tenantId,
    effectKey: messageEffectKey(message.messageId),
    revision: message.revision,
    mayRepeat: message.mayRepeat ?? false,
    orderKey: message.orderKey ?? message.messageId,
    payload: message.payload,
  };
}
