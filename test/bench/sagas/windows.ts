import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { percentile } from '../measure.js';
import { judge, type Verdict } from './books.js';
import { nowMs } from './clock.js';
import type { End, Running } from './contestant.js';
import type { Run, Sent, Shape } from './generator.js';
import type { Behaviour } from './participants.js';
import { cpuOf, cpuOfMachine, differenceOf, watchMemory, type ByRole } from './processes.js';
import type { Servers } from './servers.js';
import { readWal, type Wal } from './wal.js';

/** What one window has measured of one contestant. */
export interface Figures extends Verdict {
  readonly contestant: string;
  readonly window: string;
  readonly sagas: number;
  /** Settled sagas. */
  readonly perSecond: number;
  /** From the request to the answer that it is accepted, in ms. */
  readonly accept: Latency;
  /** From the request to the terminal state, in ms: its row is written, its transaction about to commit. */
  readonly settle: Latency;
  /** CPU ms a saga. */
  readonly cpu: ByRole;
  /** Peak, in MB. */
  readonly memory: ByRole;
  /** CPU that went to processes of no part in it, in % of the machine: with much of it no figure tells much. */
  readonly others: number;
  /** Of all databases that work for it, a saga. */
  readonly walBytes?: number;
  readonly walSyncs?: number;
  /** Events that Temporal has stored for a saga. */
  readonly events?: number;
  /** Requests that had to be sent again. */
  readonly refusals: number;
  /** After SIGKILL: until it was ready again, and until the last saga of then had settled, in ms. */
  readonly readyMs?: number;
  readonly slowestMs?: number;
  readonly inFlight?: number;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

/** One window. */
export interface WindowSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly behaviour?: Behaviour;
  /** Whether to read the databases' logs and Temporal's histories too, which takes ten seconds. */
  readonly isDeep?: boolean;
  /** SIGKILL after so many seconds, and a restart at once. */
  readonly killAfterSeconds?: number;
}

/** How long accepted sagas may take to settle after the last was sent. */
const DRAIN_MS = 90_000;
const SAMPLES = 5;

/** Runs a window, waits until every accepted saga has settled, and reads the figures and the books. */
export async function runWindow(servers: Servers, running: Running, spec: WindowSpec): Promise<Figures> {
  const { load } = servers;
  const wal = await walOf(running, spec, false);
  const cpu = cpuOf(running.roots());
  const machine = { begunAtMs: nowMs(), cpuMs: cpuOfMachine() };
  const stopWatching = watchMemory(() => running.roots());
  await load.behave(spec.behaviour ?? { unavailable: 0, refused: 0 });
  const { run, ...killed } = await send(servers, running, spec);
  const ends = await drain(running, run);
  const cpuUsed = differenceOf(cpuOf(running.roots()), cpu);
  const others = othersOf(machine, cpuUsed);
  const memory = stopWatching();
  const books = servers.hasOwnParticipants ? await load.takeBooks() : undefined;
  const sagas = run.sent.length;
  const walAfter = await walOf(running, spec, true);
  const settleTimes = run.sent.map(({ orderId, sentAtMs }) => (ends.get(orderId)?.atMs ?? NaN) - sentAtMs);
  return {
    // what is open in a database of theirs may be theirs
    ...judge({ sent: run.sent, ends, open: servers.ledger.isOwn ? await running.countOpen() : 0, books }),
    ...{ contestant: running.name, window: spec.name, sagas, memory, others },
    perSecond: rateOf(spec.shape, run, ends),
    accept: latencyOf(run.sent.map(({ sentAtMs, acceptedAtMs }) => acceptedAtMs - sentAtMs)),
    settle: latencyOf(settleTimes),
    cpu: spec.killAfterSeconds === undefined ? perSaga(cpuUsed, sagas) : {},
    ...(wal &&
      walAfter && { walBytes: (walAfter.bytes - wal.bytes) / sagas, walSyncs: (walAfter.syncs - wal.syncs) / sagas }),
    ...(spec.isDeep && { events: await eventsOf(running, run.sent) }),
    refusals: run.refusals,
    ...(killed.killedAtMs !== undefined && afterKill(run, ends, killed as Killed)),
  };
}

/** The benchmark's own process is among them, which reads the figures. */
function othersOf(before: { readonly begunAtMs: number; readonly cpuMs: number }, used: ByRole): number {
  const ours = Object.values(used).reduce((sum, each) => sum + each, 0);
  const all = cpuOfMachine() - before.cpuMs;
  return (Math.max(0, all - ours) / ((nowMs() - before.begunAtMs) * cpus().length)) * 100;
}

interface Killed {
  readonly killedAtMs: number;
  readonly readyMs: number;
}

/** Sends the orders; in the middle of it the contestant may die. */
async function send(
  servers: Servers,
  running: Running,
  { shape, killAfterSeconds }: WindowSpec,
): Promise<{ readonly run: Run } & Partial<Killed>> {
  const { load } = servers;
  const watching = new AbortController();
  const watch = servers.hasOwnParticipants ? undefined : noteEnds(servers, running, watching.signal);
  const sending = load.run(shape);
  try {
    if (killAfterSeconds === undefined) return { run: await sending };
    await Promise.race([pause(killAfterSeconds * 1_000), sending]);
    const killedAtMs = nowMs();
    await running.kill();
    await load.halt();
    await running.restart();
    const readyMs = nowMs() - killedAtMs;
    return { run: await sending, killedAtMs, readyMs };
  } finally {
    watching.abort();
    await watch;
  }
}

/** Participants elsewhere do not tell when they are done with an order: the ledger does. */
async function noteEnds({ load }: Servers, running: Running, signal: AbortSignal): Promise<void> {
  let sinceMs = nowMs();
  const seen = new Set<string>();
  while (!signal.aborted) {
    const ends = await running.endsSince(sinceMs).catch(() => new Map<string, End>());
    const fresh = [...ends.keys()].filter((orderId) => !seen.has(orderId));
    for (const orderId of fresh) seen.add(orderId);
    await load.noteSettled(fresh);
    sinceMs = Math.max(sinceMs, nowMs() - 30_000);
    await pause(25);
  }
}

async function drain(running: Running, { sent, begunAtMs }: Run): Promise<ReadonlyMap<string, End>> {
  const endMs = nowMs() + DRAIN_MS;
  for (;;) {
    const ends = await running.endsSince(begunAtMs - 1_000);
    if (nowMs() > endMs || sent.every(({ orderId }) => ends.has(orderId))) return ends;
    await pause(100);
  }
}

/**
 * Over the time in which sagas were sent, without its first fifth, in which none of the slow ones can have settled; where that was
 * no given time, over the time until the last has settled.
 */
function rateOf(shape: Shape, { sent, begunAtMs, endedAtMs }: Run, ends: ReadonlyMap<string, End>): number {
  const times = sent.flatMap(({ orderId }) => ends.get(orderId)?.atMs ?? []);
  const lastMs = times.reduce((latest, atMs) => Math.max(latest, atMs), begunAtMs);
  const isTimed = shape.kind === 'rate' || (shape.kind === 'in-flight' && shape.seconds !== undefined);
  const fromMs = isTimed ? begunAtMs + (endedAtMs - begunAtMs) / 5 : begunAtMs;
  const toMs = isTimed ? endedAtMs : lastMs;
  const within = times.filter((atMs) => atMs >= fromMs && atMs <= toMs).length;
  return within / ((toMs - fromMs) / 1_000);
}

function afterKill({ sent }: Run, ends: ReadonlyMap<string, End>, { killedAtMs, readyMs }: Killed): Partial<Figures> {
  const late = sent.filter(
    ({ orderId, sentAtMs }) => sentAtMs <= killedAtMs && (ends.get(orderId)?.atMs ?? Infinity) > killedAtMs,
  );
  const waits = late.map(({ orderId }) => (ends.get(orderId)?.atMs ?? Infinity) - killedAtMs);
  return { readyMs, inFlight: late.length, slowestMs: Math.max(0, ...waits) };
}

async function walOf(running: Running, { isDeep = false }: WindowSpec, settles: boolean): Promise<Wal | undefined> {
  if (!isDeep) return undefined;
  const all = await Promise.all(running.walUrls.map((url) => readWal(url, { settles })));
  return {
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    syncs: all.reduce((sum, { syncs }) => sum + syncs, 0),
  };
}

async function eventsOf(running: Running, sent: readonly Sent[]): Promise<number> {
  const some = sent.slice(-SAMPLES);
  const counts = await Promise.all(some.map(({ sagaId }) => running.eventsOf(sagaId)));
  return counts.reduce((sum, count) => sum + count, 0) / Math.max(1, some.length);
}

function latencyOf(times: readonly number[]): Latency {
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

function perSaga(total: ByRole, sagas: number): ByRole {
  return Object.fromEntries(Object.entries(total).map(([role, value]) => [role, value / Math.max(1, sagas)]));
}
