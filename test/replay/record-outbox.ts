// Records the histories of outbox messages that replay.test.ts keeps:
//   node --import ./test/support/typescript.js test/replay/record-outbox.ts <temporal address> <postgres url>
// Run it only for a new kind of ending: a stored history is never replaced, for it stands for the messages in flight.
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { migrate } from '../../src/db/migrate.js';
import { startHalfMessages, type HalfMessages } from '../support/half-messages.js';
import { withoutMachine } from '../support/machine-free.js';

/** The statuses that its participant answers with, the last one for ever. */
const ENDINGS: Readonly<Record<string, readonly number[]>> = {
  'outbox-delivered': [200],
  'outbox-retried': [503, 503, 503, 503, 200],
  'outbox-refused': [503, 409],
};

async function record({ pool, outbox, client }: HalfMessages, name: string): Promise<void> {
  const { rows } = await pool.query<{ id: string }>(`select settle.send('notes.write', '{"amount": 5}') as id`);
  const messageId = rows[0]!.id;
  // as the relay leaves it after its attempts
  await pool.query('update settle.message_log set in_workflow = true');
  await outbox.ensureRunning({ messageId, tenantId: 'default', type: 'notes.write' }, () => Promise.resolve(true));
  const handle = client.workflow.getHandle(messageId);
  console.log(name, await handle.result());
  const json = withoutMachine(historyToJSON(await handle.fetchHistory()));
  writeFileSync(new URL(`./histories/${name}.json`, import.meta.url), `${json}\n`);
}

async function main(address: string, databaseUrl: string): Promise<void> {
  process.env.SETTLE_TEST_TEMPORAL_ADDRESS = address;
  await migrate(databaseUrl);
  let answers: number[] = [];
  const server = createServer((request, response) => {
    request.resume();
    const status = answers.length > 1 ? answers.shift()! : answers[0]!;
    response.writeHead(status, { 'content-type': 'application/json' }).end('{"noted":5}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const participantUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const half = await startHalfMessages(databaseUrl, { participantUrl });
  for (const [name, statuses] of Object.entries(ENDINGS)) {
    answers = [...statuses];
    if (!existsSync(new URL(`./histories/${name}.json`, import.meta.url))) await record(half, name);
  }
  await half.stop();
  server.closeAllConnections();
  server.close();
}

await main(process.argv[2]!, process.argv[3]!);
