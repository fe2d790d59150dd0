import type { Outcome } from '../saga/outcome.js';
import { decodeCloudEvent, encodeCloudEvent } from './cloud-event.js';
import type { BrokerMessage } from './broker.js';

/** The CloudEvents `type` of a participant's answer. */
export const REPLY_TYPE = 'settle.reply';

/** What a participant can say of a message; silence is no answer. */
export type ReplyOutcome = Extract<Outcome, { kind: 'done' | 'rejected' | 'working' }>;

/**
 * A participant's answer to a message that came by a broker: a CloudEvent whose data is the outcome.
 *
 * | member of `data` | |
 * |---|---|
 * | `outcome` | `done`, `rejected`, `working` |
 * | `result` | of `done` |
 * | `reason` | of `rejected`: `{ code, message }` |
 * | `retryAfterMs` | of `working`, optional |
 */
export interface Reply {
  /** CloudEvents `id`, its own. */
  readonly id: string;
  /** CloudEvents `source`: which participant. */
  readonly source: string;
  /** The message's. */
  readonly effectKey: string;
  /** The message's. */
  readonly revision: number;
  /** The message's `replytoken`. */
  readonly token: string;
  readonly outcome: ReplyOutcome;
}

/** Writes a reply, in structured mode. Replies of one effect lie in one partition. */
export function encodeReply({ id, source, effectKey, revision, token, outcome }: Reply): BrokerMessage {
  const { kind, ...rest } = outcome;
  const attributes = {
    ...{ specversion: '1.0', id, source, type: REPLY_TYPE, time: new Date().toISOString() },
    ...{ datacontenttype: 'application/json', effectkey: effectKey, revision: String(revision), replytoken: token },
  };
  return { ...encodeCloudEvent({ attributes, data: { outcome: kind, ...rest } }), key: effectKey };
}

/**
 * Reads a reply.
 *
 * @param parse reads JSON; what it throws passes through
 * @returns undefined when it is none
 */
export function decodeReply(message: BrokerMessage, parse: (body: Buffer) => unknown): Reply | undefined {
  const event = decodeCloudEvent(message, { parse });
  if (event?.attributes['type'] !== REPLY_TYPE) return undefined;
  const { id = '', source = '', effectkey: effectKey, revision, replytoken: token } = event.attributes;
  const outcome = outcomeOf(event.data);
  if (effectKey === undefined || token === undefined || !/^\d{1,9}$/.test(revision ?? '') || !outcome) return undefined;
  return { id, source, effectKey, revision: Number(revision), token, outcome };
}

function outcomeOf(data: unknown): ReplyOutcome | undefined {
  const { outcome, result, reason, retryAfterMs } = (data ?? {}) as Record<string, unknown>;
  switch (outcome) {
    case 'done':
      return { kind: 'done', result: result ?? null };
    case 'rejected': {
      const { code, message } = (reason ?? {}) as Record<string, unknown>;
      if (typeof code !== 'string' || typeof message !== 'string') return undefined;
      return { kind: 'rejected', reason: { code: code.slice(0, 100), message: message.slice(0, 500) } };
    }
    case 'working':
      return typeof retryAfterMs === 'number' && retryAfterMs >= 0
        ? { kind: 'working', retryAfterMs: Math.min(retryAfterMs, 3_600_000) }
        : { kind: 'working' };
    default:
      return undefined;
  }
}
