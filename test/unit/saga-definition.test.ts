import { z } from 'zod';
import { defineMessage, defineSaga, localWork, SagaDefinitionError } from '../../src/saga/index.js';
import type { LocalRef, SagaBuilder, SagaDefinition } from '../../src/saga/index.js';

const Nothing = z.object({});
const Input = z.object({ key: z.string() });
type Input = z.infer<typeof Input>;
const refund = defineMessage('bank.refund', { payload: Nothing, result: Nothing });
const debit = defineMessage('bank.debit', { payload: Nothing, result: Nothing, undo: refund });
const notify = defineMessage('mail.notify', { payload: Nothing, result: Nothing });
const local = (name: string): LocalRef<Input, object> => ({ local: `test.${name}` });
const nothing = (): Record<string, never> => ({});

const saga = (deadline?: '1s' | '10s' | '0.5s'): SagaBuilder<Input, unknown> =>
  defineSaga('test-saga', { input: Input, businessKey: ({ key }) => key, deadline });

function refusal(build: () => unknown): SagaDefinitionError {
  try {
    build();
  } catch (error) {
    if (error instanceof SagaDefinitionError) return error;
    throw error;
  }
  throw new Error('the definition was accepted');
}

const REFUSED: [string, string | undefined, RegExp, () => SagaDefinition<Input>][] = [
  ['no steps at all', undefined, /has no steps/, () => saga().build()],
  [
    'only an empty parallel group',
    undefined,
    /has no steps/,
    () =>
      saga()
        .parallel((group) => group)
        .build(),
  ],
  [
    'a compensatable step without undo',
    'order',
    /has no undo/,
    () => saga().local('order', local('place'), { kind: 'compensatable' }).build(),
  ],
  [
    'a compensatable message without undo',
    'mail',
    /has no undo/,
    () => saga().message('mail', notify, nothing, { kind: 'compensatable' }).build(),
  ],
  [
    'a step that may be undone after the pivot',
    'late',
    /after 'pay'/,
    () => saga().message('pay', debit, nothing, { kind: 'pivot' }).message('late', debit, nothing).build(),
  ],
  [
    'a step that may be undone after a retriable step',
    'late',
    /after 'mail'/,
    () => saga().message('mail', notify, nothing).message('late', debit, nothing).build(),
  ],
  [
    'two pivots',
    'second',
    /second pivot after 'first'/,
    () =>
      saga()
        .message('first', debit, nothing, { kind: 'pivot' })
        .message('second', debit, nothing, { kind: 'pivot' })
        .build(),
  ],
  [
    'a pivot inside a parallel group',
    'pay',
    /pivot inside a parallel group/,
    () =>
      saga()
        .parallel((group) => group.message('a', debit, nothing).message('pay', debit, nothing, { kind: 'pivot' }))
        .build(),
  ],
  [
    'a retriable step in parallel with one that may be refused',
    'mail',
    /runs in parallel with steps that may be refused/,
    () =>
      saga()
        .parallel((group) => group.message('a', debit, nothing).message('mail', notify, nothing))
        .build(),
  ],
  [
    'steps that cannot be tried once before the deadline',
    'third',
    /15000 ms, the deadline is 10000 ms/,
    () =>
      saga('10s').message('a', debit, nothing).message('b', debit, nothing).message('third', debit, nothing).build(),
  ],
  [
    'a retry budget shorter than one attempt',
    'pay',
    /retry\.budget/,
    () =>
      saga()
        .message('pay', debit, nothing, { retry: { budget: '1s', timeout: '2s' } })
        .build(),
  ],
  [
    'a wait that shrinks',
    'pay',
    /retry\.factor/,
    () =>
      saga()
        .message('pay', debit, nothing, { retry: { factor: 0.5 } })
        .build(),
  ],
  [
    'a cap below the first wait',
    'pay',
    /retry\.cap/,
    () =>
      saga()
        .message('pay', debit, nothing, { retry: { initial: '5s', cap: '1s' } })
        .build(),
  ],
  [
    'an undo that is never tried',
    'pay',
    /retry\.timeout/,
    () =>
      saga()
        .message('pay', debit, nothing, { undoRetry: { timeout: 0 } })
        .build(),
  ],
  [
    'an unreadable duration',
    'pay',
    /'soon' is not a duration/,
    () =>
      saga()
        .message('pay', debit, nothing, { retry: { timeout: 'soon' as '1s' } })
        .build(),
  ],
];

test.each(REFUSED)('a definition with %s is refused and the error names its step', (_, ...[step, problem, build]) => {
  const error = refusal(build);
  expect(error.message).toMatch(problem);
  expect(error).toMatchObject({ saga: 'test-saga', step });
  if (step !== undefined) expect(error.message).toContain(`saga 'test-saga', step '${step}'`);
});

test('an unreadable deadline is refused and the error names the saga', () => {
  const build = (): unknown =>
    defineSaga('test-saga', { input: Input, businessKey: ({ key }) => key, deadline: '15 minutes' as '15m' })
      .message('pay', debit, nothing)
      .build();
  expect(refusal(build).message).toBe(
    "saga 'test-saga': the deadline '15 minutes' is not a duration; write a number of ms or, say, '30s'",
  );
});

test('two steps of one name are refused, wherever they are', () => {
  const untyped = saga() as unknown as SagaBuilder<Input, object>;
  const twice = [
    () => untyped.message('pay', debit, nothing).message('pay' as never, debit, nothing),
    () => untyped.parallel((group) => group.message('pay', debit, nothing).message('pay' as never, debit, nothing)),
    () => untyped.message('pay', debit, nothing, { retired: true }).message('pay' as never, debit, nothing),
  ];
  for (const build of twice) {
    expect(refusal(build)).toMatchObject({ step: 'pay', message: expect.stringContaining('defined twice') as string });
  }
});

test.each(['', 'Stock', '1st', 'a_b', 'a b', 'a/b', 'é', 'input', 'a'.repeat(64)])('%j cannot name a step', (name) => {
  expect(refusal(() => saga().message(name as never, debit, nothing))).toMatchObject({ step: name });
});

test.each(['', 'PlaceOrder', 'place_order', '1-order', 'a'.repeat(64)])('%j cannot name a saga', (type) => {
  const build = (): unknown =>
    defineSaga(type, { input: Input, businessKey: ({ key }) => key })
      .message('pay', debit, nothing)
      .build();
  expect(refusal(build)).toMatchObject({ saga: type, step: undefined });
});

test('a saga of more than 100 steps is refused', () => {
  const build = (count: number): unknown => {
    let growing = saga() as SagaBuilder<Input, object>;
    for (let index = 0; index < count; index++) growing = growing.message(`s${index}` as never, debit, nothing);
    return growing.build();
  };
  expect(() => build(100)).not.toThrow();
  expect(refusal(() => build(101)).message).toContain('has 101 steps');
});

test('a message type that names no participant is refused', () => {
  for (const type of ['debit', 'Bank.debit', 'bank.', '.debit', 'bank debit', `bank.${'x'.repeat(100)}`]) {
    expect(() => defineMessage(type, { payload: Nothing, result: Nothing })).toThrow(`'${type}' is not a message type`);
  }
});

test('a step is compensatable when it can be undone, else it is tried until it succeeds', () => {
  const { plan } = saga()
    .local('order', local('place'), { undo: local('cancel') })
    .message('pay', debit, nothing)
    .message('mail', notify, nothing)
    .build();
  expect(plan.items).toMatchObject([
    { name: 'order', type: 'local', kind: 'compensatable', action: 'test.place', undo: 'test.cancel' },
    { name: 'pay', type: 'message', kind: 'compensatable', action: 'bank.debit', undo: 'bank.refund' },
    { name: 'mail', type: 'message', kind: 'retriable', action: 'mail.notify' },
  ]);
});

test('a step that goes only forward is tried for a day, one that may be undone for two minutes', () => {
  const { plan } = saga().message('pay', debit, nothing).message('mail', notify, nothing).build();
  expect(plan.items).toMatchObject([
    { retry: { budgetMs: 120_000 }, undoRetry: { budgetMs: 86_400_000 } },
    { retry: { budgetMs: 86_400_000 } },
  ]);
});

test("a step's own retry options win over its contract's, field by field", () => {
  const patient = defineMessage('bank.wait', {
    payload: Nothing,
    result: Nothing,
    undo: refund,
    retry: { timeout: '20s', initial: '3s' },
  });
  const { plan } = saga()
    .message('pay', patient, nothing, { retry: { timeout: '7s' } })
    .build();
  expect(plan.items).toMatchObject([{ retry: { timeoutMs: 7_000, initialMs: 3_000 } }]);
});

test('the workflow is called as people write functions', () => {
  expect(saga().message('pay', debit, nothing).build().workflow).toBe('testSaga');
});

test('a reference to a local transaction holds its name and none of its code', () => {
  const orders = localWork<{ place: (tx: never) => Promise<object> }>('orders');
  expect(JSON.stringify(orders.place)).toBe('{"local":"orders.place"}');
});
