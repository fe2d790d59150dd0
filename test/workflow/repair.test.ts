import { Runtime } from '@temporalio/worker';
import { withRepair } from '../support/repair-workflow.js';
import { quietRuntime } from '../support/workflow-bundle.js';

beforeAll(() => quietRuntime());
afterAll(() => Runtime.instance().shutdown());

test('a repair makes so many calls a second, until none is left', async () => {
  await withRepair({ answers: [false, false, false, true], perSecond: 7 }, async ({ handle, calls }) => {
    await handle.result();
    expect(calls.map(({ limit }) => limit)).toEqual([7, 7, 7, 7]);
    // timers of Temporal are never early; the clock of another process may be a little off
    expect(calls[3]!.atMs - calls[0]!.atMs).toBeGreaterThan(2_900);
  });
});

test('a second that failed is tried again, for as long as it takes', async () => {
  const away = new Error('the ledger is away');
  await withRepair({ answers: [away, away, true], perSecond: 10 }, async ({ handle, calls }) => {
    await handle.result();
    expect(calls).toHaveLength(3);
  });
});
