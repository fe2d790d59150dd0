import { BrokerError, type Broker, type BrokerMessage } from '../brokers/broker.js';
import { attributesOf, encodeCloudEvent } from '../brokers/cloud-event.js';
import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';
import { createHalfSender, type HalfSenderOptions } from './half-sender.js';
import type { ReplyAddress } from './reply-address.js';
import type { BrokerRoute, Transport } from './transport.js';

/** What the transport over one broker is made of. */
export interface BrokerTransportOptions {
  /** The broker, opened when it is first needed. */
  readonly open: () => Promise<Broker>;
  /** Where participants answer; unset: only what nobody answers can be sent. */
  readonly replies?: ReplyAddress;
  /** Answers what a broker asks of its half messages; unset: nothing can be sent by way of them. */
  readonly halves?: HalfSenderOptions;
}

/**
 * Messages over a broker: sent means that the broker has the message durably; the participant's answer comes to the reply address.
 *
 * | what the broker says | outcome |
 * |---|---|
 * | has it | `accepted`; `done` where nobody answers |
 * | too large, also when we see it ourselves | `rejected` with the code `too-large`: never sent |
 * | unroutable, full, unavailable, no confirmation in time | `unknown`: tried again |
 */
export function createBrokerTransport({ open, replies, halves }: BrokerTransportOptions): Transport<BrokerRoute> {
  const declare = createDeclarer();
  const sendHalf = halves && createHalfSender(halves);
  const publish = async (broker: Broker, { envelope, message, route, limitMs }: Publication): Promise<void> => {
    const { to, ordered, transactional, fireAndForget } = route;
    if (!transactional) return broker.publish(message, { to, ordered, timeoutMs: limitMs });
    if (!sendHalf) throw new Error('this process answers no check-backs; it cannot send transactional messages');
    const decision = await sendHalf(broker, { envelope, message, to, timeoutMs: limitMs });
    if (decision === 'rollback') throw new Error('the ledger no longer wants it delivered');
    // the broker asks again: then it is delivered, and answered, later; without an answer nobody would know
    if (decision === 'unknown' && fireAndForget) throw new Error('the ledger could not be asked whether to deliver it');
  };
  return {
    send: async (envelope, route, timeoutMs) => {
      const limitMs = Math.min(timeoutMs, route.timeoutMs ?? timeoutMs);
      const begunAt = Date.now();
      try {
        const broker = await open();
        const addressed = route.fireAndForget ? envelope : { ...envelope, replyTo: replyToOf(envelope, replies) };
        if (addressed.replyTo) await inTime(declare(broker, addressed.replyTo.address), limitMs);
        const message = messageOf(addressed, route, broker);
        const size = sizeOf(message);
        const limit = route.maxBytes ?? broker.maxBytes;
        if (size > limit) return tooLarge(`${where(envelope, route)}: it has ${size} bytes, the limit is ${limit}`);
        // what is sent after its time would be sent beside the next attempt, or after its saga has decided to take back
        const leftMs = limitMs - (Date.now() - begunAt);
        if (leftMs <= 0) throw new Error(`not sent within ${limitMs} ms`);
        await publish(broker, { envelope: addressed, message, route, limitMs: leftMs });
        if (route.fireAndForget) return { kind: 'done', result: null };
        return { kind: 'accepted', leftMs: Math.max(0, limitMs - (Date.now() - begunAt)) };
      } catch (error) {
        const detail = `${where(envelope, route)}: ${(error as Error).message}`;
        return error instanceof BrokerError && error.kind === 'too-large'
          ? tooLarge(detail)
          : { kind: 'unknown', detail };
      }
    },
    // the connections are shared with those who consume: see createBrokers
    close: () => Promise.resolve(),
  };
}

/** @throws Error when the time is over; what was begun goes on by itself */
async function inTime(work: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the broker has not answered within ${limitMs} ms`)), limitMs);
  });
  await Promise.race([work, over]).finally(() => clearTimeout(timer));
}

/** A destination that somebody has deleted is made again within this time. */
const DECLARED_MS = 30_000;

/** Sees to it that answers are kept before anything asks for them, now and then for each address. */
function createDeclarer(): (broker: Broker, name: string) => Promise<void> {
  const declared = new Map<string, { readonly done: Promise<void>; readonly untilMs: number }>();
  return (broker, name) => {
    const known = declared.get(name);
    if (known && known.untilMs > Date.now()) return known.done;
    const done = broker.declare({ name });
    declared.set(name, { done, untilMs: Date.now() + DECLARED_MS });
    done.catch(() => declared.delete(name));
    return done;
  };
}

function replyToOf(envelope: Envelope, replies: ReplyAddress | undefined): Envelope['replyTo'] {
  if (!replies) throw new Error('this process takes no answers; only fire-and-forget messages can be sent from it');
  return replies.replyTo(envelope);
}

function messageOf(envelope: Envelope, route: BrokerRoute, broker: Broker): BrokerMessage {
  const prefix = route.mode === 'binary' ? broker.attributePrefix : undefined;
  const event = { attributes: attributesOf(envelope), data: envelope.payload };
  return { ...encodeCloudEvent(event, prefix), key: envelope.orderKey };
}

interface Publication {
  readonly envelope: Envelope;
  readonly message: BrokerMessage;
  readonly route: BrokerRoute;
  readonly limitMs: number;
}

/** What brokers count against their limits, near enough: the body, and headers with their names. */
function sizeOf({ body, headers, key = '', contentType }: BrokerMessage): number {
  const texts = [key, contentType, ...Object.entries(headers).flat()];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), body.length);
}

function tooLarge(message: string): Outcome {
  return { kind: 'rejected', reason: { code: 'too-large', message } };
}

function where({ messageId, type }: Envelope, { transport, to }: BrokerRoute): string {
  return `message '${messageId}' on the route of '${type}' to '${to}' (${transport})`;
}
