import type { Reply } from '../src/brokers/reply.js';
import type { Answer } from '../src/saga/outcome.js';
import { obtained, type Obtained } from './obtained.js';

/** What an answer is to. */
export interface Asked {
  readonly effectKey: string;
  readonly revision: number;
}

/** Somebody in this process who waits for an answer. */
export interface Expectation {
  /** What has come by now. */
  readonly early: Obtained | undefined;
  /** Waits for it; undefined: it has not come within so many ms. */
  answer(withinMs: number): Promise<Obtained | undefined>;
  /** Waits no longer. An answer that came and that nobody took comes again. */
  end(): void;
}

/**
 * Where answers that come by themselves find those who wait for them in this process. An answer that is handed over is theirs to
 * record; one that nobody takes is for whoever brings it.
 * ```
 * reply ─▶ somebody waits here ──▶ handed over, acknowledged once it is recorded
 *      └─▶ nobody does ─▶ recorded by the consumer ─▶ activity completed | the other processes told: hear
 * ```
 */
export interface ReplyDesk {
  /** Begins to wait: before the message is sent, or its answer could come first. */
  expect(asked: Asked): Expectation;
  /**
   * Hands an answer over.
   *
   * @returns undefined when nobody waits for it; else whether it has been recorded
   */
  hand(reply: Reply): Promise<boolean> | undefined;
  /** Takes what another worker has recorded to those who wait for it. */
  hear(asked: Asked, answer: Answer): void;
  /** What is waited for. */
  waiting(): readonly Asked[];
}

interface Waiting extends Asked {
  came?: Obtained;
  isTaken: boolean;
  wake?: () => void;
}

/** Makes the desk of one process. */
export function createReplyDesk(): ReplyDesk {
  const all = new Map<string, Set<Waiting>>();
  const find = ({ effectKey, revision }: Asked): Waiting | undefined =>
    [...(all.get(effectKey) ?? [])].find((each) => each.revision === revision && !each.came);
  const give = (waiting: Waiting, came: Obtained): void => {
    waiting.came = came;
    waiting.wake?.();
  };
  return {
    expect: ({ effectKey, revision }) => {
      const waiting: Waiting = { effectKey, revision, isTaken: false };
      const others = all.get(effectKey) ?? new Set();
      all.set(effectKey, others.add(waiting));
      return expectationOf(waiting, () => {
        others.delete(waiting);
        if (others.size === 0 && all.get(effectKey) === others) all.delete(effectKey);
      });
    },
    hand: (reply) => {
      const waiting = find(reply);
      if (!waiting) return undefined;
      return new Promise((resolve) => give(waiting, { answer: reply.outcome, onRecorded: resolve }));
    },
    hear: (asked, answer) => {
      for (let waiting = find(asked); waiting; waiting = find(asked)) give(waiting, obtained(answer));
    },
    waiting: () => [...all.values()].flatMap((each) => [...each].filter(({ came }) => !came)),
  };
}

function expectationOf(waiting: Waiting, forget: () => void): Expectation {
  const take = (): Obtained | undefined => {
    waiting.isTaken ||= waiting.came !== undefined;
    return waiting.came;
  };
  return {
    get early() {
      return take();
    },
    answer: async (withinMs) => {
      if (!waiting.came) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, withinMs);
          waiting.wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return take();
    },
    end: () => {
      forget();
      if (!waiting.isTaken) waiting.came?.onRecorded(false);
    },
  };
}
