// Records the histories of half messages that replay.test.ts keeps:
//   node --import ./test/support/typescript.js test/replay/record-half-messages.ts <temporal address> <postgres url>
// Run it only for a new kind of ending: a stored history is never replaced, for it stands for the messages in flight.
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { migrate } from '../../src/db/migrate.js';
import type { Verdict } from '../../src/saga/half-message.js';
import type { MessageAction } from '../../src/saga/operator.js';
import { startHalfMessages, type HalfMessages, type Producer } from '../support/half-messages.js';
import { withoutMachine } from '../support/machine-free.js';

interface Ending {
  readonly producer: Producer;
  readonly tell?: Verdict;
  readonly horizonMs?: number;
  /** What an operator does about it once it is parked; its participant refuses it until then. */
  readonly act?: MessageAction;
}

let doesRefuse = false;
let isAway = true;

const silentTwice = (): Producer => {
  let asked = 0;
  return () => (++asked <= 2 ? 503 : 'committed');
};

const ENDINGS: Readonly<Record<string, Ending>> = {
  'messages-confirmed': { producer: () => 503, tell: 'committed' },
  'messages-rolled-back': { producer: () => 503, tell: 'rolled-back' },
  'messages-checked-back': { producer: silentTwice() },
  'messages-parked': { producer: () => 'unknown', horizonMs: 300 },
  'messages-operator-confirmed': { producer: () => 'unknown', horizonMs: 300, act: 'confirm' },
  'messages-asked-again': { producer: () => (isAway ? 503 : 'committed'), horizonMs: 300, act: 'retry' },
  'messages-resent': { producer: () => 'committed', act: 'resend' },
  'messages-discarded': { producer: () => 'committed', act: 'discard' },
};

async function record(half: HalfMessages, name: string, { producer, tell, horizonMs, act }: Ending): Promise<void> {
  doesRefuse = act !== undefined && horizonMs === undefined;
  const plan = tell ? { firstMs: 60_000 } : { horizonMs: horizonMs ?? 60_000 };
  const id = await half.prepare({ producer, plan });
  if (tell) {
    await pause(500);
    await half.decide(id, tell);
  }
  const isParked = horizonMs !== undefined || act !== undefined;
  while (isParked && (await half.find(id)).state !== 'parked') await pause(50);
  // let the parked workflow come to rest before the late verdict
  if (isParked) await pause(1_000);
  doesRefuse = false;
  isAway = false;
  if (act) await half.operate(id, act);
  else if (isParked) await half.decide(id, 'committed');
  const handle = half.client.workflow.getHandle(id);
  console.log(name, await handle.result());
  const json = withoutMachine(historyToJSON(await handle.fetchHistory()));
  writeFileSync(new URL(`./histories/${name}.json`, import.meta.url), `${json}\n`);
}

async function main(address: string, databaseUrl: string): Promise<void> {
  process.env.SETTLE_TEST_TEMPORAL_ADDRESS = address;
  await migrate(databaseUrl);
  const server = createServer((request, response) => {
    request.resume();
    if (doesRefuse) response.writeHead(422, { 'content-type': 'application/problem+json' }).end('{"code":"unlucky"}');
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"noted":5}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const participantUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const half = await startHalfMessages(databaseUrl, { participantUrl });
  for (const [name, ending] of Object.entries(ENDINGS)) {
    if (!existsSync(new URL(`./histories/${name}.json`, import.meta.url))) await record(half, name, ending);
  }
  await half.stop();
  server.closeAllConnections();
  server.close();
}

await main(process.argv[2]!, process.argv[3]!);
