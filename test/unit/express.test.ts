import { z } from 'zod';
import { createGate, type Closed, type Gate, type Left } from '../../activities/express-gate.js';
import { countLease, findingsOf, type Ride } from '../../activities/express-ride.js';
import { runExpressStep, type StepTools } from '../../activities/express-steps.js';
import { createSettleLine } from '../../activities/settle-line.js';
import type { ExpressEnd } from '../../src/db/express.js';
import type { LoggedMessage } from '../../src/db/message-log.js';
import type { AcceptedSaga } from '../../src/db/saga-store.js';
import { defineSaga, type SagaDefinition, type SagaOptions } from '../../src/saga/define-saga.js';
import { SagaDefinitionError } from '../../src/saga/errors.js';
import { defineEvent } from '../../src/saga/event-contract.js';
import { expressOf } from '../../src/saga/lane.js';
import type { PlanStep } from '../../src/saga/plan.js';
import { inventory } from '../../src/messages/inventory.js';
import { definitions } from '../../workflows/definitions.js';
import { newSaga } from '../support/sagas.js';

const OPTIONS: SagaOptions<object> = { input: z.object({}), businessKey: () => 'key', lane: 'express' };
const WORK = { local: 'notes.write' };
const UNDO = { undo: { local: 'notes.erase' } };
const stock = (): { orderId: string; items: { sku: string; quantity: number }[] } => ({
  orderId: 'o-1',
  items: [{ sku: 'book', quantity: 1 }],
});

test('a definition of local and message steps may ask for the express lane; without that it has the other', () => {
  const saga = defineSaga('a', OPTIONS).local('note', WORK, UNDO).message('stock', inventory.deduct, stock).build();
  expect(saga.lane).toBe('express');
  const { lane } = defineSaga('b', { ...OPTIONS, lane: undefined })
    .local('note', WORK, UNDO)
    .build();
  expect(lane).toBe('workflow');
});

test.each<[string, () => unknown]>([
  ['that begins with a message', () => defineSaga('a', OPTIONS).message('stock', inventory.deduct, stock).build()],
  [
    'whose first step has a guard',
    () =>
      defineSaga('a', OPTIONS)
        .local('note', WORK, { ...UNDO, when: () => true })
        .build(),
  ],
  [
    'that waits for an event',
    () =>
      defineSaga('a', OPTIONS)
        .local('note', WORK, UNDO)
        .wait('approval', { event: defineEvent('approved', z.object({})), timeout: '1m' })
        .build(),
  ],
])('a definition %s cannot, and is told what the lane can hold', (_, build) => {
  expect(build).toThrow(SagaDefinitionError);
  expect(build).toThrow(/the express lane holds a local step without 'when' first, and only message and local steps/);
});

test('an installation that prefers the express lane gets it for every saga that can run in it', () => {
  const typesIn = (lane: 'workflow' | 'express'): string[] => expressOf(definitions, lane).map(({ type }) => type);
  expect(typesIn('workflow')).toEqual([]);
  expect(typesIn('express')).toEqual(['place-order', 'pay-invoice', 'register-user']);
});

test('the gate rests after five in a row had trouble, lets one a second try, and opens when one goes well', () => {
  let now = 0;
  const gate = createGate(() => now);
  const ride = (end: 'well' | 'troubled' | 'neither'): string => {
    const closed = gate.enter();
    if (closed) return closed;
    gate.leave(end, 10);
    return end;
  };
  for (let n = 0; n < 4; n += 1) ride('troubled');
  // a refusal says nothing of a participant's health, in either direction
  expect([ride('neither'), ride('troubled'), ride('well')]).toEqual(['neither', 'troubled', 'resting']);
  now = 1_000;
  expect([ride('troubled'), ride('well')]).toEqual(['troubled', 'resting']);
  now = 2_000;
  expect([ride('well'), ride('well'), ride('troubled'), ride('well')]).toEqual(['well', 'well', 'troubled', 'well']);
});

test('the gate bounds how many are inside: few at first, and 512 at the most, however fast they are', () => {
  const gate = createGate();
  let inside = 0;
  const fill = (): void => {
    while (gate.enter() === undefined) inside += 1;
  };
  fill();
  expect([inside, gate.closed(), gate.enter()]).toEqual([64, 'full', 'full']);
  for (let n = 0; n < 1_000; n += 1) {
    gate.leave('well', 10);
    inside -= 1;
    fill();
  }
  expect(inside).toBe(512);
});

/** A gate on a clock of the test's own, and what a test does with it. */
function openGate(): {
  gate: Gate;
  pass: (ms: number) => void;
  fill: (insideMs: number, end?: Left) => number | string;
  fillOften: (insideMs: number) => number | string;
} {
  let now = 0;
  const gate = createGate(() => now);
  const pass = (ms: number): void => void (now += ms);
  /** Lets in as many as it can, all of which then leave; 300 ms later it returns how many, or what keeps them out. */
  const fill = (insideMs: number, end: Left = 'well'): number | string => {
    let count = 0;
    let closed: string | undefined;
    while ((closed = gate.enter()) === undefined) count += 1;
    for (let n = 0; n < count; n += 1) gate.leave(end, insideMs);
    pass(300);
    return closed === 'full' ? count : closed;
  };
  return { gate, pass, fill, fillOften: (insideMs) => Array.from({ length: 20 }, () => fill(insideMs)).at(-1)! };
}

test('the gate lets in fewer while they wait for each other, and more again when they do not', () => {
  const { gate, fill, fillOften } = openGate();
  expect(fillOften(2_000)).toBe(32);
  // of an idle process as well: those that are slow now and then are no reason to let in few for ever
  const ride = (): void => {
    gate.enter();
    gate.leave('well', 10);
  };
  for (let n = 0; n < 50; n += 1) ride();
  expect(fill(10)).toBe(64);
  for (let n = 0; n < 500; n += 1) ride();
  // that a few are fast says nothing of how fast many would be
  expect(fill(10)).toBeLessThan(200);
});

test('participants that are always slow are no reason to let in fewer, unless they take longer than a second', () => {
  const { gate, pass, fillOften } = openGate();
  expect(fillOften(550)).toBe(512);
  expect(fillOften(960)).toBe(32);
  // the fastest of a while ago is forgotten
  pass(20_000);
  expect(fillOften(960)).toBe(512);
  // one that met no participant says nothing of how fast they are
  gate.enter();
  gate.leave('neither', 5);
  expect(fillOften(960)).toBe(512);
  expect(fillOften(1_010)).toBe(32);
});

test('trouble that came late makes the gate let in fewer first: only of a few it says that their participants are ill', () => {
  const { gate, fill } = openGate();
  expect([fill(1_500, 'troubled'), fill(1_500, 'troubled')]).toEqual([64, 45]);
  expect(gate.closed()).toBeDefined();
});

test('a rest that too many have brought has no place for a while, as the other lane can do less; one a second tries', () => {
  const rest = (insideMs: number): ReturnType<typeof openGate> & { tries: () => Closed | 'let in' } => {
    const stand = openGate();
    for (let n = 0; n < 2; n += 1) stand.fill(insideMs, 'troubled');
    const tries = (): Closed | 'let in' => {
      const closed = stand.gate.enter();
      if (!closed) stand.gate.leave('troubled', 1_500);
      return closed ?? 'let in';
    };
    return { ...stand, tries };
  };
  const { pass, tries } = rest(1_500);
  expect(tries()).toBe('full');
  pass(700);
  expect([tries(), tries()]).toEqual(['let in', 'full']);
  pass(3_990);
  expect([tries(), tries()]).toEqual(['let in', 'full']);
  pass(10);
  expect(tries()).toBe('resting');
  // that trouble comes at once says that participants are ill
  expect(rest(10).tries()).toBe('resting');
});

test('what a rest was for ends with it: participants that fail at once after overload send sagas to the other lane', () => {
  const { gate, pass, fill } = openGate();
  for (let n = 0; n < 2; n += 1) fill(1_500, 'troubled');
  expect(gate.closed()).toBe('full');
  pass(1_000);
  expect(gate.enter()).toBeUndefined();
  gate.leave('well', 10);
  expect(gate.closed()).toBeUndefined();
  fill(10, 'troubled');
  expect(gate.closed()).toBe('resting');
});

test.each(['one at a time', 'many at once'] as const)(
  'the gate rests soon when a participant hangs, %s, whatever is refused or repeated meanwhile',
  (how) => {
    const { gate, fill, fillOften, pass } = openGate();
    if (how === 'many at once') {
      fillOften(10);
      expect(fill(1_500, 'troubled')).toBe(512);
      // which looks like overload at first
      expect(gate.enter()).toBe('full');
      pass(5_000);
      expect(gate.enter()).toBeUndefined();
      gate.leave('troubled', 1_500);
    } else {
      for (let n = 0; n < 6; n += 1) {
        expect(gate.enter()).toBeUndefined();
        pass(1_500);
        gate.leave('troubled', 1_500);
        gate.enter();
        gate.leave('neither', 5);
      }
    }
    expect(gate.enter()).toBe('resting');
  },
);

/** A settle line whose statements end when the test says so. */
function openLine(): {
  settle: (id: string) => Promise<boolean>;
  batches: string[][];
  answer: (ids?: string[]) => void;
} {
  const batches: string[][] = [];
  const open: { resolve: (ids: ReadonlySet<string>) => void; reject: (error: Error) => void }[] = [];
  const line = createSettleLine((ends: readonly ExpressEnd[]) => {
    batches.push(ends.map(({ sagaId }) => sagaId));
    return new Promise((resolve, reject) => open.push({ resolve, reject }));
  });
  return {
    settle: (sagaId) => line.settle({ sagaId, answers: [] }),
    batches,
    answer: (ids) => {
      const statement = open.shift()!;
      if (ids) statement.resolve(new Set(ids));
      else statement.reject(new Error('the ledger is away'));
    },
  };
}

test('a saga that is done alone is settled at once, those that come meanwhile together', async () => {
  const { settle, batches, answer } = openLine();
  const first = settle('a');
  expect(batches).toEqual([['a']]);
  const others = [settle('b'), settle('c')];
  answer(['a']);
  expect(await first).toBe(true);
  expect(batches).toEqual([['a'], ['b', 'c']]);
  answer(['c']);
  expect(await Promise.all(others)).toEqual([false, true]);
});

test('a statement that fails fails those in it, and the next ones are settled', async () => {
  const { settle, batches, answer } = openLine();
  const first = settle('a');
  const second = settle('b');
  answer();
  await expect(first).rejects.toThrow('the ledger is away');
  expect(batches).toEqual([['a'], ['b']]);
  answer(['b']);
  expect(await second).toBe(true);
  const third = settle('c');
  answer(['c']);
  expect(await third).toBe(true);
});

test('a lease has time only for what ends before it does', () => {
  const hasTimeFor = countLease(4_000);
  expect([hasTimeFor(3_000), hasTimeFor(4_001)]).toEqual([true, false]);
});

test('what a broker has taken leaves the lane with an ending of its own: its answer comes to the workflow', async () => {
  const built = defineSaga('a', OPTIONS).local('note', WORK, UNDO).message('stock', inventory.deduct, stock).build();
  const definition: SagaDefinition = { ...built, input: z.unknown(), businessKey: () => 'key' };
  const saga = { ...newSaga({ type: 'a', plan: definition.plan }), state: 'running', acceptedAtMs: 0, replayed: false };
  const message = { messageId: 'm-1', type: 'inventory.deduct', createdAt: new Date(0) } as LoggedMessage;
  const ride: Ride = {
    ...{ saga: saga as AcceptedSaga, definition, results: {}, answers: new Map(), hasTimeFor: () => true },
    messages: new Map([['stock', message]]),
  };
  const tools: StepTools = {
    router: {
      admit: () => ({ leave: () => undefined }),
      send: () => Promise.resolve({ kind: 'accepted', leftMs: 1_000 }),
    },
    activities: {} as StepTools['activities'],
    isClosing: () => false,
  };
  expect(await runExpressStep(tools, ride, definition.plan.items[1] as PlanStep)).toBe('accepted');
  expect(findingsOf(ride)).toEqual([
    { effectKey: `${saga.id}/stock/do`, status: 'pending', error: 'a broker has it, and its answer comes later' },
  ]);
});
