import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from './obvious.js';
import type { Order } from './orders.js';

const { place, cancel, deduct, release, debit, finish } = proxyActivities<Activities>({ startToCloseTimeout: '10s' });

/** As the tutorials have it: one activity a step, with the default retries, and what was done is taken back in reverse. */
export async function placeOrder(order: Order): Promise<void> {
  const undos: ((order: Order) => Promise<void>)[] = [];
  try {
    await place(order);
    undos.unshift(cancel);
    await deduct(order);
    undos.unshift(release);
    await debit(order);
  } catch {
    for (const undo of undos) await undo(order);
    return;
  }
  await finish(order);
}
