import type { Client, WorkflowIdReusePolicy } from '@temporalio/client';
import type { Logger } from 'pino';
import { withDeadline } from './deadline.js';

/** A workflow that is to run for as long as the ledger says that what it drives is open. */
export interface Needed {
  readonly client: Client;
  readonly workflowId: string;
  /** Starts it; false when there is one with its id, running or, with `REJECT_DUPLICATE`, closed. */
  readonly start: (reuse: Extract<WorkflowIdReusePolicy, 'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE'>) => Promise<boolean>;
  /** Asked before another takes the place of one that has closed or cannot go on. */
  readonly isOpen: () => Promise<boolean>;
  readonly logger: Logger;
}

/**
 * A workflow whose task has come to this attempt makes room for another. Most often its code throws, or its history does not replay and
 * nobody could end it at the first attempt (see `workflowFailureErrorTypes` in worker.ts): then no further attempt helps. Where workers or
 * Temporal have been too slow one would have; then the ledger is driven once more for nothing, and nothing is done twice. It begins after
 * seven minutes, as Temporal gives the first three attempts 10 s each and every later one more (`getStartToCloseTimeout` of its
 * workflow_task_state_machine.go). The fifth, after 45 s, would be too soon: workers that are killed again and again come to that.
 */
const HOPELESS_ATTEMPT = 10;

/**
 * Makes sure that a workflow runs, and that it can: all that it knows is in the ledger, from which another goes on.
 *
 * @throws when Temporal cannot be reached
 */
export async function ensureRunning(needed: Needed): Promise<'started' | 'running' | 'settled'> {
  const { client, workflowId, start, isOpen, logger } = needed;
  if (await start('REJECT_DUPLICATE')) return 'started';
  const { status, runId, raw } = await withDeadline(client, () => client.workflow.getHandle(workflowId).describe());
  const isRunning = status.name === 'RUNNING';
  const attempt = raw.pendingWorkflowTask?.attempt ?? 0;
  if (isRunning && attempt < HOPELESS_ATTEMPT) return 'running';
  if (!(await isOpen())) return 'settled';
  logger.warn(
    { workflowId, runId, status: status.name, attempt },
    'a workflow cannot go on; another starts from the ledger',
  );
  if (isRunning)
    await withDeadline(client, () =>
      client.workflow.getHandle(workflowId, runId).terminate(`its task has come to attempt ${attempt}`),
    );
  await start('ALLOW_DUPLICATE');
  return 'started';
}
