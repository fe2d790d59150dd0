import { BrokerError, type BrokerMessage, type BrokerName, type IncomingMessage } from '../brokers/broker.js';
import type { Reason } from '../saga/errors.js';
import type { Publishing } from './consumer-replies.js';
import { backoffMs, pause } from './pace.js';

/** What the headers of a dead letter begin with; the rest of the message is as it came. */
export const DEAD_HEADERS = {
  /** The reason's code. */
  reason: 'settle-dead-reason',
  message: 'settle-dead-message',
  attempts: 'settle-dead-attempts',
  /** Where it came from. */
  from: 'settle-dead-from',
  /** When it was given up, ISO 8601. */
  at: 'settle-dead-at',
} as const;

/** A message that no retry can help, and why. */
export interface DeadLetter {
  readonly incoming: IncomingMessage;
  readonly to: string;
  readonly reason: Reason;
  /** How often it was begun. */
  readonly attempts: number;
}

/** Where dead messages of a destination go, unless the consumer says otherwise: RocketMQ's names have no dots. */
export function deadLettersOf(from: string, broker: BrokerName): string {
  return `${from}${broker === 'rocketmq' ? '-' : '.'}dead`;
}

/** What every broker carries in a header. */
const MAX_CHARACTERS = 500;

/**
 * Hands a message on to where dead ones are kept, and resolves once the broker has it there. It does not give up by itself, as the
 * message would be lost.
 *
 * @throws StoppingError when the consumer stops first: then the message comes again
 */
export async function buryMessage(publishing: Publishing, letter: DeadLetter): Promise<void> {
  const { broker, confirmMs, metrics, logger, signal } = publishing;
  const { incoming, to, reason, attempts } = letter;
  const { id, key, contentType, body } = incoming;
  const dead: BrokerMessage = { id, key, contentType, body, headers: { ...incoming.headers, ...headersOf(letter) } };
  for (let failures = 1; ; failures += 1) {
    try {
      await broker.publish(dead, { to, timeoutMs: confirmMs });
      break;
    } catch (error) {
      logger?.error({ err: error, id, to }, `dead letter '${id}' cannot be stored; trying again`);
      await pause(backoffMs(failures), signal);
      if (error instanceof BrokerError && error.kind === 'unroutable') {
        // what it then lacks, the next attempt says
        await broker.declare({ name: to }).catch(() => undefined);
      }
    }
  }
  metrics?.countDeadLetter(incoming.from, reason.code);
  const about = { id, from: incoming.from, to, attempts, code: reason.code };
  logger?.error(about, `message '${id}' is dead: ${reason.message}`);
}

function headersOf({ incoming, reason, attempts }: DeadLetter): Record<string, string> {
  return {
    [DEAD_HEADERS.reason]: plain(reason.code),
    [DEAD_HEADERS.message]: plain(reason.message),
    [DEAD_HEADERS.attempts]: String(attempts),
    [DEAD_HEADERS.from]: incoming.from,
    [DEAD_HEADERS.at]: new Date().toISOString(),
  };
}

function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, '?').slice(0, MAX_CHARACTERS);
}
