import { setTimeout as delay } from 'node:timers/promises';
import { BrokerError } from './broker.js';
import type { Destination } from './broker.js';
import { closeChannel, reasonOf } from './rabbitmq-connection.js';
import type { RabbitConnection } from './rabbitmq-connection.js';

const DECLARE_MS = 10_000;
/**
 * RabbitMQ 3.10 writes down where a new quorum queue keeps its data half a second after it has made it. Killed before that, it makes the
 * queue anew when it starts: what it had confirmed is gone, and who consumes the queue gets no answer.
 */
const SETTLE_MS = 2_000;

type ClientError = Error & { readonly code?: string };

/**
 * Makes a durable quorum queue; with a single active consumer where its messages are ordered.
 * Whoever may not make queues is content with one that is there. Making one takes 2 s: from then on a killed broker loses nothing of it.
 *
 * @throws BrokerError `unroutable` where it is missing or made otherwise, else `unavailable`
 */
export async function declareQueue(
  connection: RabbitConnection,
  { name, ordered = false }: Destination,
): Promise<void> {
  const settings: Record<string, unknown> = {
    'x-queue-type': 'quorum',
    ...(ordered ? { 'x-single-active-consumer': true } : {}),
  };
  const ask = async (passive: boolean): Promise<void> => {
    const channel = await connection.acquire();
    // what breaks the channel rejects the declaration too
    channel.on('error', () => undefined);
    try {
      await channel.queueDeclare({ queue: name, durable: true, arguments: settings, passive });
    } finally {
      await closeChannel(channel);
    }
  };
  try {
    const isThere = await orTooLate(ask(true).then(() => true, isMissing));
    await orTooLate(
      ask(false).catch((cause: ClientError) => (isThere && isForbidden(cause) ? undefined : Promise.reject(cause))),
    );
    if (!isThere) await delay(SETTLE_MS);
  } catch (cause) {
    throw explain({ name, settings, cause: cause as ClientError, problem: connection.problem() });
  }
}

/** False where it is missing, else throws what it was given. */
function isMissing(cause: ClientError): false {
  if (cause.code === 'NOT_FOUND') return false;
  throw cause;
}

function isForbidden({ code }: ClientError): boolean {
  return code === 'ACCESS_REFUSED';
}

/** The broker is there, and lets nobody in who comes so. */
function isTurnedAway({ code }: ClientError): boolean {
  return code === 'ACCESS_REFUSED' || code === 'NOT_ALLOWED';
}

async function orTooLate<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${DECLARE_MS} ms`)), DECLARE_MS);
  });
  return Promise.race([work, tooLate]).finally(() => clearTimeout(timer));
}

interface Failure {
  readonly name: string;
  readonly settings: object;
  readonly cause: ClientError;
  /** What keeps the connection from being opened: a refused login, for one. */
  readonly problem: ClientError | undefined;
}

function explain({ name, settings, cause, problem = cause }: Failure): BrokerError {
  const wanted = Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`);
  const how = ['durable', ...wanted].join(', ');
  switch (cause.code) {
    case 'PRECONDITION_FAILED': {
      const text = `queue '${name}' is there with other settings than ${how} (${cause.message})`;
      return new BrokerError('unroutable', `${text}; let it be worked off, delete it and declare it again`, { cause });
    }
    case 'NOT_FOUND':
    case 'ACCESS_REFUSED': {
      const text = `queue '${name}' is missing, and this user may not make it (${cause.message})`;
      return new BrokerError('unroutable', `${text}; permit that, or make it: ${how}`, { cause });
    }
    default: {
      const remedy = isTurnedAway(problem)
        ? 'correct the user, password or virtual host in its URL'
        : 'try again once RabbitMQ can be reached';
      const text = `queue '${name}' could not be declared: ${reasonOf(problem)}; ${remedy}`;
      return new BrokerError('unavailable', text, { cause });
    }
  }
}
