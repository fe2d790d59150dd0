import { z } from 'zod';
import { defineEvent } from '../../../src/saga/event-contract.js';
import { defineMessage, type MessageContract } from '../../../src/saga/message-contract.js';
import { defineSaga } from '../../../src/saga/define-saga.js';
import type { LocalRef } from '../../../src/saga/local-work.js';
import { sagaWorkflow } from '../../../workflows/saga-runner.js';

const Anything = z.object({}).loose();
type Anything = z.infer<typeof Anything>;
const local = (name: string): LocalRef<Input, { id: string }> => ({ local: `test.${name}` });
const message = (name: string, isUndoable = true): MessageContract<Anything, Anything> =>
  defineMessage(`test.${name}`, {
    payload: Anything,
    result: Anything,
    undo: isUndoable ? defineMessage(`test.un${name}`, { payload: Anything, result: Anything }) : undefined,
  });

const Input = z.object({ wanted: z.boolean().optional() });
type Input = z.infer<typeof Input>;

/** Budgets short enough to be exhausted in a test, long enough for a busy machine. */
const brief = { initial: '20ms', cap: '50ms', budget: '3s', timeout: '200ms' } as const;
const options = { retry: brief, undoRetry: brief };
const saga = { input: Input, businessKey: () => 'test' };

/** Three steps in a row, all of which can be taken back. */
export const linearSaga = defineSaga('linear', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .message('second', message('second'), () => ({ of: 'second' }), options)
  .message('third', message('third'), ({ second }) => ({ after: second }), options)
  .build();
export const linear = sagaWorkflow(linearSaga);

/** Two steps at the same time between two others. */
export const groupedSaga = defineSaga('grouped', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .parallel((group) =>
    group.message('left', message('left'), () => ({}), options).message('right', message('right'), () => ({}), options),
  )
  .message('last', message('last'), () => ({}), options)
  .build();
export const grouped = sagaWorkflow(groupedSaga);

/** A point of no return, and a step after it. */
export const pivotedSaga = defineSaga('pivoted', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .message('pivot', message('pivot', false), () => ({}), { ...options, kind: 'pivot' })
  .message('after', message('after', false), () => ({}), options)
  .build();
export const pivoted = sagaWorkflow(pivotedSaga);

/** A step that is not always needed, and a deadline that a slow machine does not reach by itself. */
export const guardedSaga = defineSaga('guarded', { ...saga, deadline: '8s' })
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .message('extra', message('extra'), () => ({}), { ...options, when: ({ input }) => input.wanted === true })
  .message('slow', message('slow'), () => ({}), { retry: { ...brief, budget: '10m' }, undoRetry: brief })
  .build();
export const guarded = sagaWorkflow(guardedSaga);

const Paid = defineEvent('paid', z.object({ amount: z.int() }));

/** A wait between two steps that can be taken back. */
export const waitingSaga = defineSaga('waiting', { ...saga, deadline: '8s' })
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .wait('payment', { event: Paid, timeout: '2s' })
  .message('third', message('third'), ({ payment }) => ({ after: payment }), options)
  .build();
export const waiting = sagaWorkflow(waitingSaga);

/** A wait after the point of no return. */
export const lateWaitingSaga = defineSaga('late-waiting', saga)
  .message('pivot', message('pivot', false), () => ({}), { ...options, kind: 'pivot' })
  .wait('payment', { event: Paid, timeout: '2s' })
  .build();
export const lateWaiting = sagaWorkflow(lateWaitingSaga);

/** What a saga that is a step of another does: the mail cannot be taken back. */
export const childSaga = defineSaga('child', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .returns(({ first }) => ({ of: first.id }))
  .message('mail', message('mail', false), () => ({}), options)
  .build();
export const child = sagaWorkflow(childSaga);

/** A saga that runs another as its second step. */
export const parentSaga = defineSaga('parent', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .child('second', childSaga, () => ({}))
  .message('third', message('third'), ({ second }) => ({ after: second }), options)
  .build();
export const parent = sagaWorkflow(parentSaga);

/** The code of a step fails. */
export const faultySaga = defineSaga('faulty', saga)
  .local('first', local('first'), { ...options, undo: local('unfirst') })
  .message(
    'broken',
    message('broken'),
    () => {
      throw new TypeError('an author makes mistakes');
    },
    options,
  )
  .build();
export const faulty = sagaWorkflow(faultySaga);
