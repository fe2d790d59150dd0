import { setTimeout as delay } from 'node:timers/promises';
import { BrokerError } from './broker.js';
import type { Deliveries } from './redis-deliveries.js';
import type { Entry } from './redis-entry.js';
import type { GroupConsumer } from './redis-group.js';
import type { Lease } from './redis-lease.js';

/** What the rounds of one subscription work with. */
export interface RoundsOptions {
  readonly consumer: GroupConsumer;
  readonly deliveries: Deliveries;
  /** Of an ordered subscription. */
  readonly lease?: Lease;
  /** Of a consumer that has said nothing for so long, others take over what it was given; in ms. */
  readonly idleMs: number;
  /** Nothing new may be taken any more. */
  readonly stopping: AbortSignal;
  readonly onTrouble: (error: Error) => void;
}

/** The rounds of one subscription. */
export interface Rounds {
  /** Resolves once the group is there, rejects when it is stopped before. */
  readonly ready: Promise<void>;
  /** Resolves once nothing is taken any more; never rejects. */
  readonly ended: Promise<void>;
}

/** What is known from one round to the next. */
interface Knowledge {
  /** Entries may be this consumer's to handle without its holding them: an answer was lost, or another had them before. */
  mustRecover: boolean;
  /** When to look for what others have left. */
  claimAt: number;
  /** When to remove what nobody needs. */
  tidyAt: number;
}

const BLOCK_MS = 1_000;
const CLAIM_MS = 1_000;
/** As long as there was more to claim than room for it. */
const CLAIM_MORE_MS = 100;
const LEASE_POLL_MS = 250;
const TIDY_MS = 30_000;
const GONE_MS = 60_000;
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;

/** Takes entries round after round, until it is stopped; what goes wrong in one is told, and the next goes on. */
export function startRounds(options: RoundsOptions): Rounds {
  const { consumer, lease, stopping, onTrouble } = options;
  const knowledge: Knowledge = { mustRecover: false, claimAt: 0, tidyAt: performance.now() + TIDY_MS * Math.random() };
  const round = lease ? orderedRound(options, lease) : unorderedRound(options);
  let begin!: () => void;
  let giveUp!: (error: Error) => void;
  const ready = new Promise<void>((resolve, reject) => ([begin, giveUp] = [resolve, reject]));
  // whoever does not ask need not hear that it was stopped before
  ready.catch(() => undefined);

  const run = async (): Promise<void> => {
    let isMember = false;
    for (let failures = 0; !stopping.aborted;) {
      try {
        if (!isMember) await consumer.join();
        isMember = true;
        begin();
        await round(knowledge);
        await tidy(options, knowledge);
        failures = 0;
      } catch (cause) {
        knowledge.mustRecover = true;
        // everything was flushed, or an older file read: the group is made anew
        if (/^(NOGROUP|UNBLOCKED)/.test((cause as Error).message)) isMember = false;
        if (!stopping.aborted) onTrouble(cause as Error);
        await pause(Math.min(FIRST_BACKOFF_MS * 2 ** failures++, MAX_BACKOFF_MS), stopping);
      }
    }
    giveUp(new BrokerError('unavailable', 'the subscription was stopped before Redis could be reached'));
  };
  return { ready, ended: run() };
}

function unorderedRound({
  consumer,
  deliveries,
  idleMs,
  stopping,
}: RoundsOptions): (knowledge: Knowledge) => Promise<void> {
  const give = (entries: readonly Entry[]): Promise<void> => giveOut({ consumer, deliveries, stopping }, entries);
  return async (knowledge) => {
    await deliveries.untilRoom();
    if (stopping.aborted) return;
    const query = { count: deliveries.room(), held: deliveries.held(), idleMs };
    if (knowledge.mustRecover) {
      const entries = await consumer.claim({ ...query, isOwn: true });
      knowledge.mustRecover = entries.length === query.count;
      return give(entries);
    }
    if (performance.now() >= knowledge.claimAt) {
      const entries = await consumer.claim(query);
      knowledge.claimAt = performance.now() + (entries.length === query.count ? CLAIM_MORE_MS : CLAIM_MS);
      if (entries.length > 0) return give(entries);
    }
    const blockMs = Math.min(BLOCK_MS, Math.max(1, Math.ceil(knowledge.claimAt - performance.now())));
    return give(await consumer.read(query.count, blockMs));
  };
}

function orderedRound(options: RoundsOptions, lease: Lease): (knowledge: Knowledge) => Promise<void> {
  const { consumer, deliveries, stopping } = options;
  return async (knowledge) => {
    if (!lease.isHeld()) {
      // what has not begun is somebody else's now, or is found pending once the lease is back
      deliveries.halt();
      if (!(await lease.take())) return pause(LEASE_POLL_MS, stopping);
      if (stopping.aborted) return;
      deliveries.resume();
      knowledge.mustRecover = true;
    }
    await deliveries.untilRoom();
    if (stopping.aborted || !lease.isHeld()) return;
    const isPending = knowledge.mustRecover;
    const count = deliveries.room();
    const taken = await consumer.takeInOrder({ count, held: deliveries.held(), isPending });
    if (!taken) return lease.lose();
    if (isPending) knowledge.mustRecover = taken.entries.length === count;
    await giveOut(options, taken.entries);
    if (taken.entries.length === 0 && !isPending) await consumer.untilBehind(taken.place, BLOCK_MS);
  };
}

async function giveOut(
  { consumer, deliveries, stopping }: Pick<RoundsOptions, 'consumer' | 'deliveries' | 'stopping'>,
  entries: readonly Entry[],
): Promise<void> {
  if (!stopping.aborted) return deliveries.take(entries);
  // they came while it was being stopped
  const entryIds = entries.map(({ entryId }) => entryId);
  if (entryIds.length > 0) await consumer.giveBack(entryIds, false);
}

async function tidy({ consumer, onTrouble }: RoundsOptions, knowledge: Knowledge): Promise<void> {
  if (performance.now() < knowledge.tidyAt) return;
  knowledge.tidyAt = performance.now() + TIDY_MS;
  await consumer.tidy(GONE_MS).catch(onTrouble);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
