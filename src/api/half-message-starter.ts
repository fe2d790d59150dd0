import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import type { Logger } from 'pino';
import type { DueHalfMessage } from '../db/half-messages.js';
import type { HalfMessageStart } from '../saga/half-message.js';
import { withDeadline } from './deadline.js';
import { ensureRunning } from './ensure-running.js';
import { createStartLine } from './start-line.js';

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

type ReusePolicy = NonNullable<WorkflowStartOptions['workflowIdReusePolicy']>;

/** The name that the workflow function is exported under. */
const WORKFLOW = 'halfMessage';

const TYPE = defineSearchAttributeKey('SettleSagaType', SearchAttributeType.KEYWORD);
const STATE = defineSearchAttributeKey('SettleState', SearchAttributeType.KEYWORD);
const BUSINESS_KEY = defineSearchAttributeKey('SettleBusinessKey', SearchAttributeType.KEYWORD);
const TENANT = defineSearchAttributeKey('SettleTenant', SearchAttributeType.KEYWORD);

/** Makes the starter of one process. */
export function createHalfMessageStarter(options: HalfMessageStarterOptions): HalfMessageStarter {
  const { client, logger } = options;
  const line = createStartLine((err) => logger.warn({ err }, 'half message not started; the ledger scan will'));
  return {
    stop: line.drain,
    tellSoon: (message) => {
      line.add(() => tell(options, message, 'REJECT_DUPLICATE'));
    },
    ensureRunning: (message, isOpen) =>
      ensureRunning({
        ...{ client, workflowId: message.messageId, isOpen, logger },
        start: (reuse) => tell(options, message, reuse),
      }),
  };
}

/** Starts a workflow, or signals the one that runs when there is something to say; false when it did neither. */
async function tell(
  { client, taskQueue }: HalfMessageStarterOptions,
  message: HalfMessageStart & { readonly isTold?: boolean },
  workflowIdReusePolicy: ReusePolicy,
): Promise<boolean> {
  const { messageId, tenantId, type, plan, preparedAtMs, verdict } = message;
  const start: HalfMessageStart = { messageId, tenantId, type, plan, preparedAtMs, verdict };
  const options = {
    workflowId: messageId,
    taskQueue,
    args: [start],
    workflowIdReusePolicy,
    staticSummary: type,
    typedSearchAttributes: new TypedSearchAttributes([
      { key: TYPE, value: 'half-message' },
      { key: STATE, value: 'running' },
      { key: BUSINESS_KEY, value: type },
      { key: TENANT, value: tenantId },
    ]),
  };
  try {
    await withDeadline<unknown>(client, () =>
      verdict && !message.isTold
        ? client.workflow.signalWithStart(WORKFLOW, { ...options, signal: 'verdict', signalArgs: [verdict] })
        : client.workflow.start(WORKFLOW, { ...options, workflowIdConflictPolicy: 'FAIL' }),
    );
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
