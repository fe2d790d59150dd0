import { claimOutbox, releaseOutbox, type OutboxMessage } from '../src/db/outbox.js';
import { returnUnattended } from '../src/db/outbox-work.js';
import { moveAfter, RELAY_RETRY } from '../src/saga/outbox.js';
import type { Routes } from '../src/transports/transport.js';
import { envelopeOf } from './message-envelope.js';
import { obtain, type Obtaining } from './obtain.js';
import { obtained, type Obtained } from './obtained.js';
import { createLanes, type Lanes } from './relay-lanes.js';
import { createLoop } from './relay-loop.js';
import { createRecorder } from './relay-recorder.js';

/**
 * What the relay is made of. Its pool is to plan once: its few statements name hundreds of keys each, and planning them anew costs
 * more than running them.
 */
export interface RelayOptions extends Pick<Obtaining, 'pool' | 'router' | 'desk'> {
  readonly routes: Routes;
  /** Calls `onWake` when a producer has committed. What it misses is found by the poll. */
  readonly listen: (onWake: () => void) => { stop(): Promise<void> };
  readonly logger: { warn(fields: object, message: string): void };
  /** Attempts under way at a time, for each message type. @default 64 */
  readonly concurrency?: number;
  /** How long a message that was claimed is left to its relay, in ms. @default 30000 */
  readonly leaseMs?: number;
  /** Between two looks when nobody has called, in ms. @default 1000 */
  readonly pollMs?: number;
}

export interface Relay {
  /** Claims nothing more, finishes the attempts under way and records them; what it has not begun it gives back. */
  stop(): Promise<void>;
}

const LEASE_MS = 30_000;
const POLL_MS = 1_000;
const CONCURRENCY = 64;
/** Between two looks for what was to have a workflow and is not looked after, and how many such messages one of them takes back. */
const TAKE_BACK_MS = 5_000;
const TAKE_BACK = 500;
/** The next in line behind an order key looks again by itself, should nobody wake it. */
const QUEUED_MS = 250;

/**
 * Delivers the outbox: each message type in a lane of its own, so that a participant that is away holds up no other.
 * Of one that does not answer no more is claimed than the message a second that it gets; the others stay due.
 * Runs beside Temporal, and so delivers while that is away.
 * ```
 * NOTIFY, or the poll ─▶ claim under a lease ─▶ lane ─▶ router ─▶ record: delivered | dead | again later | workflow
 * ```
 */
export function startRelay(options: RelayOptions): Relay {
  const { pool, router, routes, logger, leaseMs = LEASE_MS, concurrency = CONCURRENCY } = options;
  const ordered = Object.keys(routes).filter((type) => routes[type]!.ordered);
  const onError = (err: unknown): void => logger.warn({ err }, 'the relay cannot reach the outbox; it tries again');
  // what cannot be given back now is free when its lease is over
  const giveBack = (messages: readonly OutboxMessage[]): Promise<void> => releaseOutbox(pool, messages).catch(onError);
  const recorder = createRecorder({ pool, logger, onWoken: (inMs) => loop.wake(inMs) });
  const lanes: Lanes = createLanes({
    concurrency,
    mostOf: (type) => router.room(type),
    mayBegin: (type) => router.admit(type).held === undefined,
    send: async (message) => {
      const { answer, onRecorded } = await attempt(options, message);
      const { effectKey, attempts, ageMs } = message;
      const move = moveAfter({ attempt: attempts, ageMs, outcome: answer }, Math.random());
      recorder.add({ effectKey, attempt: attempts, move }, onRecorded);
    },
    giveBack: (messages) => void giveBack(messages),
    onRoom: () => loop.wake(),
  });
  let takesBackAtMs = 0;
  const look = async (): Promise<void> => {
    if (Date.now() >= takesBackAtMs) {
      takesBackAtMs = Date.now() + TAKE_BACK_MS;
      await returnUnattended(pool, TAKE_BACK);
    }
    const sendBefore = Date.now() + leaseMs - RELAY_RETRY.timeoutMs;
    const { room, otherwise } = lanes;
    const messages = await claimOutbox(pool, { room: room(), otherwise, ordered, leaseMs });
    if (messages.some(({ isQueued }) => isQueued)) loop.wake(QUEUED_MS);
    lanes.take(messages, sendBefore);
  };
  const loop = createLoop({ look, everyMs: options.pollMs ?? POLL_MS, onError });
  const listener = options.listen(() => loop.wake());
  return {
    stop: async () => {
      await Promise.all([lanes.stop(), listener.stop(), loop.stop()]);
      await recorder.stop();
      await giveBack(lanes.unsent());
    },
  };
}

async function attempt(options: RelayOptions, message: OutboxMessage): Promise<Obtained> {
  const { type } = message;
  // no wait brings a route: an operator adds it and sends the message again
  if (!Object.hasOwn(options.routes, type)) return obtained({ kind: 'rejected', reason: noRoute(type) });
  try {
    const envelope = envelopeOf('/settle/outbox', message);
    return await obtain(options, { envelope, timeoutMs: RELAY_RETRY.timeoutMs });
  } catch (error) {
    // no transport throws for the network's sake; whatever it is, the message may have got there
    return obtained({ kind: 'unknown', detail: (error as Error).message });
  }
}

function noRoute(type: string): { readonly code: string; readonly message: string } {
  return {
    code: 'no-route',
    message: `there is no route for type '${type}'; add one in SETTLE_ROUTES and send it again`,
  };
}
