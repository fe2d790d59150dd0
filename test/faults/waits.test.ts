import { randomUUID } from 'node:crypto';
import type { SagaView } from '../../src/api/schemas.js';
import { eventually } from '../support/eventually.js';
import { useFaults } from '../support/faults/fixture.js';
import { startSystem } from '../support/faults/system.js';
import { openOffice, type Office } from '../support/office.js';

const faults = useFaults();

const LINES = { currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 400 }] };

const approved = async (office: Office): Promise<string> =>
  (await office.order({ ...LINES, customerId: 'c-1', needsApproval: true })).body.sagaId;
const first = async (office: Office): Promise<string> => {
  const userName = `user-${randomUUID().slice(0, 8)}`;
  const registration = { userName, email: `${userName}@example.org` };
  return (await office.order({ ...LINES, registration })).body.sagaId;
};
const untilWaiting = (office: Office, sagaId: string, kind: string): Promise<SagaView> =>
  eventually(
    async () => {
      const saga = await office.saga(sagaId);
      expect(saga.waitingFor?.kind).toBe(kind);
      return saga;
    },
    { timeoutMs: 60_000 },
  );

test('promise 7: with the store of Temporal lost, sagas that wait for events and for each other go on from the ledger', async () => {
  await faults.withRun(async (run) => {
    const system = await startSystem(run, faults.servers);
    const office = openOffice(run.apiUrl);
    const [early, late, cancelled] = [await approved(office), await approved(office), await approved(office)];
    for (const sagaId of [early, late, cancelled]) await untilWaiting(office, sagaId, 'event');
    // of one order the registration is held, as there is no stock to be had; of another it cannot be finished
    run.edges.inventory.set({ kind: 'reset' });
    const held = await first(office);
    await eventually(async () => {
      const { child } = (await office.saga(held)).steps[0]!;
      expect(await office.saga(child!)).toMatchObject({ state: 'held', waitingFor: { kind: 'parent' } });
    });
    run.edges.accounts.set({ kind: 'reset' });
    const registering = await first(office);
    await untilWaiting(office, registering, 'child');
    await system.killServer('temporal');
    const approval = { approvedBy: 'ann', account: 'c-2' };
    expect((await office.send(early, 'order-approved', approval)).status).toBe(202);
    expect((await office.cancel(cancelled)).status).toBe(202);
    await faults.servers.temporal.restart({ isEmpty: true });
    for (const edge of [run.edges.inventory, run.edges.accounts]) edge.set({ kind: 'pass' });
    expect((await office.send(late, 'order-approved', approval)).status).toBe(202);
    for (const sagaId of [early, late]) expect(await office.settled(sagaId)).toMatchObject({ state: 'completed' });
    expect(await office.settled(cancelled)).toMatchObject({ state: 'compensated', reason: { code: 'cancelled' } });
    for (const sagaId of [held, registering]) {
      const saga = await office.settled(sagaId);
      expect(saga).toMatchObject({ state: 'completed' });
      expect(await office.settled(saga.steps[0]!.child!)).toMatchObject({ state: 'completed' });
    }
    const { rows } = await run.databases.accounts.query(
      `select effect_key from accounts.entry where amount > 0 group by 1 having count(*) > 1`,
    );
    expect(rows).toEqual([]);
  });
});
