import type { Mutation } from './dist.js';
import {
  cancelAfterCrash,
  cancelWithLostAnswer,
  deliverLate,
  dieBeforeStart,
  ordersOf,
  refuseUndo,
  repeatDeliveries,
  undoSlowly,
  wakeUpLate,
  type Provocation,
} from './provocations.js';

/** A bug that somebody could make, and the invariant that must catch it. */
export interface SeededBug {
  readonly name: string;
  readonly invariant: string;
  readonly mutations: readonly Mutation[];
  readonly provoke: Provocation;
}

/** Drops the constraint that the mutated statement no longer names. */
const withoutUniqueKey: Provocation = async (run) => {
  await run.databases.settle.query('alter table settle.idempotency_key drop constraint idempotency_key_pkey');
  return ordersOf('duplicate')(run);
};

/** Workflow code that does something else before all that the histories say. */
export const ANOTHER_WAY: Mutation = {
  file: 'workflows/saga-runner.js',
  find: 'const ahead = run.start.mayRunAhead',
  replace: 'await sleep(5); const ahead = run.start.mayRunAhead',
};

/** Every bug; each is one switch in the compiled code. */
export const SEEDED_BUGS: readonly SeededBug[] = [
  {
    name: 'the undo is registered after the call',
    invariant: 'I6',
    mutations: [
      {
        file: 'workflows/saga-step.js',
        find: 'if (isCompensatable && !context.begun.includes(step))\n        context.begun.push(step);',
        replace: '',
      },
      {
        file: 'workflows/saga-step.js',
        find: "if (step.kind !== 'compensatable')\n            run.hasPassedPivot = true;",
        replace: 'if (isCompensatable)\n            context.begun.push(step);',
      },
      // the ledger would know of it all the same
      { file: 'workflows/saga-compensation.js', find: '...(recorded.begun ?? [])', replace: '' },
    ],
    provoke: cancelWithLostAnswer,
  },
  {
    name: 'a saga undoes only what its workflow remembers',
    invariant: 'I6',
    mutations: [{ file: 'workflows/saga-compensation.js', find: '...(recorded.begun ?? [])', replace: '' }],
    provoke: cancelAfterCrash,
  },
  {
    name: 'the failure of an undo is swallowed',
    invariant: 'I6',
    mutations: [
      {
        file: 'workflows/saga-compensation.js',
        find: "await park(run, { step: step.name, action: 'undo', reason: failure.reason });",
        replace: 'return;',
      },
    ],
    provoke: refuseUndo,
  },
  {
    name: 'steps are undone in the order in which they were done',
    invariant: 'I8',
    mutations: [
      {
        file: 'workflows/saga-compensation.js',
        find: 'run.start.plan.items.toReversed()',
        replace: 'run.start.plan.items',
      },
    ],
    provoke: ordersOf('no-money'),
  },
  {
    name: 'the saga settles before its undo has finished',
    invariant: 'I8',
    mutations: [
      {
        file: 'workflows/saga-compensation.js',
        find: 'await Promise.all(steps.map(',
        replace: 'void Promise.all(steps.map(',
      },
    ],
    provoke: undoSlowly,
  },
  {
    name: 'the workflow ends as something else than the ledger',
    invariant: 'I5',
    mutations: [
      {
        file: 'workflows/saga-runner.js',
        find: "return end(run, 'completed');",
        replace: "return end(run, 'compensated');",
      },
    ],
    provoke: ordersOf('completes'),
  },
  {
    name: 'the inbox is written in another transaction than the business change',
    invariant: 'I16',
    mutations: [
      {
        file: 'src/participant/participant.js',
        find: 'runHandler(message, contract, (payload) => handler(tx, payload, message))',
        replace:
          'withTransaction(pool, (other) => runHandler(message, contract, (payload) => handler(other, payload, message)))',
      },
    ],
    provoke: ordersOf('completes'),
  },
  {
    name: 'an undo leaves no tombstone',
    invariant: 'I7',
    mutations: [
      {
        file: 'src/participant/inbox.js',
        find: 'if (buried.rowCount === 1)\n        return false;',
        replace: `if (buried.rowCount === 1) {
          await tx.query(\`delete from \${table} where consumer = $1 and effect_key = $2\`, [consumer, message.doKey]);
          return false;
        }`,
      },
    ],
    provoke: deliverLate,
  },
  {
    name: 'the inbox does not look for duplicates',
    invariant: 'I6',
    mutations: [
      {
        file: 'src/participant/inbox.js',
        find: 'const recorded = (await claim(delivery)) ? undefined : await replay(delivery);',
        replace: 'await claim(delivery); const recorded = undefined;',
      },
    ],
    provoke: repeatDeliveries,
  },
  {
    name: 'the same key is answered whatever the body',
    invariant: 'I22',
    mutations: [{ file: 'src/api/intake.js', find: 'if (saga.requestHash !== requestHash)', replace: 'if (false)' }],
    provoke: ordersOf('other-body'),
  },
  {
    name: 'nothing keeps a key unique',
    invariant: 'I2',
    mutations: [
      {
        file: 'src/db/saga-store.js',
        find: 'on conflict (tenant_id, kind, key) do nothing',
        replace: '',
      },
    ],
    provoke: withoutUniqueKey,
  },
  {
    name: 'there is no fence before a do',
    invariant: 'I8',
    mutations: [
      { file: 'src/db/saga-store.js', find: 'if (saga && !standing && !isTerminal(saga.state))', replace: 'if (saga)' },
      {
        file: 'src/db/forward.js',
        find: 'from settle.saga where id = $1 and',
        replace: 'from settle.saga where id = $1 or false and',
      },
      {
        file: 'src/db/forward.js',
        find: '(select count(*) from answered) = cardinality($2::text[])',
        replace: 'true',
      },
    ],
    provoke: wakeUpLate,
  },
  {
    name: 'the scan starts nothing',
    invariant: 'I19',
    mutations: [
      {
        file: 'activities/scan.js',
        find: 'await restarter.ensureRunning(saga, () => isOpen(pool, saga.id))',
        replace: "'running'",
      },
    ],
    provoke: dieBeforeStart,
  },
  {
    name: 'the messages owed are written in a transaction of their own',
    invariant: 'I13',
    mutations: [
      {
        file: 'src/db/local-effects.js',
        find: "insertOwed(client, owed), client.query('commit')",
        replace: "client.query('commit').then(() => undefined) && insertOwed(client, owed)",
      },
    ],
    provoke: ordersOf('completes'),
  },
  {
    name: 'a rejection counts as done',
    invariant: 'I6',
    mutations: [
      {
        file: 'activities/step-answers.js',
        find: 'return failed(await recordRefusal(pool, step, answer.reason));',
        replace: 'await recordRefusal(pool, step, answer.reason); return { isDone: true, result: {} };',
      },
      {
        file: 'activities/ahead-steps.js',
        find: "if (given.kind === 'done')",
        replace: "if (given.kind === 'done' || given.kind === 'rejected')",
      },
    ],
    provoke: ordersOf('out-of-stock'),
  },
];
