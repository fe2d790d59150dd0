import { randomUUID } from 'node:crypto';
import { eventually } from '../eventually.js';
import type { Expectations } from './evidence.js';
import type { Scenario } from './load.js';
import type { Run } from './run.js';
import type { Supervised } from './supervisor.js';

/** Brings a run into the situation in which a bug would show; returns what is to be expected of it. */
export type Provocation = (run: Run) => Promise<Expectations>;

async function rest(run: Run, expected: Expectations = {}): Promise<Expectations> {
  await run.untilQuiet({ parked: expected.parked });
  return expected;
}

/**
 * Waits for rows, e.g. of an effect that a participant has applied.
 *
 * @param least @default 1
 */
export async function untilRows(run: Run, database: keyof Run['databases'], sql: string, least = 1): Promise<void> {
  await eventually(async () => {
    const { rowCount } = await run.databases[database].query(sql);
    if (rowCount! < least) throw new Error(`${rowCount} of ${least} rows: ${sql}`);
  });
}

const untilState = (run: Run, state: string): Promise<void> =>
  untilRows(run, 'settle', `select from settle.saga where state = '${state}'`);

/** Waits until a participant has applied an effect. */
export function untilApplied(run: Run, database: 'inventory' | 'accounts', action = 'do'): Promise<void> {
  return untilRows(run, database, `select from journal.effect where action = '${action}'`);
}

/** Some orders, and nothing goes wrong but what is in their nature. */
export function ordersOf(...scenarios: Scenario[]): Provocation {
  return async (run) => {
    await run.start('all');
    await run.load({ seed: 1, orders: scenarios.length, scenarios }).accepted;
    return rest(run);
  };
}

/** The payment is taken and its answer is lost; then the order is cancelled. */
export const cancelWithLostAnswer: Provocation = async (run) => {
  await run.start('all');
  run.edges.accounts.set({ kind: 'one-way' });
  const sagaId = await run.order('completes');
  await untilApplied(run, 'accounts');
  await run.cancel(sagaId);
  await untilState(run, 'compensating');
  run.edges.accounts.set({ kind: 'pass' });
  run.supervisor.note('lost answers', proofOf(run.edges.accounts.counters.lostAnswers, 'answers lost'));
  return rest(run);
};

/** Answers are lost for a while, so that the same message is delivered again and again. */
export const repeatDeliveries: Provocation = async (run) => {
  await run.start('all');
  run.edges.accounts.set({ kind: 'one-way' });
  const accepted = run.load({ seed: 2, orders: 3, scenarios: ['completes'] }).accepted;
  await eventually(() => {
    if (run.edges.accounts.counters.lostAnswers < 4) throw new Error('too few answers lost');
  });
  run.edges.accounts.set({ kind: 'pass' });
  await accepted;
  const expected = await rest(run, { duplicates: true });
  run.supervisor.note('duplicate', proofOf(await run.countRepeated(), 'duplicates refused'));
  return expected;
};

/** The undo of the stock is refused: the saga parks, and goes on when an operator says so. */
export const refuseUndo: Provocation = async (run) => {
  await run.start('all');
  run.edges.accounts.set({ kind: 'reset' });
  const sagaId = await run.order('completes');
  await untilApplied(run, 'inventory');
  run.edges.inventory.set({ kind: 'refuse' });
  await run.cancel(sagaId);
  await untilState(run, 'compensating');
  run.edges.accounts.set({ kind: 'pass' });
  await run.untilQuiet({ parked: 1 });
  run.edges.inventory.set({ kind: 'pass' });
  run.supervisor.note('refused undo', proofOf(run.edges.inventory.counters.refused, 'requests refused'));
  // a saga that has not parked has nothing to retry: the checker will say what it did instead
  await fetch(`${run.apiUrl}/v1/sagas/${sagaId}/actions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      actionId: randomUUID(),
      action: 'retry',
      actor: 'ann',
      reason: 'the warehouse takes it back now',
    }),
  });
  return rest(run);
};

/** The payment's `do` is held up on its way until its `undo` has been answered. */
export const deliverLate: Provocation = async (run) => {
  await run.start('all');
  const { accounts } = run.edges;
  accounts.set({ kind: 'hold' });
  const sagaId = await run.order('completes');
  await eventually(() => {
    if (accounts.counters.held === 0) throw new Error('nothing held');
  });
  await run.cancel(sagaId);
  await untilState(run, 'compensating');
  accounts.set({ kind: 'pass' });
  await run.untilQuiet();
  const { bytesDown } = accounts.counters;
  accounts.release();
  await eventually(() => {
    if (accounts.counters.bytesDown === bytesDown) throw new Error('the late request has no answer yet');
  });
  run.supervisor.note('late request', proofOf(accounts.counters.held, 'requests delivered late'));
  return rest(run);
};

/** Has an attempt that hangs go on, and gives it time for what it must not do, which takes a moment. */
export async function wake({ pid }: Supervised): Promise<void> {
  process.kill(pid, 'SIGUSR2');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
}

/**
 * The worker's first attempt at the payment hangs before it asks the ledger; the later ones fail there, so that the ledger
 * knows of none. Meanwhile the order is cancelled and compensated.
 */
export const wakeUpLate: Provocation = async (run) => {
  const point = 'dispatch-before-claim@payment';
  const stalling = await run.start('all', { STALL: `${point}:1:told`, FAIL: `${point}:2` });
  const sagaId = await run.order('completes');
  await untilApplied(run, 'inventory');
  await run.cancel(sagaId);
  await run.untilQuiet();
  await wake(stalling);
  return rest(run);
};

/** The process dies between the acceptance of an order and the start of its workflow. */
export const dieBeforeStart: Provocation = async (run) => {
  const doomed = await run.start('all', { CRASH: 'api-after-insert:1' });
  const { accepted } = run.load({ seed: 3, orders: 2, scenarios: ['completes'] });
  await run.supervisor.awaitCrash(doomed, 'api-after-insert');
  await run.start('all');
  await accepted;
  return rest(run);
};

/** The worker dies with steps done that it has not reported to Temporal; before another takes over, the order is cancelled. */
export const cancelAfterCrash: Provocation = async (run) => {
  await Promise.all([run.start('participants'), run.start('api')]);
  const doomed = await run.start('worker', { CRASH: 'between-steps@payment:1' });
  const sagaId = await run.order('completes');
  await run.supervisor.awaitCrash(doomed, 'between-steps@payment');
  await run.cancel(sagaId);
  await run.start('worker');
  return rest(run);
};

/** An undo takes its time. */
export const undoSlowly: Provocation = async (run) => {
  await run.start('all', { STALL: 'undo-before-send@stock:1:1000' });
  await run.order('no-money');
  await untilApplied(run, 'inventory', 'undo');
  return rest(run);
};

function proofOf(count: number, what: string): string | undefined {
  return count > 0 ? `${count} ${what}` : undefined;
}
