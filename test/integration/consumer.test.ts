import { RetryableError } from '../../src/saga/errors.js';
import { useConsumers } from '../support/consumer-stand.js';
import { eventually } from '../support/eventually.js';
import { DEAD, eventFor, FROM, noteHandlers, REPLIES } from '../support/consumers.js';
import { freshSagaId, notedAmount, notes } from '../support/participant-kit.js';

const stand = useConsumers();

const attemptRows = async (): Promise<number> =>
  (await stand.pool.query<{ count: number }>('select count(*) from notes.delivery_attempt')).rows[0]!.count;

describe('a message from a broker', () => {
  it.each(['structured', 'binary'] as const)('in %s mode is applied and answered with its result', async (mode) => {
    const sagaId = freshSagaId();
    await stand.start();
    await stand.office.send(eventFor({ sagaId, mode, token: 't-1', revision: 2 }));
    await stand.untilDone();
    expect(stand.office.replies()).toMatchObject([
      {
        source: '/notes',
        effectKey: `${sagaId}/note/do`,
        revision: 2,
        token: 't-1',
        outcome: { kind: 'done', result: { noted: 5 } },
      },
    ]);
    expect(await notedAmount(stand.pool, sagaId)).toBe(5);
  });

  it('that the handler refuses is answered with the reason, and the payload that is wrong with its own', async () => {
    const [a, b] = [freshSagaId(), freshSagaId()];
    await stand.start();
    await stand.office.send(
      eventFor({ sagaId: a, payload: { amount: 13 } }),
      eventFor({ sagaId: b, payload: { amount: 'five' } }),
    );
    await stand.untilDone();
    const outcomes = new Map(stand.office.replies().map(({ effectKey, outcome }) => [effectKey, outcome]));
    expect(outcomes.get(`${a}/note/do`)).toEqual({
      kind: 'rejected',
      reason: { code: 'unlucky', message: 'no 13 here' },
    });
    expect(outcomes.get(`${b}/note/do`)).toMatchObject({ kind: 'rejected', reason: { code: 'invalid-payload' } });
    expect(stand.office.server.stored(DEAD)).toEqual([]);
  });

  it('that nobody waits for is applied and answers nothing', async () => {
    const sagaId = freshSagaId();
    await stand.start();
    await stand.office.send(eventFor({ sagaId, hasReply: false }));
    await stand.untilDone();
    expect([stand.office.replies(), await notedAmount(stand.pool, sagaId)]).toEqual([[], 5]);
  });

  it('whose sender is gone is applied and acknowledged all the same', async () => {
    const sagaId = freshSagaId();
    const consumer = await stand.start();
    const message = eventFor({ sagaId });
    const body = Buffer.from(message.body.toString().replace(`"replyto":"${REPLIES}"`, '"replyto":"gone"'));
    await stand.office.send({ ...message, body });
    await stand.untilDone();
    expect(await notedAmount(stand.pool, sagaId)).toBe(5);
    expect(await consumer.registry.metrics()).toMatch(
      /settle_consumer_replies_total\{from="notes",outcome="lost",consumer="notes"\} 1/,
    );
  });

  it('is applied once, however often, late and out of order it comes, and every delivery gets the same answer', async () => {
    const sagas = Array.from({ length: 20 }, freshSagaId);
    await stand.start();
    const copies = Array.from({ length: 10 }, () => sagas.map((sagaId) => eventFor({ sagaId }))).flat();
    await stand.office.send(...copies.sort(() => Math.random() - 0.5));
    await stand.untilDone();
    expect(await Promise.all(sagas.map((sagaId) => notedAmount(stand.pool, sagaId)))).toEqual(sagas.map(() => 5));
    expect(stand.office.replies()).toHaveLength(200);
    expect(stand.office.replies().every(({ outcome }) => outcome.kind === 'done')).toBe(true);
  });

  it('that comes after its undo is refused and told so', async () => {
    const sagaId = freshSagaId();
    await stand.start();
    await stand.office.send(eventFor({ sagaId, action: 'undo', type: notes.erase.type }));
    await stand.untilDone();
    await stand.office.send(eventFor({ sagaId }));
    await stand.untilDone();
    expect(stand.office.replies().map(({ outcome }) => outcome)).toMatchObject([
      { kind: 'done', result: null },
      { kind: 'rejected', reason: { code: 'tombstone' } },
    ]);
    expect(await notedAmount(stand.pool, sagaId)).toBe(0);
  });

  it('whose key stands for another payload, and one beyond the window, are rejected with the code of HTTP', async () => {
    const sagaId = freshSagaId();
    const old = 'sg_01890000-0000-7000-8000-000000000000';
    await stand.start();
    await stand.office.send(eventFor({ sagaId }));
    await stand.untilDone();
    await stand.office.send(eventFor({ sagaId, payload: { amount: 6 } }), eventFor({ sagaId: old }));
    await stand.untilDone();
    const codes = stand.office.replies().map(({ outcome }) => (outcome.kind === 'rejected' ? outcome.reason.code : ''));
    expect(codes.sort()).toEqual(['', 'beyond-window', 'effect-key-reused']);
  });

  it('that takes its time says so at once, is let go, and is not counted when its sender sends it again', async () => {
    const sagaId = freshSagaId();
    let begun = 0;
    const ask = (): void => {
      begun += 1;
      if (begun <= 7) throw new RetryableError('not yet', 2);
    };
    await stand.start({ handlers: noteHandlers(ask) });
    for (let sent = 1; sent <= 8; sent += 1) {
      await stand.office.send(eventFor({ sagaId }));
      await stand.untilDone();
      expect(stand.office.replies()).toHaveLength(sent);
    }
    const kinds = stand.office.replies().map(({ outcome }) => outcome);
    expect(kinds.slice(0, 7)).toEqual(Array.from({ length: 7 }, () => ({ kind: 'working', retryAfterMs: 2 })));
    expect(kinds.slice(7)).toEqual([{ kind: 'done', result: { noted: 5 } }]);
    expect([stand.office.server.stored(DEAD), await attemptRows()]).toEqual([[], 0]);
  });
});

describe('an acknowledgement', () => {
  it('comes after the commit and the confirmed reply, never before', async () => {
    const seen: string[] = [];
    const sagaId = freshSagaId();
    const note = async (what: string): Promise<void> => {
      seen.push(`${what}: applied ${await notedAmount(stand.pool, sagaId)}, left ${stand.office.left()}`);
    };
    const transport = stand.office.connect({
      beforeConfirm: () => note('reply'),
      beforeAcknowledge: () => void seen.push('acknowledged'),
    });
    await stand.start({ transport });
    await stand.office.send(eventFor({ sagaId }));
    await stand.untilDone();
    expect(seen).toEqual(['reply: applied 5, left 1', 'acknowledged']);
  });

  it('that is lost after the commit repeats nothing: the stored result is answered again', async () => {
    const sagaId = freshSagaId();
    let losses = 3;
    const transport = stand.office.connect({
      beforeAcknowledge: () => {
        if (losses-- > 0) throw new Error('the connection broke');
      },
    });
    await stand.start({ transport });
    await stand.office.send(eventFor({ sagaId }));
    await stand.untilDone();
    expect(await notedAmount(stand.pool, sagaId)).toBe(5);
    const outcomes = stand.office.replies().map(({ outcome }) => outcome);
    expect(outcomes).toEqual(Array.from({ length: 4 }, () => ({ kind: 'done', result: { noted: 5 } })));
    expect(await attemptRows()).toBe(0);
  });

  it('waits for the reply: one that is not confirmed is given again, more often than a message may fail', async () => {
    const sagaId = freshSagaId();
    let unconfirmed = 6;
    const transport = stand.office.connect({
      beforeStore: () => {
        if (unconfirmed-- > 0) throw new Error('no confirmation');
      },
    });
    const consumer = await stand.start({ transport });
    await stand.office.send(eventFor({ sagaId }));
    await stand.untilDone();
    expect(stand.office.replies()).toMatchObject([{ outcome: { kind: 'done', result: { noted: 5 } } }]);
    expect([await notedAmount(stand.pool, sagaId), stand.office.server.stored(DEAD)]).toEqual([5, []]);
    expect(await consumer.registry.metrics()).toMatch(
      /settle_consumer_messages_total\{from="notes",outcome="repeated",consumer="notes"\} 1/,
    );
  });

  it('of a consumer that crashed is missing, and the next one answers what was stored', async () => {
    const sagaId = freshSagaId();
    const first = stand.office.connect({
      beforeConfirm: () => {
        first.crash();
        throw new Error('crashed');
      },
    });
    await stand.start({ transport: first });
    await stand.office.send(eventFor({ sagaId }));
    await eventually(() => expect(stand.office.replies()).toHaveLength(1));
    await stand.start();
    await stand.untilDone();
    expect(stand.office.replies().map(({ outcome }) => outcome.kind)).toEqual(['done', 'done']);
    expect(await notedAmount(stand.pool, sagaId)).toBe(5);
  });
});

describe('what cannot be a message', () => {
  const sagaId = freshSagaId();
  const sound = eventFor({ sagaId, mode: 'binary' });
  const changed = (name: string, value: string): typeof sound => ({
    ...sound,
    headers: { ...sound.headers, [`cloudEvents:${name}`]: value },
  });
  const without = (name: string): typeof sound => {
    const { [`cloudEvents:${name}`]: _gone, ...headers } = sound.headers;
    return { ...sound, headers };
  };
  const deep = Buffer.from('['.repeat(65) + ']'.repeat(65));

  it.each([
    ['no event at all', 'bad-event', false, { ...sound, headers: {} }],
    ['structured and broken', 'bad-json', false, { ...eventFor({ sagaId }), body: Buffer.from('{"specversion":') }],
    ['a body that is no JSON', 'bad-json', true, { ...sound, body: Buffer.from('{') }],
    ['a body that is too deep', 'bad-json', true, { ...sound, body: deep }],
    ['a body that is too long', 'body-too-large', true, { ...sound, body: Buffer.alloc(256 * 1024 + 1, 0x31) }],
    ['another content type', 'unsupported-media-type', true, { ...sound, contentType: 'text/plain' }],
    ['no id', 'missing-attribute', true, without('id')],
    ['no effect key', 'missing-attribute', false, without('effectkey')],
    ['a key of another saga', 'bad-effect-key', true, changed('effectkey', `${freshSagaId()}/note/do`)],
    ['a revision that is no number', 'bad-attribute', false, changed('revision', 'two')],
    ['a type that nobody handles', 'unknown-type', true, changed('type', 'notes.burn')],
    ['a do under the key of an undo', 'wrong-action', true, changed('effectkey', `${sagaId}/note/undo`)],
  ] as const)('(%s) is dead with %s, as it came', async (_, code, isAnswered, message) => {
    const consumer = await stand.start();
    await stand.office.send(message, eventFor({ sagaId: freshSagaId(), hasReply: false }));
    await stand.untilDone();
    const [dead, ...more] = stand.office.server.stored(DEAD);
    expect(more).toEqual([]);
    expect(dead).toMatchObject({ id: message.id, contentType: message.contentType, headers: message.headers });
    expect(dead!.body.equals(message.body)).toBe(true);
    expect(dead!.headers).toMatchObject({
      'settle-dead-reason': code,
      'settle-dead-message': expect.stringMatching(/./),
      'settle-dead-attempts': '0',
      'settle-dead-from': FROM,
      'settle-dead-at': expect.stringMatching(/^20\d\d-.*Z$/),
    });
    const codes = stand.office.replies().map(({ outcome }) => outcome.kind === 'rejected' && outcome.reason.code);
    expect(codes).toEqual(isAnswered ? [code] : []);
    expect(await notedAmount(stand.pool, sagaId)).toBe(0);
    expect(await consumer.registry.metrics()).toContain(`dead_letters_total{from="notes",code="${code}"`);
  });
});
