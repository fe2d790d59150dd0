import { randomUUID } from 'node:crypto';
import { eventually } from '../eventually.js';
import { PATIENCE, type Guarantee } from './guarantee.js';
import { NOTE } from './routes.js';
import type { Scene } from './stand.js';

/** What producers send beside sagas, without an answer where the transport has another way of being sure. */
export function orderGuarantees(): readonly Guarantee[] {
  return [keptOrder, halfMessage];
}

const keptOrder: Guarantee = {
  says: 'messages of one key come in their order, with two readers; nobody answers them',
  check: async ({ scene, notes }) => {
    const KEYS = ['a', 'b', 'c', 'd', 'e'];
    const { rows } = await scene.run.databases.settle.query<{ id: string }>(
      `select settle.send($1, jsonb_build_object('key', key, 'n', n), order_key => key) as id
         from unnest($2::text[]) as key, generate_series(1, 12) as n order by n, key`,
      [NOTE, KEYS],
    );
    await eventually(async () => {
      const states = await scene.run.databases.settle.query(
        `select status, count(*)::int from settle.message_log where effect_key = any ($1) group by 1`,
        [rows.map(({ id }) => `${id}/message/do`)],
      );
      expect(states.rows).toEqual([{ status: 'sent', count: 60 }]);
    }, PATIENCE);
    await eventually(() => expect(notes!.notes).toHaveLength(60));
    for (const key of KEYS) {
      const seen = notes!.notes.filter((note) => note.key === key).map(({ n }) => n);
      expect(seen).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
    }
    expect(notes!.readers()).toBeGreaterThan(0);
  },
};

const halfMessage: Guarantee = {
  says: 'a half message is delivered once it is confirmed',
  check: async ({ scene, notes }) => {
    const payload = { key: 'half', n: 1 };
    const half = await post(scene, '/v1/messages', { type: NOTE, payload, checkBackUrl: 'http://127.0.0.1:1/' });
    const id = half['messageId'] as string;
    await post(scene, `/v1/messages/${id}/confirm`, {});
    await eventually(async () => {
      expect((await scene.office.get(`/v1/messages/${id}`)).body).toMatchObject({ state: 'delivered' });
    }, PATIENCE);
    await eventually(() => expect(notes!.notes.filter(({ key }) => key === 'half')).toEqual([{ key: 'half', n: 1 }]));
  },
};

async function post({ run }: Scene, path: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  const response = await fetch(run.apiUrl + path, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(response.ok).toBe(true);
  return (await response.json()) as Record<string, unknown>;
}
