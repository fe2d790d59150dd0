import { log } from '@temporalio/activity';
import { parkHalfMessage, type CheckRate } from '../src/db/half-message-work.js';
import type { Reason } from '../src/saga/errors.js';
import type { Verdict } from '../src/saga/half-message.js';
import type { CheckBackClient } from '../src/transports/check-back.js';
import { createCheckBack } from './check-back.js';
import { createDeliver } from './deliver.js';
import type { Obtaining } from './obtain.js';

/** A check's outcome: a verdict that stands in the ledger, or none yet. */
export interface CheckOutcome {
  readonly verdict: Verdict | null;
  /** Whether the producer answered; only then the check counts. */
  readonly isAnswered: boolean;
}

/** Everything that the workflow of a half message does to the world. Each is idempotent. */
export interface HalfMessageActivities {
  /** Asks the producer what became of its transaction, when it is this message's turn; records a verdict if it has one. */
  checkBack(args: { readonly messageId: string; readonly timeoutMs: number }): Promise<CheckOutcome>;
  /** Sends a confirmed message to its participant and records the answer. */
  deliver(args: {
    readonly messageId: string;
    readonly timeoutMs?: number;
    /** How long a broker's answer to one sending is waited for before it is sent again, in ms. @default timeoutMs */
    readonly patienceMs?: number;
  }): Promise<unknown>;
  /** Parks it and raises the alarm; answers with the verdict in the ledger, which may have come meanwhile. */
  parkMessage(args: {
    readonly messageId: string;
    readonly reason: Reason;
    readonly verdict: Verdict | null;
  }): Promise<Verdict | null>;
}

/** What the activities are made of. */
export interface HalfMessageDependencies extends Obtaining {
  readonly checkBackClient: CheckBackClient;
  /** @default 50 a second for each producer's host, 50 at once */
  readonly checkRate?: CheckRate;
}

/** Makes the activities; the worker registers them. */
export function createHalfMessageActivities(dependencies: HalfMessageDependencies): HalfMessageActivities {
  return {
    checkBack: createCheckBack(dependencies),
    deliver: createDeliver(dependencies),
    parkMessage: async ({ messageId, reason, verdict }) => {
      const standing = await parkHalfMessage(dependencies.pool, messageId, { reason, verdict });
      if (standing === verdict) log.error('half message parked: it waits for a person', { messageId, reason });
      return standing;
    },
  };
}
