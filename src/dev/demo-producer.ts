import { json } from 'node:stream/consumers';
import { createPool } from '../db/pool.js';
import { createProducer } from '../producer/index.js';
import { noteGift } from '../samples/gifts.js';

// A producer of the demo, with nothing of Settle but the producer kit: a process of its own, which dies where it is told.

/** What it reads from its standard input. */
export interface DemoProduction {
  readonly databaseUrl: string;
  readonly settleUrl: string;
  readonly apiKey?: string;
  readonly checkBackUrl: string;
  /** Whom it gives credit. */
  readonly account: string;
  readonly amount: number;
  /** After the commit it dies before it has said so. */
  readonly dies: 'before the commit' | 'after the commit';
}

const production = (await json(process.stdin)) as DemoProduction;
const { account, amount, settleUrl, apiKey, checkBackUrl } = production;
if (production.dies === 'after the commit') dieBeforeConfirming();
const producer = createProducer({ url: settleUrl, apiKey, checkBackUrl, immunityMs: 500 });
const payload = { userId: account, account, currency: 'EUR', amount };
await producer.sendWithTransaction(
  createPool(production.databaseUrl, { name: 'demo-producer' }),
  { key: account, type: 'accounts.credit', payload },
  async (tx, messageId) => {
    await noteGift(tx, account, messageId);
    process.stdout.write(messageId);
    if (production.dies === 'before the commit') die();
  },
);

function dieBeforeConfirming(): void {
  const real = globalThis.fetch;
  globalThis.fetch = (input, init) => {
    if (input instanceof URL && input.pathname.endsWith('/confirm')) die();
    return real(input, init);
  };
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
