import { seed, startTestApi, type TestApi } from '../support/api.js';
import { digestOfRows } from '../support/all-rows.js';
import {
  BODIES,
  KEYS,
  LAST_EVENT_IDS,
  MEMBERS,
  QUERIES,
  READS,
  REQUESTS,
  REUSED,
  SHAPES,
  WRONG_IDS,
  type RequestName,
} from '../support/bad-inputs.js';
import { useDatabase } from '../support/databases.js';
import { expectProblem } from '../support/problems.js';
import { send, type RawAnswer } from '../support/raw-http.js';
import {
  fill,
  keyed,
  makeSubjects,
  post,
  SOUND,
  spoiled,
  type SoundRequest,
  type Subjects,
} from '../support/sound-requests.js';

describe('bad input is a problem wherever it is sent, and changes no row', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  let other: TestApi;
  let subjects: Subjects;
  let before: object;
  beforeAll(async () => {
    api = await startTestApi(database.url);
    other = await startTestApi(database.url, { config: { apiKeys: new Map([['key-of-eve', 'other']]) } });
    await seed(api.pool);
    subjects = await makeSubjects(api);
  });
  afterAll(() => Promise.all([api.stop(), other.stop()]));
  beforeEach(async () => {
    before = await digestOfRows(api.pool);
  });
  afterEach(async () => expect(await digestOfRows(api.pool)).toEqual(before));

  const postSound = (
    { path, body, isKeyed = false }: SoundRequest,
    {
      text = body && JSON.stringify(body),
      headers = isKeyed ? keyed('k') : [],
    }: { text?: string; headers?: readonly string[] } = {},
  ): Promise<RawAnswer> => post(api.url, { path: fill(path, subjects), body: text && fill(text, subjects), headers });

  test('every POST is here', () => {
    const served = api.routes.filter((route) => route.startsWith('POST /v1/'));
    const here = REQUESTS.map(
      ([, { path }]) => `POST ${path.replace(/\{\w+\}/, ':id').replace('order-approved', ':name')}`,
    );
    expect([...new Set(here)].toSorted()).toEqual(served.toSorted());
  });

  test.each(REQUESTS)('the body of: %s', async (name, request) => {
    for (const [text, status, type] of BODIES) expectProblem(await postSound(request, { text }), status, type);
    if (!request.body) return;
    // a cancel may be without a body
    const shapes = name === 'cancel' ? SHAPES.slice(1) : SHAPES;
    for (const text of shapes) expectProblem(await postSound(request, { text }), 400, 'invalid-request');
    const text = spoiled(request.body, '/surprise', '1');
    const { errors } = expectProblem(await postSound(request, { text }), 400, 'invalid-request');
    expect(errors).toContainEqual({ pointer: '/surprise', detail: 'is not a member' });
  });

  test.each(REQUESTS)('the headers of: %s', async (_name, { path, body = {}, isKeyed }) => {
    const sent = { method: 'POST', path: fill(path, subjects), body: JSON.stringify(body) };
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-16',
      'json',
    ]) {
      const headers = [...keyed('k'), 'content-type', type];
      expectProblem(await send(api.url, { ...sent, headers }), 415, 'unsupported-media-type');
    }
    for (const [, headers] of isKeyed ? KEYS : []) {
      const withType = [...headers, 'content-type', 'application/json'];
      expectProblem(await send(api.url, { ...sent, headers: withType }), 400, 'invalid-idempotency-key');
    }
  });

  test.each(REQUESTS)('the method of: %s', async (_name, { path }) => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await send(api.url, { method, path: fill(path, subjects) });
      expectProblem(answer, 405, 'method-not-allowed');
      expect(answer.headers.allow).toContain('POST');
    }
  });

  test.each(MEMBERS)('of the %s: %s', async (name, pointer, values) => {
    for (const json of values) {
      const request: SoundRequest = SOUND[name];
      const answer = await postSound(request, { text: spoiled(request.body!, pointer, json) });
      const { errors } = expectProblem(answer, 400, 'invalid-request');
      const pointers = (errors as { pointer: string }[]).map((fault) => fault.pointer);
      expect({ json, pointers }).toEqual({
        json,
        pointers: expect.arrayContaining([expect.stringContaining(pointer)]),
      });
    }
  });

  test.each(QUERIES)('the query of %s', async (path, queries) => {
    for (const query of queries) {
      const answer = await send(api.url, { path: `${fill(path, subjects)}?${query}` });
      const { errors } = expectProblem(answer, 400, 'invalid-request');
      expect(errors).toEqual([expect.objectContaining({ parameter: query.split('=')[0] })]);
    }
  });

  test.each(LAST_EVENT_IDS)('an event stream after %s', async (id) => {
    const answer = await send(api.url, { path: '/v1/events', headers: ['last-event-id', id] });
    expectProblem(answer, 400, 'invalid-request');
  });

  test.each(
    [...READS.map((path) => ({ path })), ...REQUESTS.map(([, request]) => request)].filter(({ path }) =>
      path.includes('{'),
    ),
  )("$path: another tenant's, of another kind and unknown are the same", async ({ path, ...rest }: SoundRequest) => {
    const body = 'body' in rest ? fill(JSON.stringify(rest.body), subjects) : undefined;
    const isRead = READS.includes(path);
    const call = (url: string, at: string): Promise<RawAnswer> => {
      const headers = ['authorization', 'Bearer key-of-eve'];
      return isRead ? send(url, { path: at, headers }) : post(url, { path: at, body, headers });
    };
    const foreign = await call(other.url, fill(path, subjects));
    expectProblem(foreign, 404, 'not-found');
    for (const id of WRONG_IDS) {
      const answer = await call(api.url, path.replace(/\{\w+\}/, id));
      expect({ id, status: answer.status, body: answer.body }).toEqual({ id, status: 404, body: foreign.body });
    }
  });

  test('what was refused was refused for its fault: as it stands each request is accepted, and repeated it changes nothing', async () => {
    const acceptAll = async (which = REQUESTS): Promise<readonly (readonly [RequestName, number])[]> => {
      const answers = [];
      for (const [name, request] of which) {
        const { status } = await postSound(request, { headers: request.isKeyed ? keyOf(name) : [] });
        answers.push([name, status] as const);
      }
      return answers;
    };
    const first = await acceptAll();
    expect(first.filter(([, status]) => ![200, 201, 202].includes(status))).toEqual([]);
    // a preview is a new one each time, and does nothing
    const { 'settle.repair': _, ...after } = await digestOfRows(api.pool);
    // a cancel that is repeated makes the scan look at its saga again
    const repeated = await acceptAll(REQUESTS.filter(([name]) => name !== 'cancel'));
    expect(first).toEqual(expect.arrayContaining([...repeated]));
    before = await digestOfRows(api.pool);
    expect(before).toMatchObject(after);
  });

  test.each(REUSED)(
    'what was accepted as %s is not taken for another one',
    async (name, pointer, json, status, type) => {
      const request: SoundRequest = SOUND[name];
      const headers = request.isKeyed ? keyOf(name) : [];
      const text = spoiled(request.body!, pointer, json);
      expectProblem(await postSound(request, { text, headers }), status, type);
      // nor for one at another address; half messages have keys of their own
      const isOfSaga = (each: RequestName, { isKeyed = false }: SoundRequest): boolean => isKeyed && each !== 'message';
      if (!isOfSaga(name, request)) return;
      for (const [each, elsewhere] of REQUESTS) {
        if (each === name || !isOfSaga(each, elsewhere)) continue;
        expectProblem(await postSound(elsewhere, { headers }), 422, 'idempotency-key-reused');
      }
    },
  );
});

/** Each under a key of its own, the same whenever it is sent. */
function keyOf(name: RequestName): readonly string[] {
  return keyed(name.replaceAll(' ', '-'));
}
