import type { IncomingMessage } from '../brokers/broker.js';
import { RetryableError, type Reason } from '../saga/errors.js';
import type { AttemptCounter, AttemptRecord } from './attempts.js';
import { readBrokerMessage, type ReplyTarget } from './broker-message.js';
import { replyOutcomeOf, sendReply, type Publishing } from './consumer-replies.js';
import { buryMessage } from './dead-letters.js';
import type { InboxAnswer } from './inbox.js';
import type { Message } from './message.js';
import { outcomeOf } from './metrics.js';
import type { Outage } from './outage.js';
import { backoffMs, pause, StoppingError, type Backoff, type Slots } from './pace.js';
import { UnknownTypeError, WrongActionError, type Participant } from './participant.js';

/** How often a message may fail, and how long it waits in between. */
export interface AttemptPolicy extends Backoff {
  /** After so many it is dead. @default 5 */
  readonly maxAttempts?: number;
  /** So long an error that says "not now" is believed while the database answers; then it is a fault. In ms. @default 60000 */
  readonly patienceMs?: number;
}

/** What every delivery of a consumer shares. */
export interface DeliveryParts {
  readonly publishing: Publishing;
  readonly participant: Participant;
  readonly attempts: AttemptCounter;
  readonly outage: Outage;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly policy: AttemptPolicy;
  readonly deadLetterTo: (from: string) => string;
  /** How many are worked on at once. */
  readonly slots: Slots;
  /** Those that may have ended a process before, one at a time: so the next one that ends with it knows whose fault it is. */
  readonly suspects: Slots;
}

/** One message on its way to its end. */
interface Delivery {
  readonly incoming: IncomingMessage;
  readonly message: Message;
  readonly target: ReplyTarget | undefined;
  /** The consumer was stopping when it came: it is begun all the same, and goes back if that fails. */
  readonly hasOneAttempt: boolean;
  /** Whether the attempts before this delivery have been looked at. */
  isChecked: boolean;
  /** Whether there may be a record of attempts to remove. */
  isOnRecord: boolean;
  /** In a row, of those that are not counted. */
  refusals: number;
  /** Since when the database has been said to be away, though it answers. */
  unavailableSinceMs?: number;
}

type End =
  | { readonly kind: 'answered'; readonly answer: InboxAnswer }
  /** It has asked for time, and its sender, who has been told, sends it again. */
  | { readonly kind: 'deferred' }
  /** `isRejected`: definitely not applied, so that its sender may be told. */
  | { readonly kind: 'dead'; readonly reason: Reason; readonly attempts: number; readonly isRejected: boolean };
type AttemptEnd = End | { readonly kind: 'again'; readonly waitMs: number };

/** Brokers take back what is held for too long: RabbitMQ after 30 minutes. */
const MAX_HOLD_MS = 300_000;

/**
 * Brings a message to its end: answered or dead, and its sender told. Only then does it resolve, and the message is acknowledged.
 *
 * ```
 *  read ──▶ attempt ──▶ committed ──▶ reply confirmed ──▶ acknowledged
 *    │        │  ▲└─ database away, or asks for time and nobody can be told: waits, not counted
 *    │        ├──┼─ asks for time ──▶ reply confirmed ──▶ acknowledged: its sender sends it again
 *    │        └──┴── fault: counted, waits; the last one ──▶ dead letter stored ──▶ acknowledged
 *    └─ unreadable, unknown type, wrong action ──▶ dead letter stored ──▶ rejection confirmed ──▶ acknowledged
 * ```
 *
 * @param hasOneAttempt whether it came when the consumer was stopping already
 * @throws Error when it must come again: the consumer stops, or the broker confirmed nothing
 */
export async function settleIncoming(
  parts: DeliveryParts,
  incoming: IncomingMessage,
  hasOneAttempt: boolean,
): Promise<void> {
  const reading = readBrokerMessage(incoming, parts.publishing.broker.attributePrefix);
  const { target, message } = reading;
  if (!message) {
    const { code, message: detail } = reading.fault;
    await conclude(parts, { incoming, target }, dead({ code, message: detail }));
    return;
  }
  const progress = { isChecked: false, isOnRecord: false, refusals: 0 };
  const delivery: Delivery = { incoming, message, target, hasOneAttempt, ...progress };
  const end = await runToEnd(parts, delivery);
  // before the reply: one that cannot be given must not make what is applied look like poison
  if (end.kind !== 'dead' && mayBeOnRecord(delivery)) await forget(parts, message);
  await conclude(parts, delivery, end);
}

async function conclude(
  { publishing, deadLetterTo }: DeliveryParts,
  { incoming, target }: Pick<Delivery, 'incoming' | 'target'>,
  end: End,
): Promise<void> {
  const { from } = incoming;
  if (end.kind === 'deferred') return publishing.metrics?.countMessage(from, 'deferred');
  if (end.kind === 'answered') {
    await sendReply(publishing, { from, target, outcome: replyOutcomeOf(end.answer) });
  } else {
    const { reason, attempts } = end;
    await buryMessage(publishing, { incoming, to: deadLetterTo(from), reason, attempts });
    if (end.isRejected) await sendReply(publishing, { from, target, outcome: { kind: 'rejected', reason } });
  }
  publishing.metrics?.countMessage(from, end.kind === 'dead' ? 'dead' : outcomeOf(end.answer));
}

async function runToEnd(parts: DeliveryParts, delivery: Delivery): Promise<End> {
  for (;;) {
    const end = await attemptOnce(parts, delivery).catch((error: unknown) => weigh(parts, delivery, error));
    if (end.kind !== 'again') return end;
    // its slot is free for others meanwhile
    await pause(end.waitMs, parts.publishing.signal);
  }
}

async function attemptOnce(parts: DeliveryParts, delivery: Delivery): Promise<AttemptEnd> {
  const { slots, suspects, outage, attempts } = parts;
  await outage.isOver();
  if (!delivery.incoming.isRedelivered || delivery.isChecked) {
    return slots.run(() => attempt(parts, delivery));
  }
  const isFirst = async (): Promise<boolean> => {
    checkStopping(parts, delivery);
    delivery.isOnRecord = true;
    return (delivery.isChecked = await attempts.open(delivery.message));
  };
  const end = await slots.run(async () => ((await isFirst()) ? attempt(parts, delivery) : undefined));
  return end ?? suspects.run(() => slots.run(() => attemptSuspect(parts, delivery)));
}

/** It came before, and there was a record then: if the process ends with it again, the count is what is left. */
async function attemptSuspect(parts: DeliveryParts, delivery: Delivery): Promise<AttemptEnd> {
  checkStopping(parts, delivery);
  const record = await parts.attempts.add(delivery.message);
  delivery.isChecked = true;
  return isSpent(parts, record) ? exhausted(record) : attempt(parts, delivery);
}

async function attempt(parts: DeliveryParts, delivery: Delivery): Promise<End> {
  checkStopping(parts, delivery);
  return { kind: 'answered', answer: await parts.participant.deliver(delivery.message) };
}

function checkStopping({ publishing }: DeliveryParts, { hasOneAttempt }: Delivery): void {
  if (publishing.signal.aborted && !hasOneAttempt) throw new StoppingError('the consumer is stopping');
}

/** What a failed attempt comes to. */
async function weigh(parts: DeliveryParts, delivery: Delivery, error: unknown): Promise<AttemptEnd> {
  const { publishing, outage } = parts;
  const { from } = delivery.incoming;
  if (error instanceof StoppingError) throw error;
  if (error instanceof UnknownTypeError) return dead({ code: 'unknown-type', message: error.message });
  if (error instanceof WrongActionError) return dead({ code: 'wrong-action', message: error.message });
  if (error instanceof RetryableError) {
    publishing.metrics?.countRetry(from, 'asked-for-time');
    return waitAsAsked(parts, delivery, error);
  }
  if (parts.isUnavailable(error) && isBelieved(parts, delivery)) {
    publishing.metrics?.countRetry(from, 'unavailable');
    if (await outage.report(error)) delivery.unavailableSinceMs = undefined;
    return { kind: 'again', waitMs: backoffMs((delivery.refusals += 1), parts.policy) };
  }
  return weighFault(parts, delivery, error);
}

function isBelieved({ policy: { patienceMs = 60_000 } }: DeliveryParts, delivery: Delivery): boolean {
  delivery.unavailableSinceMs ??= Date.now();
  return Date.now() - delivery.unavailableSinceMs < patienceMs;
}

/** Held here it would keep its place, and each copy that its sender sends meanwhile another. */
async function waitAsAsked(parts: DeliveryParts, delivery: Delivery, error: RetryableError): Promise<AttemptEnd> {
  const { retryAfterMs } = error;
  if (retryAfterMs === undefined) {
    return { kind: 'again', waitMs: backoffMs((delivery.refusals += 1), parts.policy) };
  }
  const { target, incoming } = delivery;
  const isTold = await sendReply(parts.publishing, {
    ...{ from: incoming.from, target, outcome: { kind: 'working', retryAfterMs } },
  }).then(
    () => target !== undefined,
    (cause: unknown) => {
      if (cause instanceof StoppingError) throw cause;
      parts.publishing.logger?.warn({ err: cause }, `nobody was told that '${incoming.id}' takes its time`);
      return false;
    },
  );
  return isTold ? { kind: 'deferred' } : { kind: 'again', waitMs: Math.min(retryAfterMs, MAX_HOLD_MS) };
}

async function weighFault(parts: DeliveryParts, delivery: Delivery, error: unknown): Promise<AttemptEnd> {
  const { publishing, policy } = parts;
  const { message, incoming } = delivery;
  delivery.isOnRecord = true;
  delivery.unavailableSinceMs = undefined;
  const record = await countFault(parts, message, error);
  const about = { err: error, key: message.effectKey, type: message.type, attempts: record.attempts };
  publishing.logger?.warn(about, `'${message.effectKey}' could not be handled`);
  if (isSpent(parts, record)) return exhausted(record);
  publishing.metrics?.countRetry(incoming.from, 'fault');
  return { kind: 'again', waitMs: backoffMs(record.attempts, policy) };
}

/** It is counted, however long the database takes to come back. */
async function countFault(parts: DeliveryParts, message: Message, fault: unknown): Promise<AttemptRecord> {
  const text = fault instanceof Error ? fault.message : String(fault);
  for (;;) {
    try {
      return await parts.attempts.add(message, text);
    } catch (error) {
      if (!parts.isUnavailable(error)) throw error;
      await parts.outage.report(error);
    }
  }
}

/** What an operator sends again was dead, as often as not. */
function mayBeOnRecord({ isOnRecord, message }: Delivery): boolean {
  return isOnRecord || message.revision > 0;
}

/** What stays of it, if this fails, leaves with the old ones. */
async function forget({ attempts, publishing }: DeliveryParts, message: Message): Promise<void> {
  await attempts.forget(message).catch((error: unknown) => {
    publishing.logger?.warn({ err: error, key: message.effectKey }, 'a count of attempts could not be removed');
  });
}

function isSpent({ policy: { maxAttempts = 5 } }: DeliveryParts, { attempts }: AttemptRecord): boolean {
  return attempts >= maxAttempts;
}

function exhausted({ attempts, lastError }: AttemptRecord): End {
  const why = lastError ?? 'the process ended with it each time';
  return {
    kind: 'dead',
    reason: { code: 'attempts-exhausted', message: `begun ${attempts} times: ${why}` },
    attempts,
    isRejected: false,
  };
}

/** It never came to the inbox, so nothing was applied. */
function dead(reason: Reason): End {
  return { kind: 'dead', reason, attempts: 0, isRejected: true };
}
