import { BrokerError, type Broker, type Consumption, type IncomingMessage } from '../brokers/broker.js';
import { redeclaring } from '../brokers/redeclaring.js';
import type { Logger } from 'pino';
import { isDatabaseUnavailable } from '../db/unavailable.js';
import { createMemoryAttempts, type AttemptCounter } from './attempts.js';
import type { ConsumerMetrics } from './consumer-metrics.js';
import { deadLettersOf } from './dead-letters.js';
import { settleIncoming, type AttemptPolicy, type DeliveryParts } from './delivery.js';
import { createOutage } from './outage.js';
import { backoffMs, createLanes, createSlots, pause, StoppingError } from './pace.js';
import type { Participant } from './participant.js';

/** Where messages come from, and how they are taken. */
export interface ConsumeSettings {
  /** Queue, topic or stream; or several. */
  readonly from: string | readonly string[];
  /** Consumers of one group share the messages. @default the participant's name */
  readonly group?: string;
  /** Whether messages of one key are handled one after the other. @default false */
  readonly ordered?: boolean;
  /** Handled at the same time, at the most. @default 16 */
  readonly concurrency?: number;
  /** Taken and not yet acknowledged, at the most; those that wait for another attempt count as well. @default 16 times the concurrency */
  readonly prefetch?: number;
  readonly retry?: AttemptPolicy;
  /** Where dead messages of a destination go. @default its name and `.dead`; `-dead` for RocketMQ, whose names have no dots */
  readonly deadLetterTo?: (from: string) => string;
  /** Until the broker must have confirmed a reply or a dead letter, in ms. @default 10000 */
  readonly confirmMs?: number;
  readonly logger?: Pick<Logger, 'error' | 'warn' | 'info'>;
}

/** For a participant that is built already: that of an HTTP server, or one whose inbox is elsewhere than in PostgreSQL. */
export interface ConsumeWithOptions extends ConsumeSettings {
  readonly broker: Broker;
  readonly participant: Participant;
  /** @default in memory, so that a message which ends the process is begun as often as it comes */
  readonly attempts?: AttemptCounter;
  /** Whether an error means that the participant's store cannot be used now. @default PostgreSQL's and the network's */
  readonly isUnavailable?: (error: unknown) => boolean;
  readonly metrics?: ConsumerMetrics;
}

/** A consumer that runs. */
export interface RunningConsumer {
  /** Resolves once messages can come from everywhere; rejects when it was stopped first. */
  readonly ready: Promise<void>;
  /**
   * Takes nothing new, finishes what is under way and acknowledges it, gives the rest back, those that wait for another attempt too.
   * What its broker still brings, as RocketMQ does for some seconds, has one attempt. Stopping twice is stopping once.
   */
  stop(): Promise<void>;
}

const DEFAULT_CONCURRENCY = 16;
const PREFETCH_FACTOR = 16;
/** What must come again because a confirmation is missing does not do so at once, so that nothing spins. */
const GIVE_BACK_AFTER_FAILURES = 3;

/**
 * Consumes messages for a participant. It starts without its broker and its database too, and waits for them.
 *
 * @throws TypeError when a number of the settings makes no sense
 * @example const consumer = consumeWith({ broker, from: 'inventory', participant, attempts: createAttemptCounter(pool, { consumer: 'inventory' }) });
 */
export function consumeWith(options: ConsumeWithOptions): RunningConsumer {
  const sources = [options.from].flat();
  checkSettings(options);
  const stopping = new AbortController();
  const parts = partsOf(options, stopping.signal);
  const started = sources.map((from) => start(options, { from, parts }));
  const ready = Promise.all(started)
    .then((all) => Promise.all(all.map((each) => each.ready)))
    .then(() => undefined);
  // whoever does not wait for it is told by the log
  ready.catch((error: unknown) => {
    if (!(error instanceof StoppingError))
      options.logger?.error({ err: error }, `'${parts.participant.consumer}' does not consume`);
  });
  let stopped: Promise<void> | undefined;
  return { ready, stop: () => (stopped ??= stopAll(stopping, started)) };
}

/** @throws TypeError that names the setting which makes no sense */
export function checkSettings({ from, concurrency = 1, prefetch = 1, retry }: ConsumeSettings): void {
  const sources = [from].flat();
  const { maxAttempts = 1 } = retry ?? {};
  for (const [name, value] of Object.entries({ concurrency, prefetch, 'retry.maxAttempts': maxAttempts })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${name} is ${value}; it must be 1 or more`);
  }
  if (sources.length === 0 || sources.includes('')) throw new TypeError('from names nothing to consume from');
}

function partsOf(options: ConsumeWithOptions, signal: AbortSignal): DeliveryParts {
  const { broker, participant, metrics, logger, confirmMs = 10_000, isUnavailable = isDatabaseUnavailable } = options;
  const { attempts = createMemoryAttempts(), concurrency = DEFAULT_CONCURRENCY } = options;
  const { consumer } = participant;
  return {
    publishing: { broker, consumer, confirmMs, metrics, logger, signal },
    participant,
    attempts,
    outage: createOutage({ of: consumer, probe: () => attempts.probe(), isUnavailable, signal, logger }),
    isUnavailable,
    policy: options.retry ?? {},
    deadLetterTo: options.deadLetterTo ?? ((from) => deadLettersOf(from, broker.name)),
    slots: createSlots(concurrency),
    suspects: createSlots(1),
  };
}

interface Source {
  readonly from: string;
  readonly parts: DeliveryParts;
}

async function start(options: ConsumeWithOptions, { from, parts }: Source): Promise<Consumption> {
  const { broker, participant, group = participant.consumer, ordered = false } = options;
  const { concurrency = DEFAULT_CONCURRENCY, prefetch = concurrency * PREFETCH_FACTOR, logger, metrics } = options;
  await declare(parts, { name: from, ordered });
  await declare(parts, { name: parts.deadLetterTo(from) });
  const { signal } = parts.publishing;
  if (signal.aborted) throw new StoppingError('the consumer is stopping');
  const lanes = createLanes();
  const handle = async (incoming: IncomingMessage): Promise<void> => {
    // not when its turn in its lane comes: one before it may have gone back by then
    const hasOneAttempt = signal.aborted;
    metrics?.addInFlight(from, 1);
    try {
      await lanes.run(ordered ? incoming.key : undefined, () => settleIncoming(parts, incoming, hasOneAttempt));
    } catch (error) {
      // rejects when it is stopped meanwhile: the message goes back either way
      if (!(error instanceof StoppingError)) await pause(backoffMs(GIVE_BACK_AFTER_FAILURES), signal);
      throw error;
    } finally {
      metrics?.addInFlight(from, -1);
    }
  };
  const onTrouble = (error: Error): void => {
    if (!(error instanceof StoppingError)) logger?.warn({ err: error, from }, `trouble while consuming from '${from}'`);
  };
  const again = redeclaring(broker, { name: from, ordered }, onTrouble);
  return broker.subscribe({ from, group, prefetch, ordered, handle, onTrouble: again });
}

/** Until it is there: what has no place to go when it is dead must not be taken. */
async function declare(
  { publishing: { broker, signal, logger } }: DeliveryParts,
  destination: { readonly name: string; readonly ordered?: boolean },
): Promise<void> {
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      return await broker.declare(destination);
    } catch (error) {
      const { name } = destination;
      const isPassing = error instanceof BrokerError && error.kind !== 'unroutable' && error.kind !== 'too-large';
      logger?.warn({ err: error, name }, `'${name}' could not be declared${isPassing ? '; trying again' : ''}`);
      // it may be there all the same, and not be ours to declare
      if (!isPassing) return;
      await pause(backoffMs(failures), signal);
    }
  }
}

async function stopAll(stopping: AbortController, started: readonly Promise<Consumption>[]): Promise<void> {
  stopping.abort();
  // what has not started has nothing to stop
  const stop = (each: Promise<Consumption>): Promise<void> =>
    each.then(
      (consumption) => consumption.stop(),
      () => undefined,
    );
  await Promise.all(started.map(stop));
}
