import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from '../../../src/brokers/broker.js';
import { STRUCTURED_TYPE } from '../../../src/brokers/cloud-event.js';
import { DEAD_HEADERS, deadLettersOf } from '../../../src/participant/dead-letters.js';
import { eventually } from '../eventually.js';
import type { Guarantee } from './guarantee.js';
import { freshSaga, place, strayOf } from './orders.js';
import { MAX_BYTES, READER } from './routes.js';
import type { Scene } from './stand.js';

/** What no retry can help. */
export function poisonGuarantees(): readonly Guarantee[] {
  return [unreadable, tooLarge];
}

const unreadable: Guarantee = {
  says: 'what cannot be read is kept as a dead letter with reason and original, and holds nobody up',
  check: async ({ stand, scene }) => {
    if (stand.name === 'http') return assertRefusedOverHttp(scene);
    const letters: IncomingMessage[] = [];
    const reader = stand.broker.client.subscribe({
      ...{ from: deadLettersOf('inventory', stand.name), group: READER, onTrouble: () => undefined },
      handle: (letter) => Promise.resolve(void letters.push(letter)),
    });
    await reader.ready;
    const stray = strayOf('inventory.unheard-of', freshSaga(), { payload: {} });
    const bodies = ['{ no JSON', '[]', JSON.stringify({ ...stray, specversion: '1.0' })];
    for (const body of bodies) {
      const poison = {
        id: randomUUID(),
        contentType: STRUCTURED_TYPE,
        headers: { mine: 'yes' },
        body: Buffer.from(body),
      };
      await stand.broker.client.publish(poison, { to: 'inventory', timeoutMs: 30_000 });
    }
    const saga = await place(scene);
    expect(await scene.office.settled(saga)).toMatchObject({ state: 'completed' });
    await eventually(() => expect(letters.map(({ body }) => body.toString()).toSorted()).toEqual(bodies.toSorted()));
    for (const { headers } of letters) {
      expect(headers).toMatchObject({
        ...{
          mine: 'yes',
          [DEAD_HEADERS.reason]: expect.stringMatching(/^(bad|missing)-/),
          [DEAD_HEADERS.from]: 'inventory',
        },
        ...{ [DEAD_HEADERS.message]: expect.any(String), [DEAD_HEADERS.attempts]: '0' },
      });
    }
    await reader.stop();
  },
};

const tooLarge: Guarantee = {
  says: 'a message that is larger than its route takes is refused before it is sent',
  overBrokersOnly: true,
  check: async ({ scene }) => {
    const items = Array.from({ length: 60 }, (_, n) => ({ sku: `${n}-`.padEnd(64, 'x'), quantity: 1, unitPrice: 1 }));
    const saga = await place(scene, { items });
    expect(await scene.office.settled(saga)).toMatchObject({
      ...{ state: 'compensated', reason: { code: 'too-large', step: 'stock' } },
      reason: { message: expect.stringContaining(`the limit is ${MAX_BYTES}`) },
      steps: [{ status: 'undone' }, { status: 'rejected', attempts: 1 }, { status: 'skipped' }],
    });
    const { rows } = await scene.run.databases.inventory.query('select from inventory.inbox where saga_id = $1', [
      saga,
    ]);
    expect(rows).toEqual([]);
  },
};

async function assertRefusedOverHttp(scene: Scene): Promise<void> {
  const url = `http://127.0.0.1:${Number(scene.run.env['PORT']) + 1}/messages/inventory.deduct`;
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'none' };
  const answers = await Promise.all(['{ no JSON', '[]'].map((body) => fetch(url, { method: 'POST', headers, body })));
  expect(answers.map(({ status }) => status)).toEqual([400, 400]);
  expect(await scene.office.settled(await place(scene))).toMatchObject({ state: 'completed' });
}
