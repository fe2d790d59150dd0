import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import type { Logger } from 'pino';
import type { DueHalfMessage } from '../db/half-messages.js';
import type { HalfMessageStart } from '../saga/half-message.js';
import { tellUnlessGone, withDeadline } from './deadline.js';
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

/** The name that the workflow function is exported under. */
const WORKFLOW = 'halfMessage';
/** The signal that tells its verdict. */
const VERDICT = 'verdict';

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
      line.add(() => tell(options, message));
    },
    ensureRunning: async (message, isOpen) => {
      const { messageId: workflowId, verdict, isTold } = message;
      const result = await ensureRunning({
        ...{ client, workflowId, isOpen, logger },
        start: (workflowIdReusePolicy) => begin(options, message, { workflowIdReusePolicy }),
      });
      // one that was started just now has it from the start
      if (result === 'running' && verdict && !isTold)
        await tellUnlessGone(client, () => client.workflow.getHandle(workflowId).signal(VERDICT, verdict));
      return result;
    },
  };
}

type Reuse = Pick<WorkflowStartOptions, 'workflowIdReusePolicy'>;

/** Starts a workflow; false when there is one with its id already. */
function begin(
  { client, taskQueue }: HalfMessageStarterOptions,
  message: HalfMessageStart,
  reuse: Reuse,
): Promise<boolean> {
  const options = { ...optionsOf(taskQueue, message), ...reuse, workflowIdConflictPolicy: 'FAIL' } as const;
  return unlessThere(withDeadline(client, () => client.workflow.start(WORKFLOW, options)));
}

/** Starts a workflow or, where there is something to say, signals the one that runs: in one call. */
function tell(options: HalfMessageStarterOptions, message: HalfMessageStart): Promise<boolean> {
  const { client, taskQueue } = options;
  const { verdict } = message;
  const reuse = { workflowIdReusePolicy: 'REJECT_DUPLICATE' } as const;
  if (!verdict) return begin(options, message, reuse);
  const told = { ...optionsOf(taskQueue, message), ...reuse, signal: VERDICT, signalArgs: [verdict] };
  return unlessThere(withDeadline(client, () => client.workflow.signalWithStart(WORKFLOW, told)));
}

function optionsOf(taskQueue: string, message: HalfMessageStart): { args: [HalfMessageStart] } & WorkflowStartOptions {
  const { messageId, tenantId, type, plan, preparedAtMs, verdict } = message;
  return {
    workflowId: messageId,
    taskQueue,
    args: [{ messageId, tenantId, type, plan, preparedAtMs, verdict }],
    staticSummary: type,
    typedSearchAttributes: new TypedSearchAttributes([
      { key: TYPE, value: 'half-message' },
      { key: STATE, value: 'running' },
      { key: BUSINESS_KEY, value: type },
      { key: TENANT, value: tenantId },
    ]),
  };
}

async function unlessThere(starting: Promise<unknown>): Promise<boolean> {
  try {
    await starting;
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
