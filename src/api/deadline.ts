import type { Client } from '@temporalio/client';

/** How long Temporal is waited for, in ms. */
const RPC_TIMEOUT_MS = 5_000;

/** Asks Temporal for something, and gives up when it has not answered in 5 s. */
export function withDeadline<T>(client: Client, work: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + RPC_TIMEOUT_MS, work);
}
