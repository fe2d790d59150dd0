import { WorkflowNotFoundError, type Client } from '@temporalio/client';

/** How long Temporal is waited for, in ms. */
const RPC_TIMEOUT_MS = 5_000;

/** Asks Temporal for something, and gives up when it has not answered in 5 s. */
export function withDeadline<T>(client: Client, work: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + RPC_TIMEOUT_MS, work);
}

/** Tells a workflow something, in time. One that is gone needs not be told: whatever takes its place looks in the ledger. */
export async function tellUnlessGone(client: Client, say: () => Promise<void>): Promise<void> {
  try {
    await withDeadline(client, say);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
