// Records the histories of repairs that replay.test.ts keeps:
//   node --import ./test/support/typescript.js test/replay/record-repairs.ts <temporal address>
// Run it only for a new kind of ending: a stored history is never replaced, for it stands for the repairs in flight.
import { existsSync, writeFileSync } from 'node:fs';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { withRepair } from '../support/repair-workflow.js';
import { withoutMachine } from '../support/machine-free.js';

const ENDINGS: Readonly<Record<string, readonly (boolean | Error)[]>> = {
  'repairs-done': [false, false, true],
  'repairs-interrupted': [false, new Error('the ledger was away'), true],
};

async function main(address: string): Promise<void> {
  process.env.SETTLE_TEST_TEMPORAL_ADDRESS = address;
  for (const [name, answers] of Object.entries(ENDINGS)) {
    const file = new URL(`./histories/${name}.json`, import.meta.url);
    if (existsSync(file)) continue;
    await withRepair({ answers, perSecond: 10 }, async ({ handle }) => {
      await handle.result();
      const json = withoutMachine(historyToJSON(await handle.fetchHistory()));
      writeFileSync(file, `${json}\n`);
    });
  }
}

await main(process.argv[2]!);
