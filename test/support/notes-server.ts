import { randomUUID } from 'node:crypto';
import { serveParticipant, type ParticipantBuilder, type ParticipantServer } from '../../src/participant/index.js';
import { RejectedError, RetryableError } from '../../src/saga/errors.js';
import { freshSagaId, notes } from './participant-kit.js';

/** What the handler of `notes.write` calls before it returns; a test may make it wait. */
export type BeforeReturn = () => void | Promise<void>;

/**
 * The smallest participant, served on a free port. An amount of 13 is rejected, one of 503 says not now for 7 s,
 * one of 500 is a fault.
 */
export function serveNotes(
  databaseUrl: string,
  { maxConnections = 5, beforeReturn }: { maxConnections?: number; beforeReturn?: BeforeReturn } = {},
): Promise<ParticipantServer> {
  const register = (participant: ParticipantBuilder): ParticipantBuilder =>
    participant
      .handle(notes.write, async (tx, { amount }, { effectKey }) => {
        if (amount === 13) throw new RejectedError('unlucky', 'no 13 here');
        if (amount === 503) throw new RetryableError('not now', 7_000);
        if (amount === 500) throw new Error('secret: the password is hunter2');
        await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
        await beforeReturn?.();
        return { noted: amount };
      })
      .handle(notes.erase, async (tx, { amount }, { effectKey }) => {
        await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, -amount]);
        return { erased: amount };
      });
  return serveParticipant({ consumer: 'notes', databaseUrl, host: '127.0.0.1', port: 0, register, maxConnections });
}

/** The headers that a message must have. */
export function headersFor(key: string, type: string = notes.write.type): Record<string, string> {
  return {
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': randomUUID(),
    'ce-source': '/settle/test',
    'ce-type': type,
    'idempotency-key': key,
  };
}

/** What is different about a request; otherwise it is a fresh `notes.write` of 5. */
export interface SentNote {
  readonly key?: string;
  readonly type?: string;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly path?: string;
}

/** An answer, its JSON read. */
export interface GivenAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** Sends one request and reads its answer. */
export async function sendNote({ url }: ParticipantServer, sent: SentNote = {}): Promise<GivenAnswer> {
  const { key = `${freshSagaId()}/note/do`, type = notes.write.type, body = '{"amount":5}', method = 'POST' } = sent;
  const response = await fetch(`${url}${sent.path ?? `/messages/${type}`}`, {
    method,
    headers: { ...headersFor(key, type), ...sent.headers },
    body: method === 'GET' ? undefined : body,
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json');
  return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
}
