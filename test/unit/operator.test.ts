import { legalActions, type ParkedFacts } from '../../src/saga/operator.js';

const facts = (change: {
  kind?: 'compensatable' | 'pivot' | 'retriable';
  type?: 'local' | 'message' | 'wait' | 'child';
  action?: 'do' | 'undo';
  code?: string;
  hasMessage?: boolean;
  hasPassedPivot?: boolean;
}): ParkedFacts => {
  const { kind = 'compensatable', type = 'message', action = 'do', code = 'closed' } = change;
  const { hasMessage = type === 'message', hasPassedPivot = false } = change;
  return {
    step: { name: 'stock', kind, type, action: 'a.b' } as ParkedFacts['step'],
    parked: { action, code, message: 'no', at: '2026-01-31T12:00:00.000Z' },
    ...{ hasMessage, hasPassedPivot },
  };
};

test.each([
  ['a message before the pivot', {}, 'retry skip compensate resolve edit'],
  ['a message after the pivot', { kind: 'retriable', hasPassedPivot: true }, 'retry skip resolve edit'],
  ['the pivot itself', { kind: 'pivot' }, 'retry skip compensate resolve edit'],
  ['a retriable step before which nothing is final', { kind: 'retriable' }, 'retry skip compensate resolve edit'],
  ['an undo', { action: 'undo' }, 'retry skip resolve edit'],
  ['a local transaction', { type: 'local' }, 'retry skip compensate resolve'],
  ['a local undo', { type: 'local', action: 'undo' }, 'retry skip resolve'],
  [
    'a wait that has timed out after the pivot',
    { type: 'wait', kind: 'retriable', hasPassedPivot: true },
    'retry skip resolve',
  ],
  ['a child that can no longer be taken back', { type: 'child', action: 'undo' }, 'retry resolve'],
  ['a message that was never built', { hasMessage: false }, 'retry compensate resolve'],
  ['a step whose code is gone', { code: 'unknown-step' }, 'retry compensate resolve'],
  ['a step whose code fails', { code: 'definition-failed', type: 'local' }, 'retry compensate resolve'],
] as const)('of %s an operator may do what helps, and nothing else', (_, change, legal) => {
  expect(legalActions(facts(change)).join(' ')).toBe(legal);
});
