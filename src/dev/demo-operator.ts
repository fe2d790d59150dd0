import type { DemoClient } from './demo-client.js';
import type { Gate } from './demo-gate.js';
import type { ScenarioEnd, Show } from './demo-scenarios.js';

/** An operator finds a parked saga, sees what may be done, has its cause mended and tries it again. */
export async function repairParkedSaga(client: DemoClient, show: Show, gate: Gate): Promise<ScenarioEnd> {
  gate.isShut = true;
  const sagaId = await client.place({ customerId: 'c-poor', sku: 'book', quantity: 1 });
  const parked = await client.waitFor(sagaId, ({ state }) => state === 'parked');
  show('An order that can neither go on nor be taken back: parked, until a person decides', [parked]);
  const { items } = await client.parked(sagaId);
  gate.isShut = false;
  await client.act(sagaId, { action: 'retry', actor: 'ann', reason: 'the warehouse is open again' });
  const repaired = await client.waitFor(sagaId, ({ finishedAt }) => finishedAt !== null);
  show('The same after ann has tried it again', [repaired]);
  const checks = [
    {
      isGood: items.some(({ actions }) => actions.includes('retry')),
      text: 'the parked order was listed with what may be done',
    },
    { isGood: repaired.state === 'compensated', text: 'the parked order was taken back once a person said so' },
    { isGood: repaired.actions.length === 1, text: 'who did it, and why, is kept' },
  ];
  return { checks, takings: 0, credits: 0, users: 0 };
}
