import { z } from 'zod';
import { defineMessage } from '../../../src/saga/message-contract.js';
import { defineSaga } from '../../../src/saga/define-saga.js';
import { sagaWorkflow } from '../../../workflows/saga-runner.js';
import { faultySaga } from './sagas.js';

const Anything = z.object({}).loose();
const broken = defineMessage('test.broken', {
  payload: Anything,
  result: Anything,
  undo: defineMessage('test.unbroken', { payload: Anything, result: Anything }),
});

/** The next release of the saga `faulty`, in which its author has mended the payload. */
export const mendedSaga = defineSaga('faulty', { input: faultySaga.input, businessKey: () => 'test' })
  .local('first', { local: 'test.first' }, { undo: { local: 'test.unfirst' } })
  .message('broken', broken, () => ({ mended: true }))
  .build();
export const faulty = sagaWorkflow(mendedSaga);
