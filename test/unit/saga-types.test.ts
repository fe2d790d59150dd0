import { expectTypeOf } from 'expect-type';
import { z } from 'zod';
import { accounts, inventory } from '../../src/messages/index.js';
import { defineEvent, defineMessage, defineSaga, localWork } from '../../src/saga/index.js';
import type { LocalContext, LocalRef, SagaBuilder, SagaDefinition } from '../../src/saga/index.js';

/**
 * What an author cannot get wrong: `npm run types` fails when one of the lines below stops being an error.
 * Run time has its own checks, see saga-definition.test.ts; here only one of the sagas is built.
 */
const Input = z.object({ customerId: z.string(), quantity: z.int() });
type Input = z.infer<typeof Input>;

interface Orders {
  place: (tx: never, context: LocalContext<Input>) => Promise<{ orderId: string; total: number }>;
  cancel: (tx: never, context: LocalContext<Input>) => Promise<object>;
  payOut: (tx: never, context: LocalContext<{ iban: string }>) => Promise<object>;
}
const orders = localWork<Orders>('orders');
const saga = (): SagaBuilder<Input, unknown> => defineSaga('typed-saga', { input: Input, businessKey: () => 'key' });
const placed = (): SagaBuilder<Input, { readonly order: { orderId: string; total: number } }> =>
  saga().local('order', orders.place, { undo: orders.cancel });
const items = [{ sku: 'book', quantity: 1 }];
const debit = { orderId: 'o-1', account: 'c-1', currency: 'EUR' };

test('each step sees the input and the typed results of the steps before it', () => {
  const definition = placed()
    .message('stock', inventory.deduct, ({ input, order }) => {
      expectTypeOf(input).toEqualTypeOf<Input>();
      expectTypeOf(order).toEqualTypeOf<{ orderId: string; total: number }>();
      return { orderId: order.orderId, items };
    })
    .message('payment', accounts.debit, ({ input, order, stock }) => {
      expectTypeOf(stock).toEqualTypeOf<{ reservationId: string }>();
      return { orderId: order.orderId, account: input.customerId, currency: 'EUR', amount: order.total };
    })
    .build();
  expect(definition.plan.items).toHaveLength(3);
});

test('the result of a step with a guard is perhaps absent', () => {
  const guarded = placed().message('stock', inventory.deduct, () => ({ orderId: 'o-1', items }), {
    when: ({ input }) => input.quantity > 0,
  });
  guarded.message('payment', accounts.debit, ({ stock }) => {
    expectTypeOf(stock).toEqualTypeOf<{ reservationId: string } | undefined>();
    return { orderId: stock?.reservationId ?? 'none', account: 'c-1', currency: 'EUR', amount: 1 };
  });
  expect(() => guarded.build()).not.toThrow();
});

test('members of a parallel group give their results to what follows', () => {
  const parallel = placed().parallel((group) =>
    group
      .message('left', inventory.deduct, ({ order }) => ({ orderId: order.orderId, items }))
      .message('right', inventory.deduct, ({ order }) => ({ orderId: order.orderId, items })),
  );
  parallel.message('payment', accounts.debit, ({ left, right }) => {
    expectTypeOf(left).toEqualTypeOf<{ reservationId: string }>();
    expectTypeOf(right).toEqualTypeOf<{ reservationId: string }>();
    return { orderId: left.reservationId, account: 'c-1', currency: 'EUR', amount: 1 };
  });
  expect(() => parallel.build()).not.toThrow();
});

const Paid = defineEvent('paid', z.object({ amount: z.int() }));
const child = (): SagaDefinition<Input, { total: number }> =>
  placed()
    .returns(({ order }) => ({ total: order.total }))
    .build();

test('the body of an event is the typed result of the step that waits for it', () => {
  const waiting = placed()
    .wait('paid', { event: Paid, timeout: '30m' })
    .wait('checked', { event: defineEvent('checked', z.object({ by: z.string() })), timeout: '1h', when: () => true })
    .message('payment', accounts.debit, ({ order, paid, checked }) => {
      expectTypeOf(paid).toEqualTypeOf<{ amount: number }>();
      expectTypeOf(checked).toEqualTypeOf<{ by: string } | undefined>();
      return { orderId: order.orderId, account: checked?.by ?? 'c-1', currency: 'EUR', amount: paid.amount };
    });
  expect(() => waiting.build()).not.toThrow();
});

test('what a saga returns is the typed result of the step that runs it, and its input is what that step builds', () => {
  const parent = saga()
    .child('sub', child(), ({ input }) => ({ customerId: input.customerId, quantity: 2 }))
    .message('payment', accounts.debit, ({ sub }) => {
      expectTypeOf(sub).toEqualTypeOf<{ total: number }>();
      return { orderId: 'o-1', account: 'c-1', currency: 'EUR', amount: sub.total };
    });
  expect(() => parent.build()).not.toThrow();
  expectTypeOf(placed().build()).toEqualTypeOf<SagaDefinition<Input, null>>();
});

/** Never called: that they do not compile is the test. */
const mistakes = [
  // @ts-expect-error a wrong payload: an item has a quantity
  () => saga().message('stock', inventory.deduct, () => ({ orderId: 'o-1', items: [{ sku: 'book' }] })),

  // @ts-expect-error a wrong payload: amounts are numbers
  () => saga().message('pay', accounts.debit, () => ({ orderId: 'o-1', account: 'a', currency: 'EUR', amount: '1' })),

  // @ts-expect-error a payload of nothing
  () => saga().message('stock', inventory.deduct, () => undefined),

  // @ts-expect-error a result used before its step
  () => saga().message('stock', inventory.deduct, ({ order }) => ({ orderId: order.orderId as string, items })),

  // @ts-expect-error a member of the input that it does not have
  () => saga().message('stock', inventory.deduct, ({ input }) => ({ orderId: input.orderId as string, items })),

  // @ts-expect-error a member of a result that it does not have
  () => placed().message('stock', inventory.deduct, ({ order }) => ({ orderId: order.id as string, items })),

  () =>
    placed().parallel((group) =>
      group
        .message('left', inventory.deduct, ({ order }) => ({ orderId: order.orderId, items }))
        // @ts-expect-error a result used inside its own parallel group
        .message('right', inventory.deduct, ({ left }) => ({ orderId: left.reservationId as string, items })),
    ),

  () =>
    placed()
      .message('stock', inventory.deduct, () => ({ orderId: 'o-1', items }), { when: () => false })
      // @ts-expect-error a result that a guard may have left out
      .message('more', inventory.deduct, ({ stock }) => ({ orderId: stock.reservationId, items })),

  // @ts-expect-error a guard that reads a later result
  () => saga().local('order', orders.place, { when: ({ payment }) => payment !== undefined }),

  // @ts-expect-error a step name used twice
  () => placed().message('order', inventory.deduct, () => ({ orderId: 'o-1', items })),

  () =>
    placed().parallel((group) =>
      group
        .message('left', inventory.deduct, () => ({ orderId: 'o-1', items }))
        // @ts-expect-error a step name used twice in a group
        .message('left', inventory.deduct, () => ({ orderId: 'o-1', items })),
    ),

  // @ts-expect-error a step called input
  () => saga().local('input', orders.place),

  // @ts-expect-error an undo for another saga's input
  () => saga().local('order', orders.place, { undo: orders.payOut }),

  // @ts-expect-error a local transaction for another saga's input
  () => saga().local('order', orders.payOut),

  // @ts-expect-error a local transaction that its module does not have
  (): LocalRef => orders.plaice,

  () =>
    saga()
      .wait('paid', { event: Paid, timeout: '30m' })
      // @ts-expect-error a member that the event's body does not have
      .message('pay', accounts.debit, ({ paid }) => ({ ...debit, amount: paid.total as number })),

  () =>
    saga()
      .wait('paid', { event: defineEvent('paid', z.object({ amount: z.string() })), timeout: '30m' })
      // @ts-expect-error an event's body of another type than the payload
      .message('pay', accounts.debit, ({ paid }) => ({ ...debit, amount: paid.amount })),

  () =>
    saga()
      .wait('paid', { event: Paid, timeout: '30m', when: () => false })
      // @ts-expect-error an event that a guard may have left out
      .message('pay', accounts.debit, ({ paid }) => ({ ...debit, amount: paid.amount })),

  // @ts-expect-error a wait without a timeout
  () => saga().wait('paid', { event: Paid }),

  // @ts-expect-error an input that the child does not take
  () => saga().child('sub', child(), () => ({ customerId: 'c-1' })),

  () =>
    saga()
      .child('sub', child(), ({ input }) => input)
      // @ts-expect-error a member that the child does not return
      .message('pay', accounts.debit, ({ sub }) => ({ ...debit, amount: sub.amount as number })),

  // @ts-expect-error what it returns read from a later step
  () => saga().returns(({ order }) => order as object),

  // @ts-expect-error a duration without a unit
  () => saga().local('order', orders.place, { retry: { timeout: '30' } }),

  // @ts-expect-error a kind that does not exist
  () => saga().local('order', orders.place, { kind: 'optional' }),

  // @ts-expect-error an undo that takes another payload
  () => defineMessage('mail.send', { payload: z.string(), result: z.null(), undo: accounts.refund }),

  // @ts-expect-error a business key from what the input does not have
  () => defineSaga('typed-saga', { input: Input, businessKey: (input) => input.orderId as string }),
];

test('each mistake above is a type error', () => {
  expect(mistakes.length).toBeGreaterThan(15);
});
