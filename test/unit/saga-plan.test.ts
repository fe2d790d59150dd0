import fc from 'fast-check';
import { z } from 'zod';
import { checkPlan } from '../../src/saga/check-plan.js';
import { defineMessage, defineSaga } from '../../src/saga/index.js';
import type { Plan, PlanGroup, PlanStep, SagaDefinition, StepKind } from '../../src/saga/index.js';
import { allSteps } from '../../src/saga/plan.js';
import { FORWARD_RETRY, PERSISTENT_RETRY } from '../../src/saga/retry.js';

const Nothing = z.object({});
const refund = defineMessage('bank.refund', { payload: Nothing, result: Nothing });
const debit = defineMessage('bank.debit', { payload: Nothing, result: Nothing, undo: refund });
const notify = defineMessage('mail.notify', { payload: Nothing, result: Nothing });
const nothing = (): Record<string, never> => ({});

const release1 = (): SagaDefinition<Record<string, never>> =>
  defineSaga('test-saga', { input: Nothing, businessKey: () => 'key', deadline: '15m' })
    .message('pay', debit, nothing)
    .parallel((group) => group.message('left', debit, nothing).message('right', debit, nothing))
    .message('mail', notify, nothing)
    .build();

/** The next release: `right` and `mail` are gone from new sagas, `log` is new and comes first. */
const release2 = (): SagaDefinition<Record<string, never>> =>
  defineSaga('test-saga', { input: Nothing, businessKey: () => 'key' })
    .message('log', debit, nothing)
    .parallel((group) => group.message('left', debit, nothing).message('right', debit, nothing, { retired: true }))
    .message('pay', debit, nothing)
    .message('mail', notify, nothing, { retired: true })
    .build();

const names = (plan: Plan): string[] => allSteps(plan).map(({ name }) => name);

test('a plan survives JSON unchanged, so that a saga can carry it for as long as it runs', () => {
  const { plan } = release1();
  const stored = JSON.parse(JSON.stringify(plan)) as Plan;
  expect(stored).toEqual(plan);
  expect(names(stored)).toEqual(['pay', 'left', 'right', 'mail']);
});

test('a plan is frozen to its leaves', () => {
  const { plan } = release1();
  const holders: object[] = [plan, plan.items, ...plan.items, ...allSteps(plan)];
  holders.push(...allSteps(plan).flatMap(({ retry, undoRetry }) => [retry, undoRetry]));
  expect(holders.filter((holder) => !Object.isFrozen(holder))).toEqual([]);
  expect(() => (plan.items as PlanStep[]).push({} as PlanStep)).toThrow(TypeError);
});

test('a retired step is absent from new plans and its code stays for the sagas in flight', () => {
  const pinned = release1().plan;
  const { plan, code } = release2();
  expect(names(plan)).toEqual(['log', 'left', 'pay']);
  for (const name of names(pinned)) expect(code.get(name)?.contract).toBeDefined();
});

test('a group whose members are all retired leaves nothing behind in new plans', () => {
  const { plan } = defineSaga('test-saga', { input: Nothing, businessKey: () => 'key' })
    .message('pay', debit, nothing)
    .parallel((group) => group.message('left', debit, nothing, { retired: true }))
    .build();
  expect(plan.items).toHaveLength(1);
});

test('extending a draft twice makes two sagas that do not know of each other', () => {
  const draft = defineSaga('test-saga', { input: Nothing, businessKey: () => 'key' }).message('pay', debit, nothing);
  const one = draft.message('one', debit, nothing).build();
  const two = draft.message('two', debit, nothing).build();
  expect([names(one.plan), names(two.plan)]).toEqual([
    ['pay', 'one'],
    ['pay', 'two'],
  ]);
  expect([...one.code.keys()]).toEqual(['pay', 'one']);
});

const anyStep = fc.record({
  kind: fc.constantFrom<StepKind>('compensatable', 'pivot', 'retriable'),
  hasUndo: fc.boolean(),
});
type AnyStep = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;
const anyItems = fc.array(fc.oneof(anyStep, fc.array(anyStep, { minLength: 1, maxLength: 3 })), { maxLength: 6 });

function planOf(items: readonly (AnyStep | readonly AnyStep[])[]): Plan {
  let count = 0;
  const step = ({ kind, hasUndo }: AnyStep): PlanStep => ({
    name: `s${count++}`,
    type: 'message',
    kind,
    action: 'bank.debit',
    undo: hasUndo ? 'bank.refund' : undefined,
    retry: kind === 'retriable' ? PERSISTENT_RETRY : FORWARD_RETRY,
    undoRetry: PERSISTENT_RETRY,
  });
  const planned = items.map((item): PlanStep | PlanGroup =>
    'kind' in item ? step(item) : { parallel: item.map((member) => step(member)) },
  );
  return { saga: 'test-saga', items: planned };
}

function isAccepted(plan: Plan): boolean {
  try {
    checkPlan(plan);
    return true;
  } catch {
    return false;
  }
}

test('whatever plan is accepted can be taken back up to each step that may be refused', () => {
  let accepted = 0;
  fc.assert(
    fc.property(anyItems, (items) => {
      const plan = planOf(items);
      if (!isAccepted(plan)) return;
      accepted++;
      const steps = allSteps(plan);
      const lastRefusable = steps.findLastIndex(({ kind }) => kind !== 'retriable');
      for (const earlier of steps.slice(0, Math.max(0, lastRefusable))) expect(earlier.undo).toBeDefined();
    }),
    { numRuns: 2_000 },
  );
  expect(accepted).toBeGreaterThan(50);
});

test('whatever plan is refused breaks a rule that can be told from the plan alone', () => {
  fc.assert(
    fc.property(anyItems, (items) => {
      const plan = planOf(items);
      expect(isAccepted(plan)).toBe(isKeepable(plan));
    }),
    { numRuns: 2_000 },
  );
});

/** The rules once more, written from the other side: the kinds in order are c* p? r*, groups are of one kind, and c has an undo. */
function isKeepable(plan: Plan): boolean {
  const groups = plan.items.map((item) => ('parallel' in item ? item.parallel : [item]));
  const letters = groups.map((members) => {
    const kinds = new Set(members.map(({ kind }) => kind[0]!));
    return kinds.size === 1 && !(kinds.has('p') && members.length > 1) ? [...kinds][0]! : 'x';
  });
  const canUndo = allSteps(plan).every(({ kind, undo }) => kind !== 'compensatable' || undo !== undefined);
  return groups.length > 0 && /^c*p?r*$/.test(letters.join('')) && canUndo;
}
