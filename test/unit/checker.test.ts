import { check, describeViolations } from '../support/faults/checker.js';
import type { Effect, Evidence, Expectations } from '../support/faults/evidence.js';

const BODY = { customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 2, unitPrice: 50 }] };
const PLAN = [
  [{ name: 'order', type: 'local' }],
  [{ name: 'stock', type: 'message' }],
  [{ name: 'payment', type: 'message' }],
] as const;

const effect = (service: Effect['service'], step: string, rest: Partial<Effect>): Effect => ({
  ...{
    service,
    step,
    action: 'do',
    position: 1,
    at: 10,
    sagaId: 's-1',
    subject: 'o-1',
    amount: 1,
    txid: `${service}-1`,
  },
  ...rest,
});

/** The evidence of one order that completed. */
function completed(): Evidence {
  const request = { at: 1, key: 'k-1', tenant: 'default', scenario: 'completes' };
  return {
    client: {
      planned: 1,
      requests: [{ ...request, body: BODY }],
      responses: [{ ...request, at: 2, status: 202, sagaId: 's-1', orderId: 'o-1', state: 'accepted' }],
      polls: ['accepted', 'running', 'completed'].map((state, index) => ({ at: 3 + index, sagaId: 's-1', state })),
      cancels: [],
    },
    effects: [
      effect('orders', 'order', {}),
      effect('inventory', 'stock', { at: 11, subject: 'book', amount: -2 }),
      effect('accounts', 'payment', { at: 12, subject: 'c-1', amount: -100 }),
      effect('accounts', 'payment', { at: 12, subject: 'merchant-1', amount: 100 }),
    ],
    ledger: {
      sagas: [
        {
          ...{
            id: 's-1',
            tenantId: 'default',
            key: 'k-1',
            businessKey: 'o-1',
            state: 'completed',
            reason: null,
            isExpress: false,
          },
          ...{ input: { orderId: 'o-1', ...BODY }, plan: PLAN },
        },
      ],
      events: ['accepted', 'running', 'completed'].map((state, id) => ({ id, sagaId: 's-1', state, at: 2 + 6 * id })),
      stepEffects: [{ sagaId: 's-1', step: 'order', action: 'do', status: 'applied', at: 10, txid: 'orders-1' }],
      messages: (['stock', 'payment'] as const).map((step) => ({
        ...{ sagaId: 's-1', step, action: 'do', status: 'sent', attempts: 1, firstSentAt: 10, txid: 'orders-1' },
      })) as Evidence['ledger']['messages'],
      orders: [{ orderId: 'o-1', sagaId: 's-1', status: 'placed', total: 100, txid: 'orders-1' }],
    },
    inbox: (['inventory', 'accounts'] as const).map((service) => ({
      ...{ service, sagaId: 's-1', step: service === 'inventory' ? 'stock' : 'payment', action: 'do' as const },
      ...{ status: 'applied', at: 11, messageId: `m-${service}`, txid: `${service}-1` },
    })),
    books: { rows: [], live: [], snapshots: 1 },
    workflows: [{ workflowId: 's-1', runId: 'r-1', status: 'COMPLETED', outcome: 'completed', failedTasks: [] }],
    replays: [],
    faults: [{ name: 'kill worker', at: 5, proof: 'exit signal 9 of pid 1' }],
  };
}

/** The evidence with one table changed. */
function without(change: (evidence: Mutable<Evidence>) => void): Evidence {
  const evidence = structuredClone(completed()) as Mutable<Evidence>;
  change(evidence);
  return evidence as Evidence;
}

type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;

const found = (evidence: Evidence, expected?: Expectations): string[] => [
  ...new Set(check(evidence, expected).map(({ invariant }) => invariant)),
];

test('sound evidence has no violations', () => {
  expect(check(completed())).toEqual([]);
});

test('a saga that the express lane has settled has no workflow, and any other has', () => {
  const { ledger, ...rest } = completed();
  const violated = (isExpress: boolean): string[] =>
    check({ ...rest, ledger: { ...ledger, sagas: [{ ...ledger.sagas[0]!, isExpress }] }, workflows: [] }).map(
      ({ invariant }) => invariant,
    );
  expect([violated(true), violated(false)]).toEqual([[], ['I5']]);
});

test.each<[string, string, (evidence: Mutable<Evidence>) => void]>([
  ['I1', 'an accepted request without a saga', ({ ledger }) => void ledger.sagas.splice(0)],
  ['I1', 'an answer that names another saga', ({ client }) => void (client.responses[0]!.sagaId = 's-2')],
  ['I2', 'two sagas for one key', ({ ledger }) => void ledger.sagas.push({ ...ledger.sagas[0]!, id: 's-2' })],
  ['I2', 'a request that never had a 2xx', ({ client }) => void (client.responses[0]!.status = 503)],
  ['I3', 'a saga that nobody asked for', ({ client }) => void client.requests.splice(0)],
  ['I4', 'an outcome set twice', ({ ledger }) => void ledger.events.push({ ...ledger.events[2]!, id: 9 })],
  ['I5', 'another outcome in Temporal', ({ workflows }) => void (workflows[0]!.outcome = 'compensated')],
  ['I5', 'another outcome by GET', ({ client }) => void client.polls.splice(2)],
  ['I6', 'an effect applied twice', ({ effects }) => void effects.push({ ...effects[1]!, txid: 'inventory-2' })],
  ['I6', 'a completed saga with a step not done', ({ effects }) => void effects.splice(1, 1)],
  ['I6', 'an effect of no saga', ({ effects }) => void effects.push({ ...effects[0]!, sagaId: 's-9' })],
  ['I7', 'a do after its undo', ({ effects }) => void effects.push({ ...effects[1]!, action: 'undo', at: 1 })],
  [
    'I7',
    'a do after an undo that found nothing',
    ({ inbox }) => void inbox.push({ ...inbox[0]!, action: 'undo', at: 1 }),
  ],
  [
    'I8',
    'a step undone before the one after it',
    ({ effects }) =>
      void effects.push({ ...effects[1]!, action: 'undo', at: 20 }, { ...effects[2]!, action: 'undo', at: 21 }),
  ],
  [
    'I8',
    'a do begun after the decision',
    ({ ledger }) => void ledger.events.splice(1, 1, { id: 1, sagaId: 's-1', state: 'compensating', at: 9 }),
  ],
  ['I9', 'an undo without a cause', ({ effects }) => void effects.push({ ...effects[1]!, action: 'undo', at: 20 })],
  ['I10', 'money from nowhere', ({ effects }) => void (effects[3]!.amount = 101)],
  ['I10', 'less taken than owed', ({ ledger }) => void (ledger.orders[0]!.total = 150)],
  [
    'I10',
    'a balance that its entries do not explain',
    ({ books }) => void books.rows.push({ service: 'accounts', subject: 'c-1', opening: 100, moved: -10, actual: 95 }),
  ],
  [
    'I10',
    'a snapshot that did not add up',
    ({ books }) => void books.live.push({ at: 1, invariant: 'I10', detail: 'x' }),
  ],
  ['I11', 'stock that was not taken', ({ effects }) => void (effects[1]!.amount = -1)],
  ['I12', 'a business row in another transaction', ({ ledger }) => void (ledger.orders[0]!.txid = 'other')],
  ['I13', 'an owed message in another transaction', ({ ledger }) => void (ledger.messages[1]!.txid = 'other')],
  ['I13', 'an owed message that is missing', ({ ledger }) => void ledger.messages.splice(1)],
  ['I16', 'an inbox row in another transaction', ({ inbox }) => void (inbox[1]!.txid = 'other')],
  ['I16', 'an effect without an inbox row', ({ inbox }) => void inbox.splice(0, 1)],
  ['I17', 'a message that was forgotten', ({ ledger }) => void (ledger.messages[0]!.status = 'pending')],
  ['I19', 'a saga that never settled', ({ ledger }) => void (ledger.sagas[0]!.state = 'running')],
  ['I19', 'a saga that is parked without a plan', ({ ledger }) => void (ledger.sagas[0]!.state = 'parked')],
  [
    'I22',
    'another body accepted',
    ({ client }) => void client.responses.push({ ...client.responses[0]!, scenario: 'other-body' }),
  ],
  ['I22', 'another body stored', ({ ledger }) => void (ledger.sagas[0]!.input['currency'] = 'USD')],
  ['I24', 'a workflow beside the express lane', ({ ledger }) => void (ledger.sagas[0]!.isExpress = true)],
  ['I24', 'two runs of one saga', ({ workflows }) => void workflows.push({ ...workflows[0]!, runId: 'r-2' })],
  ['I24', 'a workflow that outlives its saga', ({ workflows }) => void (workflows[0]!.status = 'RUNNING')],
  ['I29', 'a history that does not replay', ({ replays }) => void replays.push({ workflowId: 's-1', error: 'x' })],
  ['I29', 'a failing workflow task', ({ workflows }) => void workflows[0]!.failedTasks.push('x')],
  [
    'I33',
    'a state that moved back',
    ({ client }) => void client.polls.push({ at: 9, sagaId: 's-1', state: 'running' }),
  ],
  ['I34', 'a fault that never fired', ({ faults }) => void (faults[0]!.proof = undefined)],
  ['I34', 'a load that was not offered', ({ client }) => void (client.planned = 2)],
  ['I34', 'books that nobody watched', ({ books }) => void (books.snapshots = 0)],
])('%s is broken by %s', (invariant, _what, change) => {
  expect(found(without(change))).toContain(invariant);
});

test('I16 wants a refused duplicate where deliveries were repeated', () => {
  expect(found(completed(), { duplicates: true })).toEqual(['I16']);
  const proven = without(({ faults }) => void faults.push({ name: 'duplicate', at: 1, proof: '3 refused' }));
  expect(found(proven, { duplicates: true })).toEqual([]);
});

test('I5 asks for no closed workflow where Temporal has lost them', () => {
  const lost = without(({ workflows }) => void workflows.splice(0));
  expect(found(lost)).toEqual(['I5']);
  expect(found(lost, { retainsWorkflows: false })).toEqual([]);
});

test('a violation is told with its number, its ids and its rows', () => {
  const text = describeViolations(check(without(({ inbox }) => void (inbox[1]!.txid = 'other'))));
  expect(text).toContain('1 violations: I16 × 1');
  expect(text).toContain('accounts s-1/payment/do');
  expect(text).toContain('"txid":"other"');
});
