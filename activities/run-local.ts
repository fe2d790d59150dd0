import { applyLocal, undoLocal, type LocalEffect, type OwedMessage } from '../src/db/local-effects.js';
import { ParkedError } from '../src/saga/errors.js';
import type { LocalContext } from '../src/saga/local-work.js';
import { toFailure } from './failures.js';
import type { ActivityDependencies, LocalArgs, SagaActivities } from './saga-activities.js';

/** Runs local transactions: the guard, the business row and the messages owed commit together. */
export function createRunLocal({ pool, localWorks, definitions }: ActivityDependencies): SagaActivities['runLocal'] {
  const types = new Map(definitions.map((definition) => [definition.type, definition]));
  return async (args) => {
    const { effect, tenantId, input, results } = args;
    try {
      const work = localWorks.get(args.work);
      if (!work) throw new ParkedError('unknown-work', `this worker has no local transaction '${args.work}'`);
      const context: LocalContext<never> = { sagaId: effect.sagaId, tenantId, input: input as never, results };
      const code = types.get(args.saga)?.code;
      const local: LocalEffect = {
        effect,
        tenantId,
        work: (tx) => work(tx, context),
        owes: (result) => owedMessages(args, result, (step) => code?.get(step)),
      };
      if (effect.action === 'undo') return await undoLocal(pool, local);
      return (await applyLocal(pool, local)).result;
    } catch (error) {
      throw toFailure(error);
    }
  };
}

/** What a step's messages are built from. */
type Code = {
  readonly payload?: (scope: never) => unknown;
  readonly when?: (scope: never) => boolean;
  readonly contract?: { readonly type: string };
};

/**
 * The messages whose payloads the results so far decide. A builder that reads a result which is still to come is told so by
 * an exception; its message is written by its own first attempt.
 */
export function owedMessages(
  args: LocalArgs,
  result: unknown,
  codeOf: (step: string) => Code | undefined,
): OwedMessage[] {
  const known = { ...args.results, [args.effect.step]: result, input: args.input };
  const scope = new Proxy(known, {
    get: (target, name) => {
      if (name in target) return target[name as keyof typeof target] as unknown;
      throw new RangeError(`the result of '${String(name)}' is not known yet`);
    },
  }) as never;
  return args.owes.flatMap(({ step, type }) => {
    const code = codeOf(step);
    if (!code?.payload || code.contract?.type !== type) return [];
    try {
      if (code.when && !code.when(scope)) return [];
      return [{ step, type, payload: code.payload(scope) }];
    } catch {
      // not known yet, or failing: the workflow evaluates it again in its turn and deals with what it finds
      return [];
    }
  });
}
