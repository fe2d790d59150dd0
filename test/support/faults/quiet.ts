import type { Client } from '@temporalio/client';
import type pg from 'pg';
import type { Databases } from './collect.js';

/** What is to be quiet. */
export interface Quieting {
  readonly databases: Databases;
  readonly client: Client;
  /** Of the task queue. */
  readonly name: string;
  readonly isHasty: boolean;
}

/** How long a sound build may take to settle what is left over, and how long a bug is given to show, on a machine of any speed. */
const SETTLE_MS = { patient: 200_000, hasty: 24_000 };
/** How long a workflow may take to close after its saga: a worker that dies in between costs two timeouts of Temporal's. */
const CLOSE_MS = { patient: 120_000, hasty: 40_000 };

/** Waits until every saga has settled, or is parked as planned, and Temporal knows it too; gives up when there has been time for it. */
export async function untilQuiet(
  { databases, client, name, isHasty }: Quieting,
  { parked = 0 }: { readonly parked?: number } = {},
): Promise<void> {
  const pace = isHasty ? 'hasty' : 'patient';
  const hasSettled = await patiently(SETTLE_MS[pace], async () => {
    const { open, waiting } = await countOpen(databases.settle);
    return open === parked && waiting === parked;
  });
  if (!hasSettled) return;
  const query = `TaskQueue = '${name}' and ExecutionStatus = 'Running' and WorkflowType != 'ledgerScan'`;
  await patiently(CLOSE_MS[pace], async () => (await client.workflow.count(query)).count === parked);
}

/** Looks again and again; what is not so by then is the checker's to report, with its rows. */
async function patiently(timeoutMs: number, look: () => Promise<boolean>): Promise<boolean> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    // a server that has just been killed does not answer yet
    if (await look().catch(() => false)) return true;
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function countOpen(pool: pg.Pool): Promise<{ open: number; waiting: number }> {
  const { rows } = await pool.query<{ open: number; waiting: number }>(
    `select count(*) filter (where finished_at is null)::int as open, count(*) filter (where state = 'parked')::int as waiting
       from settle.saga`,
  );
  return rows[0]!;
}
