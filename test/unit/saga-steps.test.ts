import { z } from 'zod';
import { eventsOf } from '../../src/saga/contracts.js';
import { defineEvent, defineMessage, defineSaga, SagaDefinitionError } from '../../src/saga/index.js';
import type { SagaBuilder, SagaDefinition } from '../../src/saga/index.js';

const Nothing = z.object({});
type Nothing = z.infer<typeof Nothing>;
const debit = defineMessage('bank.debit', {
  payload: Nothing,
  result: Nothing,
  undo: defineMessage('bank.refund', { payload: Nothing, result: Nothing }),
});
const notify = defineMessage('mail.notify', { payload: Nothing, result: Nothing });
const paid = defineEvent('paid', z.object({ amount: z.int() }));
const nothing = (): Nothing => ({});
const saga = (deadline?: '1h'): SagaBuilder<Nothing, unknown> =>
  defineSaga('test-saga', { input: Nothing, businessKey: () => 'key', deadline });
const child = saga().message('pay', debit, nothing).build();

test('a plan pins the event and how long it is waited for', () => {
  const { plan } = saga('1h').message('pay', debit, nothing).wait('payment', { event: paid, timeout: '30m' }).build();
  expect(plan.items[1]).toMatchObject({
    ...{ name: 'payment', type: 'wait', kind: 'compensatable', action: 'paid', timeoutMs: 1_800_000 },
  });
});

test('a wait after what cannot be taken back parks instead of compensating', () => {
  const { plan } = saga().message('mail', notify, nothing).wait('payment', { event: paid, timeout: '30m' }).build();
  expect(plan.items[1]).toMatchObject({ type: 'wait', kind: 'retriable' });
});

test('a child is a step like another, and is undone like one', () => {
  const { plan } = saga().child('sub', child, nothing).build();
  expect(plan.items).toMatchObject([
    { name: 'sub', type: 'child', kind: 'compensatable', action: 'test-saga', undo: 'test-saga' },
  ]);
});

test('a retired wait or child is absent from new plans, and its code stays', () => {
  const { plan, code } = saga()
    .message('pay', debit, nothing)
    .wait('payment', { event: paid, timeout: '30m', retired: true })
    .child('sub', child, nothing, { retired: true })
    .build();
  expect(plan.items).toHaveLength(1);
  expect(code.get('payment')?.event).toBe(paid);
  expect(code.get('sub')?.payload).toBe(nothing);
});

const REFUSED: readonly [string, string | undefined, RegExp, () => unknown][] = [
  [
    'two steps that wait for one event',
    'second',
    /waits for 'paid' as 'first' does/,
    () => saga().wait('first', { event: paid, timeout: '1m' }).wait('second', { event: paid, timeout: '1m' }).build(),
  ],
  [
    'a wait that the deadline always ends',
    'payment',
    /may wait for 3600000 ms, but the deadline is 3600000 ms/,
    () => saga('1h').wait('payment', { event: paid, timeout: '1h' }).build(),
  ],
  [
    'a wait of no time',
    'payment',
    /timeout must be longer than 0 ms/,
    () => saga().wait('payment', { event: paid, timeout: 0 }),
  ],
  [
    'an unreadable timeout',
    'payment',
    /'soon' is not a duration/,
    () => saga().wait('payment', { event: paid, timeout: 'soon' as '1s' }),
  ],
  [
    'a child whose pivot may be refused when it is too late',
    'sub',
    /runs 'test-saga', whose pivot 'pay' may be refused when this saga has completed/,
    () => saga().child('sub', saga().message('pay', debit, nothing, { kind: 'pivot' }).build(), nothing),
  ],
  [
    'a child of which nothing can be taken back',
    'sub',
    /can do nothing before this saga has completed/,
    () => saga().child('sub', saga().message('mail', notify, nothing).build(), nothing),
  ],
  [
    'a child after what cannot be taken back',
    'sub',
    /after 'mail', which cannot be taken back; move it before/,
    () => saga().message('mail', notify, nothing).child('sub', child, nothing).build(),
  ],
  [
    'a result after what cannot be taken back',
    undefined,
    /returns comes after a step that cannot be taken back/,
    () => saga().message('mail', notify, nothing).returns(nothing).build(),
  ],
];

test.each(REFUSED)('a definition with %s is refused', (_name, step, problem, build) => {
  let error: unknown;
  try {
    build();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(SagaDefinitionError);
  expect(error).toMatchObject({ saga: 'test-saga', step });
  expect((error as Error).message).toMatch(problem);
});

test.each(['', 'Paid', 'a b', 'a/b', '1st'])('%j cannot name an event', (name) => {
  expect(() => defineEvent(name, Nothing)).toThrow(`'${name}' is not the name of an event`);
});

test('two events of one name are refused: nobody could tell which of them has come', () => {
  const waits = (event: typeof paid): Pick<SagaDefinition, 'code'> =>
    saga().wait('payment', { event, timeout: '1m' }).build() as Pick<SagaDefinition, 'code'>;
  expect([...eventsOf([waits(paid), waits(paid)]).values()]).toEqual([paid]);
  const other = defineEvent('paid', z.object({ amount: z.int() }));
  expect(() => eventsOf([waits(paid), waits(other)])).toThrow("two events are called 'paid'");
});
