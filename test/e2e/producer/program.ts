import { createServer } from 'node:http';
import pg from 'pg';
import { createCheckBackHandler, createProducer } from '../../../src/producer/index.js';

// A producer as anybody could write one: its own process, its own database, and nothing of Settle but the kit.
//   program.ts serve <database> <port>
//   program.ts pay <database> <port> <settle> <invoice> <line to die at>

/** The lines that a kill can hit. */
export const LINES = [
  'before prepare',
  'after prepare',
  'inside the transaction',
  'before commit',
  'after commit, before confirm',
  'after confirm',
  'nowhere',
  'nowhere, but the work fails',
] as const;
type Line = (typeof LINES)[number];

const [mode, databaseUrl, port, settleUrl, invoice, line] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  Line,
];

if (mode === 'serve') serve();
else if (mode === 'pay') await pay();

function serve(): void {
  const db = new pg.Pool({ connectionString: databaseUrl, application_name: 'producer' });
  createServer(createCheckBackHandler({ db })).listen(Number(port), '127.0.0.1', () => console.log('ready'));
  process.once('SIGTERM', () => void db.end().then(() => process.exit(0)));
}

async function pay(): Promise<void> {
  const db = new pg.Pool({ connectionString: databaseUrl, application_name: 'producer' });
  dieAroundRequests();
  const producer = createProducer({
    url: settleUrl,
    checkBackUrl: `http://127.0.0.1:${port}/check-back`,
    immunityMs: 2_000,
  });
  const payload = { orderId: invoice, items: [{ sku: 'book', quantity: 1 }] };
  await producer.sendWithTransaction(db, { key: invoice, type: 'inventory.deduct', payload }, async (tx, messageId) => {
    dieAt('inside the transaction');
    await tx.query('insert into public.invoice (id, message_id) values ($1, $2)', [invoice, messageId]);
    if (line === 'nowhere, but the work fails') throw new Error('no money');
    dieAt('before commit');
  });
  dieAt('after confirm');
  await db.end();
}

/** The kit's own lines are told by its requests. */
function dieAroundRequests(): void {
  const real = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const isPrepare = input instanceof URL && input.pathname === '/v1/messages';
    dieAt(isPrepare ? 'before prepare' : 'after commit, before confirm');
    const response = await real(input, init);
    if (isPrepare) dieAt('after prepare');
    return response;
  };
}

function dieAt(here: Line): void {
  if (line === here) process.kill(process.pid, 'SIGKILL');
}
