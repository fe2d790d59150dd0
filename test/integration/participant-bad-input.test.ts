import { once } from 'node:events';
import { connect } from 'node:net';
import type pg from 'pg';
import type { ParticipantServer } from '../../src/participant/index.js';
import { useDatabase } from '../support/databases.js';
import { headersFor, sendNote, serveNotes, type GivenAnswer, type SentNote } from '../support/notes-server.js';
import { freshSagaId, openNotes } from '../support/participant-kit.js';

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

const send = (sent?: SentNote): Promise<GivenAnswer> => sendNote(server, sent);

const key = `${freshSagaId()}/note/do`;
const deep = '['.repeat(5_000) + ']'.repeat(5_000);

describe('bad input', () => {
  it.each<readonly [string, number, string, SentNote]>([
    ['broken JSON', 400, 'bad-json', { body: '{"amount":' }],
    ['an empty body', 400, 'bad-json', { body: '' }],
    ['deep JSON', 400, 'bad-json', { body: deep }],
    ['NUL', 400, 'bad-json', { body: '{"amount":"\\u0000"}' }],
    ['a lone surrogate', 400, 'bad-json', { body: '{"amount":"\\ud800"}' }],
    ['__proto__', 400, 'bad-json', { body: '{"amount":5,"__proto__":{"x":1}}' }],
    ['bytes that are not UTF-8', 400, 'bad-json', { body: Uint8Array.of(0x22, 0xff, 0x22) }],
    ['an unknown member', 400, 'invalid-payload', { body: '{"amount":5,"more":1}' }],
    ['a fraction', 400, 'invalid-payload', { body: '{"amount":1.5}' }],
    ['a number beyond 2^53', 400, 'invalid-payload', { body: '{"amount":9007199254740993}' }],
    ['a string for a number', 400, 'invalid-payload', { body: '{"amount":"5"}' }],
    ['null', 400, 'invalid-payload', { body: 'null' }],
    ['a body that is too long', 413, 'body-too-large', { body: `"${'x'.repeat(256 * 1024)}"` }],
    ['another content type', 415, 'unsupported-media-type', { headers: { 'content-type': 'text/plain' } }],
    [
      'another charset',
      415,
      'unsupported-media-type',
      { headers: { 'content-type': 'application/json; charset=latin1' } },
    ],
    ['a key that is no effect key', 400, 'bad-effect-key', { key: 'order-17' }],
    ['two keys', 400, 'bad-effect-key', { key: `${key}, ${key}` }],
    ['a key of 300 characters', 400, 'bad-header', { key: 'x'.repeat(300) }],
    ['another saga in ce-sagaid', 400, 'bad-effect-key', { headers: { 'ce-sagaid': freshSagaId() } }],
    ['a do under the key of an undo', 400, 'wrong-action', { key: key.replace('/do', '/undo') }],
    ['an undo under the key of a do', 400, 'wrong-action', { type: 'notes.erase' }],
    ['another type in the header', 400, 'bad-header', { headers: { 'ce-type': 'notes.erase' } }],
    ['another CloudEvents version', 400, 'bad-header', { headers: { 'ce-specversion': '0.3' } }],
    ['a revision that is no number', 400, 'bad-header', { headers: { 'ce-revision': '-1' } }],
    ['a revision beyond the database', 400, 'bad-header', { headers: { 'ce-revision': '99999999999' } }],
    ['an unknown type', 404, 'not-found', { type: 'notes.burn' }],
    ['an unknown path', 404, 'not-found', { path: '/message/notes.write' }],
    ['another method', 405, 'method-not-allowed', { method: 'PUT' }],
  ])('%s is answered with %i %s', async (...[, status, code, sent]) => {
    const given = await send(sent);
    expect(given).toMatchObject({ status, body: { status, code, type: `urn:settle:problem:${code}` } });
    expect(given.headers.get('content-type')).toBe('application/problem+json');
  });

  it.each(['ce-specversion', 'ce-id', 'ce-source', 'ce-type', 'idempotency-key'])(
    'a missing %s is named',
    async (name) => {
      const headers = headersFor(`${freshSagaId()}/note/do`);
      const { [name]: _missing, ...rest } = headers;
      const response = await fetch(`${server.url}/messages/notes.write`, { method: 'POST', headers: rest, body: '{}' });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: 'missing-header', detail: expect.stringContaining(name) });
    },
  );

  it('changes nothing, whatever it was', async () => {
    const { rows } = await pool.query('select 1 from notes.note where amount not in (5, -5)');
    expect(rows).toEqual([]);
  });

  it('with an invalid payload stays refused when it is repeated', async () => {
    const bad = { key: `${freshSagaId()}/note/do`, body: '{"amount":"5"}' };
    expect((await send(bad)).status).toBe(400);
    const again = await send(bad);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([400, 'true']);
  });

  it('that breaks off in the middle of its body leaves the server as it was', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    const headers = Object.entries(headersFor(`${freshSagaId()}/note/do`)).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    socket.write(
      `POST /messages/notes.write HTTP/1.1\r\nhost: a\r\n${headers.join('')}content-length: 100\r\n\r\n{"amo`,
    );
    await once(socket, 'connect');
    socket.destroy();
    expect((await send()).status).toBe(200);
  });
});
