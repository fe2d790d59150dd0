import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import type { Logger } from 'pino';
import type { OutboxStart } from '../saga/outbox.js';
import { withDeadline } from './deadline.js';
import { ensureRunning } from './ensure-running.js';

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

const TYPE = defineSearchAttributeKey('SettleSagaType', SearchAttributeType.KEYWORD);
const STATE = defineSearchAttributeKey('SettleState', SearchAttributeType.KEYWORD);
const BUSINESS_KEY = defineSearchAttributeKey('SettleBusinessKey', SearchAttributeType.KEYWORD);
const TENANT = defineSearchAttributeKey('SettleTenant', SearchAttributeType.KEYWORD);

/** Makes the starter of one process. */
export function createOutboxStarter({ client, taskQueue, logger }: OutboxStarterOptions): OutboxStarter {
  const start = async (
    message: OutboxStart,
    workflowIdReusePolicy: WorkflowStartOptions['workflowIdReusePolicy'],
  ): Promise<boolean> => {
    const { messageId, tenantId, type } = message;
    try {
      await withDeadline<unknown>(client, () =>
        client.workflow.start(WORKFLOW, {
          workflowId: messageId,
          taskQueue,
          args: [message],
          workflowIdReusePolicy,
          workflowIdConflictPolicy: 'FAIL',
          staticSummary: type,
          typedSearchAttributes: new TypedSearchAttributes([
            { key: TYPE, value: 'outbox' },
            { key: STATE, value: 'running' },
            { key: BUSINESS_KEY, value: type },
            { key: TENANT, value: tenantId },
          ]),
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
      throw error;
    }
  };
  return {
    ensureRunning: (message, isOpen) =>
      ensureRunning({
        ...{ client, workflowId: message.messageId, isOpen, logger },
        start: (reuse) => start(message, reuse),
      }),
  };
}
