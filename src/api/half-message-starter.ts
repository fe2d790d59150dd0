import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { DueHalfMessage } from '../db/half-messages.js';
import type { HalfMessageStart } from '../saga/half-message.js';
import { tellUnlessGone } from './deadline.js';
import { ensureRunning } from './ensure-running.js';
import { createStartLine } from './start-line.js';
import { startOnce, startOrTell, type OnceOptions } from './start-once.js';

/** Starts the workflows of half messages and tells them verdicts; the ledger is the truth, so that doing either twice does no harm. */
export interface HalfMessageStarter {
  /** Starts the workflow, and tells it the verdict if there is one. Returns at once: what fails is left to the ledger scan. */
  tellSoon(message: HalfMessageStart): void;
  /**
   * Makes sure that an open message has a running workflow, and that it knows the verdict if there is one.
   *
   * @param isOpen asked before a workflow that has closed is started anew
   * @throws when Temporal cannot be reached
   */
  ensureRunning(message: DueHalfMessage, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  /** Waits for the calls under way. */
  stop(): Promise<void>;
}

export interface HalfMessageStarterOptions {
  readonly client: Client;
  readonly taskQueue: string;
  readonly logger: Logger;
}

/** The name that the workflow function is exported under. */
const WORKFLOW = 'halfMessage';
/** The signal that tells its verdict. */
const VERDICT = 'verdict';

/** Makes the starter of one process. */
export function createHalfMessageStarter(options: HalfMessageStarterOptions): HalfMessageStarter {
  const { client, logger } = options;
  const line = createStartLine((err) => logger.warn({ err }, 'half message not started; the ledger scan will'));
  return {
    stop: line.drain,
    tellSoon: (message) => {
      line.add(() => tell(options, message));
    },
    ensureRunning: async (message, isOpen) => {
      const { messageId: workflowId, verdict, isTold } = message;
      const result = await ensureRunning({
        ...{ client, workflowId, isOpen, logger },
        start: (reuse) => startOnce(client, WORKFLOW, { ...startOf(options, message), workflowIdReusePolicy: reuse }),
      });
      // one that was started just now has it from the start
      if (result === 'running' && verdict && !isTold)
        await tellUnlessGone(client, () => client.workflow.getHandle(workflowId).signal(VERDICT, verdict));
      return result;
    },
  };
}

/** Starts a workflow or, where there is something to say, tells the one that runs. */
function tell(options: HalfMessageStarterOptions, message: HalfMessageStart): Promise<boolean> {
  const { client } = options;
  const { verdict } = message;
  const start = { ...startOf(options, message), workflowIdReusePolicy: 'REJECT_DUPLICATE' } as const;
  if (!verdict) return startOnce(client, WORKFLOW, start);
  return startOrTell(client, WORKFLOW, { ...start, signal: VERDICT, signalArgs: [verdict] });
}

function startOf({ taskQueue }: HalfMessageStarterOptions, message: HalfMessageStart): OnceOptions {
  const { messageId, tenantId, type, plan, preparedAtMs, verdict } = message;
  return {
    workflowId: messageId,
    taskQueue,
    args: [{ messageId, tenantId, type, plan, preparedAtMs, verdict }],
    staticSummary: type,
    shown: { type: 'half-message', state: 'running', businessKey: type, tenantId },
  };
}
