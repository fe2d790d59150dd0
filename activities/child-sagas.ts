import { lookAtChild, type NewChild } from '../src/db/child-sagas.js';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import { ParkedError, RejectedError } from '../src/saga/errors.js';
import { toFailure } from './failures.js';
import type { ActivityDependencies, ChildArgs, SagaActivities } from './saga-activities.js';

/** Runs a saga as a step of another: accepted once, under its parent's fence, with the plan of this release. */
export function createLookAtChild({ pool, definitions }: ActivityDependencies): SagaActivities['lookAtChild'] {
  const types = new Map(definitions.map((definition) => [definition.type, definition]));
  return async (args) => {
    try {
      return await lookAtChild(pool, args.effect, () => newChild(args, types.get(args.type)));
    } catch (error) {
      throw toFailure(error);
    }
  };
}

/**
 * @throws ParkedError `unknown-saga-type` when this release has none of its type
 * @throws RejectedError `invalid-input` when the parent's definition has built what the child does not take
 */
function newChild({ effect, tenantId, type, input }: ChildArgs, definition: SagaDefinition | undefined): NewChild {
  if (!definition) throw new ParkedError('unknown-saga-type', `this worker has no saga '${type}'`);
  const { plan, businessKey } = definition;
  const parsed = definition.input.safeParse(input);
  if (!parsed.success) throw new RejectedError('invalid-input', `the input is not what saga '${type}' takes`);
  return { effect, tenantId, type, businessKey: businessKey(parsed.data), plan, input: parsed.data };
}
