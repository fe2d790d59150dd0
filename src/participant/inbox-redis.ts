import { randomUUID } from 'node:crypto';
import type { RedisCommands } from '../brokers/redis-connection.js';
import { runScript, type RedisScript } from '../brokers/redis-script.js';
import { RejectedError, RetryableError, type Reason } from '../saga/errors.js';
import { days, DEFAULT_WINDOWS, isBeyondWindow } from '../saga/windows.js';
import { BEGIN, EXTEND, FINISH } from './inbox-redis-scripts.js';
import type { InboxAnswer } from './inbox.js';
import { requestHash } from './json.js';
import type { Message } from './message.js';

/**
 * The record of what one consumer has applied, in Redis.
 *
 * Weaker than {@link Inbox}, because work and record do not commit together: never the only guard of money. Work runs at most once
 * only as long as nothing dies. It runs again when
 * - the process is killed, or Redis cannot be reached, after the work and before its result is recorded: once its turn is over;
 * - Redis loses the record: flushed, evicted, or ended before it had written it (`appendonly yes`, `appendfsync always` and
 *   `maxmemory-policy noeviction` leave that to broken disks);
 * - the process was paused for longer than its turn, and another took it.
 *
 * So the work itself must bear a repetition. What is never known to be undone is undone: an `undo` also runs when its `do` began and
 * nobody can say how it ended.
 */
export interface RedisInbox {
  readonly consumer: string;
  /**
   * Runs `work` and keeps its result; a repetition gets what is kept.
   *
   * - `work` throws {@link RejectedError}: it must have changed nothing; the rejection is kept.
   * - `work` throws anything else: so does `apply`; the message is to be sent again, and then the work runs again.
   *
   * @throws RetryableError when another delivery of it is under way, or Redis cannot be asked: the outcome is unknown
   */
  apply(message: Message, work: () => Promise<unknown>): Promise<InboxAnswer>;
}

/** Which inbox, and how long things last. */
export interface RedisInboxOptions {
  readonly consumer: string;
  /** Its owner opens and closes it; a client of `@redis/client` will do. */
  readonly redis: RedisCommands;
  /** In front of every key. @default 'settle' */
  readonly prefix?: string;
  /** How long it remembers, in ms. @default 30 days */
  readonly windowMs?: number;
  /** How long a turn outlives the process that has it, in ms; while that runs, it is extended. @default 10000 */
  readonly turnMs?: number;
}

/** Kept beyond the window, as in the other inbox: the clocks need not agree. */
const SLACK_MS = 86_400_000;
const MAX_RETRY_AFTER_MS = 1_000;

/** What the steps of one delivery share. */
interface Delivery {
  readonly message: Message;
  readonly hash: string;
  readonly turn: string;
  run(script: RedisScript, ...args: readonly (string | number)[]): Promise<unknown>;
}

/**
 * The inbox of one consumer; see what {@link RedisInbox} does not promise.
 *
 * @example
 * const inbox = createRedisInbox({ consumer: 'mailer', redis });
 * await inbox.apply(message, () => sendMail(message.payload));
 */
export function createRedisInbox(options: RedisInboxOptions): RedisInbox {
  const { consumer, redis, prefix = 'settle', windowMs = DEFAULT_WINDOWS.inboxMs, turnMs = 10_000 } = options;
  const keepMs = windowMs + SLACK_MS;

  const begin = async (delivery: Delivery): Promise<InboxAnswer | undefined> => {
    const { message, hash, turn, run } = delivery;
    const isTooOld = isBeyondWindow(message.effectKey, Date.now(), windowMs) && !message.mayRepeat;
    const args = [message.effect.action, message.revision, hash, turn, turnMs, keepMs, isTooOld ? 1 : 0];
    return answerOf((await run(BEGIN, ...args)) as Begun, { message, windowMs });
  };
  const finish = async (delivery: Delivery, status: 'applied' | 'rejected', value: unknown): Promise<InboxAnswer> => {
    const { message, turn, run } = delivery;
    const text = JSON.stringify(value ?? null);
    if ((await run(FINISH, turn, message.revision, status, text, keepMs)) !== 1) {
      // another turn began meanwhile, or the record is gone: whatever stands there then is the answer
      const why = `'${message.effectKey}' was taken over while it was worked on; send it again`;
      throw new RetryableError(why, MAX_RETRY_AFTER_MS);
    }
    const kept: unknown = JSON.parse(text);
    return status === 'applied'
      ? { kind: 'applied', via: 'work', result: kept }
      : { kind: 'rejected', via: 'work', reason: kept as Reason };
  };
  return {
    consumer,
    apply: async (message, work) => {
      const { sagaId, step, action } = message.effect;
      // both actions of a step in one slot: one script sees both
      const keyOf = (which: string): string => `${prefix}:{${sagaId}/${step}}:${consumer}:${which}`;
      const keys = [keyOf(action), keyOf('do')];
      const delivery: Delivery = {
        message,
        hash: requestHash(message.type, message.payload),
        turn: randomUUID(),
        run: (script, ...args) => ask(redis, script, { keys, args: args.map(String) }),
      };
      const recorded = await begin(delivery);
      if (recorded) return recorded;
      const stopExtending = keepTurn(delivery, turnMs);
      const outcome = await settle(work).finally(stopExtending);
      if ('reason' in outcome) return finish(delivery, 'rejected', outcome.reason);
      if (!('error' in outcome)) return finish(delivery, 'applied', outcome.result);
      // its next delivery need not wait for the turn's end; where this cannot be said, it waits
      await delivery.run(EXTEND, delivery.turn, 0).catch(() => undefined);
      throw outcome.error;
    },
  };
}

type Begun = readonly [word: string, value?: string | number];

/** Undefined when the work is to run. */
function answerOf([word, value]: Begun, about: { message: Message; windowMs: number }): InboxAnswer | undefined {
  const { message, windowMs } = about;
  const key = message.effectKey;
  const refused = (via: 'tombstone' | 'effect-key-reused' | 'beyond-window', text: string): InboxAnswer => {
    return { kind: 'refused', via, reason: { code: via, message: text } };
  };
  switch (word) {
    case 'begun':
      return undefined;
    case 'applied':
      return { kind: 'applied', via: 'record', result: JSON.parse(String(value)) };
    case 'rejected':
      return { kind: 'rejected', via: 'record', reason: JSON.parse(String(value)) as Reason };
    case 'nothing-to-undo':
      return { kind: 'applied', via: 'nothing-to-undo', result: null };
    case 'tombstone':
      return refused('tombstone', `'${key}' was undone before it was done; it will not be done any more`);
    case 'effect-key-reused':
      return refused('effect-key-reused', `'${key}' stands for another request; nothing was changed`);
    case 'beyond-window':
      return refused('beyond-window', `'${key}' is older than the ${days(windowMs)} that are remembered`);
    default:
      throw new RetryableError(`'${key}' is in progress; send it again`, Math.min(Number(value), MAX_RETRY_AFTER_MS));
  }
}

type Outcome = { readonly result: unknown } | { readonly reason: Reason } | { readonly error: unknown };

async function settle(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { result: await work() };
  } catch (error) {
    return error instanceof RejectedError ? { reason: { code: error.code, message: error.message } } : { error };
  }
}

/** Extends the turn until it is told to stop: slow work is not dead. */
function keepTurn({ turn, run }: Delivery, turnMs: number): () => void {
  const timer = setInterval(() => {
    // where Redis is away the turn ends, and finishing tells
    run(EXTEND, turn, turnMs).catch(() => undefined);
  }, turnMs / 3);
  return () => clearInterval(timer);
}

async function ask(
  redis: RedisCommands,
  script: RedisScript,
  call: { readonly keys: readonly string[]; readonly args: readonly string[] },
): Promise<unknown> {
  try {
    return await runScript((args) => redis.sendCommand(args), script, call);
  } catch (cause) {
    const why = `Redis cannot be asked about '${call.keys[0]}' (${(cause as Error).message}); send the message again`;
    throw new RetryableError(why, MAX_RETRY_AFTER_MS, { cause });
  }
}
