import { v7 as uuidv7 } from 'uuid';
import type { OperatorAction } from '../../src/saga/operator.js';
import type { Plan } from '../../src/saga/plan.js';

/** What a participant answers: a status, or nothing at all. */
export type Behaviour = (type: string) => number | 'silence';

/** How a saga is brought to its end. */
export interface Ending {
  /** The word of the scenario, as in `orders-completed`. @default 'orders' */
  readonly scenario?: keyof typeof SCENARIOS;
  readonly behaviour: Behaviour;
  /** What is done to the saga once it is in trouble, or waits; `approve-early` before it is started. */
  readonly act?: 'cancel' | 'approve' | 'approve-early' | OperatorAction;
  /** What the history of the saga that runs as its first step is called. */
  readonly child?: string;
  readonly heal?: Behaviour;
}

/** Every participant does what it is asked. */
export const healthy: Behaviour = () => 200;
const only =
  (type: string, answer: number | 'silence'): Behaviour =>
  (asked) =>
    asked === type ? answer : 200;

/** Name of a history → how its saga ends. Those without `ahead` were recorded when every step had an activity of its own. */
export const ENDINGS: Readonly<Record<string, Ending>> = {
  'orders-completed': { behaviour: healthy },
  'orders-rejected': { behaviour: only('accounts.debit', 409) },
  'orders-timed-out': { behaviour: only('accounts.debit', 'silence') },
  'orders-cancelled': { behaviour: only('accounts.debit', 503), act: 'cancel' },
  'orders-parked': {
    behaviour: (type) => ({ 'accounts.debit': 409, 'inventory.release': 409 })[type] ?? 200,
    act: 'retry',
    heal: only('accounts.debit', 409),
  },
  'payments-completed': { scenario: 'payments', behaviour: healthy },
  'payments-rejected': { scenario: 'payments', behaviour: only('accounts.reserve', 409) },
  'payments-capture-rejected': { scenario: 'payments', behaviour: only('accounts.capture', 409) },
  'payments-timed-out': { scenario: 'payments', behaviour: only('accounts.reserve', 'silence') },
  // the pivot has no undo: in doubt about it the saga waits for a person, and then goes on
  'payments-parked': {
    scenario: 'payments',
    behaviour: only('accounts.capture', 'silence'),
    act: 'retry',
    heal: healthy,
  },
  'payments-attested': { scenario: 'payments', behaviour: only('accounts.capture', 'silence'), act: 'skip' },
  'payments-given-up': {
    scenario: 'payments',
    behaviour: only('accounts.capture', 'silence'),
    act: 'compensate',
    heal: healthy,
  },
  'payments-resolved': { scenario: 'payments', behaviour: only('accounts.capture', 'silence'), act: 'resolve' },
  'registrations-completed': { scenario: 'registrations', behaviour: healthy },
  'registrations-rejected': { scenario: 'registrations', behaviour: only('profiles.create', 409) },
  'registrations-timed-out': { scenario: 'registrations', behaviour: only('accounts.credit', 'silence') },
  'registrations-cancelled': { scenario: 'registrations', behaviour: only('accounts.credit', 503), act: 'cancel' },
  'approved-orders-completed': { scenario: 'approved-orders', behaviour: healthy, act: 'approve' },
  'approved-orders-early': { scenario: 'approved-orders', behaviour: healthy, act: 'approve-early' },
  'approved-orders-timed-out': { scenario: 'approved-orders', behaviour: healthy },
  'approved-orders-cancelled': { scenario: 'approved-orders', behaviour: healthy, act: 'cancel' },
  'first-orders-completed': { scenario: 'first-orders', behaviour: healthy, child: 'registrations-held' },
  'first-orders-rejected': { scenario: 'first-orders', behaviour: only('profiles.create', 409) },
  'first-orders-undone': {
    scenario: 'first-orders',
    behaviour: only('accounts.debit', 409),
    child: 'registrations-taken-back',
  },
  'orders-ahead-completed': { behaviour: healthy },
  'orders-ahead-rejected': { behaviour: only('accounts.debit', 409) },
  'orders-ahead-timed-out': { behaviour: only('accounts.debit', 'silence') },
  'orders-ahead-cancelled': { behaviour: only('accounts.debit', 503), act: 'cancel' },
  'payments-ahead-completed': { scenario: 'payments', behaviour: healthy },
  'payments-ahead-parked': {
    scenario: 'payments',
    behaviour: only('accounts.capture', 'silence'),
    act: 'retry',
    heal: healthy,
  },
  'registrations-ahead-completed': { scenario: 'registrations', behaviour: healthy },
  'registrations-ahead-rejected': { scenario: 'registrations', behaviour: only('profiles.create', 409) },
  'first-orders-ahead-completed': { scenario: 'first-orders', behaviour: healthy, child: 'registrations-ahead-held' },
};

/** What a participant answers when it does what it is asked. */
export const RESULTS: Readonly<Record<string, object>> = {
  'inventory.deduct': { reservationId: 'r-1' },
  'inventory.release': { released: 1 },
  'accounts.debit': { entryId: 'e-1', balance: 1 },
  'accounts.refund': { refunded: 1 },
  'accounts.reserve': { reservationId: 'r-1' },
  'accounts.release': { released: 1 },
  'accounts.capture': { captured: 1 },
  'accounts.credit': { entryId: 'e-1', balance: 1 },
  'accounts.take-back': { takenBack: 1 },
  'profiles.create': { profileId: 'p-1' },
  'profiles.delete': { deleted: 1 },
  'profiles.send-welcome': { mailId: 'm-1' },
  'preferences.create': { preferencesId: 'p-1' },
  'preferences.delete': { deleted: 1 },
};

const ORDER = { currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }] };

let invoices = 0;

/** What each scenario's saga is started with: no two recordings meet in a business row. */
export const SCENARIOS = {
  orders: {
    type: 'place-order',
    input: () => ({
      orderId: `ord_${uuidv7()}`,
      customerId: 'c-1',
      currency: 'EUR',
      items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }],
    }),
  },
  'approved-orders': {
    type: 'place-approved-order',
    input: () => ({ ...ORDER, orderId: `ord_${uuidv7()}`, customerId: 'c-1' }),
  },
  'first-orders': {
    type: 'place-first-order',
    input: () => {
      const customerId = `usr_${uuidv7()}`;
      const registration = { userName: customerId.slice(-30), email: `${customerId}@example.org` };
      return { ...ORDER, orderId: `ord_${uuidv7()}`, customerId, registration };
    },
  },
  payments: {
    type: 'pay-invoice',
    input: () => ({
      paymentId: `pay_${uuidv7()}`,
      invoiceId: `i-${(invoices += 1)}`,
      accountId: 'c-1',
      currency: 'EUR',
      amount: 5_000,
    }),
  },
  registrations: {
    type: 'register-user',
    input: () => {
      const userId = `usr_${uuidv7()}`;
      return { userId, userName: userId.slice(-30), email: `${userId}@example.org` };
    },
  },
};

/** Retry budgets of seconds: the plan is data, so that a recording need not wait for minutes. */
export function hurried(plan: Plan): Plan {
  const retry = { initialMs: 100, factor: 2, capMs: 500, budgetMs: 3_000, timeoutMs: 500 };
  const text = JSON.stringify(plan, (key, value: unknown) => {
    if (key === 'timeoutMs' && Number(value) > 60_000) return 3_000;
    return key === 'retry' ? retry : value;
  });
  return JSON.parse(text) as Plan;
}
