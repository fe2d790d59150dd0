import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { OutboxStart } from '../saga/outbox.js';
import { ensureRunning } from './ensure-running.js';
import { startOnce } from './start-once.js';

/** Starts the workflows of outbox messages; starting one twice does no harm. */
export interface OutboxStarter {
  /**
   * Makes sure that an open message has a running workflow.
   *
   * @param isOpen asked before a workflow that has closed is started anew
   * @throws when Temporal cannot be reached
   */
  ensureRunning(message: OutboxStart, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
}

export interface OutboxStarterOptions {
  readonly client: Client;
  readonly taskQueue: string;
  readonly logger: Logger;
}

/** The name that the workflow function is exported under. */
const WORKFLOW = 'outboxMessage';

/** Makes the starter of one process. */
export function createOutboxStarter({ client, taskQueue, logger }: OutboxStarterOptions): OutboxStarter {
  return {
    ensureRunning: (message, isOpen) => {
      const { messageId: workflowId, tenantId, type } = message;
      const start = {
        ...{ workflowId, taskQueue, args: [message] as [OutboxStart], staticSummary: type },
        shown: { type: 'outbox', state: 'running', businessKey: type, tenantId },
      };
      return ensureRunning({
        ...{ client, workflowId, isOpen, logger },
        start: (reuse) => startOnce(client, WORKFLOW, { ...start, workflowIdReusePolicy: reuse }),
      });
    },
  };
}
