import type pg from 'pg';
import { z } from 'zod';
import {
  createParticipant,
  serveParticipant,
  type ParticipantBuilder,
  type ParticipantServer,
} from '../../src/participant/index.js';
import { defineMessage } from '../../src/saga/message-contract.js';
import { createHttpTransport } from '../../src/transports/http.js';
import { useDatabase } from '../support/databases.js';
import { sendNote, serveNotes, type BeforeReturn, type GivenAnswer, type SentNote } from '../support/notes-server.js';
import { freshSagaId, inboxStatus, messageFor, notedAmount, notes, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;
let server: ParticipantServer;

beforeAll(async () => {
  pool = await openNotes(database.url);
  server = await serveNotes(database.url);
});

afterAll(async () => {
  await server?.stop();
  await pool?.end();
});

/** Each is refused before it is committed: a repetition could only get the same. */
const UNFIT_RESULTS = [
  ['is too long to be read by its sender', () => 'x'.repeat(64 * 1024)],
  ['is not what the contract says', () => 17 as unknown as string],
  ['cannot be stored', () => 'nul \0'],
] as const;

const send = (sent?: SentNote): Promise<GivenAnswer> => sendNote(server, sent);

/** The handler stops before its return until `open` is called; `inside` resolves when it has come there. */
function closeGate(): { inside: Promise<void>; open: () => void; beforeReturn: BeforeReturn } {
  let enter: () => void = () => undefined;
  let open: () => void = () => undefined;
  const inside = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const beforeReturn = (): Promise<void> => {
    enter();
    return opened;
  };
  return { inside, open, beforeReturn };
}

/** Sends a note until it is being handled: where the machine stalls it gets no connection in time, and is told to come again. */
async function begin(
  to: ParticipantServer,
  { inside, ...sent }: SentNote & { readonly inside: Promise<void> },
): Promise<{ readonly answer: Promise<GivenAnswer> }> {
  for (;;) {
    const answer = sendNote(to, sent);
    const first = await Promise.race([inside, answer]);
    if (!first) return { answer };
    expect(first.status).toBe(503);
  }
}

describe('a message over HTTP', () => {
  it('is answered with its result, and a duplicate with the same result and a mark', async () => {
    const key = `${freshSagaId()}/note/do`;
    const first = await send({ key });
    expect([first.status, first.body, first.headers.get('idempotent-replayed')]).toEqual([200, { noted: 5 }, null]);
    const second = await send({ key, body: '{ "amount" : 5 }' });
    expect([second.status, second.body, second.headers.get('idempotent-replayed')]).toEqual([
      200,
      { noted: 5 },
      'true',
    ]);
  });

  it('that is refused is a problem with the reason’s code, the first time and every time', async () => {
    const key = `${freshSagaId()}/note/do`;
    const problem = {
      type: 'urn:settle:problem:unlucky',
      title: 'unlucky',
      status: 409,
      detail: 'no 13 here',
      code: 'unlucky',
    };
    for (const replayed of [null, 'true']) {
      const { status, body, headers } = await send({ key, body: '{"amount":13}' });
      expect([status, body]).toEqual([409, problem]);
      expect(headers.get('content-type')).toBe('application/problem+json');
      expect(headers.get('idempotent-replayed')).toBe(replayed);
    }
  });

  it('that comes after its undo is refused, and counted', async () => {
    const saga = freshSagaId();
    const undo = await send({ key: `${saga}/note/undo`, type: notes.erase.type });
    expect([undo.status, undo.body]).toEqual([200, null]);
    expect(await send({ key: `${saga}/note/do` })).toMatchObject({ status: 409, body: { code: 'tombstone' } });
    expect(await notedAmount(pool, saga)).toBe(0);
    const metrics = await send({ method: 'GET', path: '/metrics' });
    expect(metrics.body).toMatch(
      /settle_inbox_messages_total\{type="notes.write",outcome="tombstone",consumer="notes"\} [1-9]/,
    );
    expect(metrics.body).toMatch(
      /settle_inbox_messages_total\{type="notes.erase",outcome="nothing-to-undo",consumer="notes"\} [1-9]/,
    );
    expect(metrics.body).toMatch(
      /settle_inbox_messages_total\{type="notes.write",outcome="repeated",consumer="notes"\} [1-9]/,
    );
  });

  it('whose key stands for another payload is refused with 422', async () => {
    const key = `${freshSagaId()}/note/do`;
    await send({ key });
    expect(await send({ key, body: '{"amount":6}' })).toMatchObject({
      status: 422,
      body: { code: 'effect-key-reused' },
    });
  });

  it('that cannot be handled now says when to come back', async () => {
    const { status, headers } = await send({ body: '{"amount":503}' });
    expect([status, headers.get('retry-after')]).toEqual([503, '7']);
  });

  it('that meets a fault of the handler is unknown, and the answer tells nothing of the cause', async () => {
    const { status, body } = await send({ body: '{"amount":500}' });
    expect([status, JSON.stringify(body).includes('hunter2')]).toEqual([500, false]);
  });

  it.each(UNFIT_RESULTS)('whose result %s is not applied', async (...[, result]) => {
    const print = defineMessage('notes.print', { payload: z.unknown(), result: z.string() });
    const participant = createParticipant({ consumer: 'notes', pool })
      .handle(print, async (tx, _, { effectKey }) => {
        await tx.query('insert into notes.note (effect_key, amount) values ($1, 1)', [effectKey]);
        return result();
      })
      .build();
    const message = messageFor({ sagaId: freshSagaId(), type: 'notes.print', payload: null });
    await expect(participant.deliver(message)).rejects.toThrow();
    expect([await inboxStatus(pool, message), await notedAmount(pool, message.sagaId)]).toEqual([undefined, 0]);
  });

  it('is understood when Settle’s own transport sends it', async () => {
    const transport = createHttpTransport();
    const route = { transport: 'http', url: `${server.url}/messages/notes.write` } as const;
    const parts = { sagaId: freshSagaId(), type: 'notes.write' };
    const done = await transport.send(messageFor({ ...parts, payload: { amount: 5 } }), route, 5_000);
    expect(done).toEqual({ kind: 'done', result: { noted: 5 } });
    const refused = await transport.send(messageFor({ ...parts, step: 'next', payload: { amount: 13 } }), route, 5_000);
    expect(refused).toEqual({ kind: 'rejected', reason: { code: 'unlucky', message: 'no 13 here' } });
    await transport.close();
  });
});

describe('a participant whose database is away', () => {
  it('starts, lives, is not ready, and answers 503 with Retry-After', async () => {
    const lonely = await serveNotes('postgres://nobody@127.0.0.1:1/none');
    try {
      expect((await sendNote(lonely, { method: 'GET', path: '/health/live' })).status).toBe(200);
      expect((await sendNote(lonely, { method: 'GET', path: '/health/ready' })).status).toBe(503);
      const { status, headers, body } = await sendNote(lonely);
      expect([status, headers.get('retry-after')]).toEqual([503, '1']);
      expect(body).toMatchObject({ code: 'unavailable' });
      expect((await sendNote(lonely, { body: '{' })).status).toBe(400);
    } finally {
      await lonely.stop();
    }
  });

  it('answers 503 when every connection of its pool is taken, and recovers', async () => {
    const { inside, open, beforeReturn } = closeGate();
    const narrow = await serveNotes(database.url, { maxConnections: 1, beforeReturn });
    try {
      const first = await begin(narrow, { inside });
      expect((await sendNote(narrow)).status).toBe(503);
      open();
      expect((await first.answer).status).toBe(200);
      expect((await sendNote(narrow)).status).toBe(200);
    } finally {
      await narrow.stop();
    }
  });
});

describe('stopping', () => {
  it('lets what is under way finish and takes nothing new', async () => {
    const { inside, open, beforeReturn } = closeGate();
    const leaving = await serveNotes(database.url, { beforeReturn });
    const saga = freshSagaId();
    const underWay = await begin(leaving, { inside, key: `${saga}/note/do` });
    const stopped = leaving.stop();
    await expect(sendNote(leaving)).rejects.toThrow();
    open();
    expect(await underWay.answer).toMatchObject({ status: 200, body: { noted: 5 } });
    await stopped;
    await leaving.stop();
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('is not needed when the port is taken: that is one clear error', async () => {
    const port = Number(new URL(server.url).port);
    const register = (participant: ParticipantBuilder): ParticipantBuilder => participant;
    const options = { consumer: 'notes', databaseUrl: database.url, host: '127.0.0.1', port, register };
    await expect(serveParticipant(options)).rejects.toThrow(`'notes' cannot listen on 127.0.0.1:${port}: `);
  });
});
