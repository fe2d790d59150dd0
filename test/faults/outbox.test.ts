import type pg from 'pg';
import { eventually } from '../support/eventually.js';
import { useFaults } from '../support/faults/fixture.js';
import { findOutboxFaults, MESSAGES, startOutboxClient } from '../support/faults/outbox-client.js';
import { startSystem } from '../support/faults/system.js';

const faults = useFaults();

/** A relay that has died holds its messages for 30 s. */
const DELIVERED_MS = 240_000;

test('promises 3 and 4: in a storm each message of a transaction that committed takes effect once, and none of one that did not', async () => {
  await faults.withRun(async (run) => {
    const { settle, accounts } = run.databases;
    const system = await startSystem(run, faults.servers);
    const client = startOutboxClient(settle, { lanes: 2 });
    /** Both are at work: the producer has sent more, and the participant is behind. */
    const untilAmid = async (): Promise<void> => {
      const before = client.sent.length;
      await eventually(
        async () => {
          expect(client.sent.length).toBeGreaterThan(before + 100);
          expect(await countPending(settle)).toBeGreaterThan(0);
        },
        { timeoutMs: 120_000, everyMs: 2 },
      );
    };
    await untilAmid();
    await system.kill('worker');
    await system.replace('worker');
    await untilAmid();
    await system.killServer('postgres');
    await faults.servers.postgres.restart();
    await untilAmid();
    await Promise.all([system.kill('participants'), system.kill('worker')]);
    await Promise.all([system.replace('participants'), system.replace('worker')]);
    await untilAmid();
    await client.stop();
    await eventually(async () => expect(await countPending(settle)).toBe(0), { timeoutMs: DELIVERED_MS, everyMs: 250 });

    expect(await findOutboxFaults(client.sent, { settle, accounts })).toEqual([]);
    // the storm was one: each fault has its proof, and the producer has seen all that can become of a transaction
    expect(run.supervisor.faults).toHaveLength(4);
    expect(run.supervisor.faults.filter(({ proof }) => proof === undefined)).toEqual([]);
    for (const outcome of ['committed', 'rolled-back']) {
      expect(client.sent.filter((each) => each.outcome === outcome).length).toBeGreaterThan(100);
    }
    expect(client.sent.filter(({ ids }) => ids.length < MESSAGES)).not.toEqual([]);
  });
});

async function countPending(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::int as count from settle.message_log where due_at is not null',
  );
  return rows[0]!.count;
}
