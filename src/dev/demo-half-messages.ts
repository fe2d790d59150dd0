import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { HalfMessageView } from '../api/half-message-schemas.js';
import { createPool } from '../db/pool.js';
import { createCheckBackHandler, PRODUCER_MIGRATION } from '../producer/index.js';
import { GIFTS_SCHEMA, isGiven } from '../samples/gifts.js';
import type { DemoClient } from './demo-client.js';
import type { DemoProduction } from './demo-producer.js';
import type { ScenarioEnd, Show } from './demo-scenarios.js';

/** Where the demo runs. */
export interface DemoPlace {
  readonly settleUrl: string;
  readonly apiKey?: string;
  /** Where the producer keeps its business rows, and its verdicts beside them. */
  readonly databaseUrl: string;
}

const PROGRAM = fileURLToPath(new URL('demo-producer.js', import.meta.url));
const GIFT = 700;

/** Half messages: a producer is killed before its commit, another right after it, and both are asked what became of it. */
export async function sendHalfMessages(client: DemoClient, show: Show, place: DemoPlace): Promise<ScenarioEnd> {
  const db = createPool(place.databaseUrl, { name: 'demo-check-back' });
  const server = createServer(createCheckBackHandler({ db }));
  try {
    await db.query(PRODUCER_MIGRATION);
    await db.query(GIFTS_SCHEMA);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const checkBackUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const send = async (account: string, dies: DemoProduction['dies']): Promise<HalfMessageView> => {
      const messageId = await produce({ ...place, checkBackUrl, account, amount: GIFT, dies });
      const view = await client.messageSettled(messageId);
      show(`A producer that is killed ${dies}: Settle asks what became of it`, [], [lineOf(view)]);
      return view;
    };
    const lost = await send('gift-1', 'before the commit');
    const kept = await send('gift-2', 'after the commit');
    return {
      checks: [
        {
          isGood: isAs(lost, 'rolled-back') && !(await isGiven(db, 'gift-1')),
          text: 'the message without its business row was not sent',
        },
        {
          isGood: isAs(kept, 'delivered') && (await isGiven(db, 'gift-2')),
          text: 'the message with its business row was sent',
        },
      ],
      ...{ takings: 0, credits: GIFT, users: 0 },
    };
  } finally {
    server.closeAllConnections();
    server.close();
    await db.end();
  }
}

/** Runs a producer to its death; returns the id of the message that it had prepared. */
async function produce(production: DemoProduction): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(production));
  const [printed] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (child.signalCode !== 'SIGKILL') throw new Error(`the demo's producer ended by itself, and printed: ${printed}`);
  return printed.trim();
}

function lineOf({ messageId, state, verdict, decidedBy }: HalfMessageView): string {
  return `${messageId}  ${state}  (${verdict ?? 'no verdict'}, says the ${decidedBy ?? 'nobody'})`;
}

function isAs({ state, decidedBy }: HalfMessageView, expected: HalfMessageView['state']): boolean {
  return state === expected && decidedBy === 'check-back';
}
