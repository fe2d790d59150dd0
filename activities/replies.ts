import { setTimeout as pause } from 'node:timers/promises';
import type { AsyncCompletionClient } from '@temporalio/client';
import type pg from 'pg';
import type { Broker, BrokerName, Consumption } from '../src/brokers/broker.js';
import { redeclaring } from '../src/brokers/redeclaring.js';
import type { ContractTable } from '../src/saga/contracts.js';
import type { Brokers } from '../src/transports/brokers.js';
import type { ReplyAddress } from '../src/transports/reply-address.js';
import { createAnswers } from './answers.js';
import { createOpenActivities, type OpenActivities } from './open-activities.js';
import { createReplyCounter } from './reply-counter.js';
import type { ReplyDesk } from './reply-desk.js';
import { createReplyTaker, type ReplyTaker } from './reply-taker.js';

/** What the taking of answers is made of. */
export interface RepliesOptions {
  readonly pool: pg.Pool;
  readonly brokers: Brokers;
  /** Those that messages are sent over. */
  readonly names: readonly BrokerName[];
  readonly address: ReplyAddress;
  readonly desk: ReplyDesk;
  readonly contracts: ContractTable;
  /** Completes activities that any worker has left open. */
  readonly completion: Pick<AsyncCompletionClient, 'complete' | 'fail'>;
  /** Hears what other workers tell; see `listen`. */
  readonly listen: (taker: Pick<ReplyTaker, 'hear' | 'lookAround'>) => { stop(): Promise<void> };
  readonly logger: { warn(fields: object, message: string): void };
}

/** Answers are taken for as long as it runs. */
export interface Replies {
  readonly openActivities: OpenActivities;
  /** Takes no more, finishes what it has begun to take; after those who wait for answers have ended. */
  stop(): Promise<void>;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** Before an answer that could not be recorded comes again. */
const AGAIN_MS = 1_000;

/**
 * Takes participants' answers from one destination a broker, which all workers of an installation consume as one group: the answer
 * to a message whose sender has died reaches another worker. A broker that is away is tried for as long as it takes.
 *
 * @throws Error when how to reach a broker is not set, or malformed
 */
export async function startReplies(options: RepliesOptions): Promise<Replies> {
  const { pool, brokers, names, address, desk, contracts, completion, logger } = options;
  const stopping = new AbortController();
  const record = createAnswers(pool, contracts);
  const openActivities = createOpenActivities({ pool, record, completion, logger });
  const counter = createReplyCounter(pool);
  const taker = createReplyTaker({ pool, desk, address, record, openActivities, counter });
  const opened = await Promise.all(names.map((name) => brokers.open(name)));
  const consumers = opened.map((broker) => consume({ broker, taker, address, logger }, stopping.signal));
  const listener = options.listen(taker);
  return {
    openActivities,
    stop: async () => {
      stopping.abort();
      openActivities.stop();
      await Promise.all([listener.stop(), ...consumers.map((consumer) => consumer.then((each) => each?.stop()))]);
      await counter.stop();
    },
  };
}

interface Consumer extends Pick<RepliesOptions, 'address' | 'logger'> {
  readonly broker: Broker;
  readonly taker: ReplyTaker;
}

/** @returns undefined when it was stopped before its broker could be reached */
async function consume(
  { broker, taker, address: { address }, logger }: Consumer,
  signal: AbortSignal,
): Promise<Consumption | undefined> {
  const onTrouble = (err: Error): void =>
    logger.warn({ err, broker: broker.name, address }, 'answers do not come in as they should; trying on');
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    try {
      await broker.declare({ name: address });
      break;
    } catch (error) {
      onTrouble(error as Error);
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
  if (signal.aborted) return undefined;
  const consumption = broker.subscribe({
    ...{ from: address, group: address, onTrouble: redeclaring(broker, { name: address }, onTrouble) },
    handle: async (message) => {
      try {
        await taker.take(message, broker.name);
      } catch (error) {
        // a broker would bring it again at once
        await pause(AGAIN_MS, undefined, { signal }).catch(() => undefined);
        throw error;
      }
    },
  });
  consumption.ready.catch(onTrouble);
  return consumption;
}
