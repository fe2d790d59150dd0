import { Runtime } from '@temporalio/worker';
import { beginnings, withRepair } from '../support/repair-workflow.js';
import { quietRuntime } from '../support/workflow-bundle.js';

beforeAll(() => quietRuntime());
afterAll(() => Runtime.instance().shutdown());

test('a repair makes so many calls a second, until none is left', async () => {
  await withRepair({ answers: [false, false, false, true], perSecond: 7 }, async ({ handle, calls }) => {
    await handle.result();
    expect(calls.map(({ limit }) => limit)).toEqual([7, 7, 7, 7]);
    const begun = await beginnings(handle);
    expect(begun).toHaveLength(4);
    for (let n = 1; n < 4; n += 1) expect(begun[n]! - begun[n - 1]!).toBeGreaterThan(995);
  });
});

test('a second that failed is tried again, for as long as it takes', async () => {
  const away = new Error('the ledger is away');
  await withRepair({ answers: [away, away, true], perSecond: 10 }, async ({ handle, calls }) => {
    await handle.result();
    expect(calls).toHaveLength(3);
  });
});
