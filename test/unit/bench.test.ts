import { judge } from '../bench/sagas/books.js';
import { chartOf } from '../bench/sagas/chart.js';
import type { End } from '../bench/sagas/contestant.js';
import type { Effects, OrderEffects } from '../bench/sagas/participants.js';
import { planOf, takesPart } from '../bench/sagas/plan.js';
import { targetsOf } from '../bench/sagas/targets.js';
import type { Figures } from '../bench/sagas/windows.js';

const effects = (applied: number, undone = 0): Effects => ({ applied, undone, refused: 0 });
const both = (one: Effects, other = one): OrderEffects => ({ stock: one, payment: other });

/** The verdict on one order. */
function faultsOf(state: string | undefined, books: OrderEffects | undefined, open = 0): readonly string[] {
  const sent = [{ orderId: 'o-1', sagaId: 's-1', sentAtMs: 1, acceptedAtMs: 2 }];
  const ends = new Map<string, End>(state === undefined ? [] : [['o-1', { state, atMs: 3 }]]);
  const orders: Record<string, OrderEffects> = books ? { 'o-1': books } : {};
  return judge({ sent, ends, open, books: { orders, duplicates: 0, unavailable: 0 } }).faults;
}

test.each([
  ['completed, once at each', 'completed', both(effects(1))],
  ['compensated, nothing done', 'compensated', undefined],
  ['compensated, all undone', 'compensated', both(effects(1, 1), effects(0))],
])('the books of an order are in order: %s', (_title, state, books) => {
  expect(faultsOf(state, books)).toEqual([]);
});

test.each([
  ['completed, one effect lost', 'completed', both(effects(1), effects(0))],
  ['completed, one effect doubled', 'completed', both(effects(1), effects(2))],
  ['completed, one effect undone', 'completed', both(effects(1), effects(1, 1))],
  ['compensated, one effect left', 'compensated', both(effects(1, 1), effects(1))],
  ['accepted, never settled', undefined, both(effects(1))],
  ['accepted, parked', 'parked', both(effects(1))],
])('the books of an order are off: %s', (_title, state, books) => {
  expect(faultsOf(state, books)).toHaveLength(1);
});

test('the books are off when a row is open that nobody waits for, or an order had effects that nobody was told of', () => {
  expect(faultsOf('completed', both(effects(1)), 1)).toEqual(['1 orders are open in the database']);
  const books = { orders: { 'o-2': both(effects(1)) }, duplicates: 0, unavailable: 0 };
  expect(judge({ sent: [], ends: new Map(), open: 0, books }).faults).toHaveLength(1);
});

const figures: Figures = {
  ...{
    contestant: 'plain',
    window: 'more',
    sagas: 10,
    completed: 10,
    compensated: 0,
    undos: 0,
    duplicates: 0,
    faults: [],
  },
  ...{ perSecond: 100, accept: { p50: 1, p99: 2 }, settle: { p50: 3, p99: 4 }, refusals: 0, others: 0 },
  ...{ cpu: { app: 2, ledger: 1, load: 9 }, memory: {} },
};

test('a target is judged only where all that it compares has run', () => {
  expect(targetsOf({ figures: [figures], growth: [] })).toEqual([]);
  const express = { ...figures, contestant: 'express', perSecond: 90 };
  expect(targetsOf({ figures: [figures, express], growth: [] })).toMatchObject([
    { name: 'express lane to plain program, throughput at 64', value: 0.9, target: { atLeast: 0.85 } },
    { name: 'express lane, CPU a saga, all processes (ms)', value: 3, target: { atMost: 2.5 } },
  ]);
});

test('no target is judged by a window whose books are off', () => {
  const express = { ...figures, contestant: 'express', faults: ['an order was lost'] };
  expect(targetsOf({ figures: [figures, express], growth: [] })).toEqual([]);
});

test('participants that are not the benchmark’s are not said to have failed', () => {
  for (const window of ['faults', 'faults-half'] as const)
    expect([takesPart('express', window, true), takesPart('express', window, false)]).toEqual([true, false]);
  expect(takesPart('express', 'many', false)).toBe(true);
});

test('the words of the command line choose contestants and windows, and an unknown one is refused', () => {
  const number = (_option: string, otherwise: number): number => otherwise;
  expect(planOf({ words: ['express', 'burst'], number })).toMatchObject({
    contestants: ['express'],
    windows: ['burst'],
  });
  expect(planOf({ words: [], number }).contestants).toHaveLength(4);
  expect(() => planOf({ words: ['bursts'], number })).toThrow("'bursts' is none of plain, temporal");
});

test('the chart shows each contestant whose books are right, and counts the load for nobody', () => {
  const off = { ...figures, contestant: 'express', faults: ['off'] };
  const svg = chartOf({ machine: '2 < 3 cores', hasBooks: true, figures: [figures, off], growth: [] });
  expect(svg.match(/<rect /g)).toHaveLength(2);
  expect(svg).toContain('>settled sagas a second; 64 sagas in flight</text>');
  expect(svg).toContain('>3.0</text>');
  expect(svg).not.toContain('express');
  expect(svg).toContain('2 &#60; 3 cores');
});
