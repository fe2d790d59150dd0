import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { withDeadline } from './deadline.js';

/** What a workflow is found by in the Web UI. */
export interface Shown {
  readonly type: string;
  readonly tenantId: string;
  readonly businessKey?: string;
  /** The state that it shows until it tells its own. */
  readonly state?: string;
}

/** How a workflow is started that there is at most one of. */
export interface OnceOptions extends Pick<
  WorkflowStartOptions,
  'workflowId' | 'taskQueue' | 'workflowIdReusePolicy' | 'staticSummary' | 'staticDetails' | 'requestEagerStart'
> {
  readonly args: [object];
  readonly shown: Shown;
}

/** What is told to the workflow, whether it runs already or not. */
export interface Told {
  readonly signal: string;
  readonly signalArgs: [unknown];
}

const TYPE = defineSearchAttributeKey('SettleSagaType', SearchAttributeType.KEYWORD);
const STATE = defineSearchAttributeKey('SettleState', SearchAttributeType.KEYWORD);
const BUSINESS_KEY = defineSearchAttributeKey('SettleBusinessKey', SearchAttributeType.KEYWORD);
const TENANT = defineSearchAttributeKey('SettleTenant', SearchAttributeType.KEYWORD);

/**
 * Starts a workflow.
 *
 * @param workflow the name that its function is exported under
 * @returns false when there is one with its id: running or, with `REJECT_DUPLICATE`, closed
 * @throws when Temporal cannot be reached, or has not answered in time
 */
export function startOnce(client: Client, workflow: string, { shown, ...options }: OnceOptions): Promise<boolean> {
  const start = { ...options, typedSearchAttributes: attributesOf(shown), workflowIdConflictPolicy: 'FAIL' } as const;
  return unlessThere(client, () => client.workflow.start(workflow, start));
}

/** The same, but tells the one that runs, in one call. */
export function startOrTell(
  client: Client,
  workflow: string,
  { shown, ...options }: OnceOptions & Told,
): Promise<boolean> {
  const start = { ...options, typedSearchAttributes: attributesOf(shown) };
  return unlessThere(client, () => client.workflow.signalWithStart(workflow, start));
}

async function unlessThere(client: Client, starting: () => Promise<unknown>): Promise<boolean> {
  try {
    await withDeadline(client, starting);
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}

function attributesOf({ type, state, businessKey, tenantId }: Shown): TypedSearchAttributes {
  return new TypedSearchAttributes([
    { key: TYPE, value: type },
    ...(state === undefined ? [] : [{ key: STATE, value: state }]),
    ...(businessKey === undefined ? [] : [{ key: BUSINESS_KEY, value: businessKey }]),
    { key: TENANT, value: tenantId },
  ]);
}
