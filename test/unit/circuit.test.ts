import { createBulkheads, type Path } from '../../src/transports/bulkheads.js';
import { createCircuit } from '../../src/transports/circuit.js';
import { createCircuits } from '../../src/transports/circuits.js';
import { createTurns } from '../../src/transports/turns.js';

let now = 0;
beforeEach(() => {
  now = 0;
});
const clock = (): number => now;

/** A circuit to which `count` different messages were sent in vain. */
function failing(count: number): ReturnType<typeof createCircuit> {
  const circuit = createCircuit(clock);
  for (let n = 0; n < count; n += 1) circuit.note({ messageId: `m-${n}`, unanswered: `ECONNREFUSED ${n}` });
  return circuit;
}

test('five messages in a row without an answer open a circuit, which lets one a second through until one is answered', () => {
  expect([failing(4).isOpen, failing(5).isOpen]).toEqual([false, true]);
  const circuit = failing(5);
  expect([circuit.room(), circuit.admit(), circuit.detail]).toEqual([0, 1_000, 'ECONNREFUSED 4']);
  now = 1_000;
  expect([circuit.room(), circuit.admit(), circuit.room()]).toEqual([1, undefined, 0]);
  circuit.note({ messageId: 'm-9', unanswered: 'HTTP 503' });
  now = 1_999;
  expect(circuit.admit()).toBeGreaterThan(0);
  now = 2_000;
  expect(circuit.admit()).toBeUndefined();
  circuit.note({ messageId: 'm-9' });
  expect([circuit.isOpen, circuit.room(), circuit.admit(), circuit.admit()]).toEqual([
    false,
    Infinity,
    undefined,
    undefined,
  ]);
});

test('an answer in between keeps a circuit closed, and so does one message that fails over and over', () => {
  const circuit = failing(4);
  circuit.note({ messageId: 'well' });
  for (let n = 0; n < 20; n += 1) circuit.note({ messageId: 'poison', unanswered: 'HTTP 500' });
  expect(circuit.isOpen).toBe(false);
});

test('a probe that was never sent keeps nobody: a second later there is another', () => {
  const circuit = failing(5);
  for (let second = 1; second < 5; second += 1) {
    now = second * 1_000;
    expect([circuit.admit(), circuit.admit() === undefined]).toEqual([undefined, false]);
  }
});

test('what is held back takes turns: the first after a second, 25 a second, and none later than 20 s', () => {
  const turns = createTurns(clock, () => 1);
  const given = Array.from({ length: 600 }, () => turns.next());
  expect(given.slice(0, 3)).toEqual([1_000, 1_040, 1_080]);
  expect(Math.max(...given)).toBe(20_000);
  expect(given.slice(-50)).toEqual(Array(50).fill(10_000));
  turns.clear();
  expect(turns.next()).toBe(1_000);
});

test('a participant that is slow has 8 places on the fast path, any other 24, and 50 on the durable one', () => {
  const bulkheads = createBulkheads(clock);
  const fill = (participant: string, path: Path): (() => void)[] => {
    const places: (() => void)[] = [];
    for (;;) {
      const place = bulkheads.enter(participant, path);
      if ('isBrief' in place) return places;
      places.push(() => place.leave(1_400));
    }
  };
  const places = fill('slow', 'fast');
  expect(places).toHaveLength(24);
  for (const leave of places) {
    leave();
    leave();
  }
  expect(fill('slow', 'fast')).toHaveLength(8);
  expect(fill('slow', 'durable')).toHaveLength(50 - 8);
  expect(fill('other', 'fast')).toHaveLength(24);
});

test('a participant that was slow is not when it has answered fast some twenty times', () => {
  const bulkheads = createBulkheads(clock);
  const answerIn = (ms: number): boolean => {
    const place = bulkheads.enter('a', 'fast');
    if ('isBrief' in place) return false;
    place.leave(ms);
    return true;
  };
  const room = (): number => {
    const taken = Array.from({ length: 30 }, () => bulkheads.enter('a', 'fast')).filter((each) => 'leave' in each);
    for (const place of taken) place.leave();
    return taken.length;
  };
  for (let n = 0; n < 20; n += 1) answerIn(1_400);
  expect(room()).toBe(8);
  for (let n = 0; n < 20; n += 1) answerIn(10);
  expect(room()).toBe(24);
});

test('the log says once that a participant does not answer, and once that it does again', () => {
  const lines: [string, object][] = [];
  const circuits = createCircuits({
    info: (fields) => void lines.push(['info', fields]),
    warn: (fields) => void lines.push(['warn', fields]),
  });
  const note = (messageId: string, unanswered?: string): void => circuits.note('http://a', { messageId, unanswered });
  for (let n = 0; n < 7; n += 1) note(`m-${n}`, 'reset');
  circuits.countHeld('http://a');
  expect(circuits.list()).toEqual([{ participant: 'http://a', isOpen: true, held: 1 }]);
  note('m-1');
  note('m-2');
  expect(lines).toEqual([
    ['warn', { participant: 'http://a', detail: 'reset' }],
    ['info', { participant: 'http://a' }],
  ]);
});
