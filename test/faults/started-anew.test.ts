import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../support/eventually.js';
import type { Mutation } from '../support/faults/dist.js';
import { useFaults } from '../support/faults/fixture.js';
import { untilApplied, untilRows } from '../support/faults/provocations.js';
import type { Run } from '../support/faults/run.js';
import { ANOTHER_WAY } from '../support/faults/seeded-bugs.js';
import { ask } from '../support/parked-messages.js';

// Promise 9: what a worker of another build has begun, and whose history this one does not replay, is finished from the ledger.

const faults = useFaults();

const SETTLED = { timeoutMs: 240_000, everyMs: 200 };
const NOTE = 'test.note';
/** Long enough for the other build to have been replaced. */
const REPAIR_PAUSE_MS = 15_000;

/** Every workflow begins with a timer that this release knows nothing of. */
const OTHER_RELEASE: readonly Mutation[] = [
  ANOTHER_WAY,
  {
    file: 'workflows/half-message.js',
    find: 'const verdict = await awaitVerdict(run)',
    replace: 'await condition(() => false, 5); const verdict = await awaitVerdict(run)',
  },
  {
    file: 'workflows/outbox.js',
    find: "import { PERSISTENT_RETRY } from '../src/saga/retry.js';",
    replace: "import { sleep } from '@temporalio/workflow'; import { PERSISTENT_RETRY } from '../src/saga/retry.js';",
  },
  {
    file: 'workflows/outbox.js',
    find: 'const retry = PERSISTENT_RETRY;',
    replace: 'await sleep(5); const retry = PERSISTENT_RETRY;',
  },
  {
    file: 'workflows/repair.js',
    find: 'const { repairId, perSecond } = start;',
    replace: `await sleep(${REPAIR_PAUSE_MS}); const { repairId, perSecond } = start;`,
  },
];

/** This release, but for the setting that ends a workflow at its task's first attempt. */
const WITHOUT_THE_SETTING: Mutation = {
  file: 'src/worker.js',
  find: "workflowFailureErrorTypes: { '*': ['NondeterminismError'] },",
  replace: '',
};

/** `npm run faults` sets it to the release's own ten, which take seven minutes. */
const ATTEMPT = Number(process.env['SETTLE_FAULT_ATTEMPT'] ?? 5);
const ATTEMPTED = { ...SETTLED, timeoutMs: 800_000 };

/** This release, but for how many attempts are enough. */
const WITH_THAT_ATTEMPT: Mutation = {
  file: 'src/api/ensure-running.js',
  find: 'const HOPELESS_ATTEMPT = 10;',
  replace: `const HOPELESS_ATTEMPT = ${ATTEMPT};`,
};

test('sagas that run, compensate and are parked, a half message, an outbox message and a repair are started anew and end as they should', async () => {
  const before = await faults.mutate(OTHER_RELEASE);
  const reader = await openReader();
  await faults
    .withRun(async (run) => {
      await addRoute(run, reader.url);
      await Promise.all([run.start('participants'), run.start('api')]);
      run.deploy(before);
      const worker = await run.start('worker');
      const begun = await beginAll(run);
      await run.supervisor.stop(worker);

      run.deploy(faults.build);
      await run.start('worker');
      run.edges.accounts.set({ kind: 'pass' });
      run.edges.inventory.set({ kind: 'pass' });
      reader.answers();
      expect((await ask(run.apiUrl, `/v1/messages/${begun.half}/confirm`, { body: {} })).status).toBeLessThan(300);

      const { completes, compensates, parked, half, outbox, repair } = begun;
      await untilState(run, `/v1/messages/${half}`, 'delivered');
      await untilState(run, `/v1/messages/${outbox}`, 'delivered');
      await untilState(run, `/v1/repairs/${repair}`, 'done');
      await lookNow(run);
      await untilState(run, `/v1/sagas/${completes}`, 'completed');
      for (const sagaId of [compensates, parked]) await untilState(run, `/v1/sagas/${sagaId}`, 'compensated');
      for (const id of Object.values(begun)) await untilRunsAre(run, id, ['FAILED', 'COMPLETED']);
      expect(reader.keys()).toEqual([`${half}/message/do`, `${outbox}/message/do`].sort());
      await run.untilQuiet();
      // nothing else is wrong than that each has two runs, of which the first has failed and does not replay; others than sagas have no saga
      const sagas = [completes, compensates, parked];
      const expected = sagas.flatMap((id) => [`I24 ${id}`, `I29 ${id}`, `I5 ${id}`]);
      const others = [half, outbox, repair].flatMap((id) => [`I24 ${id}`, `I29 ${id}`]);
      const found = (await run.verdict()).map(({ invariant, ids }) => `${invariant} ${ids.join(' ')}`);
      expect(found.sort()).toEqual([...expected, ...others].sort());
    })
    .finally(() => reader.close());
});

test('so is a saga whose task had failed before this release was there, once that has failed often enough', async () => {
  const before = await faults.mutate([ANOTHER_WAY]);
  const deaf = await faults.mutate([WITHOUT_THE_SETTING]);
  const release = await faults.mutate([WITH_THAT_ATTEMPT]);
  await faults.withRun(async (run) => {
    await Promise.all([run.start('participants'), run.start('api')]);
    run.deploy(before);
    const first = await run.start('worker');
    run.edges.accounts.set({ kind: 'reset' });
    const sagaId = await run.order('completes');
    await untilApplied(run, 'inventory');
    await run.supervisor.kill(first);

    run.deploy(deaf);
    const second = await run.start('worker');
    run.edges.accounts.set({ kind: 'pass' });
    const untilTried = (times: number): Promise<void> =>
      eventually(async () => {
        const { raw } = await run.client.workflow.getHandle(sagaId).describe();
        expect(raw.pendingWorkflowTask?.attempt ?? 0).toBeGreaterThanOrEqual(times);
      }, ATTEMPTED);
    await untilTried(2);
    await run.supervisor.kill(second);

    run.deploy(release);
    await run.start('worker');
    await untilTried(ATTEMPT);
    await lookNow(run);
    await untilState(run, `/v1/sagas/${sagaId}`, 'completed');
    await untilRunsAre(run, sagaId, ['TERMINATED', 'COMPLETED']);
    await run.untilQuiet();
    const violations = await run.verdict();
    expect(violations.map(({ invariant, ids }) => [invariant, ...ids]).sort()).toEqual([
      ['I24', sagaId],
      ['I29', sagaId],
      ['I29', sagaId],
      ['I5', sagaId],
    ]);
  });
}, 1_500_000);

/** What a worker has begun, each in the midst of its way, by the id of its workflow. */
interface Begun extends Readonly<Record<string, string>> {
  readonly completes: string;
  readonly compensates: string;
  readonly parked: string;
  readonly half: string;
  readonly outbox: string;
  /** Of the parked saga. */
  readonly repair: string;
}

async function beginAll(run: Run): Promise<Begun> {
  const { edges, databases } = run;
  const sent = await databases.settle.query<{ id: string }>(`select settle.send($1, '{"n": 1}') as id`, [NOTE]);
  const half = await post(run, '/v1/messages', { type: NOTE, payload: { n: 2 }, checkBackUrl: 'http://127.0.0.1:1/' });
  edges.accounts.set({ kind: 'reset' });
  const parked = await run.order('completes');
  await untilApplied(run, 'inventory');
  edges.inventory.set({ kind: 'refuse' });
  await run.cancel(parked);
  await untilRows(run, 'settle', `select from settle.saga where reason is not null`);
  edges.accounts.set({ kind: 'pass' });
  await untilRows(run, 'settle', `select from settle.saga where state = 'parked'`);
  edges.inventory.set({ kind: 'pass' });
  edges.accounts.set({ kind: 'reset' });
  const [completes, compensates] = [await run.order('completes'), await run.order('completes')];
  await untilRows(run, 'inventory', `select from journal.effect where action = 'do'`, 3);
  edges.inventory.set({ kind: 'reset' });
  await run.cancel(compensates);
  await untilRows(run, 'settle', `select from settle.saga where state = 'compensating'`);
  await untilRows(run, 'settle', 'select from settle.message_log where in_workflow');
  const { repairId, etag, count } = await post(run, '/v1/repairs', {
    ...{ query: { kind: 'saga' }, action: 'retry', actor: 'ann', reason: 'the warehouse takes it back', perSecond: 1 },
  });
  expect(count).toBe(1);
  await post(run, `/v1/repairs/${repairId as string}/confirm`, { etag, count });
  const begun = {
    ...{ completes, compensates, parked, half: half['messageId'] as string },
    ...{ outbox: sent.rows[0]!.id, repair: repairId as string },
  };
  // each has taken the other release's way
  for (const id of Object.values(begun)) {
    await eventually(async () => {
      const { events } = await run.client.workflow.getHandle(id).fetchHistory();
      expect(events?.some(({ timerStartedEventAttributes }) => timerStartedEventAttributes)).toBe(true);
    });
  }
  return begun;
}

async function untilState(run: Run, path: string, state: string): Promise<void> {
  await eventually(async () => expect((await ask(run.apiUrl, path)).body).toMatchObject({ state }), SETTLED);
}

/** Has the ledger scan look at the sagas, where its next look at them may be minutes away. */
async function lookNow({ databases }: Run): Promise<void> {
  await databases.settle.query('update settle.saga set due_at = clock_timestamp() where due_at is not null');
}

/** @param statuses of the runs of a workflow, in order */
async function untilRunsAre({ client }: Run, workflowId: string, statuses: readonly string[]): Promise<void> {
  await eventually(async () => {
    const runs: { readonly status: string; readonly atMs: number }[] = [];
    for await (const { status, startTime } of client.workflow.list({ query: `WorkflowId = '${workflowId}'` }))
      runs.push({ status: status.name, atMs: startTime.getTime() });
    expect(runs.sort((a, b) => a.atMs - b.atMs).map(({ status }) => status)).toEqual(statuses);
  }, SETTLED);
}

async function post({ apiUrl }: Run, path: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  const response = await fetch(apiUrl + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = (await response.json()) as Record<string, unknown>;
  expect({ ok: response.ok, answer }).toMatchObject({ ok: true });
  return answer;
}

async function addRoute({ env }: Run, url: string): Promise<void> {
  const file = env['SETTLE_ROUTES']!;
  const routes = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...routes, [NOTE]: { url } }));
}

/** Who is asked for notes: too early, until it answers. */
interface Reader {
  readonly url: string;
  answers(): void;
  /** Of the notes that it has taken. */
  keys(): readonly string[];
  close(): void;
}

async function openReader(): Promise<Reader> {
  const keys: string[] = [];
  let isReady = false;
  const server: Server = createServer((request, response) => {
    request.resume();
    if (!isReady) return void response.writeHead(425, { 'retry-after': '1' }).end();
    keys.push(request.headers['idempotency-key'] as string);
    response.setHeader('content-type', 'application/json').end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answers: () => void (isReady = true),
    keys: () => keys.toSorted(),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
