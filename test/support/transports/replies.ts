import { randomUUID } from 'node:crypto';
import type { BrokerMessage } from '../../../src/brokers/broker.js';
import { encodeReply, type Reply } from '../../../src/brokers/reply.js';
import { effectKey } from '../../../src/saga/ids.js';
import { eventually } from '../eventually.js';
import { inOneOfThree } from '../one-of-three.js';
import { PATIENCE, type Guarantee } from './guarantee.js';
import { freshSaga, place } from './orders.js';
import type { Scene, Stand } from './stand.js';

/** What becomes of the answers that a broker brings. */
export function replyGuarantees(): readonly Guarantee[] {
  return [uselessAnswers, orphanedAnswer];
}

const uselessAnswers: Guarantee = {
  says: 'answers that are repeated, late, forged, unasked or unreadable change nothing, and are counted',
  overBrokersOnly: true,
  check: async ({ stand, scene }) => {
    const publish = (message: BrokerMessage): Promise<void> =>
      stand.broker.client.publish(message, { to: scene.copier.address.address, timeoutMs: 30_000 });
    const saga = await place(scene);
    await scene.office.settled(saga);
    const look = async (): Promise<unknown> => [
      await scene.office.saga(saga),
      (
        await scene.run.databases.settle.query('select * from settle.message_log where saga_id = $1 order by step', [
          saga,
        ])
      ).rows,
    ];
    const before = await look();
    const counted = await scene.replies();
    const stock = effectKey({ sagaId: saga, step: 'stock', action: 'do' });
    const result = { reservationId: stock };
    const replyTo = (key: string, change: Partial<Reply> = {}): BrokerMessage =>
      encodeReply({
        ...{ id: randomUUID(), source: '/test', effectKey: key, revision: 0, outcome: { kind: 'done', result } },
        token: scene.copier.address.replyTo({ effectKey: key, revision: 0 }).token,
        ...change,
      });
    const rejected: Reply['outcome'] = { kind: 'rejected', reason: { code: 'no', message: 'no' } };
    const others = effectKey({ sagaId: freshSaga(), step: 'stock', action: 'do' });
    for (let times = 0; times < 10; times += 1) await publish(replyTo(stock));
    await publish(replyTo(stock, { outcome: rejected }));
    await publish(replyTo(stock, { token: 'guessed', outcome: rejected }));
    await publish(replyTo(stock, { revision: 1 }));
    await publish(replyTo(others));
    await publish({ ...replyTo(stock), body: Buffer.from('{ no JSON') });
    await eventually(async () => {
      const now = await scene.replies();
      const more = Object.fromEntries(Object.entries(now).map(([word, count]) => [word, count - (counted[word] ?? 0)]));
      expect(more).toMatchObject({ duplicate: 10, late: 1, forged: 2, unasked: 1, unreadable: 1 });
    });
    expect(await look()).toEqual(before);
  },
};

const orphanedAnswer: Guarantee = {
  says: 'the worker that sent a message dies: another one takes the answer, and what was answered in time is not sent again',
  overBrokersOnly: true,
  check: ({ stand, scene }) => inOneOfThree(() => orphanOne(stand, scene)),
};

/** What a worker needs at the most to hear of an answer that waits for it. */
const HEARING_MS = 4_000;
/** Over them only the dead worker may be told for a while: until its session, or its last call and what that hides, is over. */
const KEEP_FOR_THE_DEAD: readonly string[] = ['kafka', 'rocketmq'];

async function orphanOne({ name }: Stand, scene: Scene): Promise<void> {
  await scene.stop('worker');
  await scene.stop('participants');
  const doomed = await scene.start('worker', { CRASH: 'dispatch-after-answer@stock:1' });
  const saga = await place(scene);
  await scene.run.supervisor.awaitCrash(doomed, 'dispatch-after-answer');
  expect(scene.run.supervisor.faults.at(-1)?.proof).toContain('exit signal 9');
  await scene.start('participants');
  await eventually(async () => {
    const { rows } = await scene.run.databases.inventory.query('select from inventory.inbox where saga_id = $1', [
      saga,
    ]);
    expect(rows).toHaveLength(1);
  }, PATIENCE);
  await scene.start('worker');
  const readyAt = Date.now();
  const { state, steps } = await scene.office.settled(saga);
  const [order, stock, payment] = steps.map(({ attempts }) => attempts);
  const repeated = (await scene.inbox('inventory'))['repeated'] ?? 0;
  expect({ state, order, payment }).toEqual({ state: 'completed', order: 1, payment: 1 });
  // a worker that hears of no answer before Temporal hands it the dead one's task asks again, and the inbox answers that
  const { answeredAt, givenUpAt } = await timesOf(scene, saga);
  const mustHear = !KEEP_FOR_THE_DEAD.includes(name) && readyAt + HEARING_MS < givenUpAt;
  const again = mustHear || answeredAt < givenUpAt ? 0 : 1;
  expect([stock! - 1, repeated].filter((times) => times > again)).toEqual([]);
}

/** When its answer was in the ledger, and when Temporal gave up the dead worker. */
async function timesOf({ run }: Scene, saga: string): Promise<{ answeredAt: number; givenUpAt: number }> {
  const { rows } = await run.databases.settle.query<{ at: Date }>(
    `select finished_at as at from settle.message_log where saga_id = $1 and step = 'stock'`,
    [saga],
  );
  const { events } = await run.client.workflow.getHandle(saga).fetchHistory();
  const givenUp = events?.find((event) => event.workflowTaskTimedOutEventAttributes)?.eventTime;
  expect(givenUp).toBeDefined();
  return { answeredAt: rows[0]!.at.getTime(), givenUpAt: Number(givenUp!.seconds) * 1_000 + givenUp!.nanos! / 1e6 };
}
