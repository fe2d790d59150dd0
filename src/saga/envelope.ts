/**
 * What travels to a participant: CloudEvents 1.0 attributes plus what Settle adds.
 * Over HTTP they are binary-mode headers (`ce-id`, `ce-type`, …), so that the body is the payload alone.
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 */
export interface Envelope {
  /** CloudEvents `id`: the message's own id; with `source` it is unique. */
  readonly messageId: string;
  /** CloudEvents `source`: who sends, e.g. `/settle/place-order`. */
  readonly source: string;
  /** CloudEvents `type`: the message type, e.g. `inventory.deduct`. */
  readonly type: string;
  /** CloudEvents `time`: when the message was first recorded, ISO 8601. */
  readonly time: string;
  readonly sagaId: string;
  readonly tenantId: string;
  /** The idempotency key that the participant's inbox records. */
  readonly effectKey: string;
  /** Raised by an operator's edit or retry; only a higher one runs again over a stored rejection. */
  readonly revision: number;
  /** An operator has confirmed that this revision may repeat its effect: a participant that no longer knows may apply it. */
  readonly mayRepeat?: boolean;
  /** Messages of one key are to be applied in the order in which they were sent, where their route says `ordered`. */
  readonly orderKey?: string;
  /** Where the outcome is to be sent, when the transport does not bring it back itself. */
  readonly replyTo?: ReplyTo;
  /** W3C trace context, when the saga was started under one. */
  readonly traceparent?: string;
  /** The payload: plain JSON, already checked against its contract. */
  readonly payload: unknown;
}

/** Where a participant sends its outcome over a broker. */
export interface ReplyTo {
  /** Queue, topic or stream of the broker that the message came by. */
  readonly address: string;
  /** Sent back as it is: whoever does not know it was not asked. */
  readonly token: string;
}

/**
 * The one reply address that all workers of an installation share, so that an answer to one that has died reaches another.
 *
 * @param taskQueue Temporal's, which names the installation
 */
export function replyAddressOf(taskQueue: string): string {
  return `settle-replies-${taskQueue}`;
}

/** The HTTP header of each attribute; `idempotency-key` carries the effect key. */
export const ENVELOPE_HEADERS = {
  specVersion: 'ce-specversion',
  messageId: 'ce-id',
  source: 'ce-source',
  type: 'ce-type',
  time: 'ce-time',
  sagaId: 'ce-sagaid',
  tenantId: 'ce-tenantid',
  revision: 'ce-revision',
  effectKey: 'idempotency-key',
  mayRepeat: 'settle-may-repeat',
  traceparent: 'traceparent',
} as const;
