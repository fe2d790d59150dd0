import { setTimeout as pause } from 'node:timers/promises';
import { note, payloadOf } from './far-notes.js';
import { percentile, type BenchOptions, type Measure } from './measure.js';
import type { Line } from './transport-line.js';

/** Below it, what Settle adds costs more than the transport itself. */
const AIM = 0.5;
const SETTLE_MS = 60_000;

interface Rates {
  readonly oneWay: number;
  readonly asked: number;
  readonly settle: number;
}

/** Measures one transport; throws when a message was lost or applied twice. */
export async function measureTransport(line: Line, options: BenchOptions): Promise<readonly Measure[]> {
  const { name } = line;
  const messages = options.number('messages', 2_000);
  // unmeasured: connections are opened, code is compiled
  await measureRound(line, Math.ceil(messages / 4), `${name} warm-up`);
  const rounds: Rates[] = [];
  for (let round = 1; round <= options.number('rounds', 3); round++) {
    const rates = await measureRound(line, messages, `${name} round ${round}`);
    rounds.push(rates);
    const [settle, oneWay, asked] = [rates.settle, rates.oneWay, rates.asked].map((rate) => rate.toFixed(0));
    options.progress(`${name}, round ${round}: Settle ${settle}/s, one way ${oneWay}/s, row and answer ${asked}/s`);
  }
  const median = (of: (rates: Rates) => number): number => percentile(rounds.map(of), 0.5);
  const rate = median(({ settle }) => settle);
  const loaded = await measureLoad(line, { perSecond: rate / 2, seconds: options.number('seconds', 3) });
  const idle = await measureIdle(line, options.number('idle', 100));
  return [
    { name: `${name}: dispatches`, value: rate, unit: '/s' },
    { name: `${name}: its client, one way`, value: median(({ oneWay }) => oneWay), unit: '/s' },
    { name: `${name}: its client, a row and an answer`, value: median(({ asked }) => asked), unit: '/s' },
    ratio(
      `${name}: Settle to its client, one way`,
      median(({ settle, oneWay }) => settle / oneWay),
    ),
    ratio(
      `${name}: Settle to its client, a row and an answer`,
      median(({ settle, asked }) => settle / asked),
    ),
    ...percentiles(`${name}: commit to applied at half that rate`, loaded),
    ...percentiles(`${name}: commit to applied when idle`, idle),
  ];
}

function ratio(name: string, value: number): Measure {
  return { name, value, unit: '', target: { atLeast: AIM } };
}

function percentiles(name: string, values: readonly number[]): readonly Measure[] {
  return [
    { name: `${name}, p50`, value: percentile(values, 0.5), unit: 'ms' },
    { name: `${name}, p99`, value: percentile(values, 0.99), unit: 'ms' },
  ];
}

/** Each kind once, one after the other. */
async function measureRound(line: Line, messages: number, batch: string): Promise<Rates> {
  const { yardstick } = line;
  const oneWay = await rateOf(messages, () => yardstick.oneWay(messages));
  const asked = await rateOf(messages, () => yardstick.asked(messages, batch));
  await checkBooks(line, { table: 'bench.bare', batch, messages });
  const settle = await rateOf(messages, async () => {
    await send(line, batch, messages);
    await untilSettled(line);
  });
  await checkBooks(line, { table: 'bench.note', batch, messages });
  await line.far.times();
  return { oneWay, asked, settle };
}

async function rateOf(messages: number, work: () => Promise<void>): Promise<number> {
  const begunAt = performance.now();
  await work();
  return messages / ((performance.now() - begunAt) / 1_000);
}

/** @returns their effect keys, once they are committed */
async function send({ near }: Line, batch: string, messages = 1): Promise<readonly string[]> {
  const { rows } = await near.query<{ key: string }>({
    name: 'send-notes',
    text: `select settle.send($1, $2) || '/message/do' as key from generate_series(1, $3::int)`,
    values: [note.type, JSON.stringify(payloadOf(batch)), messages],
  });
  return rows.map(({ key }) => key);
}

/** Until every answer is recorded. */
async function untilSettled({ near }: Line): Promise<void> {
  const end = performance.now() + SETTLE_MS;
  const open = 'select from settle.message_log where due_at is not null and';
  const query = { name: 'any-open', text: `${open} not in_workflow union all ${open} in_workflow limit 1` };
  while ((await near.query(query)).rowCount !== 0) {
    if (performance.now() > end) throw new Error(`messages are still open after ${SETTLE_MS / 1_000} s`);
    await pause(10);
  }
}

interface Books {
  readonly table: 'bench.note' | 'bench.bare';
  readonly batch: string;
  readonly messages: number;
}

/** Nothing lost, nothing twice; and Settle says of each that it is delivered. */
async function checkBooks({ books, near }: Line, { table, batch, messages }: Books): Promise<void> {
  const { rows } = await books.query<{ rows: number; keys: number }>(
    `select count(*)::int as rows, count(distinct effect_key)::int as keys from ${table} where batch = $1`,
    [batch],
  );
  const { rows: written, keys } = rows[0]!;
  if (written !== messages || keys !== messages)
    throw new Error(`'${batch}' of ${messages} messages wrote ${written} rows for ${keys} of them in ${table}`);
  if (table === 'bench.bare') return;
  const { rowCount } = await near.query("select from settle.message_log where status <> 'sent'");
  if (rowCount !== 0) throw new Error(`${rowCount} messages were applied but do not count as delivered`);
}

/** A message every so often, each committed by itself. */
async function measureLoad(
  line: Line,
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<readonly number[]> {
  const batch = `${line.name} load`;
  const messages = Math.ceil(perSecond * seconds);
  const begunAt = performance.now();
  const sending = Array.from({ length: messages }, async (_, index) => {
    await pause(Math.max(0, begunAt + (index * 1_000) / perSecond - performance.now()));
    return sendTimed(line, batch);
  });
  const committed = await Promise.all(sending);
  await untilSettled(line);
  await checkBooks(line, { table: 'bench.note', batch, messages });
  return waitsOf(line, committed);
}

/** One message at a time, the next a while after the last is delivered. */
async function measureIdle(line: Line, messages: number): Promise<readonly number[]> {
  const batch = `${line.name} idle`;
  const committed: Committed[] = [];
  for (let sent = 0; sent < messages; sent++) {
    committed.push(await sendTimed(line, batch));
    await untilSettled(line);
    await pause(20 + Math.random() * 30);
  }
  await checkBooks(line, { table: 'bench.note', batch, messages });
  return waitsOf(line, committed);
}

interface Committed {
  readonly key: string;
  readonly atMs: number;
}

async function sendTimed(line: Line, batch: string): Promise<Committed> {
  const [key] = await send(line, batch);
  return { key: key!, atMs: performance.timeOrigin + performance.now() };
}

async function waitsOf({ far }: Line, committed: readonly Committed[]): Promise<readonly number[]> {
  const times = await far.times();
  return committed.map(({ key, atMs }) => times[key]! - atMs);
}
