import { BrokerError, type BrokerErrorKind, type BrokerMessage, type PublishOptions } from './broker.js';
import type { RedisConnection } from './redis-connection.js';
import { encodeEntry, entryBytes } from './redis-entry.js';

/** What must be true before an entry counts as stored. */
export interface Durability {
  /** Whether Redis may keep what it confirms in memory for a while, and a crash of it may lose that. */
  readonly isLossAllowed: boolean;
  /** Copies that must have it. */
  readonly replicas: number;
  /** Whether to wait until it is on the disk, here and on so many replicas: `WAITAOF`, Redis 7.2. */
  readonly waitsForDisk: boolean;
}

/** What a stream takes at the most, in bytes. */
export const MAX_ENTRY_BYTES = 1024 * 1024;

/** How long Redis is asked to wait at a time: everything else on the connection waits as long. */
const WAIT_MS = 500;

/** Redis has been told to take nothing, or has no room: nothing was stored. */
const REFUSALS = /^(OOM|MISCONF|READONLY|NOREPLICAS|LOADING)\b/;

/** Publishes on one connection; see `Broker.publish`. */
export function createPublisher(
  connection: RedisConnection,
  durability: Durability,
): (message: BrokerMessage, options: PublishOptions) => Promise<void> {
  const checkSettings = createSettingsCheck(connection, durability);
  const waitUntilSafe = createSafetyWait(connection, durability);

  return async (message, { to, timeoutMs }) => {
    const end = performance.now() + timeoutMs;
    const bytes = entryBytes(message);
    const what = `message '${message.id}' to stream '${to}'`;
    if (bytes > MAX_ENTRY_BYTES) {
      throw new BrokerError('too-large', `${what} has ${bytes} bytes; ${MAX_ENTRY_BYTES} is the most`);
    }
    try {
      await checkSettings(timeoutMs);
      const words = ['XADD', to, 'NOMKSTREAM', '*', ...encodeEntry(message)];
      const entryId = await connection.send(words, { timeoutMs: end - performance.now() });
      if (entryId === null)
        throw new BrokerError('unroutable', 'the stream is missing; declare it or start a consumer');
      await waitUntilSafe(connection.epoch, end);
    } catch (cause) {
      const { message: why } = cause as Error;
      throw new BrokerError(kindOf(cause as Error), `${what} is not confirmed: ${why}`, { cause });
    }
  };
}

function kindOf(cause: Error): BrokerErrorKind {
  if (cause instanceof BrokerError) return cause.kind;
  if (REFUSALS.test(cause.message)) return 'full';
  // something else has that name
  return cause.message.startsWith('WRONGTYPE') ? 'unroutable' : 'unavailable';
}

/** Asks once per connection whether Redis keeps what it confirms; where it does not say, it is believed to. */
function createSettingsCheck(
  connection: RedisConnection,
  { isLossAllowed, replicas, waitsForDisk }: Durability,
): (timeoutMs: number) => Promise<void> {
  let checkedEpoch = 0;
  return async (timeoutMs) => {
    if (checkedEpoch === connection.epoch && connection.isReady()) return;
    if (waitsForDisk) await checkWaitAof(connection, timeoutMs);
    else if (!isLossAllowed && replicas === 0) await checkConfig(connection, timeoutMs);
    checkedEpoch = connection.epoch;
  };
}

async function checkWaitAof(connection: RedisConnection, timeoutMs: number): Promise<void> {
  const answer = await connection.send(['COMMAND', 'INFO', 'WAITAOF'], { timeoutMs });
  if ((answer as readonly unknown[])[0]) return;
  throw new BrokerError(
    'unavailable',
    `Redis at ${connection.address} has no WAITAOF, which waitaof=1 asks for; take Redis 7.2, or appendfsync always`,
  );
}

async function checkConfig(connection: RedisConnection, timeoutMs: number): Promise<void> {
  const settings = await readConfig(connection, timeoutMs);
  const [appendonly, appendfsync] = [settings.get('appendonly'), settings.get('appendfsync')];
  const evicts = settings.get('maxmemory') !== '0' && settings.get('maxmemory-policy')?.startsWith('allkeys') === true;
  const problem =
    appendonly === 'no'
      ? 'appendonly is no'
      : appendonly === 'yes' && appendfsync !== 'always'
        ? `appendfsync is ${appendfsync}`
        : evicts
          ? `maxmemory-policy is ${settings.get('maxmemory-policy')}`
          : undefined;
  if (problem === undefined) return;
  throw new BrokerError(
    'unavailable',
    `Redis at ${connection.address} may lose what it confirms (${problem}); set appendonly yes, appendfsync always and ` +
      `maxmemory-policy noeviction, or ask for replicas=1 or waitaof=1 in its URL, or accept the loss there with fsync=any`,
  );
}

/** Empty where this user may not ask. */
async function readConfig(connection: RedisConnection, timeoutMs: number): Promise<Map<string, string>> {
  const names = ['appendonly', 'appendfsync', 'maxmemory', 'maxmemory-policy'];
  try {
    const flat = (await connection.send(['CONFIG', 'GET', ...names], { timeoutMs })) as readonly string[];
    return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? '']] : [])));
  } catch (cause) {
    if (/^(NOPERM|ERR unknown command)/.test((cause as Error).message)) return new Map();
    throw cause;
  }
}

/**
 * Waits for copies and disks, for all entries written before at once.
 *
 * @returns resolves once what was written in `epoch` is safe
 */
function createSafetyWait(
  connection: RedisConnection,
  { replicas, waitsForDisk }: Durability,
): (epoch: number, end: number) => Promise<void> {
  if (replicas === 0 && !waitsForDisk) return () => Promise.resolve();
  const command = waitsForDisk
    ? ['WAITAOF', '1', String(replicas), String(WAIT_MS)]
    : ['WAIT', String(replicas), String(WAIT_MS)];
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<boolean> | undefined;
  const ask = async (): Promise<boolean> => {
    await running.catch(() => undefined);
    // who comes from now on has written after this one is sent
    next = undefined;
    const answer = connection.send(command, { timeoutMs: WAIT_MS * 10 });
    running = answer;
    const reached = await answer;
    const [local, copies] = Array.isArray(reached) ? (reached as [number, number]) : [1, Number(reached)];
    return local >= 1 && copies >= replicas;
  };
  return async (epoch, end) => {
    while (performance.now() < end) {
      const isSafe = await (next ??= ask());
      // of what an earlier connection wrote, Redis would say that it is everywhere
      if (connection.epoch !== epoch)
        throw new BrokerError('unavailable', 'the connection was lost after it was written');
      if (isSafe) return;
    }
    const where = waitsForDisk ? `its disk and ${replicas} replicas` : `${replicas} replicas`;
    throw new BrokerError('timeout', `Redis has it, but did not say in time that ${where} have it too`);
  };
}
