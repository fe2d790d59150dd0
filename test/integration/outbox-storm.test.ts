import { monitorEventLoopDelay } from 'node:perf_hooks';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { openOutbox } from '../support/outbox.js';
import { startBareParticipant } from '../support/outbox-books.js';
import { findStormFaults, sendStorm } from '../support/outbox-storm.js';

const ledger = useDatabase('producer');

/** Longer than this process waits for its turn on a machine that goes on, in ms. */
const STALL_MS = 200;

/** The same at full size: `npm run bench -- outbox --rows 1000000 --writers 64`. */
test('of 64 writers that hold their transactions open no message is skipped, and none is sent before its commit', async () => {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const participant = await startBareParticipant();
  const outbox = openOutbox(ledger.url, { 'bare.note': { transport: 'http', url: participant.url } });
  // two, as they must not skip each other's either
  outbox.relay();
  outbox.relay();
  try {
    const transactions = await sendStorm({
      ...{ databaseUrl: ledger.url, rows: 20_000, writers: 64, perTransaction: 100, holdMs: 5_000 },
    });
    expect(transactions).toHaveLength(200);
    await eventually(
      async () => {
        const { rows } = await outbox.pool.query('select count(*) from settle.message_log where due_at is not null');
        expect(rows).toEqual([{ count: 0 }]);
      },
      { timeoutMs: 120_000, everyMs: 250 },
    );
    expect(await findStormFaults(participant, transactions)).toEqual([]);
    const repeats = Object.values(await participant.books()).reduce((sum, books) => sum + books.repeats, 0);
    // a relay whose process has stood still is answered too late, and rightly sends again
    expect(delay.max / 1e6 > STALL_MS ? 0 : repeats).toBe(0);
  } finally {
    delay.disable();
    await outbox.stop();
    await participant.stop();
  }
});
