import { WorkflowNotFoundError, type Client, type WorkflowIdReusePolicy } from '@temporalio/client';
import type { Logger } from 'pino';
import type { AcceptedSaga } from '../db/saga-store.js';
import { startOf } from '../db/saga-store.js';
import type { Reason } from '../saga/errors.js';
import type { Operation, OperationAnswer } from '../saga/operator.js';
import { tellUnlessGone, withDeadline } from './deadline.js';
import { ensureRunning } from './ensure-running.js';
import { createStartLine } from './start-line.js';
import { startOnce } from './start-once.js';

/** What a workflow is started for. */
export type StartableSaga = Omit<AcceptedSaga, 'replayed'>;

/** Starts the workflows of sagas; uniqueness is the ledger's, so that starting one twice does no harm. */
export interface SagaStarter {
  /** Returns at once and never throws: what cannot be started now is left to the ledger scan. */
  startSoon(saga: StartableSaga): void;
  /**
   * Makes sure that an open saga has a workflow that runs, and can.
   *
   * @param isOpen asked before a workflow that has closed is started anew
   * @throws when Temporal cannot be reached
   */
  ensureRunning(saga: StartableSaga, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  /** Tells a running workflow to compensate. A workflow that is gone is the scan's matter. */
  signalCancel(sagaId: string, reason: Reason): Promise<void>;
  /** Tells a running workflow that the ledger has news for it. A workflow that is gone is the scan's matter. */
  signalNews(sagaId: string): Promise<void>;
  /**
   * Tells a workflow, of a saga or of a half message, what an operator has decided, and waits for its answer.
   *
   * @returns `gone` when there is no such workflow running
   * @throws when Temporal cannot be reached, or nobody answers in time
   */
  operate(workflowId: string, operation: Operation): Promise<OperationAnswer | 'gone'>;
  isReachable(): Promise<boolean>;
  /** Waits for the starts under way. */
  stop(): Promise<void>;
}

export interface StarterOptions {
  readonly client: Client;
  readonly taskQueue: string;
  /** The workflow function's name of a saga type. */
  readonly workflowOf: (sagaType: string) => string;
  /** Whether the client's connection is a worker's too: then that worker is handed the first workflow task at once. */
  readonly sharesConnection: boolean;
  readonly logger: Logger;
}

/** An operator waits for it; without a worker there is no answer. */
const ANSWER_TIMEOUT_MS = 3_000;

/** Makes the starter of one process. */
export function createSagaStarter(options: StarterOptions): SagaStarter {
  const { client } = options;
  const line = createStartLine((err) => options.logger.warn({ err }, 'saga not started; the ledger scan will'));
  return {
    startSoon: (saga) => {
      line.add(() => start(options, saga, 'REJECT_DUPLICATE'));
    },
    stop: line.drain,
    ensureRunning: (saga, isOpen) =>
      ensureRunning({
        ...{ client, workflowId: saga.id, isOpen, logger: options.logger },
        start: (reuse) => start(options, saga, reuse),
      }),
    signalCancel: (sagaId, reason) =>
      tellUnlessGone(client, () => client.workflow.getHandle(sagaId).signal('cancel', reason)),
    signalNews: (sagaId) => tellUnlessGone(client, () => client.workflow.getHandle(sagaId).signal('news')),
    operate: async (workflowId, operation) => {
      const handle = client.workflow.getHandle(workflowId);
      const args: [Operation] = [operation];
      try {
        return await client.withDeadline(Date.now() + ANSWER_TIMEOUT_MS, () =>
          handle.executeUpdate<OperationAnswer, [Operation]>('operate', { args, updateId: operation.actionId }),
        );
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return 'gone';
        throw error;
      }
    },
    isReachable: () =>
      withDeadline(client, () => client.workflowService.getSystemInfo({})).then(
        () => true,
        () => false,
      ),
  };
}

function start(
  { client, taskQueue, workflowOf, sharesConnection }: StarterOptions,
  saga: StartableSaga,
  workflowIdReusePolicy: WorkflowIdReusePolicy,
): Promise<boolean> {
  const { id: workflowId, type, businessKey, tenantId, parent } = saga;
  // a workflow task has Temporal's 10 s: with less the SDK cuts it in two before the healthy steps' time is over, and over brokers
  // messages would be sent again before their answers
  return startOnce(client, workflowOf(type), {
    ...{ workflowId, taskQueue, workflowIdReusePolicy, args: [startOf(saga)] },
    requestEagerStart: sharesConnection,
    staticSummary: businessKey,
    ...(parent && { staticDetails: `step '${parent.step}' of saga ${parent.sagaId}` }),
    shown: { type, businessKey, tenantId },
  });
}
